"""The order in which the CT methods want a volume, and the way back to the file's own grid."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError

_MAX_OBLIQUITY_DEGREES = 20.0


@dataclass(frozen=True)
class SliceGrid:
    """Axial slices of a volume: head to feet, rows front to back, columns from the patient's right to left.

    Attributes
    ----------
    shape : (x, y, z)
        Shape of the file's array.
    affine : (4, 4) float64
        Index of the file's array to mm (right, anterior, superior).
    axes : tuple of int
        The file's axes that run along slices, rows and columns.
    flips : tuple of bool
        Which of them run the other way.
    """

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    @classmethod
    def of(cls, shape: tuple[int, ...], affine: NDArray[np.float64], where: str = "CT") -> SliceGrid:
        """Find the order of a file's axes.

        Raises
        ------
        InputError
            Not three axes, or axes inclined by more than 20 degrees against the body's.
        """
        if len(shape) != 3:
            raise InputError(where, f"expected three axes, found shape {shape}")
        cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
        # Patient directions in the order slices (down), rows (back), columns (left) are z, y, x, all negative.
        best = max(itertools.permutations(range(3)), key=lambda axes: _alignment(cosines, axes))
        inclined = max(
            math.degrees(math.acos(min(abs(float(cosines[2 - i, axis])), 1.0))) for i, axis in enumerate(best)
        )
        if inclined > _MAX_OBLIQUITY_DEGREES:
            found = f"oblique by {inclined:.0f} degrees against the body axes"
            raise InputError(where, found, "give the axial series, or resample it to axial slices")
        flips = tuple(bool(cosines[2 - i, axis] > 0) for i, axis in enumerate(best))
        return cls((shape[0], shape[1], shape[2]), affine, best, flips)  # type: ignore[arg-type]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Slice distance, row and column spacing in mm."""
        sizes = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(sizes[self.axes[0]]), float(sizes[self.axes[1]]), float(sizes[self.axes[2]])

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in ml."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000

    def to_slices(self, data: NDArray[Any]) -> NDArray[Any]:
        """Return a view of the file's array as (n_slices, height, width)."""
        return self._flipped(data.transpose(self.axes))

    def from_slices(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Return a view of slices in the file's own order."""
        return self._flipped(slices).transpose(np.argsort(self.axes))

    def same_as(self, other: SliceGrid, tolerance_mm: float = 0.1) -> bool:
        """Tell whether both grids put every voxel at the same place, whatever the order of the files' axes."""
        if self._counts() != other._counts():
            return False
        corners = np.array([(*corner, 1) for corner in itertools.product(*((0, n - 1) for n in self._counts()))])
        difference = corners @ (self._slice_affine() - other._slice_affine()).T
        return bool(np.abs(difference).max() < tolerance_mm)

    def _flipped(self, data: NDArray[Any]) -> NDArray[Any]:
        return data[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]

    def _counts(self) -> tuple[int, int, int]:
        return self.shape[self.axes[0]], self.shape[self.axes[1]], self.shape[self.axes[2]]

    def _slice_affine(self) -> NDArray[np.float64]:
        """Return the matrix from (slice, row, column) to mm."""
        place = np.zeros((4, 4))
        place[3, 3] = 1
        for i, (axis, flip) in enumerate(zip(self.axes, self.flips, strict=True)):
            place[axis, i] = -1 if flip else 1
            place[axis, 3] = self.shape[axis] - 1 if flip else 0
        product: NDArray[np.float64] = self.affine @ place
        return product


def _alignment(cosines: NDArray[np.float64], axes: tuple[int, ...]) -> float:
    return float(sum(abs(cosines[2 - i, axis]) for i, axis in enumerate(axes)))
