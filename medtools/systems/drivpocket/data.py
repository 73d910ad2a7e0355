"""From proteins and candidate centres to the tensors that the networks read, augmented by moving coordinates."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from medtools.preprocess.protein.atom_types import one_hot
from medtools.preprocess.protein.gridder import density_grid
from medtools.preprocess.protein.targets import binding_atoms, cavity_mask, nearest_atoms

MAX_SHIFT = 1.0


@dataclasses.dataclass(frozen=True)
class Atoms:
    """Typed atoms of a protein: coordinates in angstrom, (n, 3) float64, and channels, (n,) int64."""

    xyz: NDArray[np.float64]
    channels: NDArray[np.int64]

    def moved(self, centre: NDArray[np.float64], rotation: NDArray[np.float64], shift: NDArray[np.float64]) -> Atoms:
        """Return the atoms turned about `centre` and shifted."""
        return Atoms(move(self.xyz, centre, rotation, shift), self.channels)


@dataclasses.dataclass(frozen=True)
class Example:
    """A candidate of one protein; `cavity` are the points of the labelled site, (n, 3) float64, if it is one."""

    protein: int
    centre: NDArray[np.float64]
    label: int
    cavity: NDArray[np.float64] | None = None


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a candidate is sampled: voxels along an edge, angstrom between them, and points."""

    grid: int = 65
    spacing: float = 0.5
    points: int = 400

    @property
    def half_edge(self) -> float:
        """Angstrom that become 1 in the point stream: 16.25 for 65 voxels of 0.5."""
        return 0.5 * self.grid * self.spacing


def move(
    xyz: NDArray[np.float64], centre: NDArray[np.float64], rotation: NDArray[np.float64], shift: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Turn points about `centre` and shift them."""
    return (xyz - centre) @ rotation.T + centre + shift


def random_rotation(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return a proper rotation, uniform over SO(3), from a random unit quaternion."""
    w, x, y, z = (q := rng.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def voxels(atoms: Atoms, centre: NDArray[np.float64], sampling: Sampling) -> Tensor:
    """Return X_v, the (14, n, n, n) float32 density around `centre`."""
    grid = density_grid(atoms.xyz, atoms.channels, centre, size=sampling.grid, spacing=sampling.spacing)
    return torch.from_numpy(grid)


def points(atoms: Atoms, centre: NDArray[np.float64], sampling: Sampling) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
    """Return X_pc: normalised offsets (m, 3) float64, one-hot types (m, 14) float32, and which atoms they are."""
    chosen = nearest_atoms(atoms.xyz, centre, sampling.points)
    offsets = (atoms.xyz[chosen] - centre) / sampling.half_edge
    return torch.from_numpy(offsets), torch.from_numpy(one_hot(atoms.channels[chosen])), chosen


class _Examples(Dataset, ABC):
    """Candidates as they lie in the structure."""

    def __init__(self, proteins: Sequence[Atoms], examples: Sequence[Example], sampling: Sampling) -> None:
        self.proteins, self.examples, self.sampling = proteins, examples, sampling

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        example = self.examples[index]
        return self.tensors(self.proteins[example.protein], example)

    @abstractmethod
    def tensors(self, atoms: Atoms, example: Example) -> tuple[Tensor, ...]:
        """Return what the network reads for one candidate."""


class MovedExamples(Dataset):
    """The same candidates, the protein moved about each by a random rotation and at most 1 angstrom per axis."""

    def __init__(self, still: _Examples) -> None:
        self.proteins, self.examples, self.still = still.proteins, still.examples, still

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        """Return an index for `move_sample`, which knows the generator."""
        return (torch.tensor(index),)

    def move_sample(self, sample: tuple[Tensor, ...], generator: torch.Generator) -> tuple[Tensor, ...]:
        """Draw a motion and return the moved candidate's tensors."""
        seed = int(torch.randint(2**62, (1,), generator=generator))
        rng = np.random.default_rng(seed)
        example = self.examples[int(sample[0])]
        motion = (example.centre, random_rotation(rng), rng.uniform(-MAX_SHIFT, MAX_SHIFT, 3))
        cavity = None if example.cavity is None else move(example.cavity, *motion)
        atoms = self.proteins[example.protein].moved(*motion)
        return self.still.tensors(atoms, dataclasses.replace(example, cavity=cavity))


class SegmentationExamples(_Examples):
    """Grid, points, types, cavity target and binding target of candidates with a labelled cavity."""

    def tensors(self, atoms: Atoms, example: Example) -> tuple[Tensor, ...]:
        """Return (14, n, n, n), (m, 3), (m, 14), (n, n, n) and (m,) tensors."""
        offsets, types, chosen = points(atoms, example.centre, self.sampling)
        cavity = np.empty((0, 3)) if example.cavity is None else example.cavity
        size, spacing = self.sampling.grid, self.sampling.spacing
        mask = np.zeros((size, size, size), dtype=bool)
        near = np.zeros(len(chosen), dtype=bool)
        if len(cavity):
            mask = cavity_mask(cavity, example.centre, size=size, spacing=spacing)
            near = binding_atoms(atoms.xyz[chosen], cavity)
        return (
            voxels(atoms, example.centre, self.sampling),
            offsets,
            types,
            torch.from_numpy(mask.astype(np.float32)),
            torch.from_numpy(near.astype(np.float32)),
        )


class RankingExamples(_Examples):
    """Grid and label of candidates."""

    def tensors(self, atoms: Atoms, example: Example) -> tuple[Tensor, ...]:
        """Return a (14, n, n, n) tensor and the label, int64."""
        return voxels(atoms, example.centre, self.sampling), torch.tensor(example.label)


def join_samples(samples: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    """Stack samples into a batch; where proteins differ in their number of points, the fewest (nearest) are kept."""
    columns = [list(column) for column in zip(*samples, strict=True)]
    if len(columns) == 5:
        fewest = min(len(sample[1]) for sample in samples)
        columns = [[value[:fewest] for value in c] if i in (1, 2, 4) else c for i, c in enumerate(columns)]
    return tuple(torch.stack(column) for column in columns)
