"""Random double cropping: batches of pairs of patches with the offset between them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medtools.core.seeds import generator
from medtools.systems.spect_prnet.patches import PatchSource, mask_boxes
from medtools.training.batches import Batches
from medtools.training.checkpoint import digest


class PairBatches(Batches):
    """Batches of pairs: what the network sees of both patches, what it is to rebuild, and c_i - c_j.

    Parameters
    ----------
    sources : sequence of PatchSource
        Images; each pair lies in one of them, drawn at random.
    spacing : (images, 2)
        Size of a pixel along rows and columns: mm, or 1 to count in pixels.
    reach : (2,)
        r in the same unit; pairs lie less than this apart on each axis.
    pairs, steps : int
        Pairs per batch, batches per epoch.
    seed : int
    mask_rounds : int
        Most boxes to zero in each patch; 0 masks nothing.
    """

    def __init__(
        self,
        sources: Sequence[PatchSource],
        spacing: NDArray[np.float64],
        reach: NDArray[np.float64],
        *,
        pairs: int,
        steps: int,
        seed: int,
        mask_rounds: int = 0,
    ) -> None:
        self.sources, self.spacing, self.reach = tuple(sources), spacing, reach
        self.pairs, self.steps, self.seed, self.mask_rounds = pairs, steps, seed, mask_rounds

    def __len__(self) -> int:
        return self.steps

    def batch(self, epoch: int, index: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor], Tensor]:
        """Return (patches i, patches j), the same unmasked, and offsets (pairs, 2) in the unit of `spacing`."""
        rng = generator(self.seed, "pairs", epoch, index)
        first, second, offset = draw_pairs(self.sources, self.spacing, self.reach, rng, self.pairs)
        targets = _stacked(first), _stacked(second)
        if not self.mask_rounds:
            return targets, targets, torch.from_numpy(offset)
        masked = (_stacked(mask_boxes(part, rng, self.mask_rounds)) for part in (first, second))
        return (next(masked), next(masked)), targets, torch.from_numpy(offset)

    def fingerprint(self) -> str:
        """Identify images, geometry and drawing."""
        held = [(str(number), torch.from_numpy(source.image)) for number, source in enumerate(self.sources)]
        held += [("spacing", torch.from_numpy(self.spacing)), ("reach", torch.from_numpy(self.reach))]
        return f"{digest(held)}:{self.sources[0].patch}:{self.pairs}:{self.steps}:{self.seed}:{self.mask_rounds}"


def draw_pairs(
    sources: Sequence[PatchSource],
    spacing: NDArray[np.float64],
    reach: NDArray[np.float64],
    rng: np.random.Generator,
    count: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Draw pairs of points, each in an image drawn at random.

    Returns
    -------
    first, second : (count, patch, patch) float32
        x(c_i) and x(c_j).
    offset : (count, 2) float32
        d = (c_i - c_j) * spacing.
    """
    chosen = rng.integers(len(sources), size=count)
    patch = sources[0].patch
    first, second = (np.empty((count, patch, patch), dtype=np.float32) for _ in range(2))
    offset = np.empty((count, 2), dtype=np.float32)
    for number in np.unique(chosen):
        members = np.flatnonzero(chosen == number)
        source = sources[number]
        one, other = source.draw_pairs(rng, len(members), reach / spacing[number])
        first[members], second[members] = source.around(one), source.around(other)
        offset[members] = (one - other) * spacing[number]
    return first, second, offset


def _stacked(patches: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(patches)[:, None]
