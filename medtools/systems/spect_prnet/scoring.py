"""`medtools score spect-prnet`: offsets, reconstruction and landmarks, beside baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.figures import save_figure
from medtools.core.log import LOGGER
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.metrics.intervals import percentile_interval, resampled_counts
from medtools.metrics.table import COMPARISON_COLUMNS, SCORE_COLUMNS, Score, at_level, beside_published, score_rows
from medtools.preprocess.spect import heart as hearts_io
from medtools.preprocess.spect.heart import HeartSlice
from medtools.systems import registry
from medtools.systems.spect_prnet.errors import (
    LANDMARK_COLUMNS,
    Offsets,
    landmark_errors,
    mean_offset,
    offsets_of,
    patch_errors,
)
from medtools.systems.spect_prnet.figures import error_figure, loss_figure, offset_figure
from medtools.systems.spect_prnet.location import TABLE
from medtools.systems.spect_prnet.network import TrainedPrNet, read_slices
from medtools.systems.spect_prnet.params import ScoreParams
from medtools.systems.spect_prnet.reconstruction import quality, rebuild
from medtools.training.history import read_history
from medtools.training.runs import MODEL

SAME, OTHERS, TRAINING = "same image", "other subjects", "training, last epoch"
METRICS = "metrics.csv"
_AXES = ("row", "col")


def run(job: Job) -> None:
    """Write `scores.tsv`, `comparison.tsv`, `landmark_errors.tsv` and the figures."""
    params: ScoreParams = job.params
    trained = TrainedPrNet.read(params.model, job.device)
    hearts = read_slices(job.inputs, trained)
    history = read_history(params.model / METRICS)
    last = history[-1]
    scores = [Score(name, TRAINING, last[name], n=len(history)) for name in ("loss", "L_dis", "L_rec")]
    units = ("in r²" if trained.params["normalize_offsets"] else f"in {trained.unit}²", "sum of both patches")
    _figure(job, "losses", loss_figure(history, units))
    shown = {}
    mean = mean_offset(trained, _level(SAME, hearts, trained), params.pairs, job.seed)
    for level in (SAME, OTHERS):
        members = _level(level, hearts, trained)
        if not members:
            LOGGER.warning("INPUT has no slice to score as %r", level)
            continue
        found = offsets_of(trained, members, params.pairs, job.seed)
        shown[level] = found.true, found.predicted
        scores += [score for part in _offset_scores(job, found, mean) for score in at_level(part, level)]
        scores += at_level(_reconstruction_scores(job, trained, members), level)
    _figure(job, "offsets", offset_figure(shown, trained.unit))
    errors = landmark_errors(params.landmarks, hearts, trained) if params.landmarks is not None else []
    if errors:
        scores += _landmark_scores(job, errors)
    elif params.landmarks is not None:
        LOGGER.warning("%s: no study of another subject has these landmarks marked: not scored", params.landmarks)
    published = registry.card("spect-prnet").content["published"]["training loss"]
    job.wrote(
        write_tsv(job.out / "scores.tsv", SCORE_COLUMNS, score_rows(scores)),
        write_tsv(
            job.out / "comparison.tsv",
            COMPARISON_COLUMNS,
            beside_published(scores, {("loss", TRAINING): published}),
        ),
    )


def reads(job: Job) -> list[Path]:
    """List what decides the scores."""
    tables = [job.params.landmarks / TABLE] if job.params.landmarks is not None else []
    return [*hearts_io.reads(job.inputs), job.params.model / MODEL, job.params.model / METRICS, *tables]


def mean_score(
    name: str, values: NDArray[np.float64], subjects: Sequence[str], *, seed: int, resamples: int, level: str = ""
) -> Score:
    """Return a mean with its bootstrap interval over subjects; without an interval where there is only one."""
    counts = resampled_counts(subjects, seed=seed, resamples=resamples)
    interval = percentile_interval([part @ values / part.sum(axis=1) for part in counts])
    return Score(name, level, float(values.mean()), *interval, len(values))


def _level(level: str, hearts: Sequence[HeartSlice], trained: TrainedPrNet) -> list[HeartSlice]:
    if level == SAME:
        return [heart for heart in hearts if heart.id in trained.params["images"]]
    return [heart for heart in hearts if heart.subject not in trained.params["subjects"]]


def _offset_scores(job: Job, found: Offsets, mean: NDArray[np.float64]) -> list[list[Score]]:
    """Mean absolute errors of the network, of no offset and of the mean offset: over both axes, and along each."""
    guesses = {"": found.predicted, "predict-zero": np.zeros(2), "predict-mean": mean}
    return [at_level(_mean_errors(job, found, guess), name) if name else _mean_errors(job, found, guess)
            for name, guess in guesses.items()]  # fmt: skip


def _mean_errors(job: Job, found: Offsets, guess: NDArray[np.float64]) -> list[Score]:
    scores = []
    for unit, size in found.sizes.items():
        errors = np.abs(guess - found.true) * size
        parts = {f"offset_mae_{unit}": errors.mean(axis=1)}
        parts |= {f"offset_mae_{axis}_{unit}": errors[:, place] for place, axis in enumerate(_AXES)}
        scores += [_mean(job, name, values, found.subjects) for name, values in parts.items()]
    return scores


def _reconstruction_scores(job: Job, trained: TrainedPrNet, hearts: Sequence[HeartSlice]) -> list[Score]:
    """Errors of patches, beside those of a constant patch of the right mean, and quality of whole slices."""
    found, constant, subjects = patch_errors(trained, hearts, job.params.pairs, job.seed)
    scores = [_mean(job, "patch_mse", found, subjects), _mean(job, "patch_mse_of_its_mean", constant, subjects)]
    slices = [quality(heart.image, rebuild(trained, heart)) for heart in hearts]
    names = [heart.subject for heart in hearts]
    return scores + [_mean(job, f"slice_{key}", np.array([s[key] for s in slices]), names) for key in slices[0]]


def _landmark_scores(job: Job, rows: Sequence[Mapping[str, Any]]) -> list[Score]:
    job.wrote(write_tsv(job.out / "landmark_errors.tsv", LANDMARK_COLUMNS, rows))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    names = list(dict.fromkeys(row["name"] for row in rows))
    scores = []
    for method in methods:
        for name in ("", *names):
            chosen = [row for row in rows if row["method"] == method and name in ("", row["name"])]
            level = f"{method}, {name or 'all landmarks'}"
            scores += at_level(_error_scores(job, chosen), level)
    errors = {
        method: {
            name: np.array([row["error_px"] for row in rows if (row["method"], row["name"]) == (method, name)])
            for name in names
        }
        for method in methods
    }
    _figure(job, "landmark_errors", error_figure(errors, job.params.within))
    return scores


def _error_scores(job: Job, rows: Sequence[Mapping[str, Any]]) -> list[Score]:
    subjects = [row["subject"] for row in rows]
    pixels = np.array([row["error_px"] for row in rows])
    success = (pixels < job.params.within).astype(np.float64)
    scores = [_mean(job, "landmark_error_px", pixels, subjects)]
    scores.append(Score("landmark_error_sd_px", "", float(pixels.std()), n=len(rows)))
    if all(row["error_mm"] is not None for row in rows):
        scores.append(_mean(job, "landmark_error_mm", np.array([row["error_mm"] for row in rows]), subjects))
    return [*scores, _mean(job, f"landmark_within_{job.params.within:g}_px", success, subjects)]


def _mean(job: Job, name: str, values: NDArray[np.float64], subjects: Sequence[str]) -> Score:
    return mean_score(name, values, subjects, seed=job.seed, resamples=job.params.resamples)


def _figure(job: Job, name: str, figure: Any) -> None:
    save_figure(figure, job.out / f"{name}.png")
    job.wrote(job.out / f"{name}.png")
