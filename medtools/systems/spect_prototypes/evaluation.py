"""Episodes that judge: drawn once, then answered by any embedding of the crops."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medtools.core.devices import compute_threads
from medtools.core.errors import InputError
from medtools.core.seeds import child_seed, generator
from medtools.systems.spect_prototypes.crops import Crops
from medtools.systems.spect_prototypes.model import Distance, distances, log_posterior, prototypes
from medtools.systems.spect_prototypes.params import EpisodeParams
from medtools.training.batches import TensorBatches
from medtools.training.episodes import Episode, EpisodeSampler
from medtools.training.inference import predict
from medtools.training.splits import Split

_BATCH = 64

Answer = Callable[["Task"], NDArray[np.float64]]


@dataclass(frozen=True)
class Task:
    """One episode to answer.

    Attributes
    ----------
    classes : tuple of str
    support : (way, shot) int64
        Rows of the crops whose class is given, a row of the table per class.
    queries : (n,) int64
        Rows of the crops to classify; none of them is in `support`.
    """

    classes: tuple[str, ...]
    support: NDArray[np.int64]
    queries: NDArray[np.int64]

    @classmethod
    def of(cls, episode: Episode) -> Task:
        """Take an episode of the sampler; its queries class by class."""
        return cls(tuple(map(str, episode.classes)), episode.support, episode.query.ravel())


def validation_tasks(crops: Crops, split: Split, params: EpisodeParams, shot: int, seed: int) -> list[Task]:
    """Draw the episodes of a validation.

    With the support from validation, episodes are as in training, on other subjects. With the support from training,
    each asks for every validation crop, by new supports each time.

    Raises
    ------
    InputError
        A class has too few crops; it is named with what it needs and has.
    """
    rows = split.validation
    state = child_seed(seed, "validation")
    if params.val_support == "train":
        return [_by_others(crops, split, shot, state, number) for number in range(params.val_episodes)]
    try:
        sampler = EpisodeSampler(
            crops.labels[rows], way=params.way, shot=shot, query=params.query, seed=state, repeat=params.repeat_ok
        )
    except InputError as error:
        fix = f"{error.fix or 'lower --way'}, or take its support from training (--val-support train)"
        raise InputError(
            f"validation of {len(set(crops.subjects[rows].tolist()))} subjects", error.found, fix
        ) from error
    found = [Task.of(sampler.draw(0, number)) for number in range(params.val_episodes)]
    return [Task(task.classes, rows[task.support], rows[task.queries]) for task in found]


def embed(network: nn.Module, images: NDArray[np.float32], device: torch.device | None = None) -> Tensor:
    """Return the embedding of each crop, (n, width), in evaluation mode."""
    with compute_threads(1):
        return predict(network, TensorBatches((images,), _BATCH), device=device)


def by_prototypes(embedded: Tensor, how: Distance) -> Answer:
    """Answer episodes by the nearest prototype among these embeddings (n, width) of all crops."""

    def answer(task: Task) -> NDArray[np.float64]:
        centres = prototypes(embedded[torch.from_numpy(task.support)])
        found = distances(embedded[torch.from_numpy(task.queries)], centres, how)
        return log_posterior(found.double()).exp().numpy()

    return answer


def answers(crops: Crops, tasks: Sequence[Task], answer: Answer, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Answer every episode: rows of `predictions.tsv`, one per episode and query, with `p_CLASS` for each class.

    A class that an episode does not have gets the probability 0.
    """
    rows = []
    for number, task in enumerate(tasks, start=1):
        table = answer(task)
        for row, values in zip(task.queries.tolist(), table.tolist(), strict=True):
            given = dict(zip(task.classes, values, strict=True))
            who = {"episode": number, "id": crops.ids[row], "subject": crops.subjects[row], "truth": crops.labels[row]}
            rows.append(who | {f"p_{name}": given.get(name, 0.0) for name in classes})
    return rows


def accuracy_and_loss(rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> tuple[float, float]:
    """Return the share of right calls and the mean of -log p of the true class."""
    table = np.array([[row[f"p_{name}"] for name in classes] for row in rows])
    truth = np.array([list(classes).index(row["truth"]) for row in rows])
    own = table[np.arange(len(truth)), truth]
    tiny = np.finfo(np.float64).tiny
    return float((table.argmax(axis=1) == truth).mean()), float(-np.log(np.maximum(own, tiny)).mean())


def described(crops: Crops, tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """Return the exact support and query identifiers of episodes, for `episodes.json`."""
    return [
        {
            "episode": number,
            "support": {name: crops.ids[rows].tolist() for name, rows in zip(task.classes, task.support, strict=True)},
            "query": crops.ids[task.queries].tolist(),
        }
        for number, task in enumerate(tasks, start=1)
    ]


def _by_others(crops: Crops, split: Split, shot: int, seed: int, number: int) -> Task:
    rng = generator(seed, "support", number)
    labels = crops.labels[split.train]
    names = np.unique(labels).tolist()
    unknown = sorted(set(crops.labels[split.validation].tolist()) - set(names))
    if unknown:
        raise InputError("validation", f"class {unknown[0]!r} is in no crop of training")
    support = []
    for name in names:
        rows = split.train[labels == name]
        if len(rows) < shot:
            raise InputError("training", f"class {name!r} needs {shot} crops for a support and has {len(rows)}")
        support.append(rng.permutation(rows)[:shot])
    return Task(tuple(names), np.stack(support), split.validation)
