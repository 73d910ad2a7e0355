"""Confidence intervals: for a proportion, and for any statistic by resampling subjects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from medtools.core.seeds import generator

Interval = tuple[float, float]
_CHUNK = 250


def wilson(successes: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927, JASA 22:209), without continuity correction.

    Parameters
    ----------
    successes, trials : int
        Independent trials; samples of one subject are not.
    confidence : float
        Coverage.

    Returns
    -------
    (low, high)
        In [0, 1]; NaN without trials.
    """
    if trials == 0:
        return np.nan, np.nan
    z = float(stats.norm.ppf(0.5 + confidence / 2))
    share = successes / trials
    centre = share + z**2 / (2 * trials)
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    scale = 1 + z**2 / trials
    low, high = (centre - half) / scale, (centre + half) / scale
    # At the ends the bound is the end itself; rounding leaves it some 1e-17 beside.
    return (0.0 if successes == 0 else float(low)), (1.0 if successes == trials else float(high))


def resampled_counts(subjects: ArrayLike, *, seed: int, resamples: int = 2000) -> Iterator[NDArray[np.int64]]:
    """Draw subjects with replacement and yield how often each sample was drawn, some resamples at a time.

    Parameters
    ----------
    subjects : (samples,) array
        Samples of one subject are drawn together (cluster bootstrap).
    seed : int
        Of the draws.
    resamples : int
        How many in all.

    Yields
    ------
    (some, samples) int64
        Nothing for a single subject: drawing it again and again says nothing of others.
    """
    _, unit = np.unique(np.asarray(subjects), return_inverse=True)
    units = int(unit.max()) + 1
    if units < 2:
        return
    rng = generator(seed, "bootstrap")
    for start in range(0, resamples, _CHUNK):
        some = min(_CHUNK, resamples - start)
        drawn = rng.integers(units, size=(some, units)) + units * np.arange(some)[:, None]
        yield np.bincount(drawn.ravel(), minlength=some * units).reshape(some, units)[:, unit]


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    subjects: ArrayLike,
    *,
    seed: int,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval of any statistic, resampling subjects (Efron and Tibshirani 1993, ch. 13).

    Parameters
    ----------
    statistic : callable
        `statistic(indices)` is the statistic of these samples, some of them several times.
    subjects : (samples,) array
        Resampled as wholes.
    seed, resamples, confidence
        Of the interval.

    Returns
    -------
    (low, high)
        As `percentile_interval`; NaN for a single subject.
    """
    counts = resampled_counts(subjects, seed=seed, resamples=resamples)
    values = [statistic(np.repeat(np.arange(len(row)), row)) for rows in counts for row in rows]
    return percentile_interval(values, confidence=confidence)


def percentile_interval(values: Sequence[ArrayLike], *, confidence: float = 0.95) -> Interval:
    """Return the central percentiles of resampled values, leaving out those that are not numbers.

    A resample may lack a class, which leaves some statistics undefined; NaN if all of them are, or there are none.

    Parameters
    ----------
    values : sequence of float or array
        In pieces, such as `resampled_counts` leads to.
    confidence : float
    """
    pieces = [np.ravel(np.asarray(piece, dtype=np.float64)) for piece in values]
    finite = np.concatenate(pieces) if pieces else np.empty(0)
    finite = finite[np.isfinite(finite)]
    if not len(finite):
        return np.nan, np.nan
    low, high = np.percentile(finite, [50 - 50 * confidence, 50 + 50 * confidence])
    return float(low), float(high)
