"""Macromolecular structures: PDB, mmCIF, PDBQT and mol2 (also gzipped) as arrays of atoms, first model only."""

from __future__ import annotations

import dataclasses
import gzip
import io
import re
import string
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError, RefusedError
from medtools.io.guard import printable, read_whole

MAX_TEXT_BYTES = 1 << 30
_PIECE_BYTES = 1 << 20

# AutoDock atom types that are not element symbols.
_AUTODOCK = {"A": "C", "OA": "O", "OS": "O", "NA": "N", "NS": "N", "SA": "S", "HD": "H", "HS": "H"}
_MOL2_RESIDUE = re.compile(r"([A-Za-z]{2,4}|[A-Za-z0-9]{3})(-?[0-9]{1,9})([A-Za-z]?)")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,9}")
_CIF_TOKEN = re.compile(r"""'(?:[^']|'(?=\S))*'(?=\s|$)|"(?:[^"]|"(?=\S))*"(?=\s|$)|\S+""")
_CIF_COLUMNS = {
    "atom": ("auth_atom_id", "label_atom_id"),
    "residue": ("auth_comp_id", "label_comp_id"),
    "chain": ("auth_asym_id", "label_asym_id"),
    "number": ("auth_seq_id", "label_seq_id"),
}


@dataclasses.dataclass(frozen=True)
class Structure:
    """Atoms of one model, in file order; every field but `n_models` has one entry per atom.

    Attributes
    ----------
    xyz : (n_atoms, 3) float64
        Coordinates in angstrom, all finite.
    atom, residue, chain, insertion, altloc, element : (n_atoms,) str
        Atom and residue names, chain (author's), insertion code and alternate location (empty where none), element
        symbol in capitals.
    number : (n_atoms,) int64
        Residue number (author's).
    occupancy, b_factor : (n_atoms,) float64
    hetero : (n_atoms,) bool
        HETATM records.
    n_models : int
        Models in the file; only the first is here.
    """

    xyz: NDArray[np.float64]
    atom: NDArray[np.str_]
    residue: NDArray[np.str_]
    chain: NDArray[np.str_]
    number: NDArray[np.int64]
    insertion: NDArray[np.str_]
    altloc: NDArray[np.str_]
    element: NDArray[np.str_]
    occupancy: NDArray[np.float64]
    b_factor: NDArray[np.float64]
    hetero: NDArray[np.bool_]
    n_models: int = 1

    def __len__(self) -> int:
        return len(self.xyz)

    def select(self, which: NDArray[Any]) -> Structure:
        """Return the atoms of a boolean mask or an index array."""
        return dataclasses.replace(
            self,
            **{f.name: getattr(self, f.name)[which] for f in dataclasses.fields(self) if f.name != "n_models"},
        )

    def residue_labels(self) -> NDArray[np.str_]:
        """Return `chain:number+insertion:name` of each atom's residue, such as `A:52A:TYR`."""
        columns = zip(self.chain.tolist(), self.number.tolist(), self.insertion.tolist(), self.residue.tolist())  # noqa: B905
        return np.array([f"{chain}:{number}{code}:{name}" for chain, number, code, name in columns], dtype=np.str_)


def read_structure(path: str | Path, *, max_bytes: int = MAX_TEXT_BYTES) -> Structure:
    """Read the first model of a structure file.

    Parameters
    ----------
    path : str or Path
        `.pdb`, `.ent`, `.cif`, `.mmcif`, `.pdbqt` or `.mol2` (a protein of scPDB), optionally followed by `.gz`.
    max_bytes : int
        Largest (unpacked) text read.

    Returns
    -------
    Structure
        All atoms of the first model, nothing cleaned.

    Raises
    ------
    InputError
        Missing, truncated or unknown file, no atoms, a field that is no number, coordinates that are not finite.
    RefusedError
        The unpacked file is larger than `max_bytes`.
    """
    path = Path(path)
    parsers: dict[str, Callable[[Path, list[str]], Structure]] = {
        ".pdb": _parse_pdb, ".ent": _parse_pdb, ".pdbqt": _parse_pdb, ".cif": _parse_cif, ".mmcif": _parse_cif,
        ".mol2": _parse_mol2,
    }  # fmt: skip
    suffix = structure_suffix(path)
    if suffix not in parsers:
        raise InputError(path, f"expected one of {', '.join(parsers)} (or .gz of it), found {suffix or 'no suffix'}")
    structure = parsers[suffix](path, read_text(path, max_bytes).splitlines())
    faulty = np.flatnonzero(~np.isfinite(structure.xyz).all(axis=1))
    if len(faulty):
        row = faulty[0]
        where = f"{structure.residue_labels()[row]} {structure.atom[row]}"
        raise InputError(path, f"coordinates of {where} are not finite numbers ({len(faulty)} such atoms)")
    return structure


def structure_suffix(path: str | Path) -> str:
    """Return the suffix that names the format, in lower case and without `.gz`."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def read_text(path: str | Path, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """Read a text file, unpacking gzip, to its very end and never beyond `max_bytes`.

    Raises
    ------
    InputError
        No such file, a folder, an empty file, or damaged or truncated gzip data.
    RefusedError
        More than `max_bytes`, packed or not.
    """
    path, where = Path(path), printable(path)
    too_large = RefusedError(f"{where}: more than {max_bytes / 2**20:.0f} MiB of text, which is the limit")
    if path.is_file() and path.stat().st_size > max_bytes:
        raise too_large
    content = read_whole(path, max_bytes)
    if path.suffix.lower() == ".gz":
        try:
            content = _unpacked(content, max_bytes)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(where, f"damaged or truncated gzip file ({error})", "fetch it again") from error
    if len(content) > max_bytes:
        raise too_large
    if not content.strip():
        raise InputError(where, "empty file")
    # Comments and authors' names come in every encoding; the fields that are read are ASCII.
    return content.decode("utf-8", errors="replace")


def _unpacked(content: bytes, max_bytes: int) -> bytes:
    """Unpack gzip data to little more than `max_bytes`, in pieces, because read(n) makes room for n at once."""
    pieces, size = [], 0
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
        while size <= max_bytes and (piece := stream.read(_PIECE_BYTES)):
            pieces.append(piece)
            size += len(piece)
    return b"".join(pieces)


def _parse_pdb(path: Path, lines: Sequence[str]) -> Structure:
    """Read fixed columns (wwPDB format 3.3); PDBQT has the same ones, with an AutoDock type instead of an element."""
    records, numbers, n_models, in_first = [], [], 0, True
    for position, line in enumerate(lines, start=1):
        record = line[:6]
        if record in ("ATOM  ", "HETATM"):
            if in_first:
                records.append(line)
                numbers.append(position)
        elif record.startswith("MODEL"):
            n_models += 1
            in_first = n_models == 1
    if not records:
        raise InputError(path, "no ATOM or HETATM record", "is it a structure file?")
    for position, line in zip(numbers, records, strict=True):
        if len(line) < 54:
            raise InputError(path, f"line {position} ends inside the coordinates", "the file looks truncated")

    def column(first: int, last: int) -> list[str]:
        return [line[first - 1 : last].strip() for line in records]

    xyz = np.stack([_floats(path, numbers, column(*span)) for span in ((31, 38), (39, 46), (47, 54))], axis=1)
    if structure_suffix(path) == ".pdbqt":
        elements = [_AUTODOCK.get(line[77:80].strip().upper(), line[77:80].strip().upper()) for line in records]
    else:
        elements = [_pdb_element(line) for line in records]
    return Structure(
        xyz=xyz,
        atom=np.array(column(13, 16)),
        residue=np.array(column(18, 20)),
        chain=np.array(column(21, 22)),  # column 21 is blank but for two-letter chains of large assemblies
        number=np.array([_pdb_number(path, at, text) for at, text in zip(numbers, column(23, 26), strict=True)]),
        insertion=np.array(column(27, 27)),
        altloc=np.array(column(17, 17)),
        element=np.array(elements),
        occupancy=_floats(path, numbers, [text or "1" for text in column(55, 60)]),
        b_factor=_floats(path, numbers, [text or "0" for text in column(61, 66)]),
        hetero=np.array([line.startswith("H") for line in records]),
        n_models=max(n_models, 1),
    )


def _pdb_element(line: str) -> str:
    """Return the element column, or what the atom name says: in columns 13-14 right-justified."""
    written = line[76:78].strip().upper()
    if written.isalpha():
        return written
    name = line[12:16]
    if name[0] in " 0123456789":
        return name[1:2].upper()
    # A four-letter name such as HG11 starts in column 13 and is a hydrogen; CA there is calcium in a HETATM only.
    if name[0] == "H" or (line.startswith("ATOM") and name[0] in "CNOSP"):
        return name[0]
    return name[:2].strip().upper()


def _pdb_number(path: Path, position: int, text: str) -> int:
    """Read a residue number; above 9999 also hybrid-36, as cctbx, OpenMM and others write it."""
    try:
        return int(text)
    except ValueError:
        pass
    digits = string.digits + string.ascii_uppercase
    if len(text) == 4 and text[0].isalpha() and (text.isupper() or text.islower()) and text.isalnum():
        value = 0
        for character in text.upper():
            value = value * 36 + digits.index(character)
        return value - 10 * 36**3 + 10_000 + (26 * 36**3 if text[0].islower() else 0)
    raise InputError(path, f"line {position}: residue number {text!r} is not a number")


def _floats(path: Path, positions: Sequence[int], texts: Sequence[str]) -> NDArray[np.float64]:
    try:
        return np.array(texts, dtype=np.float64)
    except ValueError:
        for position, text in zip(positions, texts, strict=True):
            try:
                float(text)
            except ValueError:
                raise InputError(path, f"line {position}: {text!r} is not a number") from None
        raise


def _parse_cif(path: Path, lines: Sequence[str]) -> Structure:
    """Read the `_atom_site` loop of an mmCIF file; author's chains and numbers, label's where those are missing."""
    tags, rows, positions = _atom_site(path, lines)
    where = {tag: index for index, tag in enumerate(tags)}
    models = _cif_column(rows, where, "pdbx_PDB_model_num", "1")
    first = [index for index, model in enumerate(models) if model == models[0]]
    rows, positions = [rows[i] for i in first], [positions[i] for i in first]
    for tag in ("Cartn_x", "Cartn_y", "Cartn_z"):
        if tag not in where:
            raise InputError(path, f"no column _atom_site.{tag}")

    def column(tag: str, default: str) -> list[str]:
        return _cif_column(rows, where, tag, default)

    def named(field: str) -> list[str]:
        author, label = _CIF_COLUMNS[field]
        if author not in where and label not in where:
            raise InputError(path, f"no column _atom_site.{author}")
        return [a or b for a, b in zip(column(author, ""), column(label, ""), strict=True)]

    numbers = named("number")
    if not all(_WHOLE_NUMBER.fullmatch(text) for text in numbers if text):
        raise InputError(path, "a residue number in _atom_site.auth_seq_id is not a whole number")
    return Structure(
        xyz=np.stack([_floats(path, positions, column(f"Cartn_{axis}", "nan")) for axis in "xyz"], axis=1),
        atom=np.array(named("atom")),
        residue=np.array(named("residue")),
        chain=np.array(named("chain")),
        number=np.array([int(text or 0) for text in numbers]),
        insertion=np.array(column("pdbx_PDB_ins_code", "")),
        altloc=np.array(column("label_alt_id", "")),
        element=np.array([text.upper() for text in column("type_symbol", "")]),
        occupancy=_floats(path, positions, column("occupancy", "1")),
        b_factor=_floats(path, positions, column("B_iso_or_equiv", "0")),
        hetero=np.array([text == "HETATM" for text in column("group_PDB", "ATOM")]),
        n_models=len(set(models)),
    )


def _parse_mol2(path: Path, lines: Sequence[str]) -> Structure:
    """Read the first molecule of a mol2 file; residues and chains come from its SUBSTRUCTURE records."""
    sections: dict[str, list[tuple[int, list[str]]]] = {}
    name = ""
    for position, line in enumerate(lines, start=1):
        if line.startswith("@<TRIPOS>"):
            name = line[9:].strip()
            if name in sections:
                break
            sections[name] = []
        elif name and line.strip():
            sections[name].append((position, line.split()))
    atoms = sections.get("ATOM", [])
    if not atoms:
        raise InputError(path, "no @<TRIPOS>ATOM section with atoms", "is it a mol2 file, and complete?")
    for position, fields in atoms:
        if len(fields) < 8:
            raise InputError(path, f"line {position}: an atom of a protein needs eight fields", "truncated file?")
    chains = {fields[0]: fields[5] for _, fields in sections.get("SUBSTRUCTURE", []) if len(fields) > 5}
    places = [_MOL2_RESIDUE.fullmatch(fields[7]) for _, fields in atoms]
    positions, rows = [position for position, _ in atoms], [fields for _, fields in atoms]
    blank = np.full(len(rows), "")
    return Structure(
        xyz=np.stack([_floats(path, positions, [fields[i] for fields in rows]) for i in (2, 3, 4)], axis=1),
        atom=np.array([fields[1] for fields in rows]),
        residue=np.array([place[1] if place else fields[7] for place, fields in zip(places, rows, strict=True)]),
        chain=np.array([chains.get(fields[6], "").replace("*", "") for fields in rows]),
        number=np.array([int(place[2]) if place else 0 for place in places], dtype=np.int64),
        insertion=np.array([place[3] if place else "" for place in places]),
        altloc=blank,
        element=np.array([fields[5].split(".")[0].upper() for fields in rows]),
        occupancy=np.ones(len(rows)),
        b_factor=np.zeros(len(rows)),
        hetero=np.zeros(len(rows), dtype=bool),
    )


def _cif_column(rows: Sequence[Sequence[str]], where: dict[str, int], tag: str, default: str) -> list[str]:
    """Return one column, `.` and `?` (not applicable, unknown) as `default`."""
    index = where.get(tag)
    if index is None:
        return [default] * len(rows)
    return [default if row[index] in (".", "?") else row[index] for row in rows]


def _atom_site(path: Path, lines: Sequence[str]) -> tuple[list[str], list[list[str]], list[int]]:
    """Return the tags of the atom_site loop, its rows and the line on which each row ends."""
    begin = next((i for i, line in enumerate(lines) if line.lower().startswith("_atom_site.")), None)
    if begin is None:
        raise InputError(path, "no _atom_site table", "is it an mmCIF file with coordinates, and complete?")
    tags = []
    while begin < len(lines) and lines[begin].lower().startswith("_atom_site."):
        tags.append(lines[begin].split()[0].split(".", 1)[1])
        begin += 1
    rows: list[list[str]] = []
    positions: list[int] = []
    pending: list[str] = []
    for position, line in enumerate(lines[begin:], start=begin + 1):
        if line.startswith(("#", "_", "loop_", "data_")):
            break
        pending += line.split() if "'" not in line and '"' not in line else map(_unquote, _CIF_TOKEN.findall(line))
        if len(pending) >= len(tags):
            if len(pending) > len(tags):
                raise InputError(path, f"line {position}: {len(pending)} values for {len(tags)} columns of _atom_site")
            rows.append(pending)
            positions.append(position)
            pending = []
    if pending:
        raise InputError(
            path, f"the last row of _atom_site has {len(pending)} of {len(tags)} values", "the file looks truncated"
        )
    if not rows:
        raise InputError(path, "_atom_site has no rows", "the file looks truncated")
    return tags, rows, positions


def _unquote(token: str) -> str:
    return token[1:-1] if len(token) > 1 and token[0] == token[-1] and token[0] in "'\"" else token
