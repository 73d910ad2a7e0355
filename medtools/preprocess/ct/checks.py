"""What must hold before a scan is worked on: HU, axial slices, and a mask that belongs to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.preprocess.ct.grid import SliceGrid

LOBES = {1: "left upper", 2: "left lower", 3: "right upper", 4: "right middle", 5: "right lower"}
_LEAST_MATRIX = 32
_LEAST_SLICES = 4
_LARGEST_SLICE_MM = 20.0
_CUT_SHARE = 0.25


def as_hu(data: NDArray[Any], where: str = "CT") -> NDArray[Any]:
    """Return CT numbers as int16 where they are whole, else as float32; below air becomes -1024.

    Parameters
    ----------
    data : (n_slices, height, width) array

    Raises
    ------
    InputError
        Values that cannot be HU of a chest.
    """
    low, high = float(data.min()), float(data.max())
    if low > -500:
        found = f"values from {low:g} to {high:g}: not HU, no air (about -1000) in it"
        raise InputError(where, found, "apply slope and intercept, or give the CT instead of a rescaled image")
    if high < 0:
        raise InputError(where, f"values from {low:g} to {high:g}: not HU, no tissue (above 0) in it")
    if high > np.iinfo(np.int16).max:
        raise InputError(where, f"values up to {high:g}: not HU")
    whole = np.empty(data.shape, dtype=np.int16)
    for index, image in enumerate(data):  # slice by slice: a second float volume would double the memory
        rounded = np.rint(image)
        if not np.array_equal(rounded, image):
            return np.maximum(np.ascontiguousarray(data, dtype=np.float32), np.float32(-1024))
        whole[index] = np.maximum(rounded, -1024)
    return whole


def check_slices(grid: SliceGrid, where: str = "CT") -> None:
    """Refuse volumes whose axial slices cannot be what the scanner recorded.

    Raises
    ------
    InputError
        Too few or too small slices, absent spacing, or a non-axial reformat (axial pixels far from square).
    """
    n_slices, height, width = (grid.shape[axis] for axis in grid.axes)
    dz, dy, dx = grid.spacing
    if n_slices < _LEAST_SLICES:
        raise InputError(where, f"{n_slices} axial slices, expected a chest CT")
    if min(height, width) < _LEAST_MATRIX:
        raise InputError(where, f"slices of {height}×{width} pixels, expected at least {_LEAST_MATRIX}×{_LEAST_MATRIX}")
    if not all(np.isfinite(size) and size > 0 for size in (dz, dy, dx)):
        raise InputError(where, f"spacing {dz:g} × {dy:g} × {dx:g} mm", "fix the spacing in the header")
    if max(dy, dx) > 1.5 * min(dy, dx):
        found = f"pixels of axial slices are {dy:.2f} × {dx:.2f} mm: this is a coronal or sagittal reformat"
        raise InputError(where, found, "give the axial series")
    if dz > _LARGEST_SLICE_MM:
        raise InputError(where, f"slices are {dz:.1f} mm apart, at most {_LARGEST_SLICE_MM:g} mm make sense")


def as_labels(data: NDArray[Any], largest: int, where: str = "lobes") -> NDArray[np.uint8]:
    """Return a mask as uint8 labels.

    Raises
    ------
    InputError
        Values that are no labels 0..largest, or none but 0.
    """
    labels = np.empty(data.shape, dtype=np.uint8)
    for index, image in enumerate(data):  # slice by slice: sorting a whole volume takes long and much memory
        odd = image[~((image >= 0) & (image <= largest) & (image == np.rint(image)))]
        if odd.size:
            raise InputError(where, f"label {float(odd.flat[0]):g} in it, expected 0 to {largest}")
        labels[index] = image
    if not labels.any():
        raise InputError(where, "all labels are 0: there is no lung in it")
    return labels


def check_lobes(lobes: NDArray[np.uint8], where: str = "lobes") -> list[str]:
    """Return the names of lobes without a voxel.

    Parameters
    ----------
    lobes : (n_slices, height, width) uint8

    Raises
    ------
    InputError
        Left and right lobes lie on the wrong sides.
    """
    columns = np.arange(lobes.shape[2])
    left = np.isin(lobes, (1, 2)).sum(axis=(0, 1))
    right = (lobes >= 3).sum(axis=(0, 1))
    if left.any() and right.any() and np.average(columns, weights=left) <= np.average(columns, weights=right):
        found = "labels 1, 2 (left lobes) lie on the patient's right of labels 3, 4, 5"
        raise InputError(where, found, "check the orientation of the mask, or swap its labels")
    return [name for label, name in LOBES.items() if not (lobes == label).any()]


def check_whole_lung(lung: NDArray[np.uint8], where: str = "CT") -> None:
    """Refuse scans whose first or last slice cuts through the lung: positions and lobe volumes would be wrong.

    Raises
    ------
    InputError
        The lung in an end slice has more than a quarter of its largest area.
    """
    areas = np.count_nonzero(lung, axis=(1, 2))
    for end, name in ((0, "first (upper)"), (-1, "last (lower)")):
        share = areas[end] / areas.max()
        if share > _CUT_SHARE:
            found = f"partial lung: the {name} slice shows {100 * share:.0f} % of the largest lung area"
            raise InputError(where, found, "give the whole chest, or --allow-partial if that is what you have")
