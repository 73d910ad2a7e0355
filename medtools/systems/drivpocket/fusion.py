"""Semantic fusion of cavity voxels and binding atoms (paper, section 3.4 and Eq. 15), and the pocket that results."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, label
from scipy.spatial import cKDTree

from medtools.preprocess.protein.gridder import grid_origin

Fusion = Literal["eq15", "authors", "add", "none"]

BLOB_RADIUS = 4.0
RESIDUE_DISTANCE = 3.5
_BINDING = 0.5
_SURE = 0.9


@dataclasses.dataclass(frozen=True)
class Box:
    """Where a candidate's grid lies: centre in angstrom, voxels along an edge, angstrom between voxels."""

    centre: NDArray[np.float64]
    size: int
    spacing: float

    @property
    def origin(self) -> NDArray[np.float64]:
        """Centre of voxel (0, 0, 0)."""
        return grid_origin(self.centre, self.size, self.spacing)

    def position(self, voxels: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
        """Return the coordinates of voxel indices, (..., 3) in angstrom."""
        return self.origin + self.spacing * np.asarray(voxels, dtype=np.float64)


def fuse(
    cavity: NDArray[np.float32],
    xyz: NDArray[np.float64],
    binding: NDArray[np.float32] | None,
    box: Box,
    mode: Fusion = "eq15",
) -> NDArray[np.float32]:
    """Return the fused map of one candidate.

    Parameters
    ----------
    cavity : (n, n, n) float32
        P_v, the voxel stream's probabilities.
    xyz : (n_points, 3) float64
        Atoms of the point stream, angstrom.
    binding : (n_points,) float32 or None
        Their probabilities; None without a point stream.
    box : Box
    mode : {"eq15", "authors", "add", "none"}
        Eq. 15, P_v + P P_v + P in [0, 3]; the published code's 0.3 E + [P_v > 0.85] + 1.5 E P_v, where E is a shell;
        the sum P_v + P; or P_v alone.

    Returns
    -------
    (n, n, n) float32
    """
    if mode == "none" or binding is None:
        return cavity
    atoms = xyz[binding > _BINDING]
    if mode == "authors":
        if not len(atoms):
            return cavity
        shell = _authors_shell(cavity, atoms, box)
        return (0.3 * shell + (cavity > 0.85) + 1.5 * shell * cavity).astype(np.float32)
    facing = project_atoms(cavity, atoms, box)
    if mode == "add":
        return cavity + facing
    return cavity + facing * cavity + facing


def project_atoms(cavity: NDArray[np.float32], atoms: NDArray[np.float64], box: Box) -> NDArray[np.float32]:
    """Return the binding atoms' map: blobs of 4 angstrom, of each the part that faces the predicted cavity.

    A voxel belongs to an atom's part if it is no further from g than the atom is, where g is the centroid of
    P_v >= 0.9, or else the voxel of highest P_v.

    Parameters
    ----------
    cavity : (n, n, n) float32
    atoms : (n_atoms, 3) float64
        Predicted binding atoms, angstrom.
    box : Box

    Returns
    -------
    (n, n, n) float32
        In [0, 1].
    """
    total = np.zeros(cavity.shape)
    goal = _goal(cavity, box, _SURE)
    for atom in atoms:
        _add_blob(total, atom, goal, box, BLOB_RADIUS, gaussian=1.0, floor=0.0)
    return np.minimum(total, 1.0).astype(np.float32)


def _authors_shell(cavity: NDArray[np.float32], atoms: NDArray[np.float64], box: Box) -> NDArray[np.float64]:
    """Return blobs of 4 angstrom (Gaussian to three radii, below 0.1 cut) less blobs of 3 angstrom.

    The code aims the inner blobs at a point made of one number, the mean over all coordinates; both aim at g here.
    """
    outer, inner = np.zeros(cavity.shape), np.zeros(cavity.shape)
    goal = _goal(cavity, box, _SURE)
    for atom in atoms:
        _add_blob(outer, atom, goal, box, 4.0, gaussian=3.0, floor=0.1)
        _add_blob(inner, atom, goal, box, 3.0, gaussian=1.0, floor=0.1)
    return np.minimum(outer, 1.0) - np.minimum(inner, 1.0)


def _goal(cavity: NDArray[np.float32], box: Box, threshold: float) -> NDArray[np.float64]:
    voxels = np.argwhere(cavity >= threshold)
    if not len(voxels):
        voxels = np.array(np.unravel_index(int(cavity.argmax()), cavity.shape))[None]
    return box.position(voxels.mean(axis=0))


def _add_blob(
    total: NDArray[np.float64],
    atom: NDArray[np.float64],
    goal: NDArray[np.float64],
    box: Box,
    radius: float,
    *,
    gaussian: float,
    floor: float,
) -> None:
    """Add libmolgrid's density of one atom, Gaussian up to `gaussian` radii, where it faces `goal`."""
    final = (1.0 + 2.0 * gaussian**2) / (2.0 * gaussian)
    low = np.maximum(np.ceil((atom - final * radius - box.origin) / box.spacing), 0).astype(int)
    high = np.minimum(np.floor((atom + final * radius - box.origin) / box.spacing), box.size - 1).astype(int)
    if (high < low).any():
        return
    axes = [box.origin[i] + box.spacing * np.arange(low[i], high[i] + 1) for i in range(3)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    ratio = np.sqrt((x - atom[0]) ** 2 + (y - atom[1]) ** 2 + (z - atom[2]) ** 2) / radius
    # Meets the Gaussian in value and slope at `gaussian` radii, and zero in both at `final`.
    tail = np.exp(-2.0 * gaussian**2) * (2.0 * gaussian * ratio - (2.0 * gaussian**2 + 1.0)) ** 2
    value = np.where(ratio <= gaussian, np.exp(-2.0 * ratio**2), np.where(ratio < final, np.maximum(tail, 0.0), 0.0))
    to_goal = (x - goal[0]) ** 2 + (y - goal[1]) ** 2 + (z - goal[2]) ** 2
    value[(to_goal > ((atom - goal) ** 2).sum()) | (value < floor)] = 0.0
    total[low[0] : high[0] + 1, low[1] : high[1] + 1, low[2] : high[2] + 1] += value


def pocket_mask(fused: NDArray[np.float32], threshold: float = 0.5) -> NDArray[np.bool_]:
    """Return the pocket's voxels: fused >= threshold, closed by a 3-D cross, largest component.

    Among components of one size the first in memory order stays.
    """
    # Closing treats the outside as empty; a margin keeps it from eating voxels at the grid's faces.
    mask = binary_closing(np.pad(fused >= threshold, 1))[1:-1, 1:-1, 1:-1]
    components, count = label(mask, structure=np.ones((3, 3, 3)))
    if count == 0:
        return mask
    sizes = np.bincount(components.ravel())
    sizes[0] = 0
    return components == sizes.argmax()


def touching(mask: NDArray[np.bool_], box: Box, xyz: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which atoms lie within 3.5 angstrom of any voxel of the pocket."""
    voxels = np.argwhere(mask)
    if not len(voxels):
        return np.zeros(len(xyz), dtype=bool)
    return cKDTree(box.position(voxels)).query(xyz, distance_upper_bound=RESIDUE_DISTANCE)[0] <= RESIDUE_DISTANCE
