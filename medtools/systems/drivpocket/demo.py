"""Globules with one true and two decoy pockets: alike in shape, told apart by what lines them."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from medtools.io.structure import Structure
from medtools.systems.drivpocket.data import random_rotation

_LATTICE, _JITTER = 2.6, 0.25
_RADIUS, _POCKET_RADIUS, _DEPTH = (16.0, 20.0), (4.5, 6.0), (2.0, 5.0)
_APART, _LINING, _CLEARANCE, _LIGAND_ATOMS = 14.0, 3.0, 2.0, 12
_FREQUENCIES = {0: 0.24, 1: 0.31, 2: 0.07, 3: 0.02, 5: 0.01, 6: 0.16, 7: 0.16, 8: 0.02, 9: 0.01}
_TRUE_LINING, _DECOY_LINING = (2, 8), (6, 0)

# One residue per atom, named so that typing gives the channel back.
_NAMES = {
    0: ("ALA", "CB"), 1: ("ALA", "CA"), 2: ("PHE", "CZ"), 3: ("TYR", "CZ"), 5: ("PRO", "N"), 6: ("GLY", "N"),
    7: ("GLY", "O"), 8: ("SER", "OG"), 9: ("MET", "SD"),
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Globule:
    """A synthetic protein.

    Attributes
    ----------
    structure : Structure
        965 to 1,777 atoms, each a residue of its own.
    pockets : (3, 3) float64
        Centres of the carved spheres, the true one first.
    cavity : (n, 3) float64
        1-angstrom grid points in the true pocket, 2 angstrom or more from every atom.
    ligand : (12, 3) float64
        Twelve of them.
    """

    structure: Structure
    pockets: NDArray[np.float64]
    cavity: NDArray[np.float64]
    ligand: NDArray[np.float64]


def globule(rng: np.random.Generator, radius: float | None = None) -> Globule:
    """Draw one globule: a jittered lattice in a sphere, three carved pockets, their lining, a random rigid motion.

    Parameters
    ----------
    rng : numpy.random.Generator
    radius : float, optional
        Of the sphere in angstrom, 16 to 20 at random where it is not given.
    """
    radius = rng.uniform(*_RADIUS) if radius is None else radius
    steps = np.arange(-np.ceil(radius / _LATTICE), np.ceil(radius / _LATTICE) + 1) * _LATTICE
    xyz = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    xyz = xyz[np.linalg.norm(xyz, axis=1) <= radius]
    xyz = xyz + rng.normal(0.0, _JITTER, xyz.shape)
    centres = _pocket_centres(rng, radius)
    sizes = rng.uniform(*_POCKET_RADIUS, len(centres))
    distances = np.linalg.norm(xyz[:, None] - centres, axis=-1) - sizes
    solid = (distances > 0).all(axis=1)
    xyz, distances = xyz[solid], distances[solid]
    channels = rng.choice(list(_FREQUENCIES), size=len(xyz), p=list(_FREQUENCIES.values()))
    for pocket, kinds in enumerate((_TRUE_LINING, _DECOY_LINING, _DECOY_LINING)):
        lining = distances[:, pocket] < _LINING
        channels[lining] = rng.choice(kinds, size=int(lining.sum()))
    cavity = _cavity(xyz, centres[0], sizes[0])
    ligand = cavity[rng.choice(len(cavity), _LIGAND_ATOMS, replace=False)]
    rotation, shift = random_rotation(rng), rng.uniform(-20.0, 20.0, 3)
    xyz, centres, cavity, ligand = (points @ rotation.T + shift for points in (xyz, centres, cavity, ligand))
    return Globule(_structure(xyz, channels), centres, cavity, ligand)


def _pocket_centres(rng: np.random.Generator, radius: float) -> NDArray[np.float64]:
    """Draw three centres 2 to 5 angstrom below the surface and more than 14 apart."""
    while True:
        directions = rng.standard_normal((3, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        centres = directions * (radius - rng.uniform(*_DEPTH, (3, 1)))
        gaps = np.linalg.norm(centres[[0, 0, 1]] - centres[[1, 2, 2]], axis=1)
        if gaps.min() > _APART:
            return centres


def _cavity(xyz: NDArray[np.float64], centre: NDArray[np.float64], radius: float) -> NDArray[np.float64]:
    steps = np.arange(-np.ceil(radius), np.ceil(radius) + 1)
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3) + np.round(centre)
    inside = np.linalg.norm(grid - centre, axis=1) <= radius
    clear = cKDTree(xyz).query(grid)[0] >= _CLEARANCE
    return grid[inside & clear]


def _structure(xyz: NDArray[np.float64], channels: NDArray[np.int64]) -> Structure:
    n = len(xyz)
    residues, atoms = zip(*(_NAMES[channel] for channel in channels.tolist()), strict=True)
    return Structure(
        xyz=np.round(xyz, 3),
        atom=np.array(atoms),
        residue=np.array(residues),
        chain=np.full(n, "A"),
        number=np.arange(1, n + 1),
        insertion=np.full(n, ""),
        altloc=np.full(n, ""),
        element=np.array([atom[0] for atom in atoms]),
        occupancy=np.ones(n),
        b_factor=np.zeros(n),
        hetero=np.zeros(n, dtype=bool),
    )
