"""Find the structures a user means, and the ligand and cavity files that lie beside them; no file is opened."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medtools.core.errors import InputError
from medtools.core.manifest import Row, read_manifest, safe_name
from medtools.io.guard import printable
from medtools.io.structure import structure_suffix

STRUCTURE_SUFFIXES = (".pdb", ".ent", ".cif", ".mmcif", ".pdbqt")
_PROTEIN_SUFFIXES = (*STRUCTURE_SUFFIXES, ".mol2")
_MOLECULE_SUFFIXES = (".mol2", ".sdf", ".mol", ".pdb", ".pdbqt")
_COMPANION = re.compile(r"(^|[_\-.])(ligands?|cavity\d*|cavities|pocket|site|ints)([_\-.\d]|$)", re.IGNORECASE)
_CAVITY = re.compile(r"(^|[_\-])(cavity|cavities|pocket)", re.IGNORECASE)
_LIGAND = re.compile(r"(^|[_\-])ligands?([_\-.\d]|$)", re.IGNORECASE)
_PROTEIN = re.compile(r"[_\-]?(protein|prot|receptor|target|nowat)([_\-.].*)?$", re.IGNORECASE)
_ENTRY = re.compile(r"[0-9][a-z0-9]{3}_\d+", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """One protein: its structure, the labels beside it, and what a manifest says of it."""

    id: str
    structure: Path
    ligands: tuple[Path, ...] = ()
    cavities: tuple[Path, ...] = ()
    candidates: Path | None = None
    cells: Mapping[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """What must not cross a split: the manifest's subject, else the PDB entry of an scPDB name such as 10mh_1."""
        if "subject" in self.cells:
            return self.cells["subject"]
        return self.id.split("_")[0] if _ENTRY.fullmatch(self.id) else self.id

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that decides what is made of the entry."""
        return (self.structure, *self.ligands, *self.cavities, *([self.candidates] if self.candidates else []))


def find_structures(inputs: Sequence[Path]) -> list[Entry]:
    """List the proteins of INPUT: any mix of structure files, folders and manifests.

    A folder is searched with its subfolders. Files named for ligands, cavities, sites or pockets are not proteins; in a
    folder they are the labels of the protein whose name they begin with, or of the one named `protein` (scPDB,
    PDBbind). A manifest has the column `structure` and may have `ligand`, `cavity` and `candidates`.

    Returns
    -------
    list of Entry
        Sorted by path within a folder.

    Raises
    ------
    InputError
        Nothing is found, a file is missing or of an unknown kind, or an identifier appears twice.
    """
    entries: list[Entry] = []
    for path in inputs or [Path()]:
        entries += _entries(path)
    seen: dict[str, Path] = {}
    for entry in entries:
        if entry.id in seen:
            raise InputError(entry.structure, f"id {entry.id!r} is also {seen[entry.id]}", "rename one of them")
        if not safe_name(entry.id):
            raise InputError(printable(entry.structure), f"id {entry.id!r} cannot name files", "rename the file")
        seen[entry.id] = entry.structure
    return entries


def _entries(path: Path) -> list[Entry]:
    if path.is_dir():
        if (path / "manifest.tsv").is_file():
            return _from_manifest(path / "manifest.tsv")
        found = _from_folder(path)
        if not found:
            looked_for = ", ".join(f"*{suffix}[.gz]" for suffix in STRUCTURE_SUFFIXES)
            raise InputError(printable(path), "no structure in this folder", f"looked for {looked_for}")
        return found
    if path.suffix.lower() == ".tsv":
        return _from_manifest(path)
    if structure_suffix(path) not in _PROTEIN_SUFFIXES:
        expected = ", ".join(_PROTEIN_SUFFIXES)
        raise InputError(printable(path), f"expected a structure ({expected}), a folder or a manifest.tsv")
    if not path.is_file():
        raise InputError(printable(path), "no such file")
    return [_entry(path, sorted(path.parent.iterdir()))]


def _from_manifest(path: Path) -> list[Entry]:
    manifest = read_manifest(path, ["structure"])
    entries = []
    for row in manifest.rows:
        beside = {column: _optional_path(path, row, column) for column in ("ligand", "cavity", "candidates")}
        entries.append(
            Entry(
                row.id,
                row.paths["structure"],
                ligands=tuple(filter(None, [beside["ligand"]])),
                cavities=tuple(filter(None, [beside["cavity"]])),
                candidates=beside["candidates"],
                cells=dict(row.cells),
            )
        )
    return entries


def _optional_path(manifest: Path, row: Row, column: str) -> Path | None:
    """Return the file in a column that rows may leave empty, held to the manifest's folder like the others."""
    text = row.get(column)
    if text is None:
        return None
    folder = manifest.resolve().parent
    target = (folder / text).resolve()
    if not target.is_relative_to(folder):
        raise InputError(manifest, f"row {row.id!r}, column {column!r}: {text} lies outside the manifest's folder")
    if not target.is_file():
        raise InputError(manifest, f"row {row.id!r}, column {column!r}: no such file {text}")
    return manifest.parent / text


def _from_folder(folder: Path) -> list[Entry]:
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    beside: dict[Path, list[Path]] = {}
    for file in files:
        beside.setdefault(file.parent, []).append(file)
    return [_entry(file, beside[file.parent]) for file in files if _is_protein(file)]


def _is_protein(file: Path) -> bool:
    suffix = structure_suffix(file)
    if suffix == ".mol2":
        return _stem(file).lower() == "protein"
    return suffix in STRUCTURE_SUFFIXES and (_names_protein(file) or _COMPANION.search(_stem(file)) is None)


def _names_protein(file: Path) -> bool:
    return structure_suffix(file) in _PROTEIN_SUFFIXES and _PROTEIN.search(_stem(file)) is not None


def _entry(structure: Path, beside: Iterable[Path]) -> Entry:
    stem = _stem(structure)
    base = _PROTEIN.sub("", stem)
    identifier = base or structure.resolve().parent.name
    labels = [
        file
        for file in beside
        if file != structure
        and structure_suffix(file) in _MOLECULE_SUFFIXES
        and not _names_protein(file)
        and _stem(file).lower().startswith(base.lower())
        and _COMPANION.search(_stem(file)[len(base) :]) is not None
    ]
    cavities = tuple(file for file in labels if _CAVITY.search(_stem(file)[len(base) :]))
    ligands = tuple(file for file in labels if file not in cavities and _LIGAND.search(_stem(file)[len(base) :]))
    return Entry(identifier, structure, ligands=ligands, cavities=cavities)


def _stem(file: Path) -> str:
    name = file.name[:-3] if file.name.lower().endswith(".gz") else file.name
    return name[: -len(structure_suffix(file))] if structure_suffix(file) else name
