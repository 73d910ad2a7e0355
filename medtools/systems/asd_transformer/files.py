"""Files of asd-transformer: connectivity matrices, ROI time series, the table of communities."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.io.arrays import choose_array, read_mat, read_npy, read_npz
from medtools.io.grids import write_arrays
from medtools.io.guard import printable, read_text
from medtools.io.text import DELIMITERS, read_numbers, read_rows
from medtools.io.timeseries import Layout, RoiSeries, make_series, read_series
from medtools.systems.asd_transformer.cohort import COMMUNITIES
from medtools.systems.asd_transformer.connectivity import symmetric

_ROUNDING = 1e-5


@dataclass(frozen=True)
class Connectivity:
    """One subject's correlations.

    Attributes
    ----------
    matrix : (n_rois, n_rois) float32
        In [-1, 1], symmetric, 1 on the diagonal.
    rois : tuple of str or None
        Names, where the file has them.
    series : (n_rois, n_samples) float32 or None
        What it was computed from, where the file has it.
    """

    matrix: NDArray[np.float32]
    rois: tuple[str, ...] | None = None
    series: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Communities:
    """Community of each ROI: `number` indexes `names`."""

    number: NDArray[np.int64]
    names: tuple[str, ...]


def read_connectivity(path: Path, subject: str) -> Connectivity:
    """Read a correlation matrix: `.npz` (`matrix`, `roi_names`), `.npy`, `.mat`, `.tsv` or `.csv`.

    Raises
    ------
    InputError
        Not a square symmetric matrix of correlations; NaN names the subject and the ROI.
    """
    suffix, rois, series = path.suffix.lower(), None, None
    if suffix == ".npz":
        arrays = read_npz(path)
        matrix = choose_array(arrays, "matrix" if "matrix" in arrays else None, printable(path))
        rois = tuple(map(str, arrays["roi_names"].tolist())) if "roi_names" in arrays else None
        series = arrays.get("series")
    elif suffix == ".npy":
        matrix = read_npy(path)
    elif suffix == ".mat":
        matrix = read_mat(path)
    elif suffix in DELIMITERS:
        table = read_numbers(path)
        matrix, rois = table.values, table.names
    else:
        raise InputError(path, "no format of connectivity matrices", "known: .npz, .npy, .mat, .tsv, .csv")
    return Connectivity(check_connectivity(matrix, rois, f"{path} (subject {subject})"), rois, series)


def check_connectivity(matrix: NDArray, rois: tuple[str, ...] | None, where: str) -> NDArray[np.float32]:
    """Return a checked matrix, its diagonal set to 1.

    Raises
    ------
    InputError
        As `read_connectivity`.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        shape = "x".join(map(str, matrix.shape))
        raise InputError(where, f"expected a square matrix, found {shape}", "time series go in column 'series'")
    if rois is not None and len(rois) != len(matrix):
        raise InputError(where, f"{len(rois)} ROI names for {len(matrix)} ROIs")
    values = matrix.astype(np.float64)
    broken = ~np.isfinite(values)
    np.fill_diagonal(broken, False)
    if broken.any():
        row = int(np.argmax(broken.sum(axis=0) + broken.sum(axis=1)))
        name = rois[row] if rois else f"{row + 1}"
        raise InputError(where, f"ROI {name} has connectivity that is no number", "drop the subject, or the ROI")
    np.fill_diagonal(values, 1.0)
    if np.abs(values - values.T).max() > _ROUNDING:
        raise InputError(where, "the matrix is not symmetric", "give correlations, not a directed measure")
    if np.abs(values).max() > 1 + _ROUNDING:
        found = f"holds {np.abs(values).max():.3g}, a correlation lies in [-1, 1]"
        raise InputError(where, found, "undo Fisher's z, and use --fisher-z in training")
    return symmetric(values).astype(np.float32)


def write_connectivity(path: Path, found: Connectivity) -> None:
    """Write a connectivity file: `matrix`, and `roi_names` and `series` where known."""
    arrays: dict[str, NDArray] = {"matrix": found.matrix}
    if found.rois is not None:
        arrays["roi_names"] = np.array(found.rois)
    if found.series is not None:
        arrays["series"] = found.series
    write_arrays(path, arrays)


def read_roi_series(path: Path, layout: Layout = "auto") -> RoiSeries:
    """Read one subject's ROI series: `.1D` of ABIDE's preprocessed releases, or whatever `read_series` takes.

    Raises
    ------
    InputError
        As `read_series`.
    """
    if path.suffix.lower() != ".1d":
        return read_series(path, layout=layout)
    where = printable(path)
    lines = [line.split() for line in read_text(path).splitlines() if line.strip()]
    names = tuple(cell.lstrip("#") for cell in lines[0]) if lines and lines[0][0].startswith("#") else None
    rows = lines[1:] if names else lines
    if not rows or len({len(row) for row in rows}) != 1:
        raise InputError(where, "rows of different lengths, or none", "expected one row per time point")
    try:
        values = np.array(rows, dtype=np.float64).T
    except ValueError as error:
        raise InputError(where, f"a cell is no number: {error}") from error
    return make_series(values, names, None, where)


def read_communities(path: Path, rois: tuple[str, ...]) -> Communities:
    """Read the community of each ROI from a `.tsv` or `.csv` table.

    Columns: `roi` (name, or number from 1), `community` (a whole number; its order is the order of communities) and
    optionally `name`. Without names, 0 to 7 are called as Yeo's networks.

    Raises
    ------
    InputError
        A column is missing, a ROI is missing, unknown or named twice, or the numbers of ROIs differ.
    """
    delimiter = DELIMITERS.get(path.suffix.lower())
    if delimiter is None:
        raise InputError(path, "expected a .tsv or .csv table")
    rows = read_rows(path, delimiter)
    if not rows or not {"roi", "community"} <= rows[0].keys():
        raise InputError(path, "expected the columns roi and community")
    if len(rows) != len(rois):
        raise InputError(path, f"names {len(rows)} ROIs, the data have {len(rois)}", "give the table of this atlas")
    by_name = {row["roi"]: row for row in rows}
    keys = rois if set(rois) <= by_name.keys() else tuple(str(i) for i in range(1, len(rois) + 1))
    absent = [key for key in keys if key not in by_name]
    if absent:
        raise InputError(path, f"has no ROI {rois[keys.index(absent[0])]!r}", "name ROIs as the data do, or from 1")
    try:
        numbers = [int(by_name[key]["community"]) for key in keys]
    except ValueError as error:
        raise InputError(path, f"a community is no whole number: {error}") from error
    distinct = sorted(set(numbers))
    names = {int(row["community"]): row.get("name") or _community_name(int(row["community"])) for row in rows}
    return Communities(np.searchsorted(distinct, numbers), tuple(names[number] for number in distinct))


def _community_name(number: int) -> str:
    known = tuple(COMMUNITIES)
    return known[number] if 0 <= number < len(known) else f"community {number}"
