"""Which groups of a structure are ligands worth a pocket, and which candidates and points touch them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from medtools.io.structure import Structure
from medtools.preprocess.protein.atom_types import MODIFIED_PARENTS, RESIDUE_SYNONYMS, TEMPLATES
from medtools.preprocess.protein.cleaning import NUCLEOTIDES, WATERS

# P2Rank's list of what crystallisation and glycosylation leave behind (Krivak and Hoksza 2018), and common buffers.
IGNORED = frozenset(
    {
        "HOH", "DOD", "WAT", "NAG", "MAN", "BMA", "FUC", "UNK", "UNL", "UNX", "GLC", "ABA", "MPD", "GOL", "EDO", "PEG",
        "PG4", "PGE", "1PE", "DMS", "SO4", "PO4", "ACT", "ACY", "FMT", "IMD", "TRS", "MES", "EPE", "CIT", "BME", "DTT",
        "NH2", "ACE",
    }
)  # fmt: skip
MIN_LIGAND_ATOMS = 5
CONTACT = 4.0


def find_ligands(structure: Structure, protein_xyz: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return the bound ligands of a structure by P2Rank's rule.

    A ligand is a HETATM group of at least five heavy atoms with one within 4 angstrom of the protein, that is neither
    water, nucleotide, amino acid nor a known additive.

    Parameters
    ----------
    structure : Structure
        As read, ligands included.
    protein_xyz : (n_atoms, 3) float64
        The cleaned protein's atoms.

    Returns
    -------
    dict
        Residue label to (n, 3) heavy-atom coordinates, in the order of the labels.
    """
    polymer = set(TEMPLATES) | set(RESIDUE_SYNONYMS) | set(MODIFIED_PARENTS) | NUCLEOTIDES | WATERS
    wanted = structure.hetero & ~np.isin(structure.element, ["H", "D"])
    wanted &= ~np.isin(structure.residue, sorted(polymer | IGNORED))
    wanted &= np.isin(structure.altloc, ["", *np.unique(structure.altloc[structure.altloc != ""])[:1]])
    groups = structure.select(wanted)
    labels = groups.residue_labels()
    tree = cKDTree(protein_xyz)
    found = {}
    for label in np.unique(labels).tolist():
        xyz = groups.xyz[labels == label]
        if len(xyz) >= MIN_LIGAND_ATOMS and tree.query(xyz)[0].min() <= CONTACT:
            found[label] = xyz
    return found


def touches(centres: NDArray[np.float64], ligand: NDArray[np.float64], distance: float = CONTACT) -> NDArray[np.bool_]:
    """Tell which centres lie within `distance` angstrom of any ligand atom: DeepPocket's label of a candidate."""
    return cKDTree(ligand).query(np.asarray(centres).reshape(-1, 3))[0] <= distance
