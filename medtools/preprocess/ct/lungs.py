"""Lungs by threshold and connectivity: a fallback without weights that knows no lobes.

It takes air inside the body, cuts the airways off where they are narrow, tells the two lungs apart by size and side,
and closes their outlines over vessels. It loses what is as dense as the chest wall: large consolidations, effusions
and masses at the pleura. For severe disease a trained model is the better choice.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medtools.core.errors import InputError

RIGHT, LEFT = 1, 2  # as lungmask's R231 numbers them
AIR_BELOW_HU = -400
_COARSE_MM = 2.0
_CLOSING_MM = 8.0
_LARGEST_HOLE_MM2 = 400.0  # vessels and nodules are filled, the dome of the diaphragm is not lung
_NECK_MM = (13.0, 9.0, 6.0, 4.0, 3.0)  # from wider than a main bronchus, which parts the trachea from the lungs
_LEAST_LUNG_ML = 100.0  # of a lung's core


def segment_lungs(hu: NDArray[Any], spacing: tuple[float, float, float], where: str = "CT") -> NDArray[np.uint8]:
    """Segment both lungs.

    Parameters
    ----------
    hu : (n_slices, height, width) array
        Slices head to feet, rows front to back, columns from the patient's right to left.
    spacing : tuple of float
        Slice distance, row and column spacing in mm.

    Returns
    -------
    (n_slices, height, width) uint8
        1 right lung, 2 left lung, 0 elsewhere.

    Raises
    ------
    InputError
        No two lungs are found.
    """
    steps = tuple(max(int(_COARSE_MM / size), 1) for size in spacing)
    inner = np.stack([_inner_air(image) for image in hu])
    coarse = inner[:: steps[0], :: steps[1], :: steps[2]]
    coarse_spacing = tuple(size * step for size, step in zip(spacing, steps, strict=True))
    sides = _two_lungs(coarse, coarse_spacing, where)
    lungs = np.zeros(hu.shape, dtype=np.uint8)
    radius = max(round(_CLOSING_MM / spacing[1]), 1)
    largest_hole = _LARGEST_HOLE_MM2 / (spacing[1] * spacing[2])
    for index in range(len(hu)):
        near = sides[min(index // steps[0], len(sides) - 1)]
        near = near.repeat(steps[1], axis=0)[: hu.shape[1]].repeat(steps[2], axis=1)[:, : hu.shape[2]]
        for side in (RIGHT, LEFT):
            closed = _closed(inner[index] & (near == side), radius, largest_hole)
            lungs[index][closed & (lungs[index] == 0)] = side
    return lungs


def _inner_air(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the air of one slice that does not reach the slice's border."""
    labels, _ = ndimage.label(image < AIR_BELOW_HU)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    outside = np.zeros(labels.max() + 1, dtype=bool)
    outside[border] = True
    outside[0] = True
    return ~outside[labels]


def _two_lungs(air: NDArray[np.bool_], spacing: tuple[float, ...], where: str) -> NDArray[np.uint8]:
    """Label air by lung: grow back from what remains of each lung once passages up to some width are closed.

    Cores that are neither lung, such as the trachea, keep the air that is nearest to them.
    """
    depth = ndimage.distance_transform_edt(np.pad(air, 1), sampling=spacing)[1:-1, 1:-1, 1:-1]
    voxel_ml = math.prod(spacing) / 1000
    for neck in _NECK_MM:
        cores, count = ndimage.label(depth > neck / 2)
        sizes = np.bincount(cores.ravel(), minlength=count + 1)
        sizes[0] = 0
        order = np.argsort(sizes)[::-1]
        if count >= 2 and sizes[order[1]] * voxel_ml > _LEAST_LUNG_ML:
            return _grown(air, cores, order[:2], spacing)
    raise InputError(
        where, "the classical segmentation finds no two separate lungs", "give a mask (--lobes) or weights"
    )


def _grown(
    air: NDArray[np.bool_], cores: NDArray[np.int32], lungs: NDArray[np.intp], spacing: tuple[float, ...]
) -> NDArray[np.uint8]:
    centres = [float(np.nonzero(cores == core)[2].mean()) for core in lungs]
    side = np.full(int(cores.max()) + 1, 0, dtype=np.uint8)
    side[lungs[int(np.argmin(centres))]] = RIGHT
    side[lungs[int(np.argmax(centres))]] = LEFT
    nearest = ndimage.distance_transform_edt(cores == 0, sampling=spacing, return_distances=False, return_indices=True)
    labels = np.where(air, side[cores[tuple(nearest)]], np.uint8(0))
    # Small pieces beside the lungs, such as bowel gas, are nearest to a lung core too: keep what hangs together.
    for number in (RIGHT, LEFT):
        parts, _ = ndimage.label(labels == number)
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        labels[(labels == number) & (parts != sizes.argmax())] = 0
    return ndimage.grey_dilation(labels, size=(1, 3, 3))


def _closed(lung: NDArray[np.bool_], radius: int, largest_hole: float) -> NDArray[np.bool_]:
    """Close a lung's outline in one slice over gaps of twice `radius` pixels, and fill its smaller holes."""
    if not lung.any():
        return lung
    rows, columns = np.flatnonzero(lung.any(axis=1)), np.flatnonzero(lung.any(axis=0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    solid = _fill_small(np.pad(lung[box], radius + 1), largest_hole)
    reach = ndimage.distance_transform_edt(~solid) <= radius
    closed = ndimage.distance_transform_edt(reach) > radius
    result = np.zeros_like(lung)
    result[box] = (closed | solid)[radius + 1 : -radius - 1, radius + 1 : -radius - 1]
    return result


def _fill_small(mask: NDArray[np.bool_], largest: float) -> NDArray[np.bool_]:
    labels, count = ndimage.label(~mask)
    small = np.bincount(labels.ravel(), minlength=count + 1) <= largest
    small[0] = True
    return small[labels]
