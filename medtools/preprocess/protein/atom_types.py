"""The 14 receptor channels of libmolgrid, assigned to the heavy atoms of standard residues by name.

Channel numbers and radii are those of libmolgrid's default receptor map (Sunseri and Koes 2020); what its perception of
bonds would find is fixed for the twenty standard residues and written down here as a table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

N_CHANNELS = 14
CHANNEL_NAMES = (
    "aliphatic carbon, C/H neighbours", "aliphatic carbon, hetero neighbour", "aromatic carbon, C neighbours",
    "aromatic carbon, hetero neighbour", "halogen", "nitrogen without H", "nitrogen with H", "oxygen without H",
    "oxygen with H", "sulfur", "phosphorus", "calcium", "zinc", "other metal or boron",
)  # fmt: skip
RADII = np.array([1.9, 1.9, 1.9, 1.9, 1.8, 1.8, 1.8, 1.7, 1.7, 2.0, 2.1, 1.2, 1.2, 1.2])
"""Radius of each channel in angstrom."""

_BACKBONE = {"N": 6, "CA": 1, "C": 1, "O": 7, "OXT": 7}
_SIDE_CHAINS: dict[str, dict[int, str]] = {
    "ALA": {0: "CB"},
    "ARG": {0: "CB CG", 1: "CD CZ", 6: "NE NH1 NH2"},
    "ASN": {0: "CB", 1: "CG", 6: "ND2", 7: "OD1"},
    "ASP": {0: "CB", 1: "CG", 7: "OD1 OD2"},
    "CYS": {1: "CB", 9: "SG"},
    "GLN": {0: "CB CG", 1: "CD", 6: "NE2", 7: "OE1"},
    "GLU": {0: "CB CG", 1: "CD", 7: "OE1 OE2"},
    "GLY": {},
    # Tautomer HIE: the hydrogen is on NE2.
    "HIS": {0: "CB", 3: "CG CD2 CE1", 5: "ND1", 6: "NE2"},
    "ILE": {0: "CB CG1 CG2 CD1"},
    "LEU": {0: "CB CG CD1 CD2"},
    "LYS": {0: "CB CG CD", 1: "CE", 6: "NZ"},
    "MET": {0: "CB", 1: "CG CE", 9: "SD"},
    "PHE": {0: "CB", 2: "CG CD1 CD2 CE1 CE2 CZ"},
    "PRO": {0: "CB CG", 1: "CD"},
    "SER": {1: "CB", 8: "OG"},
    "THR": {0: "CG2", 1: "CB", 8: "OG1"},
    "TRP": {0: "CB", 2: "CG CD2 CE3 CZ2 CZ3 CH2", 3: "CD1 CE2", 6: "NE1"},
    "TYR": {0: "CB", 2: "CG CD1 CD2 CE1 CE2", 3: "CZ", 8: "OH"},
    "VAL": {0: "CB CG1 CG2"},
}


def _template(name: str) -> dict[str, int]:
    backbone = _BACKBONE | {"N": 5} if name == "PRO" else _BACKBONE
    return backbone | {atom: channel for channel, atoms in _SIDE_CHAINS[name].items() for atom in atoms.split()}


TEMPLATES: dict[str, dict[str, int]] = {name: _template(name) for name in _SIDE_CHAINS}
"""Channel of every heavy atom of the twenty standard residues."""

RESIDUE_SYNONYMS = {
    "HID": "HIS", "HIE": "HIS", "HIP": "HIS", "HSD": "HIS", "HSE": "HIS", "HSP": "HIS", "CYX": "CYS", "CYM": "CYS",
    "ASH": "ASP", "GLH": "GLU", "LYN": "LYS",
}  # fmt: skip
"""Names that force fields give to protonation states of standard residues."""

ATOM_SYNONYMS = {("ILE", "CD"): "CD1"} | {
    (name, atom): standard
    for name in TEMPLATES
    for atom, standard in (("OT1", "O"), ("OT2", "OXT"), ("OC1", "O"), ("OC2", "OXT"))
}
"""Names that force fields give to heavy atoms."""

MODIFIED_PARENTS = {
    "MSE": "MET", "SEP": "SER", "TPO": "THR", "PTR": "TYR", "CSO": "CYS", "CME": "CYS", "OCS": "CYS", "KCX": "LYS",
    "MLY": "LYS", "M3L": "LYS", "HYP": "PRO",
}  # fmt: skip
"""Common modified residues and the standard one each was made from; atoms the parent lacks are left out."""


def atom_channels(residues: NDArray[np.str_], atoms: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the channel of each atom by its standard residue and atom name.

    Parameters
    ----------
    residues, atoms : (n_atoms,) str
        Standard names (see `RESIDUE_SYNONYMS` and `ATOM_SYNONYMS`).

    Returns
    -------
    (n_atoms,) int64
        0 to 13, or -1 where the table has no such atom (hydrogens, unknown names).
    """
    pairs = zip(residues.tolist(), atoms.tolist(), strict=True)
    return np.array([TEMPLATES.get(residue, {}).get(atom, -1) for residue, atom in pairs], dtype=np.int64)


def one_hot(channels: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the (n_atoms, 14) float32 indicator of each atom's channel."""
    return np.eye(N_CHANNELS, dtype=np.float32)[channels]
