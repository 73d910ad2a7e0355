"""`medtools score ad-lite-net`: scores over all folds of a run, or of predictions, beside the published row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.params import read_yaml
from medtools.core.stage import Job
from medtools.core.tables import read_tsv, write_tsv
from medtools.metrics.classification import auroc, auroc_micro, class_numbers, thresholded_micro
from medtools.metrics.figures import write_figures
from medtools.metrics.intervals import percentile_interval, resampled_counts
from medtools.metrics.table import COMPARISON_COLUMNS, SCORE_COLUMNS, Score, beside_published, over_folds, score_rows
from medtools.systems.ad_lite_net.cohort import subjects_unknown
from medtools.systems.ad_lite_net.rows import published
from medtools.training.predictions import TABLE, Fold, pooled, read_fold, read_folds, scores_of

LEAKY = "test, images of one subject on both sides"
UNKNOWN = "test, subjects unknown"
GIVEN = "given images"
"""Of predictions by `medtools infer`: whether the images were in training is the user's to know."""

_MICRO, _MICRO_THRESHOLD = ("precision_micro05", "recall_micro05", "f1_micro05", "auroc_micro"), 0.5


def run(job: Job) -> None:
    """Write `scores.tsv`, `comparison.tsv` and the figures."""
    source = source_of(job.inputs)
    classes, folds = read_folds(source) if source.is_dir() else _of_table(source)
    level = level_of(source, folds)
    scores = scores_of(classes, folds, level=level, seed=job.seed, resamples=job.params.resamples)
    scores += pooled_micro(classes, folds, level=level, seed=job.seed, resamples=job.params.resamples)
    if len(folds) > 1:
        scores += over_folds([pooled_micro(classes, [fold], level=level, seed=0, resamples=0) for fold in folds])
    job.wrote(write_tsv(job.out / "scores.tsv", SCORE_COLUMNS, score_rows(scores)))
    printed = published(job.params.published, _trained(source), level, len(folds))
    if printed:
        job.wrote(write_tsv(job.out / "comparison.tsv", COMPARISON_COLUMNS, beside_published(scores, printed)))
    truth, table = pooled(folds)
    title = f"{_trained(source).get('model', 'predictions')}: {level}"
    job.wrote(*write_figures(job.out, truth, table, classes, title=title))


def reads(job: Job) -> list[Path]:
    """List what decides the scores."""
    source = source_of(job.inputs)
    return [source / "params.yaml", *sorted(source.glob(f"folds/*/{TABLE}"))] if source.is_dir() else [source]


def source_of(inputs: Sequence[Path]) -> Path:
    """Return the run folder, or the table of predictions, among INPUT."""
    if len(inputs) == 1:
        path = inputs[0]
        if (path / "params.yaml").is_file():
            return path
        if (path / TABLE).is_file():
            return path / TABLE
        if path.is_file():
            return path
    raise InputError("INPUT", f"expected one run folder that `medtools train` wrote, or one {TABLE}")


def level_of(source: Path, folds: Sequence[Fold]) -> str:
    """Say what the scores were taken over: whether the division kept subjects apart is part of it."""
    if source.is_file() and source.parent.parent.name != "folds":
        return GIVEN
    if _trained(source).get("split") == "slice":
        return LEAKY
    subjects = np.concatenate([fold.subjects for fold in folds]).tolist()
    return UNKNOWN if source.is_dir() and subjects_unknown(subjects) and _all_unknown(source) else "test"


def pooled_micro(
    classes: Sequence[str], folds: Sequence[Fold], *, level: str, seed: int, resamples: int
) -> list[Score]:
    """Return Keras' streaming measures of Table 3: every entry of the one-hot truth, called where p exceeds 0.5."""
    truth, table = pooled(folds)
    true = class_numbers(truth, list(classes))
    values = dict(
        zip(_MICRO, (*thresholded_micro(true, table, _MICRO_THRESHOLD), auroc_micro(true, table)), strict=True)
    )
    subjects = np.concatenate([fold.subjects for fold in folds])
    parts = [_micro(true, table, counts) for counts in resampled_counts(subjects, seed=seed, resamples=resamples)]
    intervals = {name: percentile_interval([part[name] for part in parts]) for name in _MICRO}
    return [
        Score(name, level, value, ci_low=intervals[name][0], ci_high=intervals[name][1], n=len(true))
        for name, value in values.items()
    ]


def _micro(
    true: NDArray[np.int64], table: NDArray[np.float64], counts: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return the pooled measures of some resamples, each sample counting as often as it was drawn."""
    one_hot = np.arange(table.shape[1]) == true[:, None]
    called = table > _MICRO_THRESHOLD
    hits, said = counts @ (called & one_hot).sum(axis=1), counts @ called.sum(axis=1)
    drawn = counts.sum(axis=1)
    area = auroc(one_hot.ravel(), table.ravel(), np.repeat(counts, table.shape[1], axis=1))
    with np.errstate(invalid="ignore"):
        found = (hits / said, hits / drawn, 2 * hits / (said + drawn), area)
    return dict(zip(_MICRO, found, strict=True))


def _of_table(path: Path) -> tuple[tuple[str, ...], list[Fold]]:
    classes, fold = read_fold(path)
    return classes, [fold]


def _trained(source: Path) -> dict[str, Any]:
    return dict(read_yaml(source / "params.yaml")) if source.is_dir() else {}


def _all_unknown(run: Path) -> bool:
    """Tell whether no subject of the whole run has two images."""
    rows = read_tsv(run / "splits.tsv")[1]
    return subjects_unknown([row["subject"] for row in rows if (row["repeat"], row["fold"]) == ("0", "0")])
