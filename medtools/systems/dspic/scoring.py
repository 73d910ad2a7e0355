"""`medtools score dspic`: scores over all folds of a run, beside the published row or another run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.params import read_yaml
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.io.guard import read_object
from medtools.metrics.classification import auroc_micro, class_numbers, confusion_matrix
from medtools.metrics.comparison import mcnemar
from medtools.metrics.figures import roc_curve, write_figures
from medtools.metrics.intervals import percentile_interval, resampled_counts
from medtools.metrics.table import COMPARISON_COLUMNS, SCORE_COLUMNS, Score, beside_published, score_rows
from medtools.systems import registry
from medtools.systems.dspic import calls
from medtools.systems.dspic.cohort import CLASSES, VALIDATION
from medtools.training.predictions import TABLE, Fold, pooled, read_fold, read_folds, run_folder, scores_of

_MCNEMAR = ("only_this_right", "only_other_right", "p", "n")
LEAKY = "test, copies of test images and their patients in training"


def run(job: Job) -> None:
    """Write `scores.tsv`, `confusion.tsv`, `roc.tsv`, `comparison.tsv`, `mcnemar.tsv` and the figures."""
    folder = run_folder(job.inputs)
    trained = read_yaml(folder / "params.yaml")
    level = LEAKY if trained["split"] == "paper" else "test"
    _, folds = read_folds(folder)
    single = [_single(fold) for fold in folds]
    scores = scores_of(CLASSES, single, level=level, seed=job.seed, resamples=job.params.resamples)
    truth, table = pooled(single)
    true = class_numbers(truth, list(CLASSES))
    confusion = np.asarray(confusion_matrix(true, table.argmax(axis=1), len(CLASSES)))
    scores.append(Score("accuracy_one_vs_rest", level, one_vs_rest(confusion), n=len(truth)))
    scores.append(Score("auroc_micro", level, auroc_micro(true, table), n=len(truth)))
    scores += four_label_scores(folder, folds, level=level, seed=job.seed, resamples=job.params.resamples)
    job.wrote(write_tsv(job.out / "scores.tsv", SCORE_COLUMNS, score_rows(scores)))
    cells = [
        {"true": name, **dict(zip(CLASSES, row, strict=True))}
        for name, row in zip(CLASSES, confusion.astype(int).tolist(), strict=True)
    ]
    job.wrote(write_tsv(job.out / "confusion.tsv", ("true", *CLASSES), cells))
    job.wrote(write_tsv(job.out / "roc.tsv", ("class", "false_positive_rate", "sensitivity"), _roc(true, table)))
    which = str(read_object(folder / "model_card.json").get("set"))
    published = published_row(trained, which, level) if job.params.published else {}
    if published:
        job.wrote(write_tsv(job.out / "comparison.tsv", COMPARISON_COLUMNS, beside_published(scores, published)))
    if job.params.against is not None:
        job.wrote(write_tsv(job.out / "mcnemar.tsv", _MCNEMAR, [_compared(folds, job)]))
    title = f"{trained['model']}, {which}: {level}"
    job.wrote(*write_figures(job.out, truth, table, CLASSES, title=title))


def reads(job: Job) -> list[Path]:
    """List what decides the scores."""
    folder, other = run_folder(job.inputs), job.params.against
    files = [
        folder / "params.yaml",
        folder / "model_card.json",
        *sorted(folder.glob(f"folds/*/{TABLE}")),
        *sorted(folder.glob(f"folds/*/{VALIDATION}")),
    ]
    return files if other is None else [*files, *sorted(other.glob(f"folds/*/{TABLE}"))]


def four_label_scores(folder: Path, folds: Sequence[Fold], *, level: str, seed: int, resamples: int) -> list[Score]:
    """Return accuracies over all images, those of both diseases too: by the paper's rule and by calls.

    `accuracy_oracle_top2` is the paper's, which knows the images of both diseases beforehand; `accuracy_top1_of_4`
    calls one class, so it is wrong for all of them; `accuracy_threshold_of_4` calls both where the second is likely
    enough, by a threshold chosen on validation images, where there are any.
    """
    truth, table = pooled(folds)
    subjects = np.concatenate([fold.subjects for fold in folds])
    right = {
        "accuracy_oracle_top2": calls.oracle_correct(truth.tolist(), table),
        "accuracy_top1_of_4": np.array(calls.top1(table)) == truth,
    }
    if all((folder / "folds" / fold.name / VALIDATION).is_file() for fold in folds):
        called = [_called(folder, fold) for fold in folds]
        right["accuracy_threshold_of_4"] = np.concatenate(called) == truth
    both = truth == calls.BOTH
    scores = [_share(name, level, values, subjects, seed, resamples) for name, values in right.items()]
    if both.any():
        found = calls.top2_is_both(table)[both]
        scores.append(_share("both_diseases_are_top2", level, found, subjects[both], seed, resamples))
    return scores


def one_vs_rest(confusion: NDArray[np.float64]) -> float:
    """Return the mean over classes of (TP + TN) / all, Eq. 13 to the letter; with three classes it flatters."""
    total, right = confusion.sum(), np.diag(confusion)
    wrong = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * right
    return float(1 - (wrong / total).mean())


def published_row(trained: dict[str, Any], which: str, level: str) -> dict[tuple[str, str], float]:
    """Return the paper's values for a model and data set (D_1, D_2, D_3), by (metric, level)."""
    table = registry.card("dspic").content["published"]
    model = trained["model"] + ("" if trained["pools"] else "-no-pools")
    row = table.get(model, {}).get(which, {})
    return {(metric, level): value for metric, value in row.items()}


def _single(fold: Fold) -> Fold:
    """Leave out the images of both diseases, which have no single class."""
    keep = fold.truth != calls.BOTH
    return Fold(fold.name, fold.ids[keep], fold.subjects[keep], fold.truth[keep], fold.probabilities[keep])


def _called(folder: Path, fold: Fold) -> list[str]:
    _, held = read_fold(folder / "folds" / fold.name / VALIDATION)
    return calls.threshold(fold.probabilities, calls.choose_tau(held.truth.tolist(), held.probabilities))


def _share(
    name: str, level: str, right: NDArray[np.bool_], subjects: NDArray[np.str_], seed: int, resamples: int
) -> Score:
    counts = resampled_counts(subjects, seed=seed, resamples=resamples)
    interval = percentile_interval([part @ right.astype(np.float64) / part.sum(axis=1) for part in counts])
    return Score(name, level, float(right.mean()), *interval, len(right))


def _compared(folds: Sequence[Fold], job: Job) -> dict[str, Any]:
    """Compare two runs image by image, by the paper's rule of what is right."""
    _, others = read_folds(job.params.against)
    theirs = {fold.name: fold for fold in others}
    for fold in folds:
        match = theirs.get(fold.name)
        if match is None or not np.array_equal(match.ids, fold.ids):
            raise InputError(
                job.params.against, f"fold {fold.name} is missing or has other test images", "train both by one --seed"
            )
    truth, table = pooled(folds)
    _, other = pooled([theirs[fold.name] for fold in folds])
    ours, their = (calls.oracle_correct(truth.tolist(), values) for values in (table, other))
    found = mcnemar(np.ones(len(truth), dtype=np.bool_), ours, their)
    return {"only_this_right": found.only_first, "only_other_right": found.only_second, "p": found.p, "n": len(truth)}


def _roc(true: NDArray[np.int64], table: NDArray[np.float64]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(CLASSES):
        positive = true == number
        if positive.any() and not positive.all():
            x, y = roc_curve(positive, table[:, number])
            points = zip(x.tolist(), y.tolist(), strict=True)
            rows += [{"class": name, "false_positive_rate": a, "sensitivity": b} for a, b in points]
    return rows
