"""What the network sees and learns for one candidate: its nearest atoms, the cavity on the grid, the binding atoms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

from medtools.core.errors import InputError
from medtools.preprocess.protein.gridder import grid_origin

MAX_CENTRE_DISTANCE = 16.0
CAVITY_RADIUS = 1.0
BINDING_DISTANCE = 3.0


def nearest_atoms(xyz: NDArray[np.float64], centre: NDArray[np.float64], n_points: int = 400) -> NDArray[np.int64]:
    """Return the indices of the atoms nearest to `centre`, nearest first; all where there are fewer.

    Parameters
    ----------
    xyz : (n_atoms, 3) float64
        Angstrom.
    centre : (3,) float64
    n_points : int

    Raises
    ------
    InputError
        `centre` is more than 16 angstrom from every atom, so the grid would be empty.
    """
    distances = np.linalg.norm(xyz - centre, axis=1)
    if distances.min() > MAX_CENTRE_DISTANCE:
        where = "(" + ", ".join(f"{value:.1f}" for value in centre) + ")"
        raise InputError(
            f"candidate {where}",
            f"lies {distances.min():.1f} A from the nearest atom, at most {MAX_CENTRE_DISTANCE:g} A expected",
            "does the list belong to this structure?",
        )
    return np.argsort(distances, kind="stable")[:n_points]


def cavity_mask(
    cavity: NDArray[np.float64], centre: NDArray[np.float64], *, size: int = 65, spacing: float = 0.5
) -> NDArray[np.bool_]:
    """Return the voxels of a cavity: spheres of 1 angstrom around its points, dilated once by 3x3x3.

    Parameters
    ----------
    cavity : (n_points, 3) float64
        Points that fill the cavity, angstrom.
    centre : (3,) float64
        Middle of the grid.
    size, spacing : int, float
        As for `density_grid`.

    Returns
    -------
    (size, size, size) bool
    """
    positions = (np.asarray(cavity) - grid_origin(centre, size, spacing)) / spacing
    reach = CAVITY_RADIUS / spacing
    around = np.arange(-int(np.ceil(reach)), int(np.ceil(reach)) + 1)
    offsets = np.stack(np.meshgrid(around, around, around, indexing="ij"), axis=-1).reshape(-1, 1, 3)
    voxels = np.round(positions).astype(np.int64) + offsets
    inside = (np.linalg.norm(voxels - positions, axis=-1) < reach) & ((voxels >= 0) & (voxels < size)).all(axis=-1)
    mask = np.zeros((size, size, size), dtype=bool)
    mask[tuple(voxels[inside].T)] = True
    return binary_dilation(mask, np.ones((3, 3, 3), dtype=bool))


def binding_atoms(xyz: NDArray[np.float64], cavity: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which atoms lie within 3 angstrom of any point of the cavity."""
    return cKDTree(cavity).query(xyz, distance_upper_bound=BINDING_DISTANCE)[0] < BINDING_DISTANCE
