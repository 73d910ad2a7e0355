"""Agreement between two ratings: kappa, plain and weighted, and closeness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medtools.metrics.classification import class_numbers, confusion_matrix


def kappa(confusion: ArrayLike, weighting: Literal["none", "linear", "quadratic"] = "none") -> NDArray[np.float64]:
    """Cohen's kappa, 1 - sum(w O) / sum(w E) with E the outer product of the margins over n.

    Parameters
    ----------
    confusion : (..., K, K) array
        Counts; categories in their order.
    weighting : str
        Disagreement weights w_ij: 1 off the diagonal, |i - j| / (K - 1), or its square (Cohen 1968, Psychol. Bull.
        70:213).

    Returns
    -------
    (...) float64
        NaN where no disagreement is expected: both ratings know one category only.
    """
    c = np.asarray(confusion, dtype=np.float64)
    place = np.arange(c.shape[-1])
    distance = np.abs(place[:, None] - place) / max(1, c.shape[-1] - 1)
    weights = {"none": (distance > 0).astype(np.float64), "linear": distance, "quadratic": distance**2}[weighting]
    total = c.sum((-2, -1))
    observed = (weights * c).sum((-2, -1))
    margins = c.sum(-1)[..., :, None] * c.sum(-2)[..., None, :]
    expected = np.divide((weights * margins).sum((-2, -1)), total, out=np.zeros_like(total), where=total > 0)
    return 1 - np.divide(observed, expected, out=np.full_like(observed, np.nan), where=expected > 0)


def quadratic_kappa(truth: ArrayLike, predicted: ArrayLike, categories: Sequence[Any] | None = None) -> float:
    """Quadratically weighted kappa.

    Parameters
    ----------
    truth, predicted : (samples,) array
        Ratings.
    categories : sequence, optional
        All possible ratings in order. Without it the ratings that occur are ranked, whatever lies between them, as
        scikit-learn does without `labels`: 0, 1, 20 then count as equally far apart.

    Raises
    ------
    InputError
        A rating outside `categories`.
    """
    known = np.union1d(np.asarray(truth), np.asarray(predicted)).tolist() if categories is None else list(categories)
    counts = confusion_matrix(class_numbers(truth, known), class_numbers(predicted, known), len(known))
    return float(kappa(counts, "quadratic"))


def coverage(truth: ArrayLike, predicted: ArrayLike, tolerance: float) -> float:
    """Share of ratings within `tolerance` of the truth."""
    return float(np.mean(np.abs(np.asarray(truth, np.float64) - np.asarray(predicted, np.float64)) <= tolerance))
