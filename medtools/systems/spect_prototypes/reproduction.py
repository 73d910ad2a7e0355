"""`medtools reproduce spect-prototypes`: start, distance, shots and episodes, row by row, beside three baselines."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from medtools.core.devices import resolve_device
from medtools.core.figures import save_figure
from medtools.core.stage import Job, Sample
from medtools.core.tables import read_tsv, write_tsv
from medtools.metrics.intervals import bootstrap
from medtools.systems.spect_prototypes import baselines, evaluation
from medtools.systems.spect_prototypes.crops import Crops, crop_files, read_crops
from medtools.systems.spect_prototypes.evaluation import Answer
from medtools.systems.spect_prototypes.figures import table_figure
from medtools.systems.spect_prototypes.learning import fit_episodes, make_splits, reestimate, say_start, start
from medtools.systems.spect_prototypes.model import Distance
from medtools.systems.spect_prototypes.params import ReproduceParams
from medtools.training.runs import MODEL
from medtools.training.splits import Split

COLUMNS = (
    "start", "distance", "shots", "episodes", "batch_norm", "accuracy", "ci_low", "ci_high", "right", "decisions",
    "loss",
)  # fmt: skip
AS_TRAINED, REESTIMATED = "as trained", "re-estimated"
_TABLE = "table.tsv"
_RESAMPLES = 2000


@dataclass(frozen=True)
class Row:
    """One line of the table: a network (start random or weights) or a baseline."""

    start: str
    shots: int
    distance: Distance | None = None
    episodes: int | None = None

    @property
    def name(self) -> str:
        """Its folder."""
        if self.start == "chance":
            return self.start
        words = [self.start, self.distance, f"s{self.shots}", None if self.episodes is None else f"e{self.episodes}"]
        return "-".join(word for word in words if word is not None)


def rows_of(params: ReproduceParams) -> list[Row]:
    """Return the rows of the table, baselines first."""
    shots = params.shots
    found = [Row("chance", shots[0])]
    found += [Row(name, shot) for name in ("pixels", "shape", "shape-all") for shot in shots]
    starts = ["random", *(["weights"] if params.weights else [])]
    product = itertools.product(starts, params.distances, shots, params.episodes)
    return found + [Row(one, shot, distance, count) for one, distance, shot, count in product]  # type: ignore[arg-type]


def run(job: Job) -> None:
    """Make the rows that are not there yet; write `table.tsv` and `table.png`."""
    params: ReproduceParams = job.params
    crops = read_crops(job.inputs)
    (split,) = make_splits(job.inputs, crops, params, job.seed)
    say_start(params)
    rows = {row.name: row for row in rows_of(params)}
    reads = (*crop_files(job.inputs), *([params.weights] if params.weights else []))
    samples = [Sample(name, reads, job.out / "rows" / name / "row.json") for name in rows]
    done = job.for_each(samples, lambda sample: _one(job, crops, split, rows[sample.id]), "rows")
    if done and not job.only:
        table = [line for sample in done for line in read_tsv(sample.record.with_name("row.tsv"))[1]]
        write_tsv(job.out / _TABLE, COLUMNS, table)
        save_figure(table_figure(table), job.out / "table.png")
        job.wrote(job.out / _TABLE, job.out / "table.png")


def _one(job: Job, crops: Crops, split: Split, row: Row) -> Iterable[Path]:
    params: ReproduceParams = job.params
    folder = job.out / "rows" / row.name
    tasks = evaluation.validation_tasks(crops, split, params, row.shots, job.seed)
    if row.start == "chance":
        lines: list[dict[str, Any]] = [{"start": row.start, "accuracy": 1 / params.way}]
    elif row.distance is None:
        lines = [_judged(row, None, crops, tasks, _baseline(row, crops, split, job.seed), job.seed)]
    else:
        lines = []
        for how, network in _networks(job, crops, split, row, row.distance, folder).items():
            answer = evaluation.by_prototypes(evaluation.embed(network, crops.images), row.distance)
            lines.append(_judged(row, how, crops, tasks, answer, job.seed))
    yield write_tsv(folder / "row.tsv", COLUMNS, lines)
    (folder / MODEL).unlink(missing_ok=True)  # 45 MB that `medtools train` makes again


def _baseline(row: Row, crops: Crops, split: Split, seed: int) -> Answer:
    if row.start == "pixels":
        return baselines.nearest_pixels(crops)
    train = split.train if row.start == "shape-all" else None
    return baselines.by_shape(baselines.shape_features(crops), crops, train, seed)


def _networks(
    job: Job, crops: Crops, split: Split, row: Row, distance: Distance, folder: Path
) -> Mapping[str, nn.Module]:
    """Return a row's network with its batch-norm statistics as trained, and with those of the training crops."""
    params: ReproduceParams = job.params
    chosen = params if row.start == "weights" else params.model_copy(update={"weights": None})
    if row.episodes:
        network: nn.Module = fit_episodes(
            crops,
            split,
            chosen,
            shot=row.shots,
            episodes=row.episodes,
            distance=distance,
            recalibrate=False,
            out=folder,
            job=job,
            curves=False,
        ).model
    else:
        network = start(chosen, job.seed)
    network.to(resolve_device(job.device))
    other = copy.deepcopy(network)
    reestimate(other, crops.part(split.train), params, row.shots, job.seed)
    return {AS_TRAINED: network, REESTIMATED: other}


def _judged(
    row: Row, how: str | None, crops: Crops, tasks: Sequence[evaluation.Task], answer: Answer, seed: int
) -> dict[str, Any]:
    found = evaluation.answers(crops, tasks, answer, crops.classes)
    accuracy, loss = evaluation.accuracy_and_loss(found, crops.classes)
    called = [max(crops.classes, key=lambda name, one=one: one[f"p_{name}"]) for one in found]  # type: ignore[misc]
    right = np.array([name == one["truth"] for name, one in zip(called, found, strict=True)], dtype=np.float64)
    subjects = [str(one["subject"]) for one in found]
    low, high = bootstrap(lambda rows: float(right[rows].mean()), subjects, seed=seed, resamples=_RESAMPLES)
    return {
        "start": row.start, "distance": row.distance, "shots": row.shots, "episodes": row.episodes, "batch_norm": how,
        "accuracy": accuracy, "ci_low": low, "ci_high": high, "right": int(right.sum()), "decisions": len(right),
        "loss": loss,
    }  # fmt: skip
