"""Which support slice segments which query slice: both organs cut into as many equal chunks (Roy et al. 2020)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHUNKS = 12
REFERENCE_SIZE = 512
"""Pixels along each side of the slices for which the published counts of organ pixels are meant."""

_RANGE_PIXELS = 200


@dataclass(frozen=True)
class SliceRange:
    """Slices of a volume from `first` to `last`, both included."""

    first: int
    last: int

    @property
    def count(self) -> int:
        """How many slices."""
        return self.last - self.first + 1


def organ_range(mask: NDArray[np.bool_], *, pixels: int = _RANGE_PIXELS) -> SliceRange | None:
    """Return the slices from the first to the last with more than `pixels` pixels of the organ.

    Parameters
    ----------
    mask : (slices, height, width) bool
    pixels : int
        For slices of 512x512; scaled by the number of pixels of a slice.

    Returns
    -------
    SliceRange or None
        None where no slice has so many.
    """
    limit = pixels * mask.shape[1] * mask.shape[2] / REFERENCE_SIZE**2
    found = np.flatnonzero(mask.sum(axis=(1, 2)) > limit)
    return SliceRange(int(found[0]), int(found[-1])) if len(found) else None


def chunks(slices: int, count: int = CHUNKS) -> list[tuple[int, int]]:
    """Cut `slices` slices into `count` chunks, each from its first slice to before its last."""
    return [(slices * i // count, slices * (i + 1) // count) for i in range(count)]


def pairing(support: SliceRange, query: SliceRange, count: int = CHUNKS) -> dict[int, int]:
    """Return the support slice of each query slice: the middle one of the chunk in the same place.

    With fewer slices than chunks on either side there are as many chunks as slices.
    """
    some = min(count, support.count, query.count)
    pairs = {}
    for ours, theirs in zip(chunks(query.count, some), chunks(support.count, some), strict=True):
        middle = support.first + theirs[0] + (theirs[1] - theirs[0]) // 2
        pairs.update(dict.fromkeys(range(query.first + ours[0], query.first + ours[1]), middle))
    return pairs
