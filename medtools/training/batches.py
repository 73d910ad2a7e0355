"""Batches as a pure function of (epoch, index): the same data in the same order on every run, machine and worker.

Nothing remembers a position, so a run resumes exactly, and loading may be spread over any number of processes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from medtools.core.errors import InputError
from medtools.core.seeds import child_seed
from medtools.training.checkpoint import digest

Batch = Any
Order = Callable[[int, torch.Generator], Tensor]
Augment = Callable[[Any, torch.Generator], Any]


class Batches(ABC):
    """What `fit` trains on. Subclass it for episodes, pairs or patches; both methods must be pure."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of batches per epoch."""

    @abstractmethod
    def batch(self, epoch: int, index: int) -> Batch:
        """Return batch `index` of `epoch` (both from 0): any nest of tensors, on the CPU."""

    def fingerprint(self) -> str:
        """Identify the data, so that a run is never resumed on other data; by default only by their number."""
        return f"{type(self).__name__}:{len(self)}"


class _Drawn(Batches):
    """Batches of samples drawn in a seeded order."""

    def __init__(
        self, samples: int, batch_size: int, seed: int | None, drop_last: bool, steps: int | None, order: Order | None
    ) -> None:
        if samples < 1:
            raise InputError("data", "no samples to make batches of")
        if batch_size < 1:
            raise InputError("batch_size", f"expected at least 1, found {batch_size}")
        if seed is None and (steps is not None or order is not None):
            raise ValueError("steps and order draw at random: they need a seed")
        if drop_last and samples < batch_size:
            raise InputError("batch_size", f"{batch_size} is more than the {samples} training samples")
        self.samples, self.batch_size, self.seed = samples, batch_size, seed
        self.drop_last, self.steps, self._order = drop_last, steps, order or _shuffled(samples)
        self._cached: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        if self.steps is not None:
            return self.steps
        length = len(self._pass(0))
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def indices(self, epoch: int, index: int) -> Tensor:
        """Return the sample numbers of a batch, (n,) int64."""
        if self.steps is None:
            return self._pass(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        return self._stream((epoch * self.steps + index) * self.batch_size)

    def _stream(self, start: int) -> Tensor:
        """Take one batch from the endless chain of passes over the data, beginning at position `start`."""
        length, parts, needed = len(self._pass(0)), [], self.batch_size
        while needed:
            number, offset = divmod(start, length)
            part = self._pass(number)[offset : offset + needed]
            parts.append(part)
            start, needed = start + len(part), needed - len(part)
        return torch.cat(parts)

    def _pass(self, number: int) -> Tensor:
        if self.seed is None:
            return torch.arange(self.samples)
        if self._cached is None or self._cached[0] != number:
            self._cached = number, self._order(number, self._generator("order", number))
        return self._cached[1]

    def _generator(self, *names: str | int) -> torch.Generator:
        return torch.Generator().manual_seed(child_seed(self.seed or 0, *names))


class TensorBatches(_Drawn):
    """Batches of tensors held in memory.

    Parameters
    ----------
    tensors : sequence of Tensor or array
        Each (samples, ...); a batch is a tuple with the same rows of each.
    batch_size : int
        Samples per batch.
    seed : int, optional
        Of the order and the augmentation; without it the samples come as given (validation, inference).
    drop_last : bool
        Leave out an incomplete last batch.
    steps : int, optional
        Batches per epoch, taken from an endless chain of shuffled passes, for methods that count iterations.
    order : callable, optional
        `order(pass_number, generator)` gives the samples of one pass; by default a permutation.
    augment : callable, optional
        `augment(batch, generator)` gives the changed batch.
    """

    def __init__(
        self,
        tensors: Sequence[Tensor | ArrayLike],
        batch_size: int,
        *,
        seed: int | None = None,
        drop_last: bool = False,
        steps: int | None = None,
        order: Order | None = None,
        augment: Augment | None = None,
    ) -> None:
        self.tensors = tuple(torch.as_tensor(t if isinstance(t, Tensor) else np.asarray(t)) for t in tensors)
        lengths = {len(tensor) for tensor in self.tensors}
        if len(lengths) != 1:
            raise InputError("data", f"inputs and targets differ in length: {sorted(lengths)}")
        self.augment = augment
        super().__init__(lengths.pop(), batch_size, seed, drop_last, steps, order)

    def batch(self, epoch: int, index: int) -> tuple[Tensor, ...]:
        """Return the rows of one batch."""
        if self.seed is None:
            rows = slice(index * self.batch_size, (index + 1) * self.batch_size)
            return tuple(tensor[rows] for tensor in self.tensors)
        chosen = self.indices(epoch, index)
        batch = tuple(tensor[chosen] for tensor in self.tensors)
        return batch if self.augment is None else self.augment(batch, self._generator("augment", epoch, index))

    def fingerprint(self) -> str:
        """Return a digest of the tensors' bytes."""
        return digest((str(place), tensor) for place, tensor in enumerate(self.tensors))


class DatasetBatches(_Drawn):
    """Batches from a map-style dataset that reads its samples when asked; options as for `TensorBatches`.

    `augment(sample, generator)` acts on single samples; `collate` joins them.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int,
        *,
        seed: int | None = None,
        drop_last: bool = False,
        steps: int | None = None,
        order: Order | None = None,
        augment: Augment | None = None,
        collate: Callable[[list[Any]], Batch] = default_collate,
    ) -> None:
        self.dataset, self.augment, self.collate = dataset, augment, collate
        super().__init__(len(dataset), batch_size, seed, drop_last, steps, order)  # type: ignore[arg-type]

    def batch(self, epoch: int, index: int) -> Batch:
        """Read, augment and join the samples of one batch."""
        samples = [self.dataset[number] for number in self.indices(epoch, index).tolist()]
        if self.augment is not None and self.seed is not None:
            places = range(len(samples))
            samples = [self.augment(samples[i], self._generator("augment", epoch, index, i)) for i in places]
        return self.collate(samples)


def balanced_order(labels: ArrayLike) -> Order:
    """Return an order in which every class comes equally often, drawing from smaller classes again and again.

    A pass has as many samples as the largest class times the number of classes.

    Parameters
    ----------
    labels : (samples,) array
        Class of each sample.
    """
    classes = np.asarray(labels)
    members = [torch.as_tensor(np.flatnonzero(classes == value)) for value in np.unique(classes)]
    largest = max(len(rows) for rows in members)

    def draw(_: int, generator: torch.Generator) -> Tensor:
        drawn = []
        for rows in members:
            rounds = -(-largest // len(rows))
            shuffled = [rows[torch.randperm(len(rows), generator=generator)] for _ in range(rounds)]
            drawn.append(torch.cat(shuffled)[:largest])
        return torch.cat(drawn)[torch.randperm(largest * len(members), generator=generator)]

    return draw


class EpochLoader:
    """The batches of one process for the epoch in `epoch`, read ahead by `workers` processes.

    With several training processes each takes every `world`-th batch, and batches that do not go round are left out.
    """

    def __init__(self, data: Batches, *, workers: int, rank: int, world: int, pin: bool) -> None:
        self.data, self.epoch = data, 0
        self.rank, self.world = rank, world
        self._loader = None
        if workers:
            # With a generator of its own the loader leaves the global one alone: dropout must not depend on workers.
            self._loader = DataLoader(
                _Indexed(data), batch_size=None, sampler=self, num_workers=workers, persistent_workers=True,
                pin_memory=pin, generator=torch.Generator(),
            )  # fmt: skip

    def __len__(self) -> int:
        return len(self.data) // self.world

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Yield (epoch, index) of the current epoch's batches: the sampler of the worker processes."""
        epoch = self.epoch
        return ((epoch, step * self.world + self.rank) for step in range(len(self)))

    def batches(self) -> Iterator[Batch]:
        """Yield the current epoch's batches."""
        yield from self._loader if self._loader is not None else (self.data.batch(*place) for place in self)

    def close(self) -> None:
        """End the worker processes."""
        self._loader = None


class _Indexed(Dataset[Any]):
    def __init__(self, data: Batches) -> None:
        self.data = data

    def __getitem__(self, place: tuple[int, int]) -> Batch:
        return self.data.batch(*place)


def _shuffled(samples: int) -> Order:
    return lambda _, generator: torch.randperm(samples, generator=generator)
