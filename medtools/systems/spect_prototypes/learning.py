"""`medtools train spect-prototypes`: learn an embedding in a few episodes, judge it on other subjects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medtools.core.atomic import write_json, write_text
from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.params import check, values_yaml
from medtools.core.seeds import child_seed, generator, seeded
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.systems.spect_prototypes import evaluation
from medtools.systems.spect_prototypes.crops import Crops, crop_files, manifest_of, read_crops
from medtools.systems.spect_prototypes.model import Distance, PrototypeNetwork, episode_loss, reestimate_batch_norm
from medtools.systems.spect_prototypes.params import EpisodeParams, NetworkParams, ReproduceParams, TrainParams
from medtools.systems.spect_prototypes.prototypes import PROTOTYPES, class_prototypes, write_prototypes
from medtools.training.episodes import Episode, EpisodeBatches, EpisodeSampler
from medtools.training.fit import FitResult, FitSettings, Objective, Step, fit
from medtools.training.predictions import TABLE
from medtools.training.runs import FINAL, fold_name, train_folds
from medtools.training.splits import SPLIT_COLUMNS, Split, check_split, everyone, given_split, split_rows

SYSTEM = "spect-prototypes"
EPISODES = "episodes.json"
_VALIDATION_SHARE = 0.25


def run(job: Job) -> None:
    """Train every fold and, when subjects are left out in turn, one more network on everyone."""
    params: TrainParams = job.params
    crops = read_crops(job.inputs)
    splits = {fold_name(split): split for split in make_splits(job.inputs, crops, params, job.seed)}
    say_start(params)
    reads = [*crop_files(job.inputs), *([params.weights] if params.weights else [])]
    rows = split_rows(list(splits.values()), crops.ids.tolist(), crops.subjects.tolist())
    write_tsv(job.out / "splits.tsv", SPLIT_COLUMNS, rows)
    write_text(job.out / "params.yaml", values_yaml(params))

    def train(name: str, folder: Path) -> Iterable[Path]:
        split = splits.get(name) or everyone(len(crops))
        return train_fold(job, crops, split, folder, name)

    train_folds(job, splits, reads, train, final=params.loso)


def train_fold(job: Job, crops: Crops, split: Split, folder: Path, name: str) -> Iterable[Path]:
    """Train on a split and answer the episodes of its validation part, if it has one."""
    params: TrainParams = job.params
    judged = params.model_copy(update={"val_support": "train"}) if params.loso else params
    tasks = [] if name == FINAL else evaluation.validation_tasks(crops, split, judged, params.shot, job.seed)
    result = fit_episodes(
        crops,
        split,
        params,
        shot=params.shot,
        episodes=params.episodes,
        distance=params.distance,
        recalibrate=params.recalibrates,
        out=folder,
        job=job,
        curves=params.curves,
    )
    part = crops.part(split.train)
    embedded = evaluation.embed(result.model, crops.images)
    drawn = [evaluation.Task.of(e) for e in training_episodes(part, params, params.shot, params.episodes, job.seed)]
    record = {"train": evaluation.described(part, drawn), "validation": evaluation.described(crops, tasks)}
    write_json(folder / EPISODES, record)
    write_prototypes(folder / PROTOTYPES, *class_prototypes(embedded[torch.from_numpy(split.train)], part.labels))
    files = [*result.files, folder / EPISODES, folder / PROTOTYPES]
    if tasks:
        rows = evaluation.answers(crops, tasks, evaluation.by_prototypes(embedded, params.distance), crops.classes)
        write_tsv(folder / TABLE, list(rows[0]), rows)
        accuracy, loss = evaluation.accuracy_and_loss(rows, crops.classes)
        LOGGER.info("%s: accuracy %.4f, loss %.3f over %d decisions of validation", name, accuracy, loss, len(rows))
        files.append(folder / TABLE)
    return files


def fit_episodes(
    crops: Crops,
    split: Split,
    params: TrainParams | ReproduceParams,
    *,
    shot: int,
    episodes: int,
    distance: Distance,
    recalibrate: bool,
    out: Path,
    job: Job,
    curves: bool,
) -> FitResult:
    """Train a network on the training part of a split, one step per episode.

    Raises
    ------
    InputError
        A class has too few crops, a fault of the weights, or a loss that is no number.
    """
    part = crops.part(split.train)
    network = start(params, job.seed)
    sampler = _sampler(part, params, shot, job.seed)

    def make(episode: Episode, _: np.random.Generator) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(part.images[episode.support]), torch.from_numpy(part.images[episode.query])

    def loss(model: nn.Module, batch: Sequence[Tensor], _: Step) -> dict[str, Tensor]:
        value, right = episode_loss(model, batch[0][0], batch[1][0], distance)
        return {"loss": value, "accuracy": right}

    def after_step(model: nn.Module, step: Step) -> None:
        if recalibrate and step.number == step.total - 1:
            reestimate(model, part, params, shot, job.seed)

    rate = params.learning_rate
    settings = {
        "epochs": episodes,
        "curves": curves,
        "compute_threads": params.compute_threads,
        "checkpoint_seconds": params.checkpoint_seconds,
    }
    return fit(
        network,
        Objective(loss, lambda model: torch.optim.Adam(model.parameters(), lr=rate)),
        EpisodeBatches(sampler, make, steps=1, content=part.content),
        out=out,
        settings=check(FitSettings, settings),
        seed=job.seed,
        device=job.device,
        params=model_params(params, distance, part.classes, shot, recalibrate=recalibrate),
        after_step=after_step,
        overwrite=job.overwrite,
    )


def start(params: NetworkParams, seed: int) -> PrototypeNetwork:
    """Return the network before training.

    Raises
    ------
    InputError
        The weights are not those of the trunk.
    """
    with seeded(child_seed(seed, "weights")):
        network = PrototypeNetwork(
            params.pixels, encoder=params.encoder, width=params.width, standardise=params.weights is not None
        )
    if params.weights is not None:
        network.load(params.weights)
    return network


def say_start(params: NetworkParams) -> None:
    """Log whether the trunk starts pre-trained, as the paper's, or at random."""
    start = params.weights or "random weights (the paper's is pre-trained: --weights)"
    LOGGER.info("%s starts from %s", params.encoder, start)


def build(stored: Mapping[str, Any]) -> PrototypeNetwork:
    """Build the network that stored parameters describe."""
    encoder = stored.get("encoder", "resnet18")  # models made before there was a choice do not say
    return PrototypeNetwork(stored["size"], encoder=encoder, width=stored["width"], standardise=stored["standardise"])


def model_params(
    params: NetworkParams, distance: Distance, classes: Sequence[str], shot: int, *, recalibrate: bool
) -> dict[str, Any]:
    """Return what is stored with a model."""
    return {
        "system": SYSTEM,
        "size": params.pixels,
        "encoder": params.encoder,
        "width": params.width,
        "standardise": params.weights is not None,
        "start": "weights" if params.weights else "random",
        "distance": distance,
        "classes": list(classes),
        "shot": shot,
        "bn_recalibrated": recalibrate,
    }


def reestimate(model: nn.Module, part: Crops, params: EpisodeParams, shot: int, seed: int) -> None:
    """Re-estimate the batch-norm statistics by one pass over the training crops, in batches as large as an episode."""
    size = params.way * (shot + params.query)
    order = generator(seed, "batch norm").permutation(len(part))
    device = next(model.parameters()).device
    rows = np.array_split(order, max(1, round(len(part) / size)))
    reestimate_batch_norm(model, [torch.from_numpy(part.images[batch]).to(device) for batch in rows])


def training_episodes(part: Crops, params: EpisodeParams, shot: int, episodes: int, seed: int) -> list[Episode]:
    """Return the episodes of a training, as `fit_episodes` draws them."""
    sampler = _sampler(part, params, shot, seed)
    return [sampler.draw(number, 0, 0) for number in range(episodes)]


def make_splits(inputs: Sequence[Path], crops: Crops, params: TrainParams | EpisodeParams, seed: int) -> list[Split]:
    """Divide subjects: by the manifest's column split, else at random; with `loso`, each is left out once.

    Raises
    ------
    InputError
        One subject only, or none left to train on.
    """
    names = np.unique(crops.subjects).tolist()
    if len(names) < 2:
        raise InputError("INPUT", f"one subject only ({names[0]})", "training and validation need different subjects")
    if getattr(params, "loso", False):
        return [_held_out(crops, [name], fold) for fold, name in enumerate(names)]
    manifest = manifest_of(inputs)
    if "split" in manifest.columns and params.val_subjects is None:
        given = given_split(crops.subjects, manifest.labels("split"))
        held = np.sort(np.concatenate([given.validation, given.test]))
        if not len(held):
            raise InputError(manifest.path, "column 'split' has no row for validation")
        return [Split(given.train, held, held[:0])]
    count = params.val_subjects or max(1, math.floor(_VALIDATION_SHARE * len(names) + 0.5))
    if count >= len(names):
        raise InputError("--val-subjects", f"{count} of {len(names)} subjects leave none to train on")
    drawn = generator(seed, "validation subjects").permutation(names)[:count].tolist()
    return [_held_out(crops, drawn, 0)]


def _held_out(crops: Crops, names: Sequence[str], fold: int) -> Split:
    held = np.isin(crops.subjects, names)
    empty: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    split = Split(np.flatnonzero(~held), np.flatnonzero(held), empty, fold=fold, held_out=",".join(sorted(names)))
    check_split(split, crops.subjects)
    return split


def _sampler(part: Crops, params: EpisodeParams, shot: int, seed: int) -> EpisodeSampler:
    return EpisodeSampler(
        part.labels,
        way=params.way,
        shot=shot,
        query=params.query,
        seed=child_seed(seed, "episodes"),
        repeat=params.repeat_ok,
    )
