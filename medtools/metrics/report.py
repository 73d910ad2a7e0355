"""All measures of one classifier on one set of samples, each with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medtools.core.errors import InputError
from medtools.metrics import classification as measures
from medtools.metrics.agreement import kappa
from medtools.metrics.intervals import percentile_interval, resampled_counts, wilson
from medtools.metrics.table import Score

Array = NDArray[np.float64]
Key = tuple[str, Any]


def classification_scores(
    truth: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[Any],
    *,
    positive: Any = None,
    level: str = "test",
    subjects: ArrayLike | None = None,
    seed: int = 0,
    resamples: int = 2000,
    confidence: float = 0.95,
) -> list[Score]:
    """Score predictions; the class called is the one of highest probability (the first of equals).

    Parameters
    ----------
    truth : (samples,) array
        True classes.
    probabilities : (samples, classes) float
        One column per class.
    classes : sequence
        Names of the columns.
    positive : optional
        With two classes, the one whose detection is scored; by default the second.
    level : str
        Level of the rows; rows of single classes add `class NAME`.
    subjects : (samples,) array, optional
        Samples of one subject are not independent: with it, every interval comes from resampling subjects. Without
        it, proportions have Wilson's interval and the rest resample samples.
    seed, resamples, confidence
        Of the intervals; `resamples=0` leaves the resampled ones out.

    Returns
    -------
    list of Score
        Two classes: accuracy, balanced_accuracy, sensitivity, specificity, precision, f1, mcc, kappa, auroc, auprc.
        More: accuracy, balanced_accuracy, macro and weighted averages, f1_of_means, mcc, kappa, auroc_macro, and
        sensitivity, specificity, precision, f1 and auroc per class. Then the confusion matrix, cell by cell.

    Raises
    ------
    InputError
        Shapes that do not fit, an unknown class, or a probability that is not a number.
    """
    names = list(classes)
    table = np.asarray(probabilities, dtype=np.float64)
    true = measures.class_numbers(truth, names)
    if table.shape != (len(true), len(names)):
        raise InputError("predictions", f"expected {len(true)} rows of {len(names)} classes, found {table.shape}")
    if not np.isfinite(table).all():
        raise InputError("predictions", f"sample {int(np.argwhere(~np.isfinite(table))[0][0])} has no finite score")
    called = table.argmax(axis=1)
    if len(names) == 2 and positive is not None and names.index(positive) == 0:
        names, table, true, called = names[::-1], table[:, ::-1], 1 - true, 1 - called
    sample = _Sample(true, called, table, tuple(names))
    counts = sample.confusion(None)
    values = sample.measure(None)
    units = np.arange(len(true)) if subjects is None else np.asarray(subjects)
    resampled = _resample(sample, units, seed, resamples)
    rows = []
    for key, value in values.items():
        metric, name = key
        proportion = sample.proportion(counts, metric, name) if subjects is None else None
        low, high = (
            percentile_interval(resampled.get(key, ()), confidence=confidence)
            if proportion is None
            else wilson(*proportion, confidence=confidence)
        )
        place = level if name is None else f"{level}, class {name}"
        rows.append(Score(metric, place, float(value), low, high, proportion[1] if proportion else len(true)))
    cells = [(i, j) for i in range(len(names)) for j in range(len(names))]
    return rows + [Score(f"{names[i]} called {names[j]}", level, float(counts[i, j]), n=len(true)) for i, j in cells]


@dataclass(frozen=True)
class _Sample:
    """Classified samples, for the second of two classes or for all of more."""

    true: NDArray[np.int64]
    called: NDArray[np.int64]
    table: Array
    names: tuple[Any, ...]

    def confusion(self, weights: ArrayLike | None) -> Array:
        return measures.confusion_matrix(self.true, self.called, len(self.names), weights)

    def measure(self, weights: ArrayLike | None) -> dict[Key, Array]:
        """Return every measure, by name and class (None: all classes), of the samples or of each resample."""
        c = self.confusion(weights)
        overall = {
            "accuracy": measures.accuracy(c),
            "balanced_accuracy": measures.balanced_accuracy(c),
            "mcc": measures.matthews(c),
            "kappa": kappa(c),
        }
        per_class = {
            "sensitivity": measures.sensitivity(c),
            "specificity": measures.specificity(c),
            "precision": measures.precision(c),
            "f1": measures.f1(c),
        }
        if len(self.names) == 2:
            positive = self.true == 1
            overall |= {name: values[..., 1] for name, values in per_class.items()}
            overall["auroc"] = measures.auroc(positive, self.table[:, 1], weights)
            overall["auprc"] = measures.auprc(positive, self.table[:, 1], weights)
            return {(name, None): value for name, value in overall.items()}
        for how in ("macro", "weighted"):
            overall |= {f"{name}_{how}": measures.average(values, c, how) for name, values in per_class.items()}
        overall["f1_of_means"] = measures.f1_of_means(c)
        overall["auroc_macro"] = measures.auroc_macro(self.true, self.table, weights)
        per_class["auroc"] = measures.auroc_per_class(self.true, self.table, weights)
        found: dict[Key, Array] = {(name, None): value for name, value in overall.items()}
        for name, values in per_class.items():
            found |= {(name, self.names[k]): values[..., k] for k in range(len(self.names))}
        return found

    def proportion(self, counts: Array, metric: str, name: Any) -> tuple[int, int] | None:
        """Return successes and trials of a measure that is a proportion, else None."""
        if metric == "accuracy":
            return int(np.trace(counts)), int(counts.sum())
        if len(self.names) > 2 and name is None:
            return None
        k = 1 if name is None else self.names.index(name)
        hits, truly, called = counts[k, k], counts[k].sum(), counts[:, k].sum()
        pairs = {
            "sensitivity": (hits, truly),
            "specificity": (counts.sum() - truly - called + hits, counts.sum() - truly),
            "precision": (hits, called),
        }
        return (int(pairs[metric][0]), int(pairs[metric][1])) if metric in pairs else None


def _resample(sample: _Sample, units: ArrayLike, seed: int, resamples: int) -> dict[Key, list[Array]]:
    parts = [sample.measure(weights) for weights in resampled_counts(units, seed=seed, resamples=resamples)]
    return {key: [part[key] for part in parts] for key in (parts[0] if parts else ())}
