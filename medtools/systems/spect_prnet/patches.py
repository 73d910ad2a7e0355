"""Patches around points of an image, and random pairs of points, with their bookkeeping.

A patch of even side p around pixel (row, col) covers rows row - p/2 to row + p/2 - 1 and columns likewise, zeros
outside the image. Points are (row, col) in pixels, whole at pixel centres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError

FOREGROUND = 1e-4
"""Pixels above this may be centres of patches."""


@dataclass(frozen=True)
class PatchSource:
    """An image to take patches from.

    Attributes
    ----------
    image : (h, w) float32
        In [0, 1].
    patch : int
        Pixels along each side of a patch, even.
    where : str or Path
        What an error names.
    """

    image: NDArray[np.float32]
    patch: int
    where: str | Path = "image"

    @cached_property
    def foreground(self) -> NDArray[np.int64]:
        """Pixels that may be centres, (n, 2), row by row.

        Raises
        ------
        InputError
            There is none.
        """
        found = np.argwhere(self.image > FOREGROUND)
        if not len(found):
            raise InputError(self.where, "no foreground pixel", "is this an empty slice?")
        return found

    @cached_property
    def _windows(self) -> NDArray[np.float32]:
        half = self.patch // 2
        padded = np.pad(self.image, ((half, half - 1), (half, half - 1)))
        return np.lib.stride_tricks.sliding_window_view(padded, (self.patch, self.patch))

    def around(self, centres: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return the patches around pixels of the image: (n, 2) to (n, patch, patch) float32."""
        return self._windows[centres[:, 0], centres[:, 1]]

    def clamp(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Move points (n, 2) that lie outside the image to its nearest pixel."""
        return np.clip(points, 0, np.array(self.image.shape) - 1)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int64]:
        """Draw `count` foreground pixels, with replacement: (count, 2)."""
        return self.foreground[rng.integers(len(self.foreground), size=count)]

    def draw_pairs(
        self, rng: np.random.Generator, count: int, reach: NDArray[np.float64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw pairs of foreground pixels less than `reach` pixels apart on each axis.

        The first is drawn among all, the second among those within reach of it, so that none is drawn in vain.

        Parameters
        ----------
        rng : numpy Generator
        count : int
        reach : (2,)
            r in pixels; the whole image where it is no less than its sides.

        Returns
        -------
        (count, 2), (count, 2) int64
        """
        first = self.draw(rng, count)
        if (reach >= self.image.shape).all():
            return first, self.draw(rng, count)
        return first, np.stack([self._near(rng, centre, reach) for centre in first])

    def _near(
        self, rng: np.random.Generator, centre: NDArray[np.int64], reach: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        farthest = np.ceil(reach).astype(np.int64) - 1
        low = np.maximum(centre - farthest, 0)
        high = centre + farthest + 1
        near = np.argwhere(self.image[low[0] : high[0], low[1] : high[1]] > FOREGROUND)
        return near[rng.integers(len(near))] + low


def mask_boxes(patches: NDArray[np.float32], rng: np.random.Generator, most: int) -> NDArray[np.float32]:
    """Return a copy of patches (n, p, p) in which 1 to `most` boxes of side p / 4 are zero."""
    masked = patches.copy()
    side = patches.shape[-1]
    box = side // 4
    for patch in masked:
        for row, column in rng.integers(side - box + 1, size=(rng.integers(1, most + 1), 2)):
            patch[row : row + box, column : column + box] = 0
    return masked


def tiles(shape: tuple[int, int], patch: int, stride: int) -> NDArray[np.int64]:
    """Return the centres (n, 2) of patches that together cover an image of `shape`, `stride` pixels apart.

    The last of a row or column ends at the image's edge or, in an image smaller than a patch, beyond it.
    """
    rows, columns = (np.minimum(_starts(length, patch, stride) + patch // 2, length - 1) for length in shape)
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def _starts(length: int, patch: int, stride: int) -> NDArray[np.int64]:
    last = max(length - patch, 0)
    return np.unique(np.append(np.arange(0, last, stride), last))
