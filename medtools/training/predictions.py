"""Predictions of classifiers as tables, read back fold by fold, and their scores over folds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.tables import read_tsv, write_tsv
from medtools.metrics.report import classification_scores
from medtools.metrics.table import Score, over_folds

TABLE = "predictions.tsv"


@dataclass(frozen=True)
class Fold:
    """Test predictions of one fold.

    Attributes
    ----------
    name : str
        Such as `r1f1`.
    ids, subjects, truth : (n,) str
    probabilities : (n, n_classes) float64
    """

    name: str
    ids: NDArray[np.str_]
    subjects: NDArray[np.str_]
    truth: NDArray[np.str_]
    probabilities: NDArray[np.float64]

    @property
    def repeat(self) -> int:
        """Number of the repeat, from 1; 0 where the name says none."""
        return _place(self.name)[0]


def run_folder(inputs: Sequence[Path]) -> Path:
    """Return the one run folder among the inputs of a stage.

    Raises
    ------
    InputError
        None, several, or a folder that no training wrote.
    """
    if len(inputs) != 1 or not (inputs[0] / "params.yaml").is_file():
        raise InputError("INPUT", "expected one run folder that `medtools train` wrote")
    return inputs[0]


def write_predictions(
    path: Path,
    ids: Sequence[str],
    subjects: Sequence[str],
    classes: Sequence[str],
    probabilities: NDArray[np.float64],
    *,
    truth: Sequence[str] | None = None,
    called: Sequence[str] | None = None,
) -> None:
    """Write one row per sample and one column `p_NAME` per class, with the truth or with what is called.

    Parameters
    ----------
    path : Path
    ids, subjects : sequence of str
    classes : sequence of str
        Names of the columns.
    probabilities : (n, n_classes) float64
    truth : sequence of str, optional
        True class of each sample, where it is known.
    called : sequence of str, optional
        What is called; by default, and without a truth, the class of highest probability.
    """
    columns: dict[str, Sequence[str]] = {"id": ids, "subject": subjects}
    if truth is not None:
        columns["truth"] = truth
    if called is not None or truth is None:
        columns["called"] = called if called is not None else np.array(classes)[probabilities.argmax(axis=1)].tolist()
    rows: list[dict[str, Any]] = []
    for number, values in enumerate(probabilities.tolist()):
        cells = {name: str(column[number]) for name, column in columns.items()}
        rows.append(cells | {f"p_{name}": value for name, value in zip(classes, values, strict=True)})
    write_tsv(path, [*columns, *(f"p_{name}" for name in classes)], rows)


def read_fold(path: Path) -> tuple[tuple[str, ...], Fold]:
    """Read the classes and the predictions of one fold.

    Raises
    ------
    InputError
        The table is missing, damaged, or without the truth.
    """
    columns, rows = read_tsv(path)
    classes = tuple(name.removeprefix("p_") for name in columns if name.startswith("p_"))
    if len(classes) < 2 or not {"id", "subject", "truth"} <= set(columns) or not rows:
        raise InputError(
            path,
            "is no table of predictions with the truth",
            "train this fold again, or label the manifest and infer again",
        )
    try:
        table = np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows])
    except ValueError as error:
        raise InputError(path, f"a probability is not a number: {error}") from error
    ids, subjects, truth = (np.array([row[key] for row in rows]) for key in ("id", "subject", "truth"))
    return classes, Fold(path.parent.name, ids, subjects, truth, table)


def read_folds(run: Path) -> tuple[tuple[str, ...], list[Fold]]:
    """Read the predictions of every fold of a run folder, in order of repeat and fold.

    Raises
    ------
    InputError
        No fold is finished, folds have different classes, or as `read_fold`.
    """
    paths = sorted(run.glob(f"folds/*/{TABLE}"), key=lambda path: _place(path.parent.name))
    if not paths:
        raise InputError(run, "holds no finished fold", "run `medtools train` first")
    found = [read_fold(path) for path in paths]
    for (classes, fold), path in zip(found, paths, strict=True):
        if classes != found[0][0]:
            raise InputError(path, f"fold {fold.name} has classes {', '.join(classes)}", "train all folds alike")
    return found[0][0], [fold for _, fold in found]


def scores_of(
    classes: Sequence[str], folds: Sequence[Fold], *, level: str = "test", seed: int = 0, resamples: int = 0
) -> list[Score]:
    """Return the measures over all folds together, and their mean and spread over folds.

    Intervals resample subjects wherever one has several predictions.
    """
    truth, table = pooled(folds)
    subjects = np.concatenate([fold.subjects for fold in folds])
    repeated = len(set(subjects.tolist())) < len(subjects)
    units = subjects if repeated else None
    scores = classification_scores(truth, table, classes, level=level, subjects=units, seed=seed, resamples=resamples)
    if len(folds) > 1:
        each = [classification_scores(f.truth, f.probabilities, classes, level=level, resamples=0) for f in folds]
        scores += over_folds([[s for s in rows if s.level == level and " called " not in s.metric] for rows in each])
    return scores


def pooled(folds: Sequence[Fold]) -> tuple[NDArray[np.str_], NDArray[np.float64]]:
    """Return truth and probabilities of all folds together."""
    return np.concatenate([f.truth for f in folds]), np.concatenate([f.probabilities for f in folds])


def _place(name: str) -> tuple[int, int]:
    repeat, _, fold = name.removeprefix("r").partition("f")
    return (int(repeat), int(fold)) if repeat.isdigit() and fold.isdigit() else (0, 0)
