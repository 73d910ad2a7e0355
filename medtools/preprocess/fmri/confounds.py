"""Nuisance regression: motion with derivatives, tissue means, constant and linear trend, through nilearn."""

from __future__ import annotations

import difflib
import fnmatch
import math
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from nilearn.signal import clean

from medtools.core.errors import InputError
from medtools.preprocess.fmri.rigid import PARAMETERS

TISSUES = ("white_matter", "csf")
GLOBAL_SIGNAL = "global_signal"
DERIVATIVES = tuple(f"{name}_derivative1" for name in PARAMETERS)
DEFAULT_COLUMNS = (*PARAMETERS, *DERIVATIVES, *TISSUES)

Table = dict[str, np.ndarray]


def motion_table(parameters: np.ndarray) -> Table:
    """Name the six parameters and their backward differences as fMRIPrep does; the first difference is 0.

    Parameters
    ----------
    parameters : (n_volumes, 6) array
        Translations in mm, rotations in radians.
    """
    steps = np.diff(parameters, axis=0, prepend=parameters[:1])
    columns = dict(zip(PARAMETERS, parameters.T, strict=True))
    return columns | dict(zip(DERIVATIVES, steps.T, strict=True))


def parse_table(columns: Sequence[str], rows: Sequence[Mapping[str, str]], n_volumes: int, where: str) -> Table:
    """Turn a confounds table as text into numbers; `n/a` (the first row of derivatives) is 0.

    Raises
    ------
    InputError
        Another number of rows than volumes, or a cell that is no finite number.
    """
    if len(rows) != n_volumes:
        raise InputError(where, f"{len(rows)} rows, the image has {n_volumes} volumes")
    table = {}
    for column in columns:
        try:
            values = np.array([0.0 if row[column] in ("n/a", "NaN", "nan", "") else float(row[column]) for row in rows])
        except ValueError:
            continue  # a column of words can be no regressor; asking for it by name is refused in `select_columns`
        if all(math.isfinite(value) for value in values):
            table[column] = values
    return table


def select_columns(table: Table, wanted: Sequence[str], where: str) -> Table:
    """Pick columns by name or by pattern such as `a_comp_cor_0*`.

    Raises
    ------
    InputError
        A name or pattern that matches no column of numbers.
    """
    chosen: Table = {}
    for pattern in wanted:
        names = fnmatch.filter(table, pattern)
        if not names:
            close = difflib.get_close_matches(pattern, table, n=1)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(list(table)[:8])} ..."
            raise InputError(where, f"no confound {pattern!r}", hint)
        chosen |= {name: table[name] for name in names}
    return chosen


def regress(
    series: np.ndarray,
    confounds: Table,
    tr_ms: float,
    *,
    standardize: bool = True,
    low_pass_hz: float | None = None,
    high_pass_hz: float | None = None,
) -> np.ndarray:
    """Remove confounds, constant and linear trend from each series by least squares.

    Parameters
    ----------
    series : (n_series, n_volumes) array
    confounds : dict of (n_volumes,) arrays
    tr_ms : float
        Repetition time in ms, for the filters.
    standardize : bool
        Divide by the sample standard deviation afterwards (`zscore_sample`).
    low_pass_hz, high_pass_hz : float, optional
        Butterworth filter; none by default.

    Returns
    -------
    (n_series, n_volumes) float64 array
        A constant series becomes 0.

    Raises
    ------
    InputError
        No degree of freedom left, or a filter beyond what the repetition time can carry.
    """
    n_volumes, removed = series.shape[1], len(confounds) + 2
    if n_volumes <= removed:
        raise InputError(
            "nuisance regression",
            f"{n_volumes} volumes cannot carry {len(confounds)} confounds and a trend",
            "select fewer with --confounds",
        )
    nyquist = 500.0 / tr_ms
    for name, value in (("--low-pass", low_pass_hz), ("--high-pass", high_pass_hz)):
        if value is not None and value >= nyquist:
            raise InputError(name, f"{value:g} Hz is not below {nyquist:.4g} Hz, half the sampling rate")
    constant = np.ptp(series, axis=1) == 0
    cleaned = np.zeros(series.shape)
    if constant.all():
        return cleaned
    moving = [values for values in confounds.values() if np.ptp(values) > 0]
    with warnings.catch_warnings():
        # nilearn 0.14 announces how it scales confounds even to callers who scale them themselves.
        warnings.filterwarnings("ignore", message="From release 0.14.0, confounds", category=DeprecationWarning)
        cleaned[~constant] = clean(
            np.asarray(series[~constant], dtype=np.float64).T,
            detrend=True,
            standardize="zscore_sample" if standardize else None,
            confounds=np.stack([(values - values.mean()) / values.std() for values in moving], axis=1)
            if moving
            else None,
            standardize_confounds=False,
            filter="butterworth" if low_pass_hz or high_pass_hz else False,
            low_pass=low_pass_hz,
            high_pass=high_pass_hz,
            t_r=tr_ms / 1e3,
        ).T
    return cleaned
