"""Persistence diagrams, barcodes and Betti curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from medtools.core.errors import InputError
from medtools.core.figures import GREY, PALETTE, head, new_figure, settle, style
from medtools.homology.plots.panels import DIMENSION_COLOURS, DIMENSION_MARKERS, in_unit
from medtools.homology.summaries import births_and_deaths

_LINES = ("-", "--", "-.", ":")


@style()
def persistence_diagram(diagrams: Sequence[ArrayLike], *, title: str = "", unit: str = "z-score") -> Figure:
    """Draw H0, H1 and H2 of one point cloud in one persistence diagram.

    Parameters
    ----------
    diagrams : sequence of (n_bars, 2) float
        Births and deaths, element k being H_k, at most three; a death may be infinite.
    title : str
        Which subject, ROI and network this is.
    unit : str
        Unit of the signal, which is the unit of births and deaths.

    Returns
    -------
    matplotlib.figure.Figure
        4.8 by 4.8 inches.
    """
    figure = new_figure(4.8, 4.8)
    axes = figure.add_subplot()
    draw_diagram(axes, diagrams, unit)
    head(figure, title)
    return settle(figure)


@style()
def barcode(diagrams: Sequence[ArrayLike], *, title: str = "", unit: str = "z-score") -> Figure:
    """Draw every bar of H0, H1 and H2 from birth to death, one panel per dimension on a common axis.

    Parameters
    ----------
    diagrams : sequence of (n_bars, 2) float
        Births and deaths, element k being H_k, at most three; a bar that never dies ends in an arrow.
    title : str
        Which subject, ROI and network this is.
    unit : str
        Unit of the signal, which is the unit of the filtration value.

    Returns
    -------
    matplotlib.figure.Figure
        6 inches wide.
    """
    figure = new_figure(6, 1 + 1.5 * len(diagrams))
    panels = figure.subplots(len(diagrams), 1, sharex=True, squeeze=False)[:, 0]
    draw_barcode(list(panels), diagrams, unit)
    figure.align_ylabels(panels)
    head(figure, title)
    return settle(figure)


@style()
def betti_curves(
    grid: ArrayLike, curves: Mapping[str, Sequence[ArrayLike]], *, title: str = "", unit: str = "z-score"
) -> Figure:
    """Draw the mean Betti curve of each group with a band of one standard deviation, per dimension.

    Parameters
    ----------
    grid : (n_values,) float
        Filtration values, in units of the signal.
    curves : mapping of str to sequence of (n_curves, n_values) float
        For each group, element k holding its Betti curves of H_k. One curve is drawn without a band.
    title : str
        Which ROI and network this is.
    unit : str
        Unit of the signal.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per dimension, side by side.

    Raises
    ------
    InputError
        If a group's curves do not fit the grid or groups differ in the number of dimensions.
    """
    values = np.asarray(grid, dtype=float)
    stacks = {group: [_curves(group, stack, values.size) for stack in stacks] for group, stacks in curves.items()}
    depths = {len(stack) for stack in stacks.values()}
    if len(depths) != 1 or 0 in depths:
        raise InputError("Betti curves", f"expected the same dimensions in every group, found {sorted(depths)}")
    n_dims = depths.pop()
    figure = new_figure(1.9 + 2.8 * n_dims, 3.1)
    panels = figure.subplots(1, n_dims, sharex=True, squeeze=False)[0]
    for dim, axes in enumerate(panels):
        for index, (group, stack) in enumerate(stacks.items()):
            _band(axes, values, stack[dim], index, f"{group} (n = {len(stack[dim])})")
        axes.set_title(f"H{dim}")
        axes.set_ylabel(f"β{'₀₁₂'[dim]}: bars alive" if dim < 3 else f"β{dim}: bars alive")
        axes.set_xlabel(in_unit("Filtration value ε", unit))
        axes.set_xlim(0, values.max())
        axes.set_ylim(bottom=0)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, title="mean ± 1 SD", title_fontsize=8, loc="outside right upper")
    head(figure, title)
    return settle(figure)


def draw_diagram(axes: Axes, diagrams: Sequence[ArrayLike], unit: str) -> None:
    """Draw a persistence diagram into `axes`; arguments as in `persistence_diagram`."""
    bars = [_bars(diagram) for diagram in diagrams]
    end = _end(bars)
    top, infinite = 1.06 * end, 1.12 * end
    axes.plot([0, top], [0, top], color=GREY, linewidth=0.8, zorder=1)
    if any(np.isinf(bar[:, 1]).any() for bar in bars):
        axes.axhline(infinite, color=GREY, linewidth=0.8, linestyle="--", zorder=1)
        axes.annotate("never dies (∞)", (top, infinite), ha="right", va="bottom", fontsize=7, color="#555555")
        top = 1.2 * end
    for dim, bar in enumerate(bars):
        axes.scatter(
            bar[:, 0],
            np.where(np.isinf(bar[:, 1]), infinite, bar[:, 1]),
            s=16,
            marker=DIMENSION_MARKERS[dim],
            color=DIMENSION_COLOURS[dim],
            alpha=0.75,
            linewidths=0,
            label=f"H{dim} ({len(bar)})",
            zorder=2 + dim,
            clip_on=False,
        )
    axes.set_xlim(-0.03 * end, 1.06 * end)
    axes.set_ylim(-0.03 * end, top)
    axes.set_aspect("equal")
    axes.set_xlabel(in_unit("Birth", unit))
    axes.set_ylabel(in_unit("Death", unit))
    axes.legend(loc="lower right", handletextpad=0.2)


def draw_barcode(panels: Sequence[Axes], diagrams: Sequence[ArrayLike], unit: str) -> None:
    """Draw one barcode per panel, H0 on top; arguments as in `barcode`."""
    bars = [_bars(diagram) for diagram in diagrams]
    end = _end(bars)
    for dim, (axes, bar) in enumerate(zip(panels, bars, strict=True)):
        bar = bar[np.lexsort((bar[:, 1], bar[:, 0]))]
        stops = np.where(np.isinf(bar[:, 1]), 1.08 * end, bar[:, 1])
        lines = [[(start, y), (stop, y)] for y, (start, stop) in enumerate(zip(bar[:, 0], stops, strict=True))]
        # Bars apart where there is room for gaps, one solid area where gaps would only flicker.
        spacing = 90 / max(1, len(bar))
        width = min(3.0, 0.6 * spacing) if spacing > 1 else 1.0
        axes.add_collection(LineCollection(lines, colors=DIMENSION_COLOURS[dim], linewidths=width))
        alive = np.flatnonzero(np.isinf(bar[:, 1]))
        axes.plot(stops[alive], alive, linestyle="none", marker=">", markersize=4, color=DIMENSION_COLOURS[dim])
        axes.set_xlim(0, 1.12 * end)
        axes.set_ylim(-1, max(1, len(bar)))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.set_ylabel(f"H{dim} ({len(bar)} bars)")
        if len(bar) == 0:
            axes.set_yticks([])
            axes.text(0.5, 0.5, "no bars", transform=axes.transAxes, ha="center", va="center", color="#555555")
        axes.tick_params(labelbottom=dim == len(bars) - 1)
    panels[-1].set_xlabel(in_unit("Filtration value ε", unit))


def _bars(diagram: ArrayLike) -> NDArray[np.float64]:
    """Return a checked diagram as (n_bars, 2) float64, also when it is empty."""
    return np.column_stack(births_and_deaths(diagram))


def _end(bars: Sequence[NDArray[np.float64]]) -> float:
    """Return the last finite birth or death, or 1 where there is none."""
    if not 1 <= len(bars) <= len(DIMENSION_COLOURS):
        raise InputError("persistence diagrams", f"expected H0 to at most H2, found {len(bars)} dimensions")
    return max((float(bar[np.isfinite(bar)].max(initial=0.0)) for bar in bars), default=0.0) or 1.0


def _curves(group: str, stack: ArrayLike, n_values: int) -> NDArray[np.float64]:
    curves = np.atleast_2d(np.asarray(stack, dtype=float))
    if curves.shape[1] != n_values or len(curves) == 0:
        raise InputError(f"Betti curves of {group}", f"expected {n_values} values per curve, found {curves.shape}")
    return curves


def _band(axes: Axes, grid: NDArray[np.float64], curves: NDArray[np.float64], index: int, label: str) -> None:
    """Draw the mean of some curves and, for more than one, a band of one standard deviation."""
    colour, mean = PALETTE[index % len(PALETTE)], curves.mean(axis=0)
    axes.plot(grid, mean, color=colour, linestyle=_LINES[index % len(_LINES)], linewidth=1.6, label=label)
    if len(curves) > 1:
        spread = curves.std(axis=0, ddof=1)
        axes.fill_between(grid, np.maximum(0, mean - spread), mean + spread, color=colour, alpha=0.18, linewidth=0)
