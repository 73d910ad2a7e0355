"""`medtools explain spect-prototypes`: one episode with what was called, and the embeddings with the prototypes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.explain.embedding import in_the_plane
from medtools.io.guard import read_object
from medtools.systems.spect_prototypes import evaluation
from medtools.systems.spect_prototypes.crops import Crops, crop_files, read_crops
from medtools.systems.spect_prototypes.evaluation import Task
from medtools.systems.spect_prototypes.figures import episode_figure, map_figure
from medtools.systems.spect_prototypes.inference import load_network
from medtools.systems.spect_prototypes.learning import EPISODES
from medtools.systems.spect_prototypes.params import ExplainParams
from medtools.systems.spect_prototypes.prototypes import PROTOTYPES, read_prototypes
from medtools.training.runs import MODEL, fold_folder

_COLUMNS = ("id", "subject", "truth", "part", "x", "y")
_SHOWN = 6
"""Queries drawn per class."""


def run(job: Job) -> None:
    """Write `episode.png`, `embedding.png` and `embedding.tsv`."""
    params: ExplainParams = job.params
    folder = fold_folder(params.model, params.fold)
    network, stored = load_network(folder)
    crops = read_crops(job.inputs)
    record = read_object(folder / EPISODES)
    task = task_of(record, crops, params.episode, folder)
    embedded = evaluation.embed(network, crops.images)
    posterior = evaluation.by_prototypes(embedded, stored["distance"])(task)
    title = f"Validation episode {params.episode} of {params.fold}: support, and queries with what each is called"
    support = {name: list(crops.images[rows]) for name, rows in zip(task.classes, task.support, strict=True)}
    save_figure(episode_figure(support, _queries(crops, task, posterior), title=title), job.out / "episode.png")
    classes, centres = read_prototypes(folder / PROTOTYPES)
    rows = map_rows(crops, embedded, classes, centres, record, how=params.embedding, seed=job.seed)
    axis = "Principal component" if params.embedding == "pca" else "UMAP"
    figure = map_figure(rows, crops.classes, axis=axis, title=f"Embeddings, {params.fold}")
    save_figure(figure, job.out / "embedding.png")
    table = write_tsv(job.out / "embedding.tsv", _COLUMNS, rows)
    job.wrote(job.out / "episode.png", job.out / "embedding.png", table)


def reads(job: Job) -> list[Path]:
    """List what decides the pictures."""
    folder = fold_folder(job.params.model, job.params.fold)
    return [*crop_files(job.inputs), *(folder / name for name in (MODEL, EPISODES, PROTOTYPES))]


def task_of(record: dict[str, Any], crops: Crops, number: int, folder: Path) -> Task:
    """Return a validation episode of `episodes.json` as rows of the crops.

    Raises
    ------
    InputError
        No such episode, or a crop of it is not in the manifest.
    """
    found = record.get("validation", [])
    if not 1 <= number <= len(found):
        raise InputError("--episode", f"no validation episode {number} in {folder}, it has {len(found)}")
    place = {name: row for row, name in enumerate(crops.ids.tolist())}
    support, queries = found[number - 1]["support"], found[number - 1]["query"]
    missing = [name for name in (*(one for ids in support.values() for one in ids), *queries) if name not in place]
    if missing:
        raise InputError("INPUT", f"the manifest has no crop {missing[0]!r}", "give the manifest that was trained on")
    rows = np.array([[place[name] for name in ids] for ids in support.values()])
    return Task(tuple(support), rows, np.array([place[name] for name in queries]))


def map_rows(
    crops: Crops,
    embedded: torch.Tensor,
    classes: tuple[str, ...],
    centres: torch.Tensor,
    record: dict[str, Any],
    *,
    how: Any,
    seed: int,
) -> list[dict[str, Any]]:
    """Return the place of every crop and prototype in the plane; what was never asked in validation is of training."""
    points = in_the_plane(torch.cat([embedded, centres]).numpy(), how, seed=seed)
    asked = {name for episode in record["validation"] for name in episode["query"]}
    judging = set(crops.subjects[np.isin(crops.ids, list(asked))].tolist())
    who = [
        {"id": i, "subject": s, "truth": t, "part": "validation" if s in judging else "train"}
        for i, s, t in zip(crops.ids.tolist(), crops.subjects.tolist(), crops.labels.tolist(), strict=True)
    ]
    who += [{"id": f"prototype of {name}", "subject": None, "truth": name, "part": "prototype"} for name in classes]
    return [one | {"x": float(x), "y": float(y)} for one, (x, y) in zip(who, points, strict=True)]


def _queries(
    crops: Crops, task: Task, posterior: NDArray[np.float64]
) -> dict[str, list[tuple[NDArray[np.float32], str, float]]]:
    shown: dict[str, list[tuple[NDArray[np.float32], str, float]]] = {name: [] for name in task.classes}
    for row, values in zip(task.queries.tolist(), posterior, strict=True):
        own = shown[str(crops.labels[row])]
        if len(own) < _SHOWN:
            own.append((crops.images[row], task.classes[int(values.argmax())], float(values.max())))
    return shown
