"""`medtools score mci-homology`: scores over all folds of a run, beside the published accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from medtools.core.params import read_yaml
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.metrics.figures import write_figures
from medtools.metrics.table import (
    COMPARISON_COLUMNS,
    SCORE_COLUMNS,
    Score,
    beside_published,
    best_epoch_on_test,
    score_rows,
)
from medtools.systems import registry
from medtools.training.history import read_history
from medtools.training.predictions import TABLE, Fold, pooled, read_folds, run_folder, scores_of


def run(job: Job) -> None:
    """Write `scores.tsv`, `comparison.tsv` and the figures of a run."""
    folder = run_folder(job.inputs)
    trained = read_yaml(folder / "params.yaml")
    classes, folds = read_folds(folder)
    scores = _scores(classes, folds, folder, job)
    path = job.out / "scores.tsv"
    write_tsv(path, SCORE_COLUMNS, score_rows(scores))
    job.wrote(path)
    published = published_accuracy(job.params.published, trained["task"], trained["dim"], trained["network"])
    if published is not None:
        path = job.out / "comparison.tsv"
        write_tsv(path, COMPARISON_COLUMNS, beside_published(scores, {("accuracy", "test"): published}))
        job.wrote(path)
    truth, table = pooled(_true_labels(folds, trained["protocol"]))
    title = f"{trained['model']}, {trained['task'].replace(':', ' vs ')}, {trained['network']} H{trained['dim']}"
    job.wrote(*write_figures(job.out, truth, table, classes, title=title))


def reads(job: Job) -> list[Path]:
    """List what decides the scores."""
    folder = run_folder(job.inputs)
    return [folder / "params.yaml", *sorted(folder.glob(f"folds/*/{TABLE}"))]


def published_accuracy(data: str, task: str, dim: int, network: str) -> float | None:
    """Return the accuracy of the paper's Table 1 as a share, or None where it has no such row."""
    table = registry.card("mci-homology").content["published"]["accuracy_percent"]
    found: Any = table.get(data, {}).get(task.replace(":", "/"), {}).get(f"H{dim}", {}).get(network)
    return None if found is None else float(found) / 100


def _scores(classes: Sequence[str], folds: Sequence[Fold], run: Path, job: Job) -> list[Score]:
    protocol = read_yaml(run / "params.yaml")["protocol"]
    true = _true_labels(folds, protocol)
    scores = scores_of(classes, true, seed=job.seed, resamples=job.params.resamples)
    if protocol == "paper":
        scores += _best_epoch(run / "folds" / true[0].name, len(true[0].truth))
    if protocol == "permutation":
        scores.append(_permutation(classes, folds))
    return scores


def _best_epoch(fold: Path, n_test: int) -> list[Score]:
    path = fold / "metrics.csv"
    return [best_epoch_on_test(read_history(path), "test_accuracy", n=n_test)] if path.is_file() else []


def _permutation(classes: Sequence[str], folds: Sequence[Fold]) -> Score:
    """Return p = (b + 1) / (n + 1) of the pooled accuracy (Phipson and Smyth 2010)."""
    accuracy: dict[int, list[float]] = {}
    for fold in folds:
        called = np.array(classes)[fold.probabilities.argmax(axis=1)]
        accuracy.setdefault(fold.repeat, []).extend((called == fold.truth).tolist())
    pooled = {repeat: float(np.mean(hits)) for repeat, hits in accuracy.items()}
    null = [value for repeat, value in pooled.items() if repeat != 1]
    p = (sum(value >= pooled[1] for value in null) + 1) / (len(null) + 1)
    return Score("permutation_p", "accuracy over folds", p, n=len(null))


def _true_labels(folds: Sequence[Fold], protocol: str) -> list[Fold]:
    """Return the folds whose labels are the true ones: under permutation the first repeat, else all of them."""
    return [fold for fold in folds if protocol != "permutation" or fold.repeat == 1]
