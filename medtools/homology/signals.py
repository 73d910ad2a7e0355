"""From a subject's series to point clouds: usable or not, scaled, lag in samples, embedded."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.homology.embedding import sliding_window
from medtools.homology.params import DiagramParams
from medtools.io.timeseries import RoiSeries, check_series

_TR_TOLERANCE = 0.01


def check_usable(series: RoiSeries, params: DiagramParams) -> None:
    """Refuse a subject with a dead ROI, by the authors' exclusion rule.

    Raises
    ------
    InputError
        An ROI is constant or, unless zeros are kept, exactly 0 anywhere: the sphere left the field of view.
    """
    problems = check_series(series)
    if params.keep_zeros:
        problems = [problem for problem in problems if np.ptp(series.values[problem.row]) == 0.0]
    if problems:
        more = f" (and {len(problems) - 1} more ROIs)" if len(problems) > 1 else ""
        fix = "" if params.keep_zeros else "if the data are rounded, see --keep-zeros"
        raise InputError(series.source, f"subject left out: {problems[0]}{more}", fix)


def repetition_time(series: RoiSeries, params: DiagramParams) -> float | None:
    """Return the repetition time in ms, the user's checked against what the file says, or None where neither says.

    Raises
    ------
    InputError
        They differ by more than 1 %.
    """
    given, stated = params.tr, series.tr_ms
    if given is None or stated is None or params.force_tr:
        return stated if given is None else given
    if abs(given - stated) > _TR_TOLERANCE * stated:
        found = f"its side-car says TR {stated:g} ms but --tr is {given:g} ms"
        raise InputError(series.source, found, "drop --tr, correct the side-car, or use --force-tr")
    return given


def samples_of_lag(params: DiagramParams, tr_ms: float | None, where: str = "--lag-ms") -> int:
    """Return the embedding lag in samples; errors name `where`.

    Raises
    ------
    InputError
        The lag is given in milliseconds and the repetition time is unknown or does not divide it.
    """
    if params.lag_ms is None:
        return params.lag
    if tr_ms is None:
        raise InputError(where, "--lag-ms needs the repetition time, and no side-car states it", "give --tr in ms")
    samples = params.lag_ms / tr_ms
    if not math.isclose(samples, round(samples), rel_tol=1e-6) or round(samples) < 1:
        found = f"a lag of {params.lag_ms:g} ms is {samples:.4g} samples at TR {tr_ms:g} ms, not a whole number"
        raise InputError(where, found, f"use --lag-ms with a multiple of {tr_ms:g}")
    return round(samples)


def scaled(values: NDArray[np.float64], params: DiagramParams) -> NDArray[np.float64]:
    """Standardise series along their last axis with the sample standard deviation, unless told not to."""
    if params.standardize == "none":
        return values
    spread = values.std(axis=-1, ddof=1, keepdims=True)
    return (values - values.mean(axis=-1, keepdims=True)) / np.where(spread > 0, spread, 1.0)


def clouds(series: RoiSeries, params: DiagramParams) -> list[NDArray[np.float64]]:
    """Embed every ROI of a subject.

    Returns
    -------
    list of (n_points, M + 1) float64

    Raises
    ------
    InputError
        Too few samples for the window, or a lag that is not a whole number of samples.
    """
    lag = samples_of_lag(params, repetition_time(series, params), series.source)
    n_samples = series.values.shape[1]
    needed = params.dimension * lag + 2
    if n_samples < needed:
        found = f"{n_samples} samples, a window of {params.dimension + 1} with lag {lag} needs {needed}"
        raise InputError(series.source, found, "lower --dimension or --lag")
    authors = params.compat == "authors"
    return [sliding_window(row, params.dimension, lag, compat_authors=authors) for row in scaled(series.values, params)]
