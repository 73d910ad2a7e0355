"""Parts that several figures share: heat maps with ROI names, block separators, colour bars, titles."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from medtools.core.errors import InputError
from medtools.core.figures import PALETTE

DIMENSION_COLOURS = PALETTE[:3]
DIMENSION_MARKERS = ("o", "^", "s")

# Below this many points (1/72 inch) a name cannot be read in print.
_SMALLEST_FONT = 5.0


def square_matrix(matrix: ArrayLike, what: str) -> NDArray[np.float64]:
    """Return `matrix` as float64 after refusing what is not square and finite."""
    values = np.asarray(matrix, dtype=float)
    if values.ndim != 2 or values.shape[0] != values.shape[1] or values.size == 0:
        raise InputError(what, f"expected a square matrix, found shape {values.shape}")
    if not np.isfinite(values).all():
        raise InputError(what, "expected finite distances, found NaN or infinity")
    return values


def same_length(what: str, names: Sequence[Any], size: int) -> None:
    """Refuse a list of names that does not fit the matrix."""
    if len(names) != size:
        raise InputError(what, f"expected {size}, one per row of the matrix, found {len(names)}")


def heat_map(axes: Axes, matrix: NDArray[Any], **options: Any) -> AxesImage:
    """Draw a matrix with square, unsmoothed cells and a frame, row 0 on top."""
    image = axes.imshow(matrix, interpolation="nearest", aspect="equal", **options)
    axes.spines[:].set_visible(True)
    axes.tick_params(length=2, width=0.6, pad=2)
    return image


def name_size(cell: float) -> float:
    """Return the size of letters in points that fits a cell of this many inches."""
    return min(8.0, 72 * cell * 0.85)


def are_readable(cell: float) -> bool:
    """Whether names of rows that are this many inches apart can be read."""
    return name_size(cell) >= _SMALLEST_FONT


def name_width(names: Sequence[str], cell: float) -> float:
    """Return about how many inches the longest name takes beside cells of this size."""
    letters = max(map(len, names)) if are_readable(cell) else 6
    return letters * name_size(max(cell, _SMALLEST_FONT / 72)) * 0.58 / 72


def name_ticks(axes: Axes, names: Sequence[str], cell: float, *, x: bool = True, y: bool = True) -> None:
    """Write ROI names along the axes of a heat map, or the rows' numbers where names would be too small.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Where the heat map is.
    names : sequence of str
        One per row.
    cell : float
        Width of a cell in inches; it sets the size of the letters.
    x, y : bool
        Which axes get the names; the others get neither ticks nor names.
    """
    axes.set_xticks([])
    axes.set_yticks([])
    if not are_readable(cell):
        ticks = np.arange(0, len(names), 20)
        if x:
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.set_xlabel("ROI (row of the matrix, from 0)")
        if y:
            axes.set_yticks(ticks, [str(tick) for tick in ticks])
            axes.set_ylabel("ROI (row of the matrix, from 0)")
        return
    if x:
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=name_size(cell))
    if y:
        axes.set_yticks(range(len(names)), names, fontsize=name_size(cell))


def blocks(labels: Sequence[str]) -> list[tuple[str, int, int]]:
    """Return (label, start, stop) of each run of equal labels."""
    runs, start = [], 0
    for label, members in groupby(labels):
        stop = start + len(list(members))
        runs.append((label, start, stop))
        start = stop
    return runs


def block_lines(axes: Axes, runs: Sequence[tuple[str, int, int]], colour: str = "white", width: float = 1.0) -> None:
    """Draw lines between the blocks of a heat map."""
    for _, start, _ in runs[1:]:
        axes.axhline(start - 0.5, color=colour, linewidth=width)
        axes.axvline(start - 0.5, color=colour, linewidth=width)


def block_ticks(axes: Axes, runs: Sequence[tuple[str, int, int]], *, x: bool = True, y: bool = True) -> None:
    """Write the name and size of each block at its middle."""
    centres = [(start + stop - 1) / 2 for _, start, stop in runs]
    axes.set_xticks(centres if x else [], [f"{name}\n({stop - start})" for name, start, stop in runs] if x else [])
    axes.set_yticks(centres if y else [], [f"{name} ({stop - start})" for name, start, stop in runs] if y else [])
    axes.tick_params(length=0, pad=4)


def title(*parts: str) -> str:
    """Join the parts of a title that are not empty."""
    return " · ".join(part for part in parts if part)


def in_unit(quantity: str, unit: str) -> str:
    """Return `quantity [unit]`, or the bare quantity when there is no unit."""
    return f"{quantity} [{unit}]" if unit else quantity
