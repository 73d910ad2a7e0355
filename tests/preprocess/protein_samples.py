"""Small made structures that several tests of proteins share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medtools.io.structure import Structure
from medtools.preprocess.protein.atom_types import TEMPLATES

AMINO_ACIDS = tuple(TEMPLATES)


def peptide(residues: Sequence[str], chain: str = "A") -> Structure:
    """Return residues with all template atoms (no OXT), on a jittered lattice of 2.6 angstrom, numbered from 1."""
    names = [(name, atom, i) for i, name in enumerate(residues, start=1) for atom in TEMPLATES[name] if atom != "OXT"]
    n = len(names)
    edge = int(np.ceil(n ** (1 / 3)))
    lattice = np.stack(np.meshgrid(*[np.arange(edge)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[:n]
    xyz = 2.6 * lattice + np.random.default_rng(n).normal(0, 0.2, (n, 3))
    return Structure(
        xyz=np.round(xyz, 3),
        atom=np.array([atom for _, atom, _ in names]),
        residue=np.array([name for name, _, _ in names]),
        chain=np.full(n, chain),
        number=np.array([number for _, _, number in names]),
        insertion=np.full(n, ""),
        altloc=np.full(n, ""),
        element=np.array([atom[0] for _, atom, _ in names]),
        occupancy=np.ones(n),
        b_factor=np.zeros(n),
        hetero=np.zeros(n, dtype=bool),
    )
