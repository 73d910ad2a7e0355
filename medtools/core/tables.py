"""The one way to read and write tab-separated tables."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medtools.core.atomic import write_text
from medtools.core.errors import InputError

MISSING = "n/a"


def read_tsv(path: str | Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read a tab-separated table with a header.

    Returns
    -------
    columns : list of str
    rows : list of dict
        Column name to cell text; missing values stay as written (`n/a` in BIDS).

    Raises
    ------
    InputError
        Missing file, not UTF-8, no header, duplicate column, or a row with another number of cells.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(path, "no such file") from error
    except IsADirectoryError as error:
        raise InputError(path, "is a folder, expected a tab-separated table") from error
    except UnicodeDecodeError as error:
        raise InputError(path, f"not UTF-8 text (byte {error.start})", "save it as UTF-8") from error
    # Only line feeds end a line: str.splitlines() would also split a cell at U+2028 and its like.
    lines = [(number, line.split("\t")) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if not lines:
        raise InputError(path, "empty table")
    header = lines[0][1]
    repeated = {name for name in header if header.count(name) > 1}
    if repeated:
        raise InputError(path, f"column {sorted(repeated)[0]!r} appears more than once")
    rows = []
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            raise InputError(path, f"line {number} has {len(cells)} cells, the header has {len(header)}")
        rows.append(dict(zip(header, cells, strict=True)))
    return header, rows


def write_tsv(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write a tab-separated table atomically and return its path; floats keep every digit, missing values are `n/a`."""
    write_text(path, as_tsv(columns, rows))
    return Path(path)


def as_tsv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Format rows as tab-separated text with a header."""
    buffer = io.StringIO()
    buffer.write("\t".join(columns) + "\n")
    for row in rows:
        buffer.write("\t".join(_cell(row.get(column)) for column in columns) + "\n")
    return buffer.getvalue()


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return MISSING
    if isinstance(value, float):
        return repr(float(value))
    return str(value).replace("\t", " ").replace("\r", " ").replace("\n", " ")
