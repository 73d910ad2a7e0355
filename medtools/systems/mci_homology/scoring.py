"""`medtools score mci-homology`: scores over all folds of a run, beside the published accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.params import read_yaml
from medtools.core.stage import Job
from medtools.core.tables import read_tsv, write_tsv
from medtools.metrics.figures import confusion_figure, roc_figure
from medtools.metrics.report import classification_scores
from medtools.metrics.table import (
    COMPARISON_COLUMNS,
    SCORE_COLUMNS,
    Score,
    beside_published,
    best_epoch_on_test,
    over_folds,
    score_rows,
)
from medtools.systems import registry
from medtools.training.history import read_history


@dataclass(frozen=True)
class Fold:
    """Test predictions of one fold."""

    repeat: int
    subjects: NDArray[np.str_]
    truth: NDArray[np.str_]
    probabilities: NDArray[np.float64]
    folder: Path


def run(job: Job) -> None:
    """Write `scores.tsv`, `comparison.tsv` and the figures of a run."""
    folder = _run_folder(job)
    trained = read_yaml(folder / "params.yaml")
    classes, folds = read_folds(folder)
    scores = _scores(classes, folds, trained["protocol"], job)
    path = job.out / "scores.tsv"
    write_tsv(path, SCORE_COLUMNS, score_rows(scores))
    job.wrote(path)
    published = published_accuracy(job.params.published, trained["task"], trained["dim"], trained["network"])
    if published is not None:
        path = job.out / "comparison.tsv"
        write_tsv(path, COMPARISON_COLUMNS, beside_published(scores, {("accuracy", "test"): published}))
        job.wrote(path)
    true = _true_labels(folds)
    truth, table = np.concatenate([f.truth for f in true]), np.concatenate([f.probabilities for f in true])
    title = f"{trained['model']}, {trained['task'].replace(':', ' vs ')}, {trained['network']} H{trained['dim']}"
    for name, figure in {
        "confusion": confusion_figure(truth, table, classes, title=title),
        "roc": roc_figure(truth, table, classes, title=title),
    }.items():
        save_figure(figure, job.out / f"{name}.png")
        job.wrote(job.out / f"{name}.png")


def reads(job: Job) -> list[Path]:
    """List what decides the scores."""
    folder = _run_folder(job)
    return [folder / "params.yaml", *sorted(folder.glob("folds/*/predictions.tsv"))]


def read_folds(folder: Path) -> tuple[tuple[str, ...], list[Fold]]:
    """Read the predictions of every fold, in order of repeat and fold.

    Raises
    ------
    InputError
        No fold is finished, or a table is damaged.
    """
    paths = sorted(folder.glob("folds/*/predictions.tsv"), key=lambda path: _place(path.parent.name))
    if not paths:
        raise InputError(folder, "holds no finished fold", "run `medtools train` first")
    classes: tuple[str, ...] = ()
    folds = []
    for path in paths:
        columns, rows = read_tsv(path)
        classes = tuple(name.removeprefix("p_") for name in columns if name.startswith("p_"))
        try:
            probabilities = np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows])
        except ValueError as error:
            raise InputError(path, f"a probability is not a number: {error}") from error
        subjects, truth = (np.array([row[key] for row in rows]) for key in ("subject", "truth"))
        folds.append(Fold(_place(path.parent.name)[0], subjects, truth, probabilities, path.parent))
    return classes, folds


def published_accuracy(data: str, task: str, dim: int, network: str) -> float | None:
    """Return the accuracy of the paper's Table 1 as a share, or None where it has no such row."""
    table = registry.card("mci-homology").content["published"]["accuracy_percent"]
    found: Any = table.get(data, {}).get(task.replace(":", "/"), {}).get(f"H{dim}", {}).get(network)
    return None if found is None else float(found) / 100


def _scores(classes: Sequence[str], folds: Sequence[Fold], protocol: str, job: Job) -> list[Score]:
    true = _true_labels(folds) if protocol == "permutation" else list(folds)
    truth, table = np.concatenate([f.truth for f in true]), np.concatenate([f.probabilities for f in true])
    subjects = np.concatenate([f.subjects for f in true])
    repeated = len(set(subjects.tolist())) < len(subjects)
    scores = classification_scores(
        truth,
        table,
        classes,
        subjects=subjects if repeated else None,
        seed=job.seed,
        resamples=job.params.resamples,
    )
    if len(true) > 1:
        each = [classification_scores(f.truth, f.probabilities, classes, resamples=0) for f in true]
        scores += over_folds([[s for s in rows if " called " not in s.metric] for rows in each])
    if protocol == "paper":
        scores += _best_epoch(true[0])
    if protocol == "permutation":
        scores.append(_permutation(classes, folds))
    return scores


def _best_epoch(fold: Fold) -> list[Score]:
    path = fold.folder / "metrics.csv"
    return [best_epoch_on_test(read_history(path), "test_accuracy", n=len(fold.truth))] if path.is_file() else []


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


def _true_labels(folds: Sequence[Fold]) -> list[Fold]:
    """Return the folds whose labels are the true ones: under permutation the first repeat, else all of them."""
    trained = read_yaml(folds[0].folder.parent.parent / "params.yaml")
    return [fold for fold in folds if trained["protocol"] != "permutation" or fold.repeat == 1]


def _place(name: str) -> tuple[int, int]:
    repeat, _, fold = name.removeprefix("r").partition("f")
    return int(repeat), int(fold)


def _run_folder(job: Job) -> Path:
    if len(job.inputs) != 1 or not (job.inputs[0] / "params.yaml").is_file():
        raise InputError("INPUT", "expected one run folder that `medtools train` wrote")
    return job.inputs[0]
