"""A radiologist's grades: the authors' sheet or a plain table, with those left out and why."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from medtools.core.errors import InputError
from medtools.core.manifest import Row
from medtools.core.tables import MISSING
from medtools.io.guard import printable
from medtools.io.text import read_rows
from medtools.systems.covid_severity.severity import MAX_SCORE

_NAMES = {
    "id": ("id", "series id", "participant_id"),
    "grade": ("grade", "score", "ground_truth"),
    "age": ("age",),
    "sex": ("sex", "gender"),
    "comment": ("comment", "comments", "reason"),
}
_OLDEST = 130
_NO_GRADE = ("", "-", MISSING, "na", "nan")


@dataclass(frozen=True)
class Grade:
    """One graded scan; `grade` is None where the radiologist gave none, with the comment as the reason."""

    grade: int | None
    age: float
    sex: str
    comment: str = ""


def read_grades(path: Path) -> dict[str, Grade]:
    """Read a table of grades by scan identifier.

    Parameters
    ----------
    path : Path
        TSV or CSV with a header: `id` (or `Series ID`), `grade` (or `Score`, `Ground_truth`), optionally `age`,
        `sex`, `comments`. A grade of "-" excludes the scan.

    Raises
    ------
    InputError
        No such column, a repeated identifier, or a value that is no grade from 0 to 25.
    """
    where = printable(path)
    rows = read_rows(path, padded=True)
    header = {name.strip().lower(): name for name in (rows[0] if rows else {}) if name}
    columns = {key: next((header[name] for name in names if name in header), None) for key, names in _NAMES.items()}
    for key in ("id", "grade"):
        if columns[key] is None:
            raise InputError(where, f"no column {key!r}", f"columns are {', '.join(header.values()) or 'none'}")
    grades: dict[str, Grade] = {}
    for number, row in enumerate(rows, start=2):
        cells = {key: row[name].strip() for key, name in columns.items() if name is not None}
        if not cells["id"]:
            continue
        if cells["id"] in grades:
            raise InputError(where, f"line {number}: {cells['id']!r} is graded twice")
        grades[cells["id"]] = _grade(cells, f"{where}: line {number}")
    return grades


def grades_of(rows: Iterable[Row], where: Path) -> dict[str, Grade]:
    """Take the grades from a manifest's own columns; rows without a grade are left out."""
    found: dict[str, Grade] = {}
    for row in rows:
        cells: Mapping[str, str] = {name: row.get(name) or "" for name in ("grade", "age", "sex")}
        if cells["grade"]:
            found[row.id] = _grade(cells, f"{where}: row {row.id}")
    return found


def _grade(cells: Mapping[str, str], where: str) -> Grade:
    text = cells["grade"]
    grade = None
    if text.lower() not in _NO_GRADE:
        value = _number(text, where, "grade")
        if value != int(value) or not 0 <= value <= MAX_SCORE:
            raise InputError(where, f"grade {text!r}, expected a whole number from 0 to {MAX_SCORE}, or - for none")
        grade = int(value)
    age_text = cells.get("age", "").rstrip("Yy")  # DICOM writes 045Y
    age = math.nan if age_text.lower() in _NO_GRADE else _number(age_text, where, "age")
    if not math.isnan(age) and not 0 <= age <= _OLDEST:
        raise InputError(where, f"age {age_text!r}, expected years from 0 to {_OLDEST}")
    sex = cells.get("sex", "").upper()[:1]
    return Grade(grade, age, sex if sex in ("F", "M") else "", cells.get("comment", ""))


def _number(text: str, where: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise InputError(where, f"{what} {text!r} is no number") from error
    if not math.isfinite(value):
        raise InputError(where, f"{what} {text!r} is no number")
    return value
