"""Figures of spect-prnet: landmarks on slices, slices rebuilt, offsets, landmark errors, losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from medtools.core.figures import GREY, PALETTE, new_figure, settle, style

_TRUTH, _FOUND = PALETTE[2], PALETTE[1]
_COLUMNS = 4

Points = Mapping[str, tuple[float, float]]
Image = NDArray[np.float32]


@style()
def landmark_figure(support: tuple[str, Image, Points], queries: Sequence[tuple[str, Image, Points, Points]]) -> Figure:
    """Draw the support with its landmarks, and queries with what was found and, where it is known, the truth.

    Parameters
    ----------
    support : (title, (h, w) image, landmarks)
        Landmarks are (row, column) in pixels.
    queries : sequence of (title, image, found, true)
    """
    panels = [(support[0], support[1], {}, support[2]), *queries]
    names = list(support[2])
    columns = min(len(panels), _COLUMNS)
    rows = -(-len(panels) // columns)
    figure = new_figure(2.3 * columns, 2.45 * rows + 0.6)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, (title, image, found, true) in zip(grid.flat, panels, strict=False):
        _show(axes, image, "gray", title)
        for number, name in enumerate(names):
            colour = PALETTE[number % len(PALETTE)]
            if name in true:
                axes.plot(true[name][1], true[name][0], "o", color=colour, markerfacecolor="none", markersize=7)
            if name in found:
                axes.plot(found[name][1], found[name][0], "x", color=colour, markersize=5, markeredgewidth=1.6)
            if name in true and name in found:
                ends = zip(true[name], found[name], strict=True)
                (y0, y1), (x0, x1) = ends
                axes.plot((x0, x1), (y0, y1), color=colour, linewidth=0.8)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    keys = [_key("s", PALETTE[number % len(PALETTE)], name) for number, name in enumerate(names)]
    keys += [Line2D([], [], marker="o", markerfacecolor="none", color="black", linestyle="", label="marked"),
             _key("x", "black", "found")]  # fmt: skip
    figure.legend(handles=keys, loc="outside lower center", ncols=min(4, len(keys)))
    return settle(figure)


@style()
def reconstruction_figure(slices: Sequence[tuple[str, Image, Image]]) -> Figure:
    """Draw input, reconstruction and their difference, a row for each slice.

    Parameters
    ----------
    slices : sequence of (title, (h, w) input, (h, w) reconstruction)
    """
    figure = new_figure(6.2, 2.15 * len(slices) + 0.7)
    grid = figure.subplots(len(slices), 3, squeeze=False)
    most = max(float(np.abs(found - image).max()) for _, image, found in slices) or 1.0
    for row, (title, image, found) in zip(grid, slices, strict=True):
        grey = _show(row[0], image, "gray", title, 0, 1)
        _show(row[1], found, "gray", "reconstruction", 0, 1)
        difference = _show(row[2], found - image, "RdBu_r", "difference", -most, most)
    for shown, places, label in (
        (grey, grid[:, :2], "share of the slice's range"),
        (difference, grid[:, 2:], "reconstruction - slice"),
    ):
        figure.colorbar(shown, ax=places.ravel().tolist(), location="bottom", aspect=30, pad=0.02, label=label)
    return settle(figure)


@style()
def offset_figure(levels: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]], unit: str) -> Figure:
    """Draw predicted against true offsets, a panel for each level and axis.

    Parameters
    ----------
    levels : mapping
        Level to (true, predicted), each (n, 2): along rows and columns.
    unit : str
        Of the offsets.
    """
    figure = new_figure(6.2, 2.9 * len(levels))
    grid = figure.subplots(len(levels), 2, squeeze=False)
    most = 1.05 * max(float(np.abs(part).max()) for pair in levels.values() for part in pair)
    for row, (level, (true, predicted)) in zip(grid, levels.items(), strict=True):
        for place, (axes, axis) in enumerate(zip(row, ("rows", "columns"), strict=True)):
            axes.plot((-most, most), (-most, most), color=GREY, linewidth=0.8, linestyle="--")
            axes.plot(true[:, place], predicted[:, place], "o", color=PALETTE[place], markersize=2.5, alpha=0.5)
            axes.set_title(f"{level}: along {axis}")
            axes.set_xlabel(f"True offset ({unit})")
            axes.set_ylabel(f"Predicted offset ({unit})")
            axes.set_xlim(-most, most)
            axes.set_ylim(-most, most)
            axes.set_aspect("equal")
    return settle(figure)


@style()
def error_figure(errors: Mapping[str, Mapping[str, NDArray[np.float64]]], within: float) -> Figure:
    """Draw landmark errors of every method as points, with their means.

    Parameters
    ----------
    errors : mapping
        Method to landmark to errors in pixels.
    within : float
        Error below which a landmark counts as found, in pixels.
    """
    names = list(dict.fromkeys(name for found in errors.values() for name in found))
    figure = new_figure(max(4.6, 1.5 * len(names) + 1.6), 3.6)
    axes = figure.add_subplot()
    width = 0.8 / len(errors)
    for number, found in enumerate(errors.values()):
        for place, name in enumerate(names):
            values = found.get(name, np.empty(0))
            middle = place + (number - (len(errors) - 1) / 2) * width
            spread = np.linspace(-0.3, 0.3, len(values)) * width if len(values) > 1 else np.zeros(len(values))
            axes.plot(middle + spread, values, "o", color=PALETTE[number], markersize=3, alpha=0.6)
            if len(values):
                axes.hlines(values.mean(), middle - 0.4 * width, middle + 0.4 * width, color=PALETTE[number], lw=2)
    axes.axhline(within, color=GREY, linewidth=0.8, linestyle="--")
    axes.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names])
    axes.set_ylim(bottom=-0.02 * axes.get_ylim()[1])
    axes.set_ylabel("Landmark error (pixels)")
    keys = [_key("o", PALETTE[number], method) for number, method in enumerate(errors)]
    keys.append(Line2D([], [], color=GREY, linestyle="--", linewidth=0.8, label=f"success: below {within:g} pixels"))
    figure.legend(handles=keys, loc="outside lower center", ncols=4)
    return settle(figure)


@style()
def loss_figure(history: Sequence[Mapping[str, float]], units: tuple[str, str]) -> Figure:
    """Draw L_dis and L_rec over epochs, each on its own logarithmic axis.

    Parameters
    ----------
    history : sequence of mapping
        epoch, L_dis, L_rec.
    units : (str, str)
        Of L_dis and L_rec.
    """
    figure = new_figure(6.4, 2.8)
    for axes, name, unit, colour in zip(
        figure.subplots(1, 2), ("L_dis", "L_rec"), units, (PALETTE[0], PALETTE[1]), strict=True
    ):
        axes.plot([row["epoch"] for row in history], [row[name] for row in history], color=colour)
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("epoch")
        axes.set_ylabel(f"{name}, {unit}")
        axes.set_title({"L_dis": "Offsets", "L_rec": "Reconstruction"}[name])
    return settle(figure)


def _show(
    axes: Axes, image: Image, colours: str, title: str, low: float | None = None, high: float | None = None
) -> AxesImage:
    axes.set_axis_off()
    axes.set_title(title, fontsize=9)
    return axes.imshow(image, cmap=colours, vmin=low, vmax=high)


def _key(marker: str, colour: str, label: str) -> Line2D:
    return Line2D([], [], marker=marker, color=colour, linestyle="", label=label)
