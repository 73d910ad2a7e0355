"""Writing structures back with their own numbering: PDB where it fits the format, mmCIF where it does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.atomic import write_text
from medtools.core.errors import InputError
from medtools.io.structure import Structure, structure_suffix

_CIF_TAGS = (
    "group_PDB", "id", "type_symbol", "label_atom_id", "label_alt_id", "label_comp_id", "label_asym_id",
    "label_seq_id", "pdbx_PDB_ins_code", "Cartn_x", "Cartn_y", "Cartn_z", "occupancy", "B_iso_or_equiv",
    "auth_seq_id", "auth_comp_id", "auth_asym_id", "auth_atom_id", "pdbx_PDB_model_num",
)  # fmt: skip


def fits_pdb(structure: Structure) -> bool:
    """Tell whether the PDB format's columns hold this structure without renumbering anything."""
    return bool(
        len(structure) <= 99_999
        and np.char.str_len(structure.chain).max(initial=0) <= 1
        and np.char.str_len(structure.residue).max(initial=0) <= 3
        and structure.number.min(initial=0) > -1000
        and structure.number.max(initial=0) <= 9999
        and np.abs(structure.xyz).max(initial=0.0) < 9999.9995 / 10
    )


def write_structure(path: str | Path, structure: Structure, b_factor: NDArray[np.floating] | None = None) -> None:
    """Write atoms with their chains, residue numbers and insertion codes as they came.

    Parameters
    ----------
    path : str or Path
        Ends in `.pdb` or `.cif`.
    structure : Structure
        What to write.
    b_factor : (n_atoms,) floating, optional
        Written in place of the structure's own B-factors, in two decimals.

    Raises
    ------
    InputError
        The suffix is another one, or a structure for a `.pdb` does not fit the format (see `fits_pdb`).
    """
    suffix = structure_suffix(path)
    values = np.asarray(structure.b_factor if b_factor is None else b_factor, dtype=np.float64)
    if suffix == ".pdb":
        if not fits_pdb(structure):
            raise InputError(path, "the structure has more chains, atoms or digits than PDB columns hold", "use .cif")
        write_text(path, pdb_text(structure, values))
    elif suffix == ".cif":
        write_text(path, _cif_text(Path(path).stem, structure, values))
    else:
        raise InputError(path, f"structures are written as .pdb or .cif, not {suffix or 'without a suffix'}")


def pdb_text(structure: Structure, b_factor: NDArray[np.float64]) -> str:
    """Format atoms as PDB records, closed by END."""
    lines = []
    for serial, row in enumerate(_rows(structure, b_factor), start=1):
        group, atom, altloc, residue, chain, number, code, xyz, occupancy, b, element = row
        # One-letter elements start in column 14, so that CA the carbon differs from CA the calcium.
        name = atom.ljust(4) if len(atom) >= 4 or len(element) > 1 else f" {atom:<3}"
        lines.append(
            f"{group:<6}{serial:5d} {name}{altloc:1}{residue:>3} {chain:1}{number:4d}{code:1}   "
            f"{xyz[0]:8.3f}{xyz[1]:8.3f}{xyz[2]:8.3f}{occupancy:6.2f}{b:6.2f}          {element:>2}"
        )
    return "\n".join([*lines, "END"]) + "\n"


def _cif_text(name: str, structure: Structure, b_factor: NDArray[np.float64]) -> str:
    lines = [f"data_{name}", "#", "loop_", *(f"_atom_site.{tag}" for tag in _CIF_TAGS)]
    for serial, row in enumerate(_rows(structure, b_factor), start=1):
        group, atom, altloc, residue, chain, number, code, xyz, occupancy, b, element = row
        chain = _cif_value(chain)
        lines.append(
            f"{group} {serial} {_cif_value(element)} {_cif_value(atom)} {altloc or '.'} {residue} {chain} {number} "
            f"{code or '?'} {xyz[0]:.3f} {xyz[1]:.3f} {xyz[2]:.3f} {occupancy:.2f} {b:.2f} {number} {residue} "
            f"{chain} {_cif_value(atom)} 1"
        )
    return "\n".join([*lines, "#"]) + "\n"


def _rows(structure: Structure, b_factor: NDArray[np.float64]) -> list[tuple]:
    groups = np.where(structure.hetero, "HETATM", "ATOM")
    columns = (
        groups, structure.atom, structure.altloc, structure.residue, structure.chain, structure.number,
        structure.insertion, structure.xyz, structure.occupancy, b_factor, structure.element,
    )  # fmt: skip
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _cif_value(text: str) -> str:
    if not text:
        return "."
    return f'"{text}"' if "'" in text or '"' in text else text
