"""`medtools score asd-transformer`: scores over all folds of a run, beside the published row or another run."""

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
from medtools.metrics.classification import auroc
from medtools.metrics.comparison import paired_bootstrap
from medtools.metrics.figures import confusion_figure, roc_figure
from medtools.metrics.report import classification_scores
from medtools.metrics.table import COMPARISON_COLUMNS, SCORE_COLUMNS, Score, beside_published, over_folds, score_rows
from medtools.systems import registry

MEASURES = ("accuracy", "auroc", "sensitivity", "specificity")
_DIFFERENCE_COLUMNS = ("metric", "this_run", "other_run", "difference", "ci_low", "ci_high", "n")


@dataclass(frozen=True)
class Fold:
    """Test predictions of one fold."""

    name: str
    subjects: NDArray[np.str_]
    truth: NDArray[np.str_]
    probabilities: NDArray[np.float64]


def run(job: Job) -> None:
    """Write `scores.tsv`, `comparison.tsv`, `difference.tsv` and the figures of a run."""
    folder = run_folder(job.inputs)
    trained = read_yaml(folder / "params.yaml")
    classes, folds = read_folds(folder)
    scores = scores_of(classes, folds, seed=job.seed, resamples=job.params.resamples)
    _write(job, "scores.tsv", SCORE_COLUMNS, score_rows(scores))
    published = published_row(job.params.published, trained)
    if published:
        _write(job, "comparison.tsv", COMPARISON_COLUMNS, beside_published(scores, published))
    if job.params.against is not None:
        rows = difference_rows(classes, folds, job.params.against, seed=job.seed, resamples=job.params.resamples)
        _write(job, "difference.tsv", _DIFFERENCE_COLUMNS, rows)
    truth, table = np.concatenate([f.truth for f in folds]), np.concatenate([f.probabilities for f in folds])
    title = f"{trained['model']}, {trained['task'].replace(':', ' vs ')}"
    for name, figure in {
        "confusion": confusion_figure(truth, table, classes, title=title),
        "roc": roc_figure(truth, table, classes, title=title),
    }.items():
        save_figure(figure, job.out / f"{name}.png")
        job.wrote(job.out / f"{name}.png")


def reads(job: Job) -> list[Path]:
    """List what decides the scores."""
    folder, other = run_folder(job.inputs), job.params.against
    files = [folder / "params.yaml", *sorted(folder.glob("folds/*/predictions.tsv"))]
    return files if other is None else [*files, *sorted(other.glob("folds/*/predictions.tsv"))]


def scores_of(classes: Sequence[str], folds: Sequence[Fold], *, seed: int = 0, resamples: int = 0) -> list[Score]:
    """Return the measures over all folds together, and their mean and population standard deviation over folds."""
    truth, table = np.concatenate([f.truth for f in folds]), np.concatenate([f.probabilities for f in folds])
    subjects = np.concatenate([f.subjects for f in folds])
    repeated = len(set(subjects.tolist())) < len(subjects)
    scores = classification_scores(
        truth, table, classes, subjects=subjects if repeated else None, seed=seed, resamples=resamples
    )
    if len(folds) > 1:
        each = [classification_scores(f.truth, f.probabilities, classes, resamples=0) for f in folds]
        scores += over_folds([[s for s in rows if " called " not in s.metric] for rows in each])
    return scores


def read_folds(folder: Path) -> tuple[tuple[str, str], list[Fold]]:
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
        if len(classes) != 2 or not {"subject", "truth"} <= set(columns) or not rows:
            raise InputError(path, "is no table of test predictions", "train this fold again")
        try:
            table = np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows])
        except ValueError as error:
            raise InputError(path, f"a probability is not a number: {error}") from error
        subjects, truth = (np.array([row[key] for row in rows]) for key in ("subject", "truth"))
        folds.append(Fold(path.parent.name, subjects, truth, table))
    return (classes[0], classes[1]), folds


def published_row(choice: str, trained: dict[str, Any]) -> dict[tuple[str, str], float]:
    """Return the paper's means as shares, by (metric, level); empty where it has no such row."""
    name = trained["model"] if choice == "auto" else choice
    row = registry.card("asd-transformer").content["published"]["percent"].get(name, {})
    return {(metric, "mean over folds"): row[metric][0] / 100 for metric in MEASURES if metric in row}


def difference_rows(
    classes: tuple[str, str], folds: Sequence[Fold], other: Path, *, seed: int, resamples: int
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


def run_folder(inputs: Sequence[Path]) -> Path:
    """Return the one run folder among INPUT."""
    if len(inputs) != 1 or not (inputs[0] / "params.yaml").is_file():
        raise InputError("INPUT", "expected one run folder that `medtools train` wrote")
    return inputs[0]


def _accuracy(truth: Any, score: Any) -> float:
    return float(((score > 0.5) == truth).mean())


def _auroc(truth: Any, score: Any) -> float:
    return float(auroc(truth, score))


def _write(job: Job, name: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    write_tsv(job.out / name, columns, rows)
    job.wrote(job.out / name)


def _place(name: str) -> tuple[int, int]:
    repeat, _, fold = name.removeprefix("r").partition("f")
    return (int(repeat), int(fold)) if repeat.isdigit() and fold.isdigit() else (0, 0)
