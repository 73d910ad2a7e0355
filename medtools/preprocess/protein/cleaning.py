"""From a structure file's atoms to the protein's typed heavy atoms, with an account of all that was left out."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.io.structure import Structure
from medtools.preprocess.protein.atom_types import (
    ATOM_SYNONYMS,
    MODIFIED_PARENTS,
    RESIDUE_SYNONYMS,
    TEMPLATES,
    atom_channels,
)

MIN_ATOMS = 128
"""The point network's first sampling keeps 128 atoms."""

WATERS = frozenset({"HOH", "WAT", "DOD", "H2O", "SOL", "TIP", "TIP3", "TIP4", "T3P", "SPC"})
NUCLEOTIDES = frozenset(
    ["A", "C", "G", "U", "I", "T", "N", "DA", "DC", "DG", "DT", "DU", "DI", "DN"]
    + [base + end for base in ("A", "C", "G", "U", "DA", "DC", "DG", "DT") for end in "35"]
)


@dataclasses.dataclass(frozen=True)
class Protein:
    """Heavy atoms of standard residues, each with its channel, in an order that does not depend on the file's.

    Attributes
    ----------
    structure : Structure
        Sorted by chain, residue number, insertion code and template; author's numbering kept.
    channels : (n_atoms,) int64
        0 to 13.
    """

    structure: Structure
    channels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.channels)


@dataclasses.dataclass(frozen=True)
class Findings:
    """What cleaning saw and left out.

    Hydrogens, alternate locations, waters and nucleic acids are counts of atoms; others removed and modified residues
    are counts of residues by name; unknown atoms (of standard residues) are counts of atoms by residue and name;
    missing atoms are listed by residue.
    """

    n_models: int
    hydrogens: int
    alternate_locations: int
    waters: int
    nucleic_acids: int
    others_removed: dict[str, int]
    modified_residues: dict[str, int]
    unknown_atoms: dict[str, int]
    missing_atoms: dict[str, str]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        return dataclasses.asdict(self) | {"notes": list(self.notes)}


def clean(
    structure: Structure,
    *,
    where: str = "structure",
    modified: Literal["drop", "parent"] = "drop",
    min_atoms: int = MIN_ATOMS,
) -> tuple[Protein, Findings]:
    """Keep the heavy atoms of standard amino acids and type them.

    Of alternate locations the one of highest occupancy stays, the first by letter among equals. Waters, ligands,
    metals, nucleic acids and hydrogens go, as in DeepPocket.

    Parameters
    ----------
    structure : Structure
        As read.
    where : str
        Named in errors.
    modified : {"drop", "parent"}
        Leave modified residues such as MSE out, as the published method does, or treat them as their parent.
    min_atoms : int
        Fewest atoms accepted.

    Returns
    -------
    protein : Protein
    findings : Findings

    Raises
    ------
    InputError
        No standard residue, C-alpha atoms only, or fewer than `min_atoms` atoms.
    """
    heavy = ~np.isin(structure.element, ["H", "D"])
    atoms = structure.select(heavy)
    names = _standard_names(atoms.residue, modified)
    standard = np.isin(names, list(TEMPLATES))
    if not standard.any():
        raise InputError(where, "no standard amino acid" + _what_instead(atoms), "give a file with a protein chain")
    removed = _removed(atoms.select(~standard))
    atoms = dataclasses.replace(atoms.select(standard), residue=names[standard])
    kept = _first_locations(atoms)
    n_alternate = len(atoms) - len(kept)
    atoms = atoms.select(kept)
    atoms = dataclasses.replace(atoms, atom=_standard_atoms(atoms))
    if set(atoms.atom.tolist()) == {"CA"}:
        raise InputError(where, "has C-alpha atoms only", "pockets need the side chains; use a full-atom model")
    channels = atom_channels(atoms.residue, atoms.atom)
    unknown = _count(f"{r}:{a}" for r, a in zip(atoms.residue[channels < 0], atoms.atom[channels < 0], strict=True))
    atoms, channels = atoms.select(channels >= 0), channels[channels >= 0]
    if len(atoms) < min_atoms:
        raise InputError(
            where, f"{len(atoms)} protein atoms, at least {min_atoms} are needed", "a peptide has no pocket"
        )
    order = _canonical_order(atoms)
    protein = Protein(atoms.select(order), channels[order])
    missing = _missing_atoms(protein.structure)
    findings = Findings(
        n_models=structure.n_models,
        hydrogens=int((~heavy).sum()),
        alternate_locations=n_alternate,
        unknown_atoms=unknown,
        missing_atoms=missing,
        notes=_notes(structure, protein, missing, removed["modified_residues"]),
        **removed,
    )
    return protein, findings


def _standard_names(residues: NDArray[np.str_], modified: str) -> NDArray[np.str_]:
    synonyms = RESIDUE_SYNONYMS | (MODIFIED_PARENTS if modified == "parent" else {})
    return np.array([synonyms.get(name, name) for name in residues.tolist()])


def _standard_atoms(atoms: Structure) -> NDArray[np.str_]:
    """Return standard atom names; the selenium of MSE stands where methionine has its sulfur."""
    pairs = zip(atoms.residue.tolist(), atoms.atom.tolist(), strict=True)
    return np.array(
        ["SD" if pair == ("MET", "SE") else ATOM_SYNONYMS.get(pair, pair[1]) for pair in pairs], dtype=np.str_
    )


def _first_locations(atoms: Structure) -> NDArray[np.int64]:
    """Return the atoms left after choosing one alternate location, and one residue where two share a place."""
    places = list(zip(atoms.chain.tolist(), atoms.number.tolist(), atoms.insertion.tolist(), strict=True))
    residues = atoms.residue.tolist()
    if (atoms.altloc == "").all():
        keep = np.arange(len(atoms))
    else:
        weights: dict[tuple, dict[str, float]] = defaultdict(dict)
        locations, occupancy = atoms.altloc.tolist(), atoms.occupancy.tolist()
        for place, name, location, value in zip(places, residues, locations, occupancy, strict=True):
            # Microheterogeneity: two residues in one place, told apart by their locations.
            if location:
                weights[place][name] = max(value, weights[place].get(name, 0.0))
        best: dict[tuple, tuple[float, str, int]] = {}
        chosen = []
        for row, (place, name, location, value) in enumerate(zip(places, residues, locations, occupancy, strict=True)):
            if not location:
                chosen.append(row)
                continue
            if name == min(weights[place], key=lambda other: (-weights[place][other], other)):
                key = (*place, atoms.atom[row])
                best[key] = min(best.get(key, (np.inf, "", -1)), (-value, location, row))
        keep = np.sort(np.array([*chosen, *(row for _, _, row in best.values())], dtype=np.int64))
    # An atom written twice at one and the same place would count double in the density.
    _, first = np.unique(np.round(atoms.xyz[keep], 3), axis=0, return_index=True)
    return keep[np.sort(first)]


def _canonical_order(atoms: Structure) -> NDArray[np.int64]:
    rank = {name: {atom: i for i, atom in enumerate(template)} for name, template in TEMPLATES.items()}
    place = [rank[name][atom] for name, atom in zip(atoms.residue.tolist(), atoms.atom.tolist(), strict=True)]
    x, y, z = atoms.xyz.T
    return np.lexsort((z, y, x, np.array(place), atoms.residue, atoms.insertion, atoms.number, atoms.chain))


def _removed(atoms: Structure) -> dict[str, Any]:
    water = np.isin(atoms.residue, list(WATERS))
    nucleic = np.isin(atoms.residue, list(NUCLEOTIDES))
    rest = atoms.select(~water & ~nucleic)
    labels = rest.residue_labels()
    backbone: dict[str, set[str]] = defaultdict(set)
    for label, atom in zip(labels.tolist(), rest.atom.tolist(), strict=True):
        backbone[label].add(atom)
    # A free amino acid, such as the ligand SAH, has a second oxygen on C.
    residues = [
        (label.rsplit(":", 1)[1], {"N", "CA", "C", "O"} <= found and "OXT" not in found)
        for label, found in backbone.items()
    ]
    return {
        "waters": int(water.sum()),
        "nucleic_acids": int(nucleic.sum()),
        "modified_residues": _count(name for name, is_amino_acid in residues if is_amino_acid),
        "others_removed": _count(name for name, is_amino_acid in residues if not is_amino_acid),
    }


def _missing_atoms(atoms: Structure) -> dict[str, str]:
    """Return, for each incomplete residue, the template atoms it lacks (OXT is only at a chain's end)."""
    present: dict[str, set[str]] = defaultdict(set)
    for label, atom in zip(atoms.residue_labels().tolist(), atoms.atom.tolist(), strict=True):
        present[label].add(atom)
    missing = {}
    for label, found in present.items():
        lacking = [atom for atom in TEMPLATES[label.rsplit(":", 1)[1]] if atom not in found and atom != "OXT"]
        if lacking:
            missing[label] = " ".join(lacking)
    return missing


def _notes(
    structure: Structure, protein: Protein, missing: dict[str, str], modified: dict[str, int]
) -> tuple[str, ...]:
    notes = []
    if structure.n_models > 1:
        notes.append(f"first of {structure.n_models} models used")
    if modified:
        listed = ", ".join(f"{name} ({count})" for name, count in modified.items())
        notes.append(f"modified residues left out: {listed}; they leave holes that look like pockets")
    n_residues = len(set(protein.structure.residue_labels().tolist()))
    if len(missing) > 0.1 * n_residues:
        notes.append(f"{len(missing)} of {n_residues} residues lack atoms")
    return tuple(notes)


def _what_instead(atoms: Structure) -> str:
    names = set(atoms.residue.tolist())
    if names & NUCLEOTIDES:
        return ", only nucleic acids"
    if names <= WATERS:
        return ", only water"
    return f", only {', '.join(sorted(names)[:5])}"


def _count(names: Any) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
