"""Episodes for few-shot learning: which samples support and which are asked, as a pure function of (epoch, index)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import default_collate

from medtools.core.errors import InputError
from medtools.core.seeds import generator
from medtools.training.batches import Batch, Batches


@dataclass(frozen=True)
class Episode:
    """One few-shot task.

    Attributes
    ----------
    classes : tuple
        Labels of the classes drawn, in the order of the rows below.
    support : (way, shot) int64
        Sample indices whose labels are given.
    query : (way, query) int64
        Sample indices to classify; none of them is in `support`.
    """

    classes: tuple[Any, ...]
    support: NDArray[np.int64]
    query: NDArray[np.int64]


class EpisodeSampler:
    """Draws episodes of `way` classes with `shot` support and `query` query samples each, all distinct.

    Parameters
    ----------
    labels : (samples,) array
        Class of each sample.
    way, shot, query : int
        Size of an episode (Snell et al. 2017, NeurIPS, Algorithm 1).
    seed : int
        Of all draws.
    repeat : bool
        Where a class has too few samples, let them repeat among its queries; never across support and query.

    Raises
    ------
    InputError
        Too few classes, or a class with too few samples; names it with what it needs and has.
    """

    def __init__(self, labels: ArrayLike, *, way: int, shot: int, query: int, seed: int, repeat: bool = False) -> None:
        self.labels = np.asarray(labels)
        self.way, self.shot, self.query, self.seed = way, shot, query, seed
        self.names: list[Any] = np.unique(self.labels).tolist()
        self._members = [np.flatnonzero(self.labels == name) for name in self.names]
        if len(self.names) < way:
            raise InputError("episodes", f"{way} classes are needed, the samples have {len(self.names)}")
        need = shot + (1 if repeat else query)
        for name, members in zip(self.names, self._members, strict=True):
            if len(members) < need:
                fix = "lower the shots or queries" if repeat else "lower the shots or queries, or let queries repeat"
                raise InputError("episodes", f"class {name!r} needs {need} samples and has {len(members)}", fix)

    def draw(self, *place: int) -> Episode:
        """Return the episode of a place, such as (epoch, index)."""
        rng = generator(self.seed, "episode", *place)
        chosen = np.sort(rng.permutation(len(self.names))[: self.way])
        rows = [self._split(rng.permutation(self._members[number]), rng) for number in chosen]
        classes = tuple(self.names[number] for number in chosen)
        return Episode(classes, np.stack([r[0] for r in rows]), np.stack([r[1] for r in rows]))

    def _split(
        self, shuffled: NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        support, rest = shuffled[: self.shot], shuffled[self.shot :]
        missing = self.query - len(rest)
        query = rest[: self.query] if missing <= 0 else np.concatenate([rest, rng.choice(rest, missing)])
        return support, query


class EpisodeBatches(Batches):
    """Episodes as batches for `fit`: `size` of them stacked in each.

    Parameters
    ----------
    sampler : EpisodeSampler
    make : callable
        `make(episode, generator)` returns the tensors of one episode; the generator is for augmentation.
    steps : int
        Batches per epoch.
    size : int
        Episodes per batch; each tensor gets a first axis of this length.
    content : str
        Digest of the samples' content, so that a run is never resumed on other data.
    """

    def __init__(
        self,
        sampler: EpisodeSampler,
        make: Callable[[Episode, np.random.Generator], Sequence[Any]],
        *,
        steps: int,
        size: int = 1,
        content: str = "",
    ) -> None:
        self.sampler, self.make, self.steps, self.size, self.content = sampler, make, steps, size, content

    def __len__(self) -> int:
        return self.steps

    def batch(self, epoch: int, index: int) -> Batch:
        """Return the stacked tensors of `size` episodes."""
        return default_collate([self._one(epoch, index, number) for number in range(self.size)])

    def fingerprint(self) -> str:
        """Identify sampler and data."""
        s = self.sampler
        return f"episodes:{s.way}:{s.shot}:{s.query}:{s.seed}:{len(self)}:{self.size}:{self.content}"

    def _one(self, *place: int) -> Any:
        return tuple(self.make(self.sampler.draw(*place), generator(self.sampler.seed, "augment", *place)))
