"""Candidate pockets in files: our table, the `.types` lists of DeepPocket, and alpha spheres as PQR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.atomic import write_text
from medtools.core.errors import InputError
from medtools.core.tables import MISSING, read_tsv, write_tsv
from medtools.io.structure import read_text

_MANY = 1e6
COLUMNS = ("rank", "x", "y", "z", "score", "druggability", "volume", "n_spheres", "label")


@dataclass(frozen=True)
class Candidate:
    """A candidate pocket.

    Attributes
    ----------
    centre : tuple of float
        Angstrom.
    score, druggability, volume : float
        As the finder gives them, not a number where there is none.
    n_spheres : int
        Alpha spheres, 0 where unknown.
    label : int or None
        1 a binding site, 0 not, None not known.
    """

    centre: tuple[float, float, float]
    score: float = math.nan
    druggability: float = math.nan
    volume: float = math.nan
    n_spheres: int = 0
    label: int | None = None


@dataclass(frozen=True)
class TypesLine:
    """One line of a `.types` file: a labelled candidate, its receptor and (where given) its cavity file."""

    candidate: Candidate
    receptor: str
    cavity: str | None = None


def write_candidates(path: str | Path, candidates: Sequence[Candidate]) -> None:
    """Write candidates, best first, as a tab-separated table."""
    rows = []
    for rank, c in enumerate(candidates, start=1):
        x, y, z = (round(value, 4) for value in c.centre)
        cells = (rank, x, y, z, c.score, c.druggability, c.volume, c.n_spheres, c.label)
        rows.append(dict(zip(COLUMNS, cells, strict=True)))
    write_tsv(path, COLUMNS, rows)


def read_candidates(path: str | Path) -> list[Candidate]:
    """Read a table of candidates in its order; only x, y and z are needed.

    Raises
    ------
    InputError
        A column is missing, or a cell is no finite number.
    """
    path = Path(path)
    columns, rows = read_tsv(path)
    absent = [column for column in "xyz" if column not in columns]
    if absent:
        raise InputError(path, f"no column {absent[0]!r}", f"columns are {', '.join(columns)}")
    candidates = []
    for number, row in enumerate(rows, start=1):
        numbers = {key: _number(path, number, key, text) for key, text in row.items() if key in COLUMNS}
        centre = (numbers["x"], numbers["y"], numbers["z"])
        if not all(math.isfinite(value) for value in centre):
            raise InputError(path, f"row {number}: the centre is not three finite numbers")
        label, n_spheres = numbers.get("label", math.nan), numbers.get("n_spheres", 0.0)
        if not 0 <= n_spheres < _MANY or math.isinf(label):
            raise InputError(
                path, f"row {number}: n_spheres {n_spheres:g} and label {label:g} cannot be", "make it again"
            )
        candidates.append(
            Candidate(
                centre,
                numbers.get("score", math.nan),
                numbers.get("druggability", math.nan),
                numbers.get("volume", math.nan),
                int(n_spheres),
                None if math.isnan(label) else int(label),
            )
        )
    return candidates


def read_types(path: str | Path) -> list[TypesLine]:
    """Read a candidate list of DeepPocket or DRIVPocket: `label x y z receptor [cavity]` on each line.

    Raises
    ------
    InputError
        A line with other fields, a label that is not 0 or 1, or a coordinate that is no finite number.
    """
    path = Path(path)
    lines = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        fields = line.split("#")[0].split()
        if not fields:
            continue
        if len(fields) not in (5, 6) or fields[0] not in ("0", "1"):
            raise InputError(path, f"line {number}: expected 'label x y z receptor [cavity]' with label 0 or 1")
        try:
            x, y, z = (float(field) for field in fields[1:4])
        except ValueError:
            raise InputError(path, f"line {number}: {' '.join(fields[1:4])!r} are not three coordinates") from None
        if not all(map(math.isfinite, (x, y, z))):
            raise InputError(path, f"line {number}: a coordinate is not a finite number")
        candidate = Candidate((x, y, z), label=int(fields[0]))
        lines.append(TypesLine(candidate, fields[4], fields[5] if len(fields) == 6 else None))
    if not lines:
        raise InputError(path, "no candidate in the file", "expected lines of: label x y z receptor [cavity]")
    return lines


def write_spheres(path: str | Path, spheres: Sequence[NDArray[np.float64]]) -> None:
    """Write the alpha spheres of each candidate as PQR: residue number is the candidate's rank, the last column r."""
    lines: list[str] = []
    for rank, group in enumerate(spheres, start=1):
        for x, y, z, radius in group.tolist():
            serial = (len(lines) + 1) % 100_000
            lines.append(f"ATOM  {serial:5d}  C   STP A{rank:4d}    {x:8.3f}{y:8.3f}{z:8.3f}   0.00  {radius:6.2f}")
    write_text(path, "\n".join([*lines, "END"]) + "\n")


def read_spheres(path: str | Path) -> dict[int, NDArray[np.float64]]:
    """Read alpha spheres by rank of their candidate, each (n, 4): x, y, z and radius in angstrom.

    Raises
    ------
    InputError
        A record that is cut short or holds no numbers.
    """
    groups: dict[int, list[list[float]]] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.startswith("ATOM"):
            continue
        try:
            x, y, z = (float(line[start : start + 8]) for start in (30, 38, 46))
            groups.setdefault(int(line[22:26]), []).append([x, y, z, float(line[54:].split()[1])])
        except (ValueError, IndexError):
            raise InputError(path, f"line {number}: not a PQR record of an alpha sphere", "truncated file?") from None
    return {rank: np.array(group) for rank, group in groups.items()}


def _number(path: Path, row: int, column: str, text: str) -> float:
    if text in ("", MISSING):
        return 0.0 if column == "n_spheres" else math.nan
    try:
        return float(text)
    except ValueError:
        raise InputError(path, f"row {row}, column {column!r}: {text!r} is not a number") from None
