"""Stage 3: remove the linings of organs that rise into the lung (paper section 2.3).

Slices run head to feet, so the next slice is the lower one. Labels are lobes: 1, 2 the left lung, 3, 4, 5 the right.
Distances along the body are in mm, morphology is in pixels. Every function changes the labels it is given in place.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from medtools.systems.covid_severity.morphology import (
    Mask,
    dilate_ellipse5,
    dilate_square,
    erode_cross,
    label,
    upper_edge,
)

LEFT_LOBES = (1, 2)
ENTRY_POSITIONS = (57.0, 79.0)
BASE_WITHOUT_ORGAN = 68.0
END_OF_DOWNWARD_PASS = 87.0
UPWARD_MM, DOWNWARD_MM, OTHER_LUNG_MM = 4.0, 12.0, 15.0
RIM_ROWS = 7

Labels = NDArray[np.uint8]


def remove_organ_linings(
    labels: Labels,
    positions: NDArray[np.float64],
    thickness: float,
    *,
    script: bool = False,
    other_lung: bool = False,
    area_scale: float = 1.0,
) -> int | None:
    """Zero the lung labels around organs that appear in the lower lung.

    Parameters
    ----------
    labels : (n_slices, height, width) uint8
        Lobe labels after pleura removal; changed in place.
    positions : (n_slices,) float64
        Position of each slice in percent: 0 the first with lung, 100 the last.
    thickness : float
        Distance between slices in mm.
    script : bool
        Follow the published script where it differs from the paper: the upward pass ends before 4 mm and does not
        erode the organ.
    other_lung : bool
        Also clear the lining of the lung without the organ (in the script only).
    area_scale : float
        Pixels of this matrix per pixel of a 512×512 one.

    Returns
    -------
    int or None
        Slice in which the organ enters; None where no slice shows one.
    """
    entry, organ = find_entry(labels, positions)
    if organ is None:
        remove_base(labels, int(np.abs(positions - BASE_WITHOUT_ORGAN).argmin()))
        return None
    organ = dilate_ellipse5(organ, 2)
    if other_lung:
        remove_other_lung(labels, organ, entry, thickness, 50 * area_scale)
    remove_upward(labels, organ, entry, thickness, script=script)
    remove_base(labels, remove_downward(labels, organ, entry, thickness, positions))
    return entry


def find_entry(labels: Labels, positions: NDArray[np.float64]) -> tuple[int, Mask | None]:
    """Return the first slice with an organ enclosed by lung, and the organ's mask there.

    An organ encloses itself where everything but lung falls into exactly two 8-connected parts: the smaller one.
    """
    low, high = ENTRY_POSITIONS
    for index in np.flatnonzero((positions > low) & (positions < high)):
        parts, areas = label(labels[index] == 0, diagonal=True)
        if len(areas) == 3:
            return int(index), parts == 1 + int(areas[1:].argmin())
    return -1, None


def remove_upward(labels: Labels, organ: Mask, entry: int, thickness: float, *, script: bool) -> None:
    """Clear the organ's shadow from the slices above its entry, over 4 mm.

    The paper shrinks the organ from slice to slice. That shows only if a slice is compared with the next one as it was
    found: compared with what is left of it, as in the script, every slice loses whatever the lower one lost.
    """
    below = labels[entry].copy()
    for index in range(entry - 1, -1, -1):
        distance = (entry - index) * thickness
        if distance > UPWARD_MM or (script and distance == UPWARD_MM):
            return
        current = labels[index]
        found = current.copy()
        current[(below == 0) | organ] = 0
        _clear_upper_edge(current, 0.6, 3)
        below = current if script else found
        if not script:
            organ = erode_cross(organ, math.floor(thickness))


def remove_downward(labels: Labels, organ: Mask, entry: int, thickness: float, positions: NDArray[np.float64]) -> int:
    """Clear the growing organ from its entry on, over 12 mm; return the first slice left to `remove_base`."""
    organ = dilate_ellipse5(organ, 10)
    index = entry
    while index < len(labels) - 1 and positions[index] < END_OF_DOWNWARD_PASS:
        current = labels[index]
        current[labels[index + 1] == 0] = 0
        if (index - entry) * thickness <= DOWNWARD_MM:
            current[organ] = 0
            _clear_upper_edge(current, 0.55, 3)
            organ = dilate_ellipse5(organ, math.ceil(thickness) + 1)
        index += 1
    return index


def remove_base(labels: Labels, start: int) -> None:
    """Clear the linings of the lung base: from `start` to the last slice that has a next one."""
    for index in range(start, len(labels) - 1):
        current = labels[index]
        edge = dilate_square(upper_edge(current != 0, 0.6), 3)  # before the next line changes the slice
        current[(labels[index + 1] == 0) | edge] = 0
        above = np.zeros_like(current)
        above[RIM_ROWS:] = current[:-RIM_ROWS]
        current[above == 0] = 0


def remove_other_lung(labels: Labels, organ: Mask, entry: int, thickness: float, min_area: float) -> None:
    """Clear the lining of the lung that the organ is not in, over 15 mm and around its largest loss of area.

    Below the entry for an organ in the right lung, where the left half of the diaphragm follows; above it for one in
    the left lung.
    """
    organ_is_left = bool(np.isin(labels[entry][organ], LEFT_LOBES).any())
    step = -1 if organ_is_left else 1
    slices = [entry + step * i for i in range(math.floor(OTHER_LUNG_MM / thickness) + 1)]
    slices = [index for index in slices if 0 <= index < len(labels)]
    lungs = [np.isin(labels[index], LEFT_LOBES) != organ_is_left for index in slices]
    lungs = [lung & (labels[index] != 0) for lung, index in zip(lungs, slices, strict=True)]
    for index, lung in zip(slices, lungs, strict=True):
        labels[index][dilate_square(upper_edge(lung, 0.4), 12)] = 0
    if len(slices) < 2 or slices[-1] + 1 >= len(labels):
        return
    areas = [int(lung.sum()) for lung in lungs]
    drop = int(np.abs(np.diff(areas)).argmax())
    for moved in range(math.ceil(UPWARD_MM / thickness)):
        at = drop - step * moved
        if not 0 <= at < len(areas) or areas[at] <= min_area:
            return
        # Below the drop the lung's edge is cleared from the slice that follows, above it from the slice itself.
        own = at if organ_is_left else at + 1
        index = slices[own]
        labels[index][labels[index + 1] == 0] = 0
        labels[index if organ_is_left else index + 1][dilate_square(upper_edge(lungs[own], 0.5), 12)] = 0


def _clear_upper_edge(current: Labels, dropped: float, width: int) -> None:
    current[dilate_square(upper_edge(current != 0, dropped), width)] = 0
