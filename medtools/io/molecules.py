"""Ligands and cavities as point clouds: mol2, SDF and structure files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.atomic import write_text
from medtools.core.errors import InputError
from medtools.io.structure import read_structure, read_text, structure_suffix

_STRUCTURES = (".pdb", ".ent", ".pdbqt", ".cif", ".mmcif")


def read_molecules(path: str | Path) -> list[NDArray[np.float64]]:
    """Read the heavy atoms of every molecule in a file.

    Parameters
    ----------
    path : str or Path
        `.mol2`, `.sdf`, `.mol` or a structure file, optionally `.gz`; a structure file is one molecule.

    Returns
    -------
    list of (n_atoms, 3) float64
        Coordinates in angstrom, hydrogens left out.

    Raises
    ------
    InputError
        Unknown suffix, truncated or empty file, a coordinate that is no finite number.
    """
    path = Path(path)
    suffix = structure_suffix(path)
    if suffix in _STRUCTURES:
        structure = read_structure(path)
        molecules = [structure.xyz[~np.isin(structure.element, ["H", "D"])]]
    elif suffix == ".mol2":
        molecules = list(_mol2(path, read_text(path).splitlines()))
    elif suffix in (".sdf", ".mol"):
        molecules = list(_sdf(path, read_text(path).splitlines()))
    else:
        raise InputError(path, f"expected .mol2, .sdf, .mol or a structure file, found {suffix or 'no suffix'}")
    molecules = [molecule for molecule in molecules if len(molecule)]
    if not molecules:
        raise InputError(path, "no atom heavier than hydrogen")
    if not all(np.isfinite(molecule).all() for molecule in molecules):
        raise InputError(path, "a coordinate is not a finite number")
    return molecules


def read_points(path: str | Path) -> NDArray[np.float64]:
    """Read all heavy atoms of a file as one point cloud, such as a VolSite cavity (`cavity6.mol2`).

    Returns
    -------
    (n_points, 3) float64
        Angstrom.
    """
    return np.concatenate(read_molecules(path))


def write_molecules(path: str | Path, molecules: Sequence[NDArray[np.float64]], name: str) -> None:
    """Write point clouds as carbon atoms without bonds, one mol2 molecule each, such as VolSite's cavities.

    Parameters
    ----------
    path : str or Path
        Ends in `.mol2`.
    molecules : sequence of (n_atoms, 3) float64
        Angstrom, kept to 0.0001.
    name : str
        Name of the molecules.
    """
    lines = []
    for molecule in molecules:
        lines += ["@<TRIPOS>MOLECULE", name, f"{len(molecule)} 0 1 0 0", "SMALL", "NO_CHARGES", "", "@<TRIPOS>ATOM"]
        lines += [
            f"{i:7d} C{i:<6d} {x:10.4f}{y:10.4f}{z:10.4f} C.3 1 {name} 0.0000"
            for i, (x, y, z) in enumerate(molecule.tolist(), start=1)
        ]
    write_text(path, "\n".join(lines) + "\n")


def _coordinates(path: Path, number: int, fields: list[str]) -> tuple[float, float, float]:
    try:
        x, y, z = (float(field) for field in fields)
    except ValueError:
        raise InputError(path, f"line {number}: expected three coordinates, found {' '.join(fields)!r}") from None
    return x, y, z


def _mol2(path: Path, lines: list[str]) -> Iterator[NDArray[np.float64]]:
    """Yield the atoms of each `@<TRIPOS>ATOM` section; fields: id, name, x, y, z, type."""
    atoms: list[tuple[float, float, float]] | None = None
    for number, line in enumerate(lines, start=1):
        if line.startswith("@<TRIPOS>"):
            if atoms is not None:
                yield np.array(atoms).reshape(-1, 3)
            atoms = [] if line.startswith("@<TRIPOS>ATOM") else None
        elif atoms is not None and line.strip():
            fields = line.split()
            if len(fields) < 6:
                raise InputError(path, f"line {number}: an atom needs id, name, x, y, z and type", "truncated file?")
            xyz = _coordinates(path, number, fields[2:5])
            if fields[5].split(".")[0].upper() not in ("H", "D"):
                atoms.append(xyz)
    if atoms is not None:
        yield np.array(atoms).reshape(-1, 3)


def _sdf(path: Path, lines: list[str]) -> Iterator[NDArray[np.float64]]:
    """Yield the atoms of each V2000 or V3000 record."""
    start = 0
    while start + 3 < len(lines):
        try:
            end = lines.index("$$$$", start)
        except ValueError:
            end = len(lines)
        record = lines[start:end]
        if any(line.strip() for line in record):
            yield _v3000(path, start, record) if "V3000" in "".join(record[3:4]) else _v2000(path, start, record)
        start = end + 1


def _v2000(path: Path, start: int, record: list[str]) -> NDArray[np.float64]:
    counts = record[3] if len(record) > 3 else ""
    if not counts[:3].strip().isdecimal():
        raise InputError(path, f"line {start + 4}: expected the counts line of a molecule, found {counts!r}")
    n_atoms = int(counts[:3])
    if len(record) < 4 + n_atoms:
        raise InputError(path, f"molecule at line {start + 1} has {len(record) - 4} of {n_atoms} atoms", "truncated?")
    atoms = []
    for offset, line in enumerate(record[4 : 4 + n_atoms], start=5):
        fields = line.split()
        if len(fields) < 4:
            raise InputError(path, f"line {start + offset}: an atom needs x, y, z and an element", "truncated file?")
        xyz = _coordinates(path, start + offset, [line[:10], line[10:20], line[20:30]])
        if fields[3].upper() not in ("H", "D"):
            atoms.append(xyz)
    return np.array(atoms).reshape(-1, 3)


def _v3000(path: Path, start: int, record: list[str]) -> NDArray[np.float64]:
    atoms, inside, closed = [], False, False
    for offset, line in enumerate(record, start=1):
        if "BEGIN ATOM" in line:
            inside = True
        elif "END ATOM" in line:
            inside, closed = False, True
        elif inside:
            fields = line.split()
            if len(fields) < 7:
                raise InputError(path, f"line {start + offset}: an atom needs index, type, x, y and z")
            xyz = _coordinates(path, start + offset, fields[4:7])
            if fields[3].upper() not in ("H", "D"):
                atoms.append(xyz)
    if not closed:
        raise InputError(path, f"molecule at line {start + 1} has no END ATOM", "truncated file?")
    return np.array(atoms).reshape(-1, 3)
