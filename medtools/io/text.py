"""Delimited text: tables of numbers as they stand in the file, tables of words, every fault named by line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.io.guard import printable, read_text

DELIMITERS = {".tsv": "\t", ".csv": ","}
"""What a suffix promises; a file that uses another delimiter is refused, not guessed at."""
_DELIMITER_NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars", " ": "spaces"}


def read_rows(path: str | Path, delimiter: str | None = None, *, padded: bool = False) -> list[dict[str, str]]:
    """Read a delimited table of text with a header, as spreadsheets write it: one mapping of column to cell per row.

    Parameters
    ----------
    path : str or Path
        UTF-8 text; cells may be quoted.
    delimiter : str, optional
        By default a tab where the header has one, else a comma.
    padded : bool
        Take cells that are missing at the end of a row as empty, for sheets that people keep by hand.

    Raises
    ------
    InputError
        As `read_text`, a row with another number of cells than the header, or a cell of more than 128 KiB (usually a
        quote that is never closed).
    """
    where, text = printable(path), read_text(path)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter or ("\t" if "\t" in text.partition("\n")[0] else ","))
    try:
        (_, header), *body = [(reader.line_num, cells) for cells in reader if cells] or [(1, [])]
    except csv.Error as error:
        raise InputError(where, f"line {reader.line_num}: {error}", "is a quote left open?") from error
    rows = []
    for line, cells in body:
        if any(cells[len(header) :]) or (len(cells) < len(header) and not padded):
            raise InputError(where, f"line {line} has {len(cells)} cells, the header has {len(header)}")
        rows.append(dict(zip_longest(header, cells[: len(header)], fillvalue="")))
    return rows


@dataclass(frozen=True)
class NumberTable:
    """Numbers of a text file.

    Attributes
    ----------
    names : tuple of str or None
        Column names, None where the file has no header.
    values : (n_rows, n_columns) float64
        Rows and columns as they stand in the file.
    comments : tuple of str
        Leading lines that start with `#`, without it.
    """

    names: tuple[str, ...] | None
    values: NDArray[np.float64]
    comments: tuple[str, ...]


def read_numbers(path: str | Path) -> NumberTable:
    """Read a `.tsv` or `.csv` file of numbers.

    Leading `#` lines are comments; the last of them is the header if it has a name for each column (as
    `numpy.savetxt` writes it). The first row is a header if its cells are names, or count 0, 1, 2, ... above numbers
    that are not whole (as pandas writes it); rows that could be labels or samples are refused. A nameless first column
    that counts 0, 1, 2, ... (a pandas index) goes.

    Parameters
    ----------
    path : str or Path
        UTF-8 text; the suffix says the delimiter, tab or comma.

    Returns
    -------
    NumberTable

    Raises
    ------
    InputError
        Empty file, header only, wrong delimiter, ragged row, a cell that is no number, a header that mixes names and
        numbers.
    """
    where, delimiter = printable(path), DELIMITERS[Path(path).suffix.lower()]
    lines = read_text(path).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    n_comments = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    comments = [line[1:].strip() for line in lines[:n_comments]]
    rows = _cells(lines, n_comments, delimiter, where)
    first = next(rows, None)
    if first is None:
        raise InputError(where, "no numbers in the file", "give one row per time point")
    names = _header(first[1], where, first[0])
    body = list(_numbers(rows if names else _chain(first, rows), names, delimiter, where))
    if not body:
        raise InputError(where, "a header and no rows below it", "give one row per time point")
    values = np.array(body)
    if names is None and _may_be_labels(first[1]):
        names, values = _numbered_columns(first[1], values, where)
    if names is None:
        names, comments = _commented_header(comments, delimiter, values.shape[1])
    if names and names[0] == "" and values.shape[1] > 1 and np.array_equal(values[:, 0], np.arange(len(values))):
        names, values = names[1:], values[:, 1:]
    return NumberTable(names, values, tuple(comments))


def _cells(lines: list[str], start: int, delimiter: str, where: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number (from 1) and cells of each line from index `start` on."""
    reader = csv.reader(lines[start:], delimiter=delimiter, strict=True)
    try:
        for row in reader:
            yield start + reader.line_num, row
    except csv.Error as error:
        raise InputError(where, f"line {start + reader.line_num}: {error}") from error


def _chain(first: tuple[int, list[str]], rest: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
    yield first
    yield from rest


def _numbers(
    rows: Iterator[tuple[int, list[str]]], names: tuple[str, ...] | None, delimiter: str, where: str
) -> Iterator[NDArray[np.float64]]:
    expected = len(names) if names else None
    for line, cells in rows:
        if not cells or (len(cells) == 1 and not cells[0].strip()):
            raise InputError(where, f"line {line} is empty", "remove it, or give its numbers")
        if expected is not None and len(cells) != expected:
            _refuse_other_delimiter(cells, delimiter, where)
            raise InputError(where, f"line {line} has {len(cells)} columns, the lines above have {expected}")
        expected = len(cells)
        try:
            yield np.array(cells, dtype=np.float64)
        except ValueError as error:
            _refuse_other_delimiter(cells, delimiter, where)
            column = next(i for i, cell in enumerate(cells) if not _is_number(cell))
            label = f" ({names[column]!r})" if names else ""
            found = f"line {line}, column {column + 1}{label}: {cells[column][:40]!r} is not a number"
            raise InputError(where, found, "every sample must be a finite number") from error


def _refuse_other_delimiter(cells: list[str], delimiter: str, where: str) -> None:
    for other, name in _DELIMITER_NAMES.items():
        if other != delimiter and any(_all_numbers(cell.split(other)) for cell in cells):
            suffix = next(suffix for suffix, promised in DELIMITERS.items() if promised == delimiter)
            raise InputError(
                where,
                f"numbers are separated by {name}, but {suffix} promises {_DELIMITER_NAMES[delimiter]}",
                "convert the file, or rename it if only the suffix is wrong",
            )


def _all_numbers(cells: list[str]) -> bool:
    return len(cells) > 1 and all(_is_number(cell) for cell in cells if cell.strip())


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_whole(cell: str) -> bool:
    return cell.strip().lstrip("+-").isdigit()


def _header(cells: list[str], where: str, line: int) -> tuple[str, ...] | None:
    """Return the names in a row, None for a row of numbers."""
    stripped = tuple(cell.strip() for cell in cells)
    numbers = [cell for cell in stripped if _is_number(cell)]
    if stripped and len(numbers) == len(stripped):
        return None
    decimals = [cell for cell in numbers if not _is_whole(cell)]
    if decimals:
        other = next((cell for cell in stripped if not _is_number(cell)), "")
        found = f"line {line} mixes numbers ({decimals[0]!r}) and text ({other[:40]!r})"
        raise InputError(where, found, "give a header of ROI names, or numbers only")
    return stripped


def _may_be_labels(cells: list[str]) -> bool:
    """Whether a row of numbers could be column numbers or region codes: whole, written so, and all different."""
    return len(cells) > 1 and all(_is_whole(cell) for cell in cells) and len(set(cells)) == len(cells)


def _numbered_columns(
    cells: list[str], values: NDArray[np.float64], where: str
) -> tuple[tuple[str, ...] | None, NDArray[np.float64]]:
    """Decide whether a first row of whole numbers is a header (pandas writes 0, 1, 2, ...) or the first sample."""
    counts = np.array_equal(values[0] - values[0, 0], np.arange(len(cells))) and values[0, 0] in (0.0, 1.0)
    has_decimals = bool(np.any(values[1:] != np.rint(values[1:])))
    if counts and has_decimals:
        return tuple(cell.strip() for cell in cells), values[1:]
    if not counts and not has_decimals:
        return None, values
    raise InputError(
        where,
        f"the first row holds whole numbers ({cells[0][:20]}, {cells[1][:20]}, ...): column labels or samples?",
        "give a header of names, or write samples with decimals",
    )


def _commented_header(comments: list[str], delimiter: str, n_columns: int) -> tuple[tuple[str, ...] | None, list[str]]:
    if not comments or n_columns < 2:
        return None, comments
    cells = tuple(cell.strip() for cell in comments[-1].split(delimiter))
    if len(cells) != n_columns or all(_is_number(cell) for cell in cells):
        return None, comments
    return cells, comments[:-1]
