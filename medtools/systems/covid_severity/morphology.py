"""Binary morphology of one slice, equal to the OpenCV and scikit-image calls of the published script.

Outside the slice nothing erodes and nothing dilates, which is OpenCV's border rule. Rows grow towards the back of the
patient, columns towards the patient's left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

_FOUR = ndimage.generate_binary_structure(2, 1)
_EIGHT = ndimage.generate_binary_structure(2, 2)
_TAN_22_5 = 13573  # tan(22.5°) · 2^15, rounded as OpenCV's Canny rounds it


def erode_cross(mask: Mask, iterations: int = 1) -> Mask:
    """Erode by the 3×3 cross, which is OpenCV's 3×3 ellipse."""
    return ~dilate_cross(~mask, iterations)


def dilate_cross(mask: Mask, iterations: int = 1) -> Mask:
    """Dilate by the 3×3 cross."""
    for _ in range(iterations):
        grown = mask.copy()
        grown[1:] |= mask[:-1]
        grown[:-1] |= mask[1:]
        grown[:, 1:] |= mask[:, :-1]
        grown[:, :-1] |= mask[:, 1:]
        mask = grown
    return mask


def erode_ellipse5(mask: Mask, iterations: int = 1) -> Mask:
    """Erode by OpenCV's 5×5 ellipse."""
    return ~dilate_ellipse5(~mask, iterations)


def dilate_ellipse5(mask: Mask, iterations: int = 1) -> Mask:
    """Dilate by OpenCV's 5×5 ellipse: the 5×3 rectangle (5 wide) and the middle column of 5."""
    for _ in range(iterations):
        mask = _dilate_rows(_dilate_columns(mask, 2, 2), 1, 1) | _dilate_rows(mask, 2, 2)
    return mask


def dilate_square(mask: Mask, width: int) -> Mask:
    """Dilate by a square of ones; an even one reaches one pixel further up and left, as in scipy and scikit-image."""
    before, after = width // 2, (width - 1) // 2
    return _dilate_rows(_dilate_columns(mask, before, after), before, after)


def canny_edges(mask: Mask) -> Mask:
    """Return OpenCV's `Canny(255 * mask, 1, 1)`: Sobel gradients thinned to their crests.

    With both thresholds at 1 every crest of a binary mask is an edge, so hysteresis has nothing to add.
    """
    if not mask.any():
        return np.zeros_like(mask)
    padded = np.pad(mask.astype(np.int16), 1, mode="edge") * 255
    smooth_y = padded[:-2] + 2 * padded[1:-1] + padded[2:]
    smooth_x = padded[:, :-2] + 2 * padded[:, 1:-1] + padded[:, 2:]
    dx = (smooth_y[:, 2:] - smooth_y[:, :-2]).astype(np.int64)
    dy = (smooth_x[2:] - smooth_x[:-2]).astype(np.int64)
    magnitude = np.abs(dx) + np.abs(dy)
    around = np.pad(magnitude, 1)
    height, width = mask.shape

    def shifted(rows: int, columns: int) -> NDArray[np.int64]:
        return around[1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]

    x, y = np.abs(dx) * _TAN_22_5, np.abs(dy) << 15
    horizontal = y < x
    vertical = y > x + (np.abs(dx) << 16)
    falling = (dx ^ dy) >= 0  # gradient along the diagonal from upper left to lower right
    crest = np.where(
        horizontal,
        (magnitude > shifted(0, -1)) & (magnitude >= shifted(0, 1)),
        np.where(
            vertical,
            (magnitude > shifted(-1, 0)) & (magnitude >= shifted(1, 0)),
            np.where(
                falling,
                (magnitude > shifted(-1, -1)) & (magnitude > shifted(1, 1)),
                (magnitude > shifted(-1, 1)) & (magnitude > shifted(1, -1)),
            ),
        ),
    )
    return crest & (magnitude > 1)


def upper_edge(mask: Mask, dropped: float) -> Mask:
    """Return the mask's edge without its lowest part (`get_edge` of the published script).

    Parameters
    ----------
    mask : (height, width) bool
    dropped : float
        Fraction of the edge's height, from its lowest (most posterior) row, that is left out.

    Returns
    -------
    (height, width) bool
    """
    edge = canny_edges(mask)
    rows = np.flatnonzero(edge.any(axis=1))
    if rows.size:
        edge[rows[-1] - int((rows[-1] - rows[0]) * dropped) :] = False
    return edge


def label(mask: Mask, *, diagonal: bool) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Number the components from 1 in scanning order and return their areas in pixels (index 0: background).

    Parameters
    ----------
    mask : (height, width) bool
    diagonal : bool
        Whether pixels that touch only at a corner belong together (8-connectivity).
    """
    labels, count = ndimage.label(mask, structure=_EIGHT if diagonal else _FOUR)
    return labels, np.bincount(labels.ravel(), minlength=count + 1)


def remove_small(mask: Mask, min_size: float) -> Mask:
    """Remove 4-connected components of fewer than `min_size` pixels."""
    labels, areas = label(mask, diagonal=False)
    large = areas >= min_size
    large[0] = False
    return large[labels]


def fill_holes(mask: Mask, max_size: float) -> Mask:
    """Fill 4-connected holes of at most `max_size` pixels, holes at the border of the slice too."""
    labels, areas = label(~mask, diagonal=False)
    small = areas <= max_size
    small[0] = True
    return small[labels]


def _dilate_rows(mask: Mask, before: int, after: int) -> Mask:
    grown = mask.copy()
    for step in range(1, before + 1):
        grown[:-step] |= mask[step:]
    for step in range(1, after + 1):
        grown[step:] |= mask[:-step]
    return grown


def _dilate_columns(mask: Mask, before: int, after: int) -> Mask:
    grown = mask.copy()
    for step in range(1, before + 1):
        grown[:, :-step] |= mask[:, step:]
    for step in range(1, after + 1):
        grown[:, step:] |= mask[:, :-step]
    return grown
