"""Overlapping grid cells of an image, and bilinear upsampling seen from inside them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from medtools.core.errors import InputError


@dataclass(frozen=True)
class CellAxis:
    """Cells along one axis of an image.

    Attributes
    ----------
    size, cell : int
        Pixels of the axis and of a cell.
    starts : tuple of int
        First pixel of each cell.
    """

    size: int
    cell: int
    starts: tuple[int, ...]

    @classmethod
    def of(cls, size: int, alpha: float, *, overlap: bool = True) -> CellAxis:
        """Lay cells of `alpha` times the size, half a cell apart with overlap and a whole one without.

        Raises
        ------
        InputError
            The cell is no whole number of pixels, or has fewer than 2.
        """
        share = Fraction(alpha).limit_denominator(size) * size
        cell = int(share)
        if share != cell or abs(alpha * size - cell) > 1e-6 or size % cell:
            raise InputError("alpha", f"{alpha:g} does not divide {size} pixels into equal cells", "e.g. 0.125 of 512")
        if cell < 2:
            raise InputError("alpha", f"{alpha:g} of {size} pixels is a cell of {cell}, at least 2 are needed")
        step = max(cell // 2, 1) if overlap else cell
        starts = [min(start, size - cell) for start in range(0, size - cell + step, step)]
        return cls(size, cell, tuple(dict.fromkeys(starts)))

    @property
    def pixels(self) -> Tensor:
        """Pixels of each cell, (cells, cell) int64."""
        return torch.tensor(self.starts)[:, None] + torch.arange(self.cell)

    @cached_property
    def covering(self) -> tuple[Tensor, Tensor, Tensor]:
        """The cells over each pixel: numbers, offsets inside them, and which entries are real; (size, most)."""
        found: list[list[tuple[int, int]]] = [[] for _ in range(self.size)]
        for number, start in enumerate(self.starts):
            for offset in range(self.cell):
                found[start + offset].append((number, offset))
        most = max(map(len, found))
        table = torch.tensor([entries + [(0, 0)] * (most - len(entries)) for entries in found])
        real = torch.tensor([[slot < len(entries) for slot in range(most)] for entries in found])
        return table[..., 0], table[..., 1], real

    def window(self, low: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return which of `low` samples make the pixels of each cell, and by which weights.

        Returns
        -------
        samples : (cells, window) int64
        weights : (cells, cell, window)
            Of bilinear interpolation.
        """
        matrix = upsampling_matrix(self.size, low, like)[self.pixels.to(like.device)]
        used = matrix.ne(0).any(dim=1)
        first = used.int().argmax(dim=1)
        last = low - 1 - used.flip(1).int().argmax(dim=1)
        length = int((last - first).max()) + 1
        samples = first.clamp(max=low - length)[:, None] + torch.arange(length, device=like.device)
        return samples, matrix.gather(2, samples[:, None].expand(-1, self.cell, -1))


@dataclass(frozen=True)
class Cells:
    """The cells of an image: every cell of the rows with every cell of the columns, in row-major order."""

    rows: CellAxis
    columns: CellAxis

    @classmethod
    def of(cls, height: int, width: int, alpha: float, *, overlap: bool = True) -> Cells:
        """Divide an image of `height` by `width` pixels.

        Raises
        ------
        InputError
            As `CellAxis.of`.
        """
        return cls(CellAxis.of(height, alpha, overlap=overlap), CellAxis.of(width, alpha, overlap=overlap))

    def __len__(self) -> int:
        return len(self.rows.starts) * len(self.columns.starts)

    @property
    def coverage(self) -> Tensor:
        """How many cells lie over each pixel, (height, width) int64."""
        return self.rows.covering[2].sum(1)[:, None] * self.columns.covering[2].sum(1)[None]

    def cut(self, image: Tensor) -> Tensor:
        """(..., height, width) to (..., row cells, column cells, cell height, cell width)."""
        rows, columns = self.rows.pixels.to(image.device), self.columns.pixels.to(image.device)
        return image[..., rows[:, None, :, None], columns[None, :, None, :]]

    def windows(self, features: Tensor) -> Tensor:
        """Cut from low-resolution features what each cell depends on: (..., h, w) to (..., rows, columns, i, j)."""
        rows = self.rows.window(features.shape[-2], features)[0]
        columns = self.columns.window(features.shape[-1], features)[0]
        # One index is several times as fast as one for each axis.
        places = rows[:, None, :, None] * features.shape[-1] + columns[None, :, None, :]
        return features.flatten(-2)[..., places]

    def lowered(self, masks: Tensor, low: tuple[int, int]) -> Tensor:
        """Return what each low-resolution feature weighs in the masked sum over each cell of the upsampled features.

        This is the adjoint of bilinear upsampling: the sum over a cell of (U F) M equals that of F (U^T M).

        Parameters
        ----------
        masks : (..., height, width)
        low : (h, w)
            Size of the features.

        Returns
        -------
        (..., row cells, column cells, i, j)
            For the features that `windows` cuts.
        """
        up, across = self.rows.window(low[0], masks)[1], self.columns.window(low[1], masks)[1]
        return torch.einsum("...yxcj,yci->...yxij", torch.einsum("...yxcd,xdj->...yxcj", self.cut(masks), across), up)

    def raised(self, maps: Tensor, low: tuple[int, int]) -> Tensor:
        """Upsample maps of windows to the pixels of their cells.

        Parameters
        ----------
        maps : (..., row cells, column cells, i, j)
        low : (h, w)
            Size of the features from which the windows were cut.

        Returns
        -------
        (..., row cells, column cells, cell height, cell width)
        """
        up, across = self.rows.window(low[0], maps)[1], self.columns.window(low[1], maps)[1]
        return torch.einsum("...yxcj,xdj->...yxcd", torch.einsum("...yxij,yci->...yxcj", maps, up), across)

    def over_pixels(self, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Collect for each pixel the values that the cells over it have there.

        Parameters
        ----------
        values : (..., row cells, column cells, cell height, cell width)

        Returns
        -------
        values : (..., height, width, slots)
        cells : (height, width, slots) int64
            Number of the cell of each slot.
        real : (height, width, slots) bool
            False in slots that a pixel under fewer cells leaves empty.
        """
        places, numbers, real = (table.to(values.device) for table in self._over)
        return values.flatten(-4)[..., places], numbers, real

    @cached_property
    def _over(self) -> tuple[Tensor, Tensor, Tensor]:
        """For each pixel and slot: the place in the flattened cells, the cell's number, and whether it is one."""
        row, row_offset, row_real = (t[:, None, :, None] for t in self.rows.covering)
        column, column_offset, column_real = (t[None, :, None, :] for t in self.columns.covering)
        numbers = row * len(self.columns.starts) + column
        places = (numbers * self.rows.cell + row_offset) * self.columns.cell + column_offset
        return places.flatten(-2), numbers.flatten(-2), (row_real & column_real).flatten(-2)


def upsampling_matrix(size: int, low: int, like: Tensor) -> Tensor:
    """Return the (size, low) matrix of bilinear interpolation along one axis (`align_corners=False`)."""
    identity = torch.eye(low, device=like.device, dtype=like.dtype)[None]
    return functional.interpolate(identity, size=size, mode="linear", align_corners=False)[0].T
