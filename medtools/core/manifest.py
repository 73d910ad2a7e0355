"""The manifest: one row per sample, path columns relative to the manifest, and every fault named by row."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medtools.core.atomic import relative_path
from medtools.core.errors import InputError
from medtools.core.tables import MISSING, read_tsv, write_tsv

REQUIRED = ("id", "subject")
_NAME_BYTES = 200  # file systems take 255, a suffix included


@dataclass(frozen=True)
class Row:
    """One sample: its identifier, its subject, and the other cells as text (`n/a` left out)."""

    id: str
    subject: str
    cells: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, Path] = field(default_factory=dict)

    def get(self, column: str) -> str | None:
        """Return the cell of `column`, or None where it is missing."""
        return self.cells.get(column)


@dataclass(frozen=True)
class Manifest:
    """A checked manifest."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def labels(self, column: str, allowed: Sequence[str] | None = None) -> list[str]:
        """Return one label per row.

        Raises
        ------
        InputError
            The column is missing, a cell is empty, or a label is not in `allowed`.
        """
        if column not in self.columns:
            raise InputError(self.path, f"no column {column!r}", f"columns are {', '.join(self.columns)}")
        for row in self.rows:
            label = row.get(column)
            if label is None:
                raise InputError(self.path, f"row {row.id!r} has no value in column {column!r}")
            if allowed is not None and label not in allowed:
                raise InputError(
                    self.path, f"row {row.id!r}: unknown {column} {label!r}", f"known: {', '.join(allowed)}"
                )
        return [row.cells[column] for row in self.rows]


def read_manifest(path: str | Path, path_columns: Sequence[str] = (), optional: Sequence[str] = ()) -> Manifest:
    """Read and check a manifest before any work starts.

    Parameters
    ----------
    path : str or Path
        `manifest.tsv`, tab-separated, with at least the columns `id` and `subject`.
    path_columns : sequence of str
        Columns that name files, relative to the manifest's folder; each file must exist inside that folder.
    optional : sequence of str
        Columns that name files likewise, but may be missing altogether, or empty in some rows.

    Raises
    ------
    InputError
        Missing column or file, duplicate or unusable id, a path outside the manifest's folder, a subject in two
        splits: each with row and column.
    """
    path = Path(path)
    columns, rows = read_tsv(path)
    for column in (*REQUIRED, *path_columns):
        if column not in columns:
            raise InputError(path, f"no column {column!r}", f"columns are {', '.join(columns)}")
    if not rows:
        raise InputError(path, "no rows below the header")
    seen: set[str] = set()
    checked = []
    for cells in rows:
        row = _row(path, cells, path_columns, optional)
        if row.id in seen:
            raise InputError(path, f"id {row.id!r} appears more than once in column 'id'")
        seen.add(row.id)
        checked.append(row)
    _check_splits(path, checked)
    return Manifest(path, tuple(columns), tuple(checked))


def write_manifest(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a manifest; values of type Path are stored relative to the manifest's folder."""
    folder = Path(path).parent
    relative = [
        {key: relative_path(value, folder) if isinstance(value, Path) else value for key, value in row.items()}
        for row in rows
    ]
    write_tsv(path, columns, relative)


def file_below(table: Path, place: str, text: str) -> Path:
    """Return what a cell of a table names, which has to lie in the table's folder or below (also through links).

    Parameters
    ----------
    table : Path
    place : str
        Where in it, for messages, such as `line 3`.
    text : str
        The cell.

    Raises
    ------
    InputError
        It leads outside, is no usable path, or does not exist.
    """
    folder = table.parent.resolve()
    try:
        target = (folder / text).resolve()
        exists = target.exists()
    except (OSError, RuntimeError, ValueError) as error:  # a link to itself, a NUL character, a name too long
        raise InputError(table, f"{place}: {text!r} is no path of a file") from error
    if not target.is_relative_to(folder):
        fix = "move the manifest above its files"
        raise InputError(table, f"{place}: {text} lies outside the manifest's folder", fix)
    if not exists:
        raise InputError(table, f"{place}: no such file {text}")
    return table.parent / text


def safe_name(text: str) -> bool:
    """Tell whether `text` can name files: not empty, no path separator, no leading dot or dash, printable, not long."""
    return text[:1] not in ("", ".", "-") and text.isprintable() and not set(text) & set("/\\") and _is_short(text)


def check_recordable(path: Path) -> None:
    """Refuse a path that no manifest or record could hold.

    Raises
    ------
    InputError
        It holds control characters, or bytes that are not UTF-8.
    """
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in str(path)):
        raise InputError(path, "the name holds control characters or is not UTF-8", "rename it")


def _is_short(name: str) -> bool:
    return len(name.encode("utf-8", "replace")) <= _NAME_BYTES


def _row(manifest: Path, cells: dict[str, str], path_columns: Sequence[str], optional: Sequence[str]) -> Row:
    present = {key: value for key, value in cells.items() if value not in ("", MISSING)}
    identifier, subject = present.get("id", ""), present.get("subject", "")
    if not safe_name(identifier):
        raise InputError(manifest, f"id {identifier!r} cannot name files", "use letters, digits, '-', '_' and '.'")
    if not subject:
        raise InputError(manifest, f"row {identifier!r} has no value in column 'subject'")
    for column in path_columns:
        if column not in present:
            raise InputError(manifest, f"row {identifier!r} has no file in column {column!r}")
    named = [*path_columns, *(column for column in optional if column in present)]
    paths = {c: file_below(manifest, f"row {identifier!r}, column {c!r}", present[c]) for c in named}
    return Row(identifier, subject, present, paths)


def _check_splits(manifest: Path, rows: Sequence[Row]) -> None:
    splits: dict[str, str] = {}
    for row in rows:
        split = row.get("split")
        if split is not None and splits.setdefault(row.subject, split) != split:
            raise InputError(
                manifest,
                f"subject {row.subject!r} is in splits {splits[row.subject]!r} and {split!r}",
                "keep all samples of a subject in one split",
            )
