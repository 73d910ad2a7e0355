"""Figures of asd-transformer: attention between communities, altered nodes, connectivity of sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medtools.core.figures import GREY, PALETTE, SEQUENTIAL_MAP, head, new_figure, settle, style

Array = NDArray[np.float64]
_MOST_BINS = 60


@style()
def attention_figure(maps: Mapping[str, Mapping[str, Array]], names: Sequence[str]) -> Figure:
    """Draw mean attention of the second encoder between communities (Figure 4): a row per run, a column per class.

    Parameters
    ----------
    maps : mapping
        Title of a run to class to (K, K) attention, relative to uniform attention.
    names : sequence of str
        Communities.
    """
    classes = list(next(iter(maps.values())))
    figure = new_figure(3.1 * len(classes) + 1.9, 3.0 * len(maps) + 1.5)
    head(figure, "Attention between communities, mean over test subjects")
    panels = figure.subplots(len(maps), len(classes), squeeze=False)
    low = min(float(m.min()) for run in maps.values() for m in run.values())
    high = max(float(m.max()) for run in maps.values() for m in run.values())
    for (row, column), axes in np.ndenumerate(panels):
        (title, run), name = list(maps.items())[row], classes[column]
        image = axes.imshow(run[name], cmap=SEQUENTIAL_MAP, vmin=low, vmax=high)
        axes.set_title(f"{title}\n{name}" if column == 0 else name)
        axes.set_xticks(range(len(names)), names if row == len(maps) - 1 else [""] * len(names), rotation=90)
        axes.set_yticks(range(len(names)), names if column == 0 else [""] * len(names))
        if row == len(maps) - 1:
            axes.set_xlabel("Attended to")
        if column == 0:
            axes.set_ylabel("Attending")
    figure.colorbar(image, ax=panels, label="Attention (1: uniform)", shrink=0.7)
    return settle(figure)


@style()
def nodes_figure(
    difference: Array,
    significant: NDArray[np.bool_],
    community: NDArray[np.int64],
    names: Sequence[str],
    *,
    title: str,
) -> Figure:
    """Draw each node's difference in mean local efficiency, nodes ordered by community (Figure 3).

    Parameters
    ----------
    difference : (n_rois,) float64
    significant : (n_rois,) bool
    community : (n_rois,) int64
        Index into `names`.
    names : sequence of str
    title : str
    """
    order = np.argsort(community, kind="stable")
    figure = new_figure(7.2, 3.2)
    axes = figure.add_subplot()
    axes.set_title(title)
    place = np.arange(len(order))
    for marked, colour, label in ((False, GREY, "not significant"), (True, PALETTE[1], "significant")):
        chosen = significant[order] == marked
        axes.vlines(place[chosen], 0, difference[order][chosen], color=colour, linewidth=1)
        axes.plot(place[chosen], difference[order][chosen], "o", color=colour, markersize=3, label=label)
    edges = np.searchsorted(community[order], np.arange(len(names) + 1))
    for number in range(0, len(names), 2):
        axes.axvspan(edges[number] - 0.5, edges[number + 1] - 0.5, color="0.95", zorder=-1)
    axes.axhline(0, color="0.4", linewidth=0.8)
    axes.set_xlim(-0.5, len(order) - 0.5)
    axes.set_xticks((edges[:-1] + edges[1:] - 1) / 2, names, rotation=30, ha="right")
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("Difference of means")
    figure.legend(loc="outside lower right", ncols=2)
    return settle(figure)


@style()
def sites_figure(curves: Mapping[str, Mapping[str, Mapping[str, Array]]], sites: Sequence[str]) -> Figure:
    """Draw how mean connectivity is distributed over edges at a few sites (Figure 2): before and after ComBat.

    Parameters
    ----------
    curves : mapping
        State (as measured, after ComBat) to edges (whole brain, a network) to site to (n_edges,) float64.
    sites : sequence of str
        Sites to draw.
    """
    scopes = list(next(iter(curves.values())))
    figure = new_figure(2.6 * len(scopes) + 0.8, 2.1 * len(curves) + 0.7)
    panels = figure.subplots(len(curves), len(scopes), squeeze=False, sharex="col")
    for (row, column), axes in np.ndenumerate(panels):
        state, scope = list(curves)[row], scopes[column]
        everything = [by_scope[scope][site] for by_scope in curves.values() for site in sites]
        low, high = min(v.min() for v in everything), max(v.max() for v in everything)
        count = min(_MOST_BINS, 1 + round(2 * len(everything[0]) ** (1 / 3)))  # Rice's rule
        bins = np.linspace(low, high if high > low else low + 1, count + 1)
        for number, site in enumerate(sites):
            counts, _ = np.histogram(curves[state][scope][site], bins, density=True)
            label = site if row == column == 0 else None
            axes.stairs(counts, bins, color=PALETTE[number % len(PALETTE)], linewidth=1.2, label=label)
        axes.set_title(f"{scope}, {state}")
        axes.set_yticks([])
        if row == len(curves) - 1:
            axes.set_xlabel("Mean connectivity of an edge")
        if column == 0:
            axes.set_ylabel("Density")
    figure.legend(loc="outside right upper", title="Site")
    return settle(figure)
