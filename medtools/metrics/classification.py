"""Measures of classification, from confusion matrices and from scores.

A confusion matrix C has true classes in rows and predicted classes in columns; every function of one takes arrays of
shape (..., K, K), so that thousands of resamples cost one call. What is undefined (a ratio 0/0) is NaN: a measure
that cannot be computed must not pass for a bad or a good one.
Definitions: Fawcett 2006 (Pattern Recognition Letters 27:861) unless another source is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medtools.core.errors import InputError

Array = NDArray[np.float64]
Average = Literal["macro", "weighted", "micro"]


def class_numbers(values: ArrayLike, classes: Sequence[Any]) -> NDArray[np.int64]:
    """Return the place of each value in `classes`.

    Raises
    ------
    InputError
        A value that is none of the classes.
    """
    place = {name: number for number, name in enumerate(classes)}
    try:
        return np.array([place[value] for value in np.asarray(values).tolist()], dtype=np.int64)
    except KeyError as error:
        raise InputError(
            "labels", f"unknown class {error.args[0]!r}", f"known: {', '.join(map(str, classes))}"
        ) from None


def confusion_matrix(
    truth: NDArray[np.int64], predicted: NDArray[np.int64], count: int, weights: ArrayLike | None = None
) -> Array:
    """Count samples by true class (row) and predicted class (column).

    Parameters
    ----------
    truth, predicted : (samples,) int
        Class numbers below `count`.
    count : int
        Number of classes K.
    weights : (..., samples) array, optional
        How often each sample counts, for instance in each resample.

    Returns
    -------
    (..., K, K) float64
    """
    cells = np.zeros((len(truth), count * count))
    cells[np.arange(len(truth)), truth * count + predicted] = 1
    weighted = cells.sum(axis=0) if weights is None else np.asarray(weights, dtype=np.float64) @ cells
    return weighted.reshape(*weighted.shape[:-1], count, count)


def accuracy(confusion: ArrayLike) -> Array:
    """Share of samples on the diagonal."""
    c = np.asarray(confusion, dtype=np.float64)
    return _ratio(_diagonal(c).sum(-1), c.sum((-2, -1)))


def sensitivity(confusion: ArrayLike) -> Array:
    """Recall of each class, TP / (TP + FN): (..., K)."""
    c = np.asarray(confusion, dtype=np.float64)
    return _ratio(_diagonal(c), c.sum(-1))


def specificity(confusion: ArrayLike) -> Array:
    """True negative rate of each class against the rest, TN / (TN + FP): (..., K)."""
    c = np.asarray(confusion, dtype=np.float64)
    false_positive = c.sum(-2) - _diagonal(c)
    negative = c.sum((-2, -1))[..., None] - c.sum(-1)
    return _ratio(negative - false_positive, negative)


def precision(confusion: ArrayLike) -> Array:
    """Positive predictive value of each class, TP / (TP + FP): (..., K); NaN for a class never predicted."""
    c = np.asarray(confusion, dtype=np.float64)
    return _ratio(_diagonal(c), c.sum(-2))


def f1(confusion: ArrayLike) -> Array:
    """F1 of each class, 2 TP / (2 TP + FP + FN): (..., K); NaN for a class neither true nor predicted."""
    c = np.asarray(confusion, dtype=np.float64)
    return _ratio(2 * _diagonal(c), c.sum(-1) + c.sum(-2))


def average(values: Array, confusion: ArrayLike, how: Average = "macro") -> Array:
    """Average a measure over classes.

    Parameters
    ----------
    values : (..., K) float64
        One value per class; a class that occurs (truly, or among the predictions) and has no value counts as 0, as
        in scikit-learn; a class that does not occur at all is left out.
    confusion : (..., K, K) array
        Where the values come from.
    how : str
        `macro` (all classes alike) or `weighted` (by true samples); `micro` is `accuracy`, for single-label classes.
    """
    c = np.asarray(confusion, dtype=np.float64)
    occurs = (c.sum(-1) + c.sum(-2)) > 0
    weight = c.sum(-1) if how == "weighted" else occurs.astype(np.float64)
    return accuracy(c) if how == "micro" else _ratio((np.nan_to_num(values) * weight).sum(-1), weight.sum(-1))


def balanced_accuracy(confusion: ArrayLike) -> Array:
    """Mean sensitivity over the classes that truly occur (Brodersen et al. 2010, ICPR)."""
    recall = sensitivity(confusion)
    known = np.isfinite(recall)
    return _ratio(np.nan_to_num(recall).sum(-1), known.sum(-1).astype(np.float64))


def f1_of_means(confusion: ArrayLike) -> Array:
    """Harmonic mean of macro precision and macro sensitivity; not the mean of the classes' F1."""
    p = average(precision(confusion), confusion)
    r = average(sensitivity(confusion), confusion)
    return _ratio(2 * p * r, p + r)


def matthews(confusion: ArrayLike) -> Array:
    """Matthews' correlation coefficient for K classes (Gorodkin 2004, Comput. Biol. Chem. 28:367).

    NaN where one class makes up all truths or all predictions.
    """
    c = np.asarray(confusion, dtype=np.float64)
    total, truth, predicted = c.sum((-2, -1)), c.sum(-1), c.sum(-2)
    numerator = _diagonal(c).sum(-1) * total - (truth * predicted).sum(-1)
    spread = (total**2 - (predicted**2).sum(-1)) * (total**2 - (truth**2).sum(-1))
    return _ratio(numerator, np.sqrt(spread))


def auroc(positive: ArrayLike, score: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counting half.

    Parameters
    ----------
    positive : (samples,) bool
        Truth.
    score : (samples,) float
        Higher means more likely positive.
    weights : (..., samples) array, optional
        How often each sample counts.

    Returns
    -------
    (...) float64
        NaN without positives or without negatives. Source: Hanley and McNeil 1982, Radiology 143:29.
    """
    truth, values, weight = _columns(positive, score, weights)
    order = np.argsort(values[~truth], kind="stable")
    negatives = values[~truth][order]
    below = _running_sums(weight[~truth][order])
    # Half of the negatives of equal score count as below.
    first, last = (np.searchsorted(negatives, values[truth], side=side) for side in ("left", "right"))
    beaten = (below[first] + below[last]) / 2
    return _ratio((weight[truth] * beaten).sum(0), weight[truth].sum(0) * below[-1]).reshape(_leading(weights))


def auprc(positive: ArrayLike, score: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Average precision, sum over thresholds of precision times the gain in recall, without interpolation.

    Arguments as for `auroc`; NaN without positives.
    """
    truth, values, weight = _columns(positive, score, weights)
    order = np.argsort(-values, kind="stable")
    # For each positive: everything that scores at least as high.
    place = np.searchsorted(-values[order], -values[truth], side="right")
    called = _running_sums(weight[order])[place]
    found = _running_sums((weight * truth[:, None])[order])[place]
    share = np.nan_to_num(_ratio(found, called))
    return _ratio((weight[truth] * share).sum(0), weight[truth].sum(0)).reshape(_leading(weights))


def auroc_per_class(truth: NDArray[np.int64], scores: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """AUROC of each class against the rest: (..., K); scores are (samples, K)."""
    table = np.asarray(scores, dtype=np.float64)
    return np.stack([auroc(truth == k, table[:, k], weights) for k in range(table.shape[1])], axis=-1)


def auroc_macro(truth: NDArray[np.int64], scores: ArrayLike, weights: ArrayLike | None = None) -> Array:
    """Mean one-against-rest AUROC over the classes for which it is defined."""
    areas = auroc_per_class(truth, scores, weights)
    return _ratio(np.nan_to_num(areas).sum(-1), np.isfinite(areas).sum(-1).astype(np.float64))


def auroc_micro(truth: NDArray[np.int64], scores: ArrayLike) -> float:
    """AUROC of all samples x classes entries of the one-hot truth, pooled."""
    table = np.asarray(scores, dtype=np.float64)
    one_hot = np.arange(table.shape[1]) == truth[:, None]
    return float(auroc(one_hot.ravel(), table.ravel()))


def auroc_hand_till(truth: NDArray[np.int64], scores: ArrayLike) -> float:
    """Mean AUROC over ordered pairs of the classes that occur (Hand and Till 2001, Machine Learning 45:171)."""
    table = np.asarray(scores, dtype=np.float64)
    present = np.unique(truth)
    pairs = [
        float(auroc(truth[rows] == i, table[rows, i]))
        for i in present
        for j in present
        if i != j and (rows := np.flatnonzero((truth == i) | (truth == j))).size
    ]
    return float(np.mean(pairs)) if pairs else float("nan")


def thresholded_micro(truth: NDArray[np.int64], scores: ArrayLike, threshold: float = 0.5) -> tuple[float, ...]:
    """Precision, recall and F1 of all one-hot entries pooled, each class called where its score exceeds `threshold`.

    Several or no classes may be called for a sample, so this differs from measures of the single best class.
    """
    table = np.asarray(scores, dtype=np.float64)
    one_hot = np.arange(table.shape[1]) == truth[:, None]
    called = table > threshold
    hits = float((called & one_hot).sum())
    p, r = _ratio(hits, float(called.sum())), _ratio(hits, float(one_hot.sum()))
    return float(p), float(r), float(_ratio(2 * hits, float(called.sum() + one_hot.sum())))


def _columns(
    positive: ArrayLike, score: ArrayLike, weights: ArrayLike | None
) -> tuple[NDArray[np.bool_], Array, Array]:
    """Return truth, scores, and weights as one column per resample: rows are then gathered in whole lines."""
    truth, values = np.asarray(positive, dtype=bool), np.asarray(score, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError("scores", f"sample {int(np.flatnonzero(~np.isfinite(values))[0])} has no finite score")
    if weights is None:
        return truth, values, np.ones((len(truth), 1))
    flat = np.asarray(weights, dtype=np.float64).reshape(-1, len(truth))
    return truth, values, np.ascontiguousarray(flat.T)


def _leading(weights: ArrayLike | None) -> tuple[int, ...]:
    return () if weights is None else np.shape(weights)[:-1]


def _running_sums(weight: Array) -> Array:
    return np.concatenate([np.zeros((1, weight.shape[1])), np.cumsum(weight, axis=0)])


def _diagonal(confusion: Array) -> Array:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _ratio(numerator: Any, denominator: Any) -> Array:
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0)
