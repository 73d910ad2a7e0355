"""Atoms as densities on a cubic grid, one channel per atom type: libmolgrid's function, evaluated only where it is > 0.

An atom of radius r gives exp(-2 d^2/r^2) at distance d <= r, e^-2 (4 (d/r)^2 - 12 d/r + 9) up to 1.5 r and nothing
beyond (Sunseri and Koes 2020, with a Gaussian part of one radius).
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numpy.typing import NDArray

from medtools.preprocess.protein.atom_types import N_CHANNELS, RADII

REACH = 1.5
"""The density of an atom ends at this many radii."""


def grid_size(dimension: float, spacing: float) -> int:
    """Return the voxels along one edge: round(dimension / spacing) + 1, 65 for 32 and 48 for 23.5 angstrom at 0.5."""
    return round(dimension / spacing) + 1


def grid_origin(centre: NDArray[np.float64], size: int, spacing: float) -> NDArray[np.float64]:
    """Return where voxel (0, 0, 0) of a grid around `centre` lies, in angstrom."""
    return np.asarray(centre, dtype=np.float64) - 0.5 * (size - 1) * spacing


def density_grid(
    xyz: NDArray[np.float64],
    channels: NDArray[np.int64],
    centre: NDArray[np.float64],
    *,
    size: int = 65,
    spacing: float = 0.5,
    radii: NDArray[np.float64] = RADII,
    n_channels: int = N_CHANNELS,
) -> NDArray[np.float32]:
    """Return the density of typed atoms on a grid around `centre`.

    Parameters
    ----------
    xyz : (n_atoms, 3) float64
        Angstrom.
    channels : (n_atoms,) int64
        Channel of each atom, 0 to `n_channels` - 1.
    centre : (3,) float64
        Middle of the grid, angstrom.
    size : int
        Voxels along each edge.
    spacing : float
        Angstrom between voxels.
    radii : (n_channels,) float64
        Radius of each channel, angstrom.
    n_channels : int

    Returns
    -------
    (n_channels, size, size, size) float32
        Summed over the atoms of each channel; voxel (i, j, k) lies at `grid_origin` + spacing (i, j, k).
    """
    grid = np.zeros((n_channels, size, size, size), dtype=np.float32)
    positions = np.ascontiguousarray((np.asarray(xyz, dtype=np.float64) - grid_origin(centre, size, spacing)) / spacing)
    reach = REACH * radii[channels] / spacing
    inside = ((positions > -reach[:, None]) & (positions < size - 1 + reach[:, None])).all(axis=1)
    _scatter(grid, positions[inside], channels[inside], radii[channels[inside]] / spacing)
    return grid


@numba.njit(cache=True, nogil=True)
def _scatter(grid, positions, channels, radii):  # type: ignore[no-untyped-def]
    """Add each atom to its channel; positions and radii in voxels. The Gaussian is a product of three 1-D ones."""
    size = grid.shape[1]
    tail = math.exp(-2.0)
    gauss = np.empty((3, size))
    square = np.empty((3, size))
    for atom in range(len(positions)):
        radius = radii[atom]
        low, high = np.empty(3, np.int64), np.empty(3, np.int64)
        for axis in range(3):
            low[axis] = max(0, math.ceil(positions[atom, axis] - 1.5 * radius))
            high[axis] = min(size - 1, math.floor(positions[atom, axis] + 1.5 * radius))
            for i in range(low[axis], high[axis] + 1):
                square[axis, i] = ((i - positions[atom, axis]) / radius) ** 2
                gauss[axis, i] = math.exp(-2.0 * square[axis, i])
        channel = grid[channels[atom]]
        for i in range(low[0], high[0] + 1):
            for j in range(low[1], high[1] + 1):
                plane = square[0, i] + square[1, j]
                if plane >= 2.25:
                    continue
                weight = gauss[0, i] * gauss[1, j]
                for k in range(low[2], high[2] + 1):
                    distance = plane + square[2, k]
                    if distance <= 1.0:
                        channel[i, j, k] += weight * gauss[2, k]
                    elif distance < 2.25:
                        channel[i, j, k] += tail * (4.0 * distance - 12.0 * math.sqrt(distance) + 9.0)
