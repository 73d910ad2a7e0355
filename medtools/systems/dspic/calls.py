"""From probabilities of N, M and A to what is called: one disease, or both."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medtools.systems.dspic.cohort import CLASSES

BOTH = "MA"
_TAUS = np.round(np.arange(0.02, 0.5, 0.02), 2)


def top1(probabilities: NDArray[np.float64]) -> list[str]:
    """Return the likeliest of N, M and A."""
    return [CLASSES[number] for number in probabilities.argmax(axis=1)]


def top2_is_both(probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell whether M and A are the two likeliest, whatever their probabilities, (n,)."""
    return probabilities.argmin(axis=1) == CLASSES.index("N")


def threshold(probabilities: NDArray[np.float64], tau: float) -> list[str]:
    """Call both diseases where they are the two likeliest and the second has at least `tau`; else the likeliest."""
    second = np.sort(probabilities, axis=1)[:, -2]
    both = top2_is_both(probabilities) & (second >= tau)
    return [BOTH if here else name for here, name in zip(both.tolist(), top1(probabilities), strict=True)]


def oracle_correct(truth: Sequence[str], probabilities: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which images the paper's evaluation counts as right, (n,).

    An image known to show both diseases is right if they are the two likeliest; it needs the truth to know which
    images those are, so it says nothing about how well `both` is recognised.
    """
    both = top2_is_both(probabilities)
    called = top1(probabilities)
    return np.array([b if t == BOTH else t == c for t, b, c in zip(truth, both.tolist(), called, strict=True)])


def choose_tau(truth: Sequence[str], probabilities: NDArray[np.float64]) -> float:
    """Return the threshold with most right calls among N, M, A and both; the largest of equals."""
    wanted = np.array(truth)
    right = [(np.array(threshold(probabilities, float(tau))) == wanted).mean() for tau in _TAUS]
    return float(_TAUS[len(right) - 1 - int(np.argmax(right[::-1]))])
