"""Figures that a person judges a run by: motion, carpet, registration, coverage of the regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import ndimage

from medtools.core.figures import GREY, PALETTE, SEQUENTIAL_MAP, new_figure, style
from medtools.preprocess.fmri.qc import Measure
from medtools.preprocess.fmri.rigid import framewise_displacement
from medtools.preprocess.fmri.template import Template

_CARPET_VOXELS = 1800
_CARPET_SHARES = (0.6, 0.25, 0.15)
_CARPET_LIMIT = 2.5
_SLICES_PER_VIEW = 6
_TISSUE_NAMES = ("grey matter", "white matter", "fluid")


@style()
def draw_motion(parameters: np.ndarray, tr_ms: float, fd_threshold_mm: float) -> Figure:
    """Plot the six motion parameters and framewise displacement over time.

    Parameters
    ----------
    parameters : (n_volumes, 6) array
        Translations in mm, rotations in radians.
    tr_ms : float
    fd_threshold_mm : float
        Drawn as a line; volumes above it are marked.
    """
    seconds = np.arange(len(parameters)) * tr_ms / 1e3
    figure = new_figure(7.5, 5.0)
    moved, turned, displaced = figure.subplots(3, 1, sharex=True)
    for axis, name in enumerate("xyz"):
        moved.plot(seconds, parameters[:, axis], lw=1, color=PALETTE[axis], label=name)
        turned.plot(seconds, np.rad2deg(parameters[:, 3 + axis]), lw=1, color=PALETTE[axis], label=name)
    moved.set_ylabel("translation (mm)")
    turned.set_ylabel("rotation (degrees)")
    moved.legend(ncols=3, loc="upper left", bbox_to_anchor=(0, 1.25))
    fd = framewise_displacement(parameters)
    displaced.plot(seconds, fd, lw=1, color=PALETTE[6])
    displaced.axhline(fd_threshold_mm, color=PALETTE[1], lw=0.8, ls="--")
    above = fd > fd_threshold_mm
    displaced.plot(seconds[above], fd[above], "o", ms=3, color=PALETTE[1])
    displaced.set_ylim(0, max(1.1 * float(fd.max(initial=0)), 1.2 * fd_threshold_mm))
    displaced.set_ylabel("framewise\ndisplacement (mm)")
    displaced.set_xlabel("time (s)")
    displaced.set_title(f"mean {fd[1:].mean():.2f} mm, {int(above.sum())} volumes above {fd_threshold_mm:g} mm")
    return figure


@style()
def draw_quality(runs: Sequence[Mapping[str, Any]], measures: Sequence[Measure]) -> Figure:
    """Show every run's value of every measure that has a threshold.

    Parameters
    ----------
    runs : sequence of mapping
        Rows of the quality table; runs without a value of a measure are not in its panel.
    measures : sequence of Measure
    """
    shown = [measure for measure in measures if measure.suspicious]
    n_columns = 4
    figure = new_figure(7.5, 2.0 * -(-len(shown) // n_columns))
    panels = figure.subplots(-(-len(shown) // n_columns), n_columns, squeeze=False).ravel()
    for panel in panels[len(shown) :]:
        panel.set_axis_off()
    for panel, measure in zip(panels, shown, strict=False):
        _draw_measure(panel, measure, [run.get(measure.name) for run in runs])
    return figure


def _draw_measure(panel: Axes, measure: Measure, found: Sequence[float | None]) -> None:
    limit = float(measure.threshold or 0)
    values = np.array([np.nan if value is None else value for value in found], dtype=float)
    values = values[np.isfinite(values)]
    bad = values > limit if measure.suspicious == "above" else values < limit
    # Values side by side in order: no two points hide each other, and no random jitter.
    places = np.argsort(np.argsort(values, kind="stable")) / max(len(values) - 1, 1)
    panel.plot(places[~bad], values[~bad], "o", ms=3, color=PALETTE[0])
    panel.plot(places[bad], values[bad], "o", ms=3, color=PALETTE[1])
    panel.axhline(limit, color=PALETTE[1], lw=0.8, ls="--")
    if not values.size or np.ptp([limit, *values]) == 0:
        panel.set_ylim(limit - 1, limit + 1)
    panel.set_xticks([])
    panel.set_xlim(-0.1, 1.1)
    panel.set_xlabel(f"{int(bad.sum())} of {len(values)} {measure.suspicious} {limit:g}")
    panel.set_title(measure.name.removesuffix(f"_{measure.unit}").replace("_", " "))
    panel.set_ylabel(measure.unit)


@style()
def draw_carpet(
    before: np.ndarray, after: np.ndarray, tissue: np.ndarray, dvars: np.ndarray, fd: np.ndarray | None, tr_ms: float
) -> Figure:
    """Show voxels as rows over time, before and after nuisance regression (Power 2017, NeuroImage 154:150).

    Parameters
    ----------
    before, after : (n_volumes, n_voxels) arrays
        Signal with trend removed, and residual of the regression; each voxel is shown as z-score.
    tissue : (n_voxels,) int array
        0 grey matter, 1 white matter, 2 fluid.
    dvars : (n_volumes,) array
        Percent.
    fd : (n_volumes,) array or None
        Framewise displacement in mm.
    tr_ms : float
    """
    order = np.argsort(tissue, kind="stable")
    seconds = np.arange(len(before)) * tr_ms / 1e3
    figure = new_figure(7.5, 7.0)
    top, first, second = figure.subplots(3, 1, sharex=True, height_ratios=(1, 2.4, 2.4))
    top.plot(seconds[1:], dvars[1:], lw=1, color=PALETTE[0])
    top.set_ylabel("DVARS (%)", color=PALETTE[0])
    if fd is not None:
        beside = top.twinx()
        beside.spines["right"].set_visible(True)
        beside.plot(seconds[1:], fd[1:], lw=1, color=PALETTE[1])
        beside.set_ylabel("FD (mm)", color=PALETTE[1])
    extent = (0.0, seconds[-1] + tr_ms / 1e3, float(len(order)), 0.0)
    for axes, values, title in ((first, before, "before regression"), (second, after, "after regression")):
        picture = axes.imshow(
            _z_scores(values)[:, order].T,
            aspect="auto",
            cmap="gray",
            vmin=-_CARPET_LIMIT,
            vmax=_CARPET_LIMIT,
            extent=extent,
            interpolation="nearest",
        )
        axes.set_title(title)
        _mark_tissues(axes, tissue[order])
    second.set_xlabel("time (s)")
    figure.colorbar(picture, ax=[first, second], label="z-score of each voxel", shrink=0.6)
    return figure


@style()
def draw_registration(mean: np.ndarray, template: Template) -> Figure:
    """Lay the outlines of the template's brain and white matter over the normalised mean volume.

    Parameters
    ----------
    mean : (x, y, z) array
        Mean volume on the template's grid.
    template : Template
    """
    figure = new_figure(9.0, 4.9)
    rows = figure.subplots(3, _SLICES_PER_VIEW)
    ceiling = float(np.percentile(mean[template.brain], 99.5)) if template.brain.any() else 1.0
    edges = ((template.brain.astype(float), PALETTE[1]), (template.white, PALETTE[5]))
    for axis, (row, letter) in enumerate(zip(rows, "xyz", strict=True)):
        for axes, position in zip(row, _slices(template.brain, axis), strict=True):
            _show(axes, mean.take(position, axis), template.affine, axis, cmap="gray", vmin=0, vmax=ceiling)
            for volume, colour in edges:
                _outline(axes, volume.take(position, axis), template.affine, axis, colour)
            axes.set_title(
                f"{letter} = {_millimetres(template.affine, axis, position):.0f} mm", fontsize=8, loc="center"
            )
    figure.suptitle("mean volume in MNI space; outlines of the template's brain (orange) and white matter (blue)")
    return figure


@style()
def draw_coverage(
    mean: np.ndarray, seen: np.ndarray, template: Template, centres: np.ndarray, coverage: np.ndarray, low: float
) -> Figure:
    """Map the field of view and the share of each region that lies in it.

    Parameters
    ----------
    mean : (x, y, z) array
        Mean volume on the template's grid.
    seen : (x, y, z) bool
        Field of view within the brain.
    template : Template
    centres : (n_rois, 3) array
        MNI mm.
    coverage : (n_rois,) array
        Share in the field of view, 0 to 1.
    low : float
        Regions below it are ringed.
    """
    figure = new_figure(9.0, 3.9)
    plots = figure.subplots(1, 3)
    views = ((0, "from the right", (1, 2)), (1, "from behind", (0, 2)), (2, "from above", (0, 1)))
    order = np.argsort(-coverage, kind="stable")  # the poorly covered on top
    for axes, (axis, title, shown) in zip(plots, views, strict=True):
        _show(axes, mean.max(axis=axis), template.affine, axis, cmap="Greys", alpha=0.4)
        _outline(axes, template.brain.any(axis=axis).astype(float), template.affine, axis, GREY)
        _outline(axes, seen.any(axis=axis).astype(float), template.affine, axis, PALETTE[2])
        dots = axes.scatter(
            centres[order, shown[0]],
            centres[order, shown[1]],
            c=coverage[order],
            vmin=0,
            vmax=1,
            cmap=SEQUENTIAL_MAP,
            s=22,
            lw=0,
        )
        poor = coverage < low
        axes.scatter(
            centres[poor, shown[0]], centres[poor, shown[1]], s=60, facecolors="none", edgecolors=PALETTE[1], lw=1.2
        )
        axes.set_title(title, loc="center")
    figure.colorbar(dots, ax=list(plots), label="share of region in view", shrink=0.7)
    partly = int(((coverage > 0) & (coverage < low)).sum())
    figure.suptitle(
        f"regions out of view: {int((coverage == 0).sum())}, partly in view: {partly} (ringed); "
        "field of view green, template grey"
    )
    return figure


def carpet_sample(
    brain: np.ndarray, white: np.ndarray, fluid: np.ndarray, limit: int = _CARPET_VOXELS
) -> tuple[np.ndarray, np.ndarray]:
    """Choose points for the carpet, evenly within grey matter, white matter and fluid.

    Parameters
    ----------
    brain, white, fluid : (n_points,) bool arrays
        Tissue of each point; grey matter is the brain's remainder.
    limit : int
        At most about how many points to keep.

    Returns
    -------
    chosen : (n,) int array
    tissue : (n,) int array
        0 grey matter, 1 white matter, 2 fluid.
    """
    masks = (brain & ~white & ~fluid, white, fluid & ~white)
    parts = []
    for mask, share in zip(masks, _CARPET_SHARES, strict=True):
        found = np.flatnonzero(mask)
        parts.append(found[:: max(1, -(-len(found) // int(limit * share)))])
    return np.concatenate(parts), np.repeat(np.arange(3), [len(part) for part in parts])


def _z_scores(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=0)
    return centred / np.maximum(centred.std(axis=0), 1e-12)


def _mark_tissues(axes: Axes, tissue: np.ndarray) -> None:
    """Name the blocks of rows and part them by lines."""
    counts = np.bincount(tissue, minlength=3)
    ends = np.cumsum(counts)
    axes.set_yticks([])
    for name, count, end in zip(_TISSUE_NAMES, counts, ends, strict=True):
        if count:
            axes.text(
                -0.01, end - count / 2, name, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=8
            )
            axes.axhline(end, color=PALETTE[1], lw=0.8)


def _slices(brain: np.ndarray, axis: int) -> Sequence[int]:
    """Positions spread over the brain, its ends left out."""
    used = np.flatnonzero(brain.any(axis=tuple(other for other in range(3) if other != axis)))
    low, high = (used[0], used[-1]) if used.size else (0, brain.shape[axis] - 1)
    return [int(position) for position in np.linspace(low, high, _SLICES_PER_VIEW + 2)[1:-1].round()]


def _millimetres(affine: np.ndarray, axis: int, position: int) -> float:
    return float(affine[axis, axis] * position + affine[axis, 3])


def _extent(shape: tuple[int, ...], affine: np.ndarray, axis: int) -> tuple[float, float, float, float]:
    """Edges of a slice in mm, left to right and bottom to top."""
    sides = [other for other in range(3) if other != axis]
    edges = [
        _millimetres(affine, side, 0) + affine[side, side] * (position - 0.5)
        for side, size in zip(sides, shape, strict=True)
        for position in (0, size)
    ]
    return edges[0], edges[1], edges[2], edges[3]


def _show(axes: Axes, section: np.ndarray, affine: np.ndarray, axis: int, **options: object) -> None:
    extent = _extent(section.shape, affine, axis)
    axes.imshow(section.T, origin="lower", extent=extent, interpolation="nearest", **options)  # type: ignore[arg-type]
    axes.set_axis_off()


def _outline(axes: Axes, section: np.ndarray, affine: np.ndarray, axis: int, colour: str) -> None:
    if section.min() < 0.5 < section.max():
        sides = [other for other in range(3) if other != axis]
        ticks = [
            [_millimetres(affine, side, position) for position in range(size)]
            for side, size in zip(sides, section.shape, strict=True)
        ]
        axes.contour(*ticks, ndimage.gaussian_filter(section, 0.6).T, levels=[0.5], colors=[colour], linewidths=0.7)
