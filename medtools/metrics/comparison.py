"""Whether two models differ on the same samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from medtools.core.errors import InputError
from medtools.metrics.intervals import Interval, bootstrap


@dataclass(frozen=True)
class McNemar:
    """Samples that only the first, and only the second model has right, and the two-sided p."""

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True)
class DeLong:
    """Two AUROCs, their difference (first minus second) with interval, z and the two-sided p."""

    first: float
    second: float
    difference: float
    interval: Interval
    z: float
    p: float


def mcnemar(truth: ArrayLike, first: ArrayLike, second: ArrayLike) -> McNemar:
    """McNemar's exact test (Fay 2010, Biostatistics 11:373): binomial, two-sided, on the discordant samples.

    Parameters
    ----------
    truth, first, second : (samples,) array
        True class and the two models' classes.

    Returns
    -------
    McNemar
        p is 1 where no sample is discordant.
    """
    true = np.asarray(truth)
    right, other = np.asarray(first) == true, np.asarray(second) == true
    only_first, only_second = int(np.sum(right & ~other)), int(np.sum(~right & other))
    discordant = only_first + only_second
    p = float(stats.binomtest(only_first, discordant).pvalue) if discordant else 1.0
    return McNemar(only_first, only_second, p)


def delong_interval(positive: ArrayLike, score: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Interval of an AUROC by DeLong's variance (DeLong et al. 1988, Biometrics 44:837), within [0, 1].

    Parameters
    ----------
    positive : (samples,) bool
        Truth; at least two samples of each kind.
    score : (samples,) float
        Higher means more likely positive.
    confidence : float
        Coverage.
    """
    areas, covariance = _delong(positive, np.asarray(score, np.float64)[None])
    half = float(stats.norm.ppf(0.5 + confidence / 2) * np.sqrt(covariance[0, 0]))
    return max(0.0, float(areas[0]) - half), min(1.0, float(areas[0]) + half)


def delong(positive: ArrayLike, first: ArrayLike, second: ArrayLike, *, confidence: float = 0.95) -> DeLong:
    """DeLong's test of two correlated AUROCs (DeLong et al. 1988, Biometrics 44:837).

    Parameters
    ----------
    positive : (samples,) bool
        Truth; at least two samples of each kind.
    first, second : (samples,) float
        The two models' scores of the same samples.
    confidence : float
        Coverage of the difference's interval.

    Returns
    -------
    DeLong
        z is 0 and p is 1 for models that rank all pairs alike.
    """
    areas, covariance = _delong(positive, np.stack([np.asarray(first, np.float64), np.asarray(second, np.float64)]))
    difference = float(areas[0] - areas[1])
    variance = max(0.0, float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]))
    error = float(np.sqrt(variance))
    z = 0.0 if difference == 0 else float(np.divide(difference, error)) if error else np.copysign(np.inf, difference)
    half = float(stats.norm.ppf(0.5 + confidence / 2)) * error
    p = float(2 * stats.norm.sf(abs(z)))
    return DeLong(float(areas[0]), float(areas[1]), difference, (difference - half, difference + half), float(z), p)


def paired_bootstrap(
    measure: Callable[[NDArray[np.generic], NDArray[np.generic]], float],
    truth: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    *,
    subjects: ArrayLike,
    seed: int,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> tuple[float, Interval]:
    """Difference of a measure between two models and its interval, both models judged on the same resamples.

    Parameters
    ----------
    measure : callable
        `measure(truth, output)`.
    truth, first, second : (samples, ...) array
        Truth and the two models' outputs.
    subjects : (samples,) array
        Resampled as wholes.
    seed, resamples, confidence
        Of the interval.

    Returns
    -------
    difference : float
        First minus second.
    interval : (low, high)
    """
    true, one, two = np.asarray(truth), np.asarray(first), np.asarray(second)

    def difference(rows: NDArray[np.int64]) -> float:
        return measure(true[rows], one[rows]) - measure(true[rows], two[rows])

    interval = bootstrap(difference, subjects, seed=seed, resamples=resamples, confidence=confidence)
    return difference(np.arange(len(true))), interval


def _delong(positive: ArrayLike, scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return AUROCs and their covariance from mid-ranks (Sun and Xu 2014, IEEE Signal Process. Lett. 21:1389)."""
    truth = np.asarray(positive, dtype=bool)
    m, n = int(truth.sum()), int((~truth).sum())
    if m < 2 or n < 2:
        raise InputError("DeLong", f"needs two positive and two negative samples, found {m} and {n}")
    cases, controls = scores[:, truth], scores[:, ~truth]
    overall = stats.rankdata(np.concatenate([cases, controls], axis=1), axis=1)
    # How much each case beats the controls, and each control is beaten by the cases.
    of_cases = (overall[:, :m] - stats.rankdata(cases, axis=1)) / n
    of_controls = 1 - (overall[:, m:] - stats.rankdata(controls, axis=1)) / m
    covariance = np.atleast_2d(np.cov(of_cases)) / m + np.atleast_2d(np.cov(of_controls)) / n
    return of_cases.mean(axis=1), covariance
