"""`medtools score asd-transformer`: scores over all folds of a run, beside the published row or another run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medtools.core.errors import InputError
from medtools.core.params import read_yaml
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.metrics.classification import auroc
from medtools.metrics.comparison import paired_bootstrap
from medtools.metrics.figures import write_figures
from medtools.metrics.table import COMPARISON_COLUMNS, SCORE_COLUMNS, beside_published, score_rows
from medtools.systems import registry
from medtools.training.predictions import TABLE, Fold, pooled, read_folds, run_folder, scores_of

MEASURES = ("accuracy", "auroc", "sensitivity", "specificity")
_DIFFERENCE_COLUMNS = ("metric", "this_run", "other_run", "difference", "ci_low", "ci_high", "n")


def run(job: Job) -> None:
    """Write `scores.tsv`, `comparison.tsv`, `difference.tsv` and the figures of a run."""
    folder = run_folder(job.inputs)
    trained = read_yaml(folder / "params.yaml")
    classes, folds = read_folds(folder)
    scores = scores_of(classes, folds, seed=job.seed, resamples=job.params.resamples)
    job.wrote(write_tsv(job.out / "scores.tsv", SCORE_COLUMNS, score_rows(scores)))
    published = published_row(job.params.published, trained)
    if published:
        job.wrote(write_tsv(job.out / "comparison.tsv", COMPARISON_COLUMNS, beside_published(scores, published)))
    if job.params.against is not None:
        rows = difference_rows(classes, folds, job.params.against, seed=job.seed, resamples=job.params.resamples)
        job.wrote(write_tsv(job.out / "difference.tsv", _DIFFERENCE_COLUMNS, rows))
    truth, table = pooled(folds)
    title = f"{trained['model']}, {trained['task'].replace(':', ' vs ')}"
    job.wrote(*write_figures(job.out, truth, table, classes, title=title))


def reads(job: Job) -> list[Path]:
    """List what decides the scores."""
    folder, other = run_folder(job.inputs), job.params.against
    files = [folder / "params.yaml", *sorted(folder.glob(f"folds/*/{TABLE}"))]
    return files if other is None else [*files, *sorted(other.glob(f"folds/*/{TABLE}"))]


def published_row(choice: str, trained: dict[str, Any]) -> dict[tuple[str, str], float]:
    """Return the paper's means as shares, by (metric, level); empty where it has no such row."""
    name = trained["model"] if choice == "auto" else choice
    row = registry.card("asd-transformer").content["published"]["percent"].get(name, {})
    return {(metric, "mean over folds"): row[metric][0] / 100 for metric in MEASURES if metric in row}


def difference_rows(
    classes: Sequence[str], folds: Sequence[Fold], other: Path, *, seed: int, resamples: int
) -> list[dict[str, Any]]:
    """Compare two runs on the same test subjects: paired bootstrap over subjects (Efron and Tibshirani 1993).

    Raises
    ------
    InputError
        The runs do not have the same folds and test subjects.
    """
    theirs = {fold.name: fold for fold in read_folds(other)[1]}
    for fold in folds:
        match = theirs.get(fold.name)
        if match is None or not np.array_equal(match.subjects, fold.subjects):
            raise InputError(
                other, f"fold {fold.name} is missing or has other test subjects", "train both by one --seed"
            )
    truth = np.concatenate([fold.truth for fold in folds]) == classes[1]
    subjects = np.concatenate([fold.subjects for fold in folds])
    first = np.concatenate([fold.probabilities[:, 1] for fold in folds])
    second = np.concatenate([theirs[fold.name].probabilities[:, 1] for fold in folds])
    rows = []
    for metric, measure in {"accuracy": _accuracy, "auroc": _auroc}.items():
        difference, (low, high) = paired_bootstrap(
            measure, truth, first, second, subjects=subjects, seed=seed, resamples=resamples
        )
        values = (measure(truth, first), measure(truth, second), difference, low, high, len(set(subjects.tolist())))
        rows.append(dict(zip(_DIFFERENCE_COLUMNS, (metric, *values), strict=True)))
    return rows


def _accuracy(truth: Any, score: Any) -> float:
    return float(((score > 0.5) == truth).mean())


def _auroc(truth: Any, score: Any) -> float:
    return float(auroc(truth, score))
