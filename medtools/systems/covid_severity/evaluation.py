"""Agreement of predicted scores with a radiologist's grades, for a cohort and its subgroups (paper section 3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.metrics.agreement import kappa, quadratic_kappa
from medtools.metrics.intervals import percentile_interval, resampled_counts
from medtools.metrics.table import Score
from medtools.systems.covid_severity.severity import CLASSES, FOUR_CLASSES, MAX_SCORE, ClassCount, class_indices

TOLERANCES = range(6)
SEXES = {"F": "female", "M": "male"}
AGE_BANDS = (
    (0, 40, "up to 40"),
    (41, 50, "41 to 50"),
    (51, 60, "51 to 60"),
    (61, 70, "61 to 70"),
    (71, 200, "above 70"),
)


@dataclass(frozen=True)
class Cohort:
    """Graded scans.

    Attributes
    ----------
    truth, predicted : (n,) int
        Radiologist's and predicted score, 0 to 25.
    subjects : (n,) str
        Scans of one subject are resampled together.
    sex : (n,) str
        "F", "M" or "" where unknown.
    age : (n,) float
        Years; NaN where unknown.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    subjects: NDArray[np.str_]
    sex: NDArray[np.str_]
    age: NDArray[np.float64]

    def part(self, chosen: NDArray[np.bool_]) -> Cohort:
        """Return a subgroup."""
        return Cohort(
            self.truth[chosen], self.predicted[chosen], self.subjects[chosen], self.sex[chosen], self.age[chosen]
        )


def agreement(
    cohort: Cohort, level: str, *, seed: int, classes: ClassCount = 3, resamples: int = 2000
) -> dict[str, Score]:
    """Score one group.

    Parameters
    ----------
    cohort : Cohort
    level : str
        Name of the group.
    seed, resamples : int
        Of the bootstrap over subjects, 95 % percentile intervals.
    classes : {3, 4}
        Severity classes; 4 keeps "no edema" (a score of 0) apart.

    Returns
    -------
    dict
        `grade_qwk` (26 fixed categories), `grade_qwk_observed` (only the scores that occur, ranked: how scikit-learn
        counts by default), `severity_qwk`, `severity_qwk_observed`, `coverage_0` .. `coverage_5`, `bias` (mean of
        predicted minus true), `mae`. The observed forms have no interval: their categories change with each resample.

    Raises
    ------
    InputError
        No scans, or scores outside 0 to 25.
    """
    truth, predicted, n = cohort.truth, cohort.predicted, len(cohort.truth)
    if not n:
        raise InputError(level, "no graded scans")
    if min(truth.min(), predicted.min()) < 0 or max(truth.max(), predicted.max()) > MAX_SCORE:
        raise InputError(level, f"scores outside 0 to {MAX_SCORE}")
    names = FOUR_CLASSES if classes == 4 else CLASSES
    true_class, predicted_class = (class_indices(v.tolist(), classes) for v in (truth, predicted))
    error = predicted - truth
    indicators = {f"coverage_{alpha}": (np.abs(error) <= alpha).astype(float) for alpha in TOLERANCES}
    indicators |= {"bias": error.astype(float), "mae": np.abs(error).astype(float)}
    pairs = {
        "grade_qwk": _one_hot_pairs(truth, predicted, MAX_SCORE + 1),
        "severity_qwk": _one_hot_pairs(true_class, predicted_class, len(names)),
    }
    drawn: dict[str, list[NDArray[np.float64]]] = {name: [] for name in (*pairs, *indicators)}
    for counts in resampled_counts(cohort.subjects, seed=seed, resamples=resamples):
        for name, hot in pairs.items():
            drawn[name].append(_kappas(counts @ hot))
        for name, values in indicators.items():
            drawn[name].append(counts @ values / counts.sum(axis=1))
    everything = np.ones((1, n))
    found = {name: float(_kappas(everything @ hot)[0]) for name, hot in pairs.items()}
    found |= {name: float(values.mean()) for name, values in indicators.items()}
    scores = {name: Score(name, level, value, *percentile_interval(drawn[name]), n) for name, value in found.items()}
    scores["grade_qwk_observed"] = Score("grade_qwk_observed", level, quadratic_kappa(truth, predicted), n=n)
    scores["severity_qwk_observed"] = Score(
        "severity_qwk_observed", level, quadratic_kappa(true_class, predicted_class), n=n
    )
    return scores


def fairness(
    cohort: Cohort, *, seed: int, classes: ClassCount = 3, resamples: int = 2000
) -> dict[str, dict[str, dict[str, Score]]]:
    """Score subgroups by sex and, within each sex, by age (paper, table 2); empty groups are left out.

    Returns
    -------
    dict
        Row ("sex", "female by age", "male by age") to group to metric to Score; the level of a Score is the group's
        name in the tables, such as "female" or "female, 41 to 50".
    """
    rows: dict[str, dict[str, dict[str, Score]]] = {}
    for letter, name in SEXES.items():
        chosen = cohort.sex == letter
        if not chosen.any():
            continue
        options = {"seed": seed, "classes": classes, "resamples": resamples}
        rows.setdefault("sex", {})[name] = agreement(cohort.part(chosen), name, **options)  # type: ignore[arg-type]
        for low, high, band in AGE_BANDS:
            members = chosen & (np.floor(cohort.age) >= low) & (np.floor(cohort.age) <= high)
            if members.any():
                scores = agreement(cohort.part(members), f"{name}, {band}", **options)  # type: ignore[arg-type]
                rows.setdefault(f"{name} by age", {})[band] = scores
    return {title: rows[title] for title in ("sex", "female by age", "male by age") if title in rows}


def flat(rows: Mapping[str, Mapping[str, Mapping[str, Score]]]) -> list[Score]:
    """Return the scores of all groups in order."""
    return [score for groups in rows.values() for metrics in groups.values() for score in metrics.values()]


def _one_hot_pairs(truth: NDArray[np.int64], predicted: NDArray[np.int64], categories: int) -> NDArray[np.float64]:
    hot = np.zeros((len(truth), categories * categories))
    hot[np.arange(len(truth)), truth * categories + predicted] = 1
    return hot


def _kappas(confusions: NDArray[np.float64]) -> NDArray[np.float64]:
    side = int(np.sqrt(confusions.shape[-1]))
    return np.asarray(kappa(confusions.reshape(-1, side, side), "quadratic"), dtype=np.float64)
