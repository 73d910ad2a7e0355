"""`medtools score spect-prototypes`: what was called right, over decisions, episodes and subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from medtools.core.errors import InputError
from medtools.core.params import read_yaml
from medtools.core.stage import Job
from medtools.core.tables import read_tsv, write_tsv
from medtools.metrics.comparison import paired_bootstrap
from medtools.metrics.figures import write_figures
from medtools.metrics.intervals import Interval, bootstrap, wilson
from medtools.metrics.report import classification_scores
from medtools.metrics.table import COMPARISON_COLUMNS, SCORE_COLUMNS, Score, beside_published, score_rows
from medtools.systems import registry
from medtools.training.fit import METRICS
from medtools.training.history import read_history
from medtools.training.predictions import TABLE, Fold, read_folds, run_folder

LEVEL, TRAIN_LEVEL = "validation", "train, while learning"
OVER_SUBJECTS, OVER_EPISODES = f"{LEVEL}, subjects resampled", f"{LEVEL}, mean over episodes"
_DIFFERENCE_COLUMNS = ("level", "this_run", "other_run", "difference", "ci_low", "ci_high", "p_wilcoxon", "n")
_FEWEST_DIFFERING = 6
"""Signed ranks of fewer differences cannot reach p = 0.05."""


@dataclass(frozen=True)
class Decisions:
    """Every decision of a validation.

    Attributes
    ----------
    classes : tuple of str
    ids, subjects, truth : (n,) str
    episodes : (n,) str
        Fold and number of the episode.
    probabilities : (n, classes) float64
    """

    classes: tuple[str, ...]
    ids: NDArray[np.str_]
    subjects: NDArray[np.str_]
    truth: NDArray[np.str_]
    episodes: NDArray[np.str_]
    probabilities: NDArray[np.float64]

    @property
    def right(self) -> NDArray[np.float64]:
        """1 where the likeliest class is the true one, (n,)."""
        called = np.array(self.classes)[self.probabilities.argmax(axis=1)]
        return (called == self.truth).astype(np.float64)

    @property
    def losses(self) -> NDArray[np.float64]:
        """Minus log probability of the true class, (n,)."""
        place = {name: number for number, name in enumerate(self.classes)}
        columns = [place[name] for name in self.truth.tolist()]
        own = self.probabilities[np.arange(len(columns)), columns]
        return -np.log(np.maximum(own, np.finfo(np.float64).tiny))

    def per_episode(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean of some values of the decisions in each episode."""
        _, number = np.unique(self.episodes, return_inverse=True)
        means: NDArray[np.float64] = np.bincount(number, values) / np.bincount(number)
        return means


def run(job: Job) -> None:
    """Write `scores.tsv`, the comparisons, and the figures of the confusion matrix and the ROC curves."""
    folder = run_folder(job.inputs)
    found = read_decisions(folder)
    scores = [*scores_of(found, seed=job.seed, resamples=job.params.resamples), *training_scores(folder)]
    _write(job, "scores.tsv", SCORE_COLUMNS, score_rows(scores))
    if job.params.published:
        _write(job, "comparison.tsv", COMPARISON_COLUMNS, beside_published(scores, published()))
    if job.params.against is not None:
        other = read_decisions(job.params.against)
        rows = [difference(found, other, job.params.against, seed=job.seed, resamples=job.params.resamples)]
        _write(job, "difference.tsv", _DIFFERENCE_COLUMNS, rows)
    title = f"{len(found.truth)} decisions of {len(set(found.subjects.tolist()))} subjects"
    job.wrote(*write_figures(job.out, found.truth, found.probabilities, found.classes, title=title))


def reads(job: Job) -> list[Path]:
    """List what decides the scores."""
    folder, other = run_folder(job.inputs), job.params.against
    tables = [path for name in (TABLE, METRICS) for path in sorted(folder.glob(f"folds/*/{name}"))]
    files = [folder / "params.yaml", *tables]
    return files if other is None else [*files, *sorted(other.glob(f"folds/*/{TABLE}"))]


def read_decisions(run_path: Path) -> Decisions:
    """Read the validation of every fold of a run.

    Raises
    ------
    InputError
        No fold is finished, or a table is damaged.
    """
    classes, folds = read_folds(run_path)
    episodes = [_episodes(run_path, fold) for fold in folds]
    return Decisions(
        classes,
        np.concatenate([fold.ids for fold in folds]),
        np.concatenate([fold.subjects for fold in folds]),
        np.concatenate([fold.truth for fold in folds]),
        np.concatenate(episodes),
        np.concatenate([fold.probabilities for fold in folds]),
    )


def scores_of(found: Decisions, *, seed: int, resamples: int) -> list[Score]:
    """Return the scores of a validation.

    The accuracy comes three times: with Wilson's interval of the counts, as if decisions were independent (the
    paper's 168 of 180); with subjects resampled; and as the mean over episodes with Student's interval. Subjects that
    are few make the second the honest one.
    """
    right, losses = found.right, found.losses
    low, high = wilson(int(right.sum()), len(right))
    each = found.per_episode(right)
    rows = [
        Score("accuracy", LEVEL, float(right.mean()), low, high, len(right)),
        Score("right", LEVEL, float(right.sum()), n=len(right)),
        Score("accuracy", OVER_SUBJECTS, float(right.mean()), *_resampled(right, found, seed, resamples),
              len(set(found.subjects.tolist()))),
        Score("accuracy", OVER_EPISODES, float(each.mean()), *student(each), len(each)),
        Score("loss", LEVEL, float(losses.mean()), *_resampled(losses, found, seed, resamples), len(losses)),
    ]  # fmt: skip
    others = classification_scores(
        found.truth, found.probabilities, found.classes, level=LEVEL, subjects=found.subjects, seed=seed,
        resamples=resamples,
    )  # fmt: skip
    return rows + [score for score in others if score.metric != "accuracy"]


def training_scores(folder: Path) -> list[Score]:
    """Return accuracy and loss over the training episodes, each answered before the step it leads to.

    As the paper's 174 of 180 seem to be counted: with Wilson's interval, as if the decisions were independent.
    """
    rows = [row for path in sorted(folder.glob(f"folds/*/{METRICS}")) for row in read_history(path)]
    if not rows or not {"loss", "accuracy"} <= rows[0].keys():
        return []
    trained = read_yaml(folder / "params.yaml")
    each = trained["way"] * trained["query"]
    right, count = sum(round(row["accuracy"] * each) for row in rows), each * len(rows)
    losses = np.array([row["loss"] for row in rows])
    return [
        Score("accuracy", TRAIN_LEVEL, right / count, *wilson(right, count), count),
        Score("right", TRAIN_LEVEL, float(right), n=count),
        Score("loss", TRAIN_LEVEL, float(losses.mean()), *student(losses), count),
    ]


def published() -> dict[tuple[str, str], float]:
    """Return the paper's numbers by (metric, level)."""
    table = registry.card("spect-prototypes").content["published"]
    levels = {"train": TRAIN_LEVEL, "validation": LEVEL}
    return {(metric, levels[part]): value for part in levels for metric, value in table[part].items()}


def difference(found: Decisions, other: Decisions, where: Path, *, seed: int, resamples: int) -> dict[str, Any]:
    """Compare two runs on the same episodes: subjects resampled together, and Wilcoxon's signed ranks over episodes.

    Raises
    ------
    InputError
        The episodes are not the same.
    """
    same = [np.array_equal(getattr(found, key), getattr(other, key)) for key in ("ids", "episodes", "truth")]
    if not all(same):
        fix = "train both on the same crops, by the same --seed and --shot"
        raise InputError(where, "answered other episodes", fix)
    value, (low, high) = paired_bootstrap(
        _mean, found.right, found.right, other.right, subjects=found.subjects, seed=seed, resamples=resamples
    )
    ours, theirs = found.per_episode(found.right), other.per_episode(other.right)
    p = float(stats.wilcoxon(ours, theirs).pvalue) if (ours != theirs).sum() >= _FEWEST_DIFFERING else None
    numbers = (float(ours.mean()), float(theirs.mean()), value, low, high, p, len(ours))
    return dict(zip(_DIFFERENCE_COLUMNS, ("accuracy, validation", *numbers), strict=True))


def student(values: NDArray[np.float64], confidence: float = 0.95) -> tuple[float | None, float | None]:
    """Return Student's interval of a mean; none for a single value."""
    if len(values) < 2:
        return None, None
    half = float(stats.t.ppf(0.5 + confidence / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return float(values.mean()) - half, float(values.mean()) + half


def _resampled(values: NDArray[np.float64], found: Decisions, seed: int, resamples: int) -> Interval:
    return bootstrap(lambda rows: float(values[rows].mean()), found.subjects, seed=seed, resamples=resamples)


def _mean(_: Any, values: Any) -> float:
    return float(np.mean(values))


def _episodes(run_path: Path, fold: Fold) -> NDArray[np.str_]:
    path = run_path / "folds" / fold.name / TABLE
    columns, rows = read_tsv(path)
    if "episode" not in columns:
        raise InputError(path, "has no column episode", "train this fold again")
    return np.array([f"{fold.name} {row['episode']}" for row in rows])


def _write(job: Job, name: str, columns: Sequence[str], rows: Sequence[Any]) -> None:
    job.wrote(write_tsv(job.out / name, columns, rows))
