"""Figures of the severity score: slices with what was counted and what was left out, lobes, coverage, fairness."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import Normal, Stroke
from numpy.typing import NDArray

from medtools.core.figures import GREY, PALETTE, head, new_figure, settle, style
from medtools.metrics.table import Score
from medtools.systems.covid_severity.overlay import (
    CATEGORIES,
    LOBE_COLOURS,
    LUNG_COLOURS,
    ZONE_COLOUR,
    grey,
    lung_box,
    paint,
)

_COLUMNS = 6
_TOLERANCES = range(6)


@style()
def montage(
    hu: NDArray[Any],
    lobes: NDArray[np.uint8],
    regions: NDArray[np.uint8],
    spacing: tuple[float, float, float],
    *,
    title: str,
    count: int = 12,
    lung_only: bool = False,
) -> Figure:
    """Draw evenly spaced slices, each plain and with its overlay below.

    Parameters
    ----------
    hu, lobes, regions : (n_slices, height, width) array
        Slices head to feet, rows front to back, columns from the patient's right to left.
    spacing : tuple of float
        Slice distance, row and column spacing in mm.
    title : str
        Which scan this is, and its score.
    count : int
        Slices shown, from the highest tenth of the lung to the lowest.
    lung_only : bool
        The mask tells lungs apart, not lobes.

    Returns
    -------
    matplotlib.figure.Figure
        11 inches wide.
    """
    occupied = np.flatnonzero(lobes.any(axis=(1, 2)))
    chosen = np.unique(np.rint(np.quantile(occupied, np.linspace(0.04, 0.96, count))).astype(int))
    box = lung_box(lobes, round(12 / spacing[1]))
    tiles = [_tile(hu[index][box], lobes[index][box], regions[index][box]) for index in chosen]
    height, width = tiles[0].shape[:2]
    bands = -(-len(tiles) // _COLUMNS)
    gap = max(height // 16, 2)
    # One image instead of one panel per slice: matplotlib would spend seconds on laying panels out.
    page = np.full((bands * (height + gap), _COLUMNS * width, 3), 255, dtype=np.uint8)
    figure = new_figure(11.0, 11.0 * page.shape[0] / page.shape[1] * spacing[1] / spacing[2] + 0.95)
    axis = figure.subplots()
    axis.set_axis_off()
    for place, (index, tile) in enumerate(zip(chosen, tiles, strict=True)):
        top, left = (place // _COLUMNS) * (height + gap) + gap, (place % _COLUMNS) * width
        page[top : top + height, left : left + width] = tile
        depth = (index - int(occupied[0])) * spacing[0]
        label = f"slice {index + 1} · {depth:.0f} mm"
        axis.text(left + width / 2, top - gap / 4, label, fontsize=7, ha="center", va="bottom")
        if left == 0:
            _mark_sides(axis, top, width)
    axis.imshow(page, aspect=spacing[1] / spacing[2], interpolation="auto")
    colours = LUNG_COLOURS if lung_only else LOBE_COLOURS
    keys: list[Any] = [Patch(color=_rgb(colour), label=name) for name, colour in CATEGORIES.values()]
    keys.append(Line2D([], [], color=_rgb(ZONE_COLOUR), label="border of the artefact zone"))
    keys += [Line2D([], [], color=_rgb(colour), label=name) for name, colour in colours.values()]
    figure.legend(handles=keys, loc="outside lower left", ncols=6, fontsize=7)
    head(figure, title + "\nmm below the lung's first slice; R, L: the patient's sides; window -1350 to 150 HU")
    return settle(figure)


@style()
def involvement_chart(rows: Sequence[Mapping[str, Any]], lobes: Sequence[str]) -> Figure:
    """Draw involvement per lobe for up to 40 scans, the thresholds of the score as lines.

    Parameters
    ----------
    rows : sequence of mapping
        `id`, `total`, `class` and, per lobe, `<lobe>_percent`, as in `predictions.tsv`.
    lobes : sequence of str
        Names of the lobes (or lungs), one panel each.
    """
    shown = rows[:40]
    figure = new_figure(10.0, 1.5 + 0.22 * len(shown))
    axes = figure.subplots(1, len(lobes), sharey=True, squeeze=False)[0]
    places = np.arange(len(shown))
    for axis, lobe, colour in zip(axes, lobes, PALETTE, strict=False):
        values = [row.get(f"{lobe}_percent") for row in shown]
        axis.barh(places, [0.0 if value is None else value for value in values], color=colour, height=0.7)
        for place, value in zip(places, values, strict=True):
            _write_percent(axis, int(place), value)
        for threshold in (5, 25, 50, 75):
            axis.axvline(threshold, color=GREY, linewidth=0.6, linestyle=":", zorder=0)
        axis.set(xlim=(0, 100), title=lobe.replace("_", " "), xlabel="involvement (%)", xticks=(0, 25, 50, 75, 100))
    axes[0].set_yticks(places, [_scan_label(row) for row in shown])
    axes[0].invert_yaxis()
    more = f" (first 40 of {len(rows)} scans)" if len(rows) > len(shown) else ""
    head(figure, f"Infected share of each {'lobe' if len(lobes) == 5 else 'lung'}{more}; dotted: limits of the score")
    return settle(figure)


@style()
def coverage_plot(curves: Mapping[str, Sequence[Score]]) -> Figure:
    """Draw the share of scans whose score lies within α points of the radiologist's, with intervals.

    Parameters
    ----------
    curves : mapping
        Name to its six scores, α = 0..5.
    """
    figure = new_figure(5.2, 3.8)
    axis = figure.subplots()
    for name, scores in curves.items():
        _coverage_line(axis, name, scores)
    _coverage_axis(axis)
    axis.legend(loc="lower right")
    head(figure, "Coverage of the radiologist's grade")
    return settle(figure)


@style()
def fairness_plot(groups: Mapping[str, Mapping[str, Mapping[str, Score]]]) -> Figure:
    """Draw agreement and coverage by subgroup, as the paper's figure 6, with intervals and the size of each group.

    Parameters
    ----------
    groups : mapping
        Row title (such as "sex") to group name to metric to its Score; metrics `grade_qwk`, `severity_qwk` and
        `coverage_0` .. `coverage_5`.
    """
    figure = new_figure(10.0, 2.9 * len(groups) + 0.4)
    axes = figure.subplots(len(groups), 3, squeeze=False)
    for row, (title, members) in zip(axes, groups.items(), strict=True):
        _agreement_bars(row[0], members, "grade_qwk", f"{title}: QWK of the score 0-25")
        for name, metrics in members.items():
            _coverage_line(row[1], name, [metrics[f"coverage_{alpha}"] for alpha in _TOLERANCES], intervals=False)
        _coverage_axis(row[1])
        row[1].set_title(f"{title}: coverage")
        row[1].legend(loc="lower right", fontsize=7)
        _agreement_bars(row[2], members, "severity_qwk", f"{title}: QWK of the class")
    head(figure, "Agreement with the radiologist by subgroup; lines: 95 % bootstrap intervals")
    return settle(figure)


@style()
def ablation_plot(scores: Mapping[str, Mapping[str, Score]]) -> Figure:
    """Draw what each stage contributes: agreement and bias without it.

    Parameters
    ----------
    scores : mapping
        Name of the run (such as "without vessels") to `grade_qwk` and `bias`.
    """
    figure = new_figure(8.0, 1.2 + 0.3 * len(scores))
    axes = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(scores))
    for axis, metric, label in zip(
        axes, ("grade_qwk", "bias"), ("QWK of the score", "mean error (points)"), strict=True
    ):
        values = [entry[metric] for entry in scores.values()]
        axis.barh(places, [score.value for score in values], color=PALETTE[0], height=0.65)
        for place, score in zip(places, values, strict=True):
            if score.ci_low is not None and score.ci_high is not None:
                axis.plot([score.ci_low, score.ci_high], [place, place], color="black", linewidth=1)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_xlabel(label)
    axes[0].set_yticks(places, list(scores))
    axes[0].invert_yaxis()
    head(figure, "Stages of the method; lines: 95 % bootstrap intervals")
    return settle(figure)


def _rgb(colour: tuple[int, int, int]) -> tuple[float, float, float]:
    return colour[0] / 255, colour[1] / 255, colour[2] / 255


def _tile(hu: NDArray[Any], lobes: NDArray[np.uint8], regions: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a slice plain, and with its overlay below, with a white line between and to the right."""
    tile = np.concatenate([np.repeat(grey(hu)[..., None], 3, axis=-1), paint(hu, lobes, regions)])
    tile[len(hu) - 1], tile[:, -2:] = 255, 255
    return tile


def _mark_sides(axis: Axes, top: int, width: int) -> None:
    """Write the patient's sides into the first slice of a row."""
    for share, letter in ((0.04, "R"), (0.95, "L")):
        text = axis.text(share * width, top + 2, letter, color="white", fontsize=8, ha="center", va="top")
        text.set_path_effects([Stroke(linewidth=2, foreground="black"), Normal()])


def _scan_label(row: Mapping[str, Any]) -> str:
    total = "no score" if row.get("total") is None else f"{row['total']}, {row['class']}"
    return f"{row['id']}  ({total})"


def _write_percent(axis: Axes, place: int, value: float | None) -> None:
    """Write a value beside its bar, or inside a long one."""
    if value is None:
        axis.text(1.5, place, "no mask", va="center", fontsize=6.5, color=GREY)
        return
    text = f"{value:.2f}" if 0 < value < 1 else f"{value:.1f}"
    inside = value > 80
    colour, side = ("white", "right") if inside else ("black", "left")
    axis.text(value - 1.5 if inside else value + 1.5, place, text, va="center", ha=side, fontsize=6.5, color=colour)


def _coverage_line(axis: Axes, name: str, scores: Sequence[Score], *, intervals: bool = True) -> None:
    line = axis.plot(
        _TOLERANCES, [score.value for score in scores], marker="o", markersize=4, label=_sized(name, scores[0])
    )
    bounds = [(score.ci_low, score.ci_high) for score in scores]
    if intervals and all(low is not None and high is not None for low, high in bounds):
        low, high = np.array(bounds, dtype=float).T
        axis.fill_between(_TOLERANCES, low, high, color=line[0].get_color(), alpha=0.15, linewidth=0)


def _coverage_axis(axis: Axes) -> None:
    axis.set(xlabel="tolerance α (points)", ylabel="share within ±α", ylim=(0, 1.02), xticks=list(_TOLERANCES))


def _agreement_bars(axis: Axes, members: Mapping[str, Mapping[str, Score]], metric: str, title: str) -> None:
    places = np.arange(len(members))
    for place, (colour, metrics) in enumerate(zip(PALETTE, members.values(), strict=False)):
        score = metrics[metric]
        axis.bar(place, score.value, color=colour, width=0.65)
        if score.ci_low is not None and score.ci_high is not None:
            axis.plot([place, place], [score.ci_low, score.ci_high], color="black", linewidth=1)
    labels = [_sized(name, metrics[metric], "\n") for name, metrics in members.items()]
    axis.set_xticks(places, labels)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set(title=title, ylim=(min(axis.get_ylim()[0], -0.05), 1.05))


def _sized(name: str, score: Score, separator: str = " ") -> str:
    return f"{name}{separator}(n={score.n})"
