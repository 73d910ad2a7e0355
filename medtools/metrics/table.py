"""The scores table: long form, one row per measure and level, for networks and baselines alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

SCORE_COLUMNS = ("metric", "level", "value", "ci_low", "ci_high", "n")
COMPARISON_COLUMNS = (*SCORE_COLUMNS, "published", "difference", "published_in_interval")
OPTIMISTIC = "best epoch on test (optimistic)"


@dataclass(frozen=True)
class Score:
    """One row of `scores.tsv`.

    Attributes
    ----------
    metric : str
        Name of the measure.
    level : str
        What it was taken over: `test`, `fold 3`, `class HC`, a model or a task; several parts joined by `, `.
    value : float
    ci_low, ci_high : float or None
        Its interval, where one is known; NaN becomes None.
    n : int or None
        Samples (or folds) behind it.
    """

    metric: str
    level: str
    value: float
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None

    def __post_init__(self) -> None:
        for name in ("ci_low", "ci_high"):
            bound = getattr(self, name)
            if bound is not None and math.isnan(bound):
                object.__setattr__(self, name, None)


def score_rows(scores: Iterable[Score]) -> list[dict[str, Any]]:
    """Return the rows of `scores.tsv` (columns SCORE_COLUMNS)."""
    return [asdict(score) for score in scores]


def at_level(scores: Iterable[Score], part: str) -> list[Score]:
    """Put another part in front of each score's level, such as a model's name."""
    return [replace(score, level=f"{part}, {score.level}" if score.level else part) for score in scores]


def best_epoch_on_test(history: Sequence[Mapping[str, float]], column: str, *, n: int, mode: str = "max") -> Score:
    """Return the best value that a test-set measure took in any epoch, its level marked as optimistic.

    Many papers report this. The choice of epoch has seen the test set, so it says less about new data than a last
    epoch, or one chosen on validation data.
    """
    values = [row[column] for row in history if math.isfinite(row.get(column, math.nan))]
    best = (max if mode == "max" else min)(values, default=math.nan)
    return Score(column.removeprefix("val_").removeprefix("test_"), OPTIMISTIC, float(best), n=n)


def over_folds(folds: Sequence[Sequence[Score]]) -> list[Score]:
    """Return mean and standard deviation (population, ddof 0) of each measure over folds.

    Folds without a value for a measure are left out of it; `n` counts the others. No interval is given: folds share
    training data, so their spread is not the error of their mean (Bengio and Grandvalet 2004, JMLR 5:1089).
    """
    values: dict[str, list[float]] = {}
    for scores in folds:
        for score in scores:
            values.setdefault(score.metric, [])
            if math.isfinite(score.value):
                values[score.metric].append(score.value)
    rows = []
    for metric, found in values.items():
        mean, spread = (float(np.mean(found)), float(np.std(found))) if found else (math.nan, math.nan)
        rows += [Score(metric, "mean over folds", mean, n=len(found)),
                 Score(metric, "standard deviation over folds", spread, n=len(found))]  # fmt: skip
    return rows


def beside_published(scores: Iterable[Score], published: Mapping[tuple[str, str], float]) -> list[dict[str, Any]]:
    """Return the rows of `comparison.tsv` (columns COMPARISON_COLUMNS) for scores that have a published value.

    Parameters
    ----------
    scores : iterable of Score
    published : mapping
        (metric, level) to the published value, in the same unit.
    """
    rows = []
    for score in scores:
        reference = published.get((score.metric, score.level))
        if reference is None:
            continue
        known = score.ci_low is not None and score.ci_high is not None
        within = (score.ci_low <= reference <= score.ci_high) if known else None  # type: ignore[operator]
        difference = {"published": reference, "difference": score.value - reference, "published_in_interval": within}
        rows.append(asdict(score) | difference)
    return rows
