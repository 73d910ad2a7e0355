"""Square matrices with named rows and columns, as tab-separated text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.atomic import write_text
from medtools.core.errors import InputError
from medtools.core.tables import read_tsv


def write_matrix(path: Path, names: Sequence[str], matrix: NDArray[np.float64], corner: str = "roi") -> None:
    """Write a matrix with its names in the first row and column; every digit is kept.

    Parameters
    ----------
    path : Path
    names : sequence of str
        One per row.
    matrix : (n, n) float64
    corner : str
        What the names are: `roi` or `subject`.

    Raises
    ------
    InputError
        A name that cannot stand in a table.
    """
    for name in names:
        if set(name) & set("\t\r\n"):
            raise InputError(path, f"the name {name!r} holds a tab or a line break", f"rename the {corner}")
    lines = ["\t".join([corner, *names])]
    lines += ["\t".join([name, *map(repr, row)]) for name, row in zip(names, matrix.tolist(), strict=True)]
    write_text(path, "\n".join(lines) + "\n")


def read_matrix(path: Path) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Read a matrix written by `write_matrix`.

    Returns
    -------
    names : tuple of str
    matrix : (n, n) float64

    Raises
    ------
    InputError
        Not square, row and column names differ, or a cell is not a finite number.
    """
    columns, rows = read_tsv(path)
    names = tuple(columns[1:])
    if not names or tuple(row[columns[0]] for row in rows) != names:
        raise InputError(path, f"row names and column names differ ({len(rows)} rows, {len(names)} columns)")
    try:
        matrix = np.array([[float(row[name]) for name in names] for row in rows])
    except ValueError as error:
        raise InputError(path, f"a cell is not a number: {error}") from error
    if not np.isfinite(matrix).all():
        raise InputError(path, "holds NaN or infinity")
    return names, matrix
