"""The point cloud of a sliding-window embedding, and one ROI from series to barcode on one page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure, SubFigure
from mpl_toolkits.mplot3d import Axes3D
from numpy.typing import ArrayLike, NDArray

from medtools.core.errors import InputError
from medtools.core.figures import GREY, PALETTE, SEQUENTIAL_MAP, head, new_figure, settle, style
from medtools.homology.plots.diagrams import draw_barcode, draw_diagram
from medtools.homology.plots.panels import in_unit


@style()
def point_cloud(cloud: ArrayLike, *, tr_ms: float, lag: int = 1, title: str = "", unit: str = "z-score") -> Figure:
    """Draw the embedded series as a path through space, coloured by time (the paper's Figure 1.C).

    Parameters
    ----------
    cloud : (n_points, n_coordinates) float
        Row t is (v(t), v(t + lag), v(t + 2 lag), ...); of more than three coordinates the first three are drawn.
    tr_ms : float
        Repetition time in milliseconds.
    lag : int
        Samples between two coordinates.
    title : str
        Which subject, ROI and network this is.
    unit : str
        Unit of the signal.

    Returns
    -------
    matplotlib.figure.Figure
        5.8 by 4.8 inches.

    Raises
    ------
    InputError
        If the cloud has fewer than two coordinates or no point.
    """
    figure = new_figure(5.8, 4.8)
    axes = _cloud_axes(figure, cloud)
    points = draw_cloud(axes, cloud, tr_ms=tr_ms, lag=lag, unit=unit)
    figure.colorbar(points, ax=axes, label="Time t [s]", shrink=0.7, pad=0.1)
    head(figure, title)
    return settle(figure)


@style()
def overview(
    series: ArrayLike,
    cloud: ArrayLike,
    diagrams: Sequence[ArrayLike],
    *,
    tr_ms: float,
    lag: int = 1,
    title: str = "",
    unit: str = "z-score",
) -> Figure:
    """Draw one ROI of one subject on one page: series, point cloud, persistence diagram, barcode.

    Parameters
    ----------
    series : (n_samples,) float
        The ROI's time series.
    cloud : (n_points, n_coordinates) float
        Its sliding-window embedding.
    diagrams : sequence of (n_bars, 2) float
        Its diagrams, element k being H_k.
    tr_ms : float
        Repetition time in milliseconds.
    lag : int
        Samples between two coordinates of the cloud.
    title : str
        Which subject, ROI and network this is.
    unit : str
        Unit of the signal.

    Returns
    -------
    matplotlib.figure.Figure
        12 by 6.4 inches.
    """
    signal = np.asarray(series, dtype=float)
    figure = new_figure(12, 6.4)
    head(figure, title)
    # Sub-figures are laid out one by one: the wide labels of the 3-D axes do not push the others apart.
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 2.1])[:, 0]
    left, middle, right = below.subfigures(1, 3, squeeze=False, width_ratios=[1.3, 1, 1.1])[0]
    _draw_series(above.add_subplot(), signal, tr_ms, unit)
    space = _cloud_axes(left, cloud)
    points = draw_cloud(space, cloud, tr_ms=tr_ms, lag=lag, unit=unit)
    left.colorbar(points, ax=space, label="Time t [s]", shrink=0.65, pad=0.13)
    space.set_title(f"Sliding-window cloud: {len(np.asarray(cloud))} points", loc="center")
    square = middle.add_subplot()
    draw_diagram(square, diagrams, unit)
    square.set_title("Persistence diagram")
    panels = right.subplots(len(diagrams), 1, sharex=True, squeeze=False)[:, 0]
    draw_barcode(list(panels), diagrams, unit)
    panels[0].set_title("Barcode")
    right.align_ylabels(panels)
    return settle(figure)


def draw_cloud(axes: Axes, cloud: ArrayLike, *, tr_ms: float, lag: int, unit: str) -> PathCollection:
    """Draw a point cloud into `axes` and return the points, whose colours are seconds."""
    points = _points(cloud)
    # mplot3d's scatter takes a third coordinate where the plane's takes a size: hence no fixed signature.
    space: Any = axes
    coordinates = points.T[:3]
    seconds = np.arange(len(points)) * tr_ms / 1000
    names = [f"v(t + {step * lag * tr_ms / 1000:g} s)" if step else "v(t)" for step in range(len(coordinates))]
    space.plot(*coordinates, color=GREY, linewidth=0.5, alpha=min(0.6, 120 / len(points)))
    scatter: PathCollection = space.scatter(*coordinates, c=seconds, cmap=SEQUENTIAL_MAP, s=12, linewidths=0)
    space.set_xlabel(in_unit(names[0], unit))
    space.set_ylabel(in_unit(names[1], unit))
    if isinstance(axes, Axes3D):
        space.set_zlabel(in_unit(names[2], unit))
        space.tick_params(labelsize=7, pad=0)
        space.set_box_aspect(None, zoom=0.95)
    return scatter


def _draw_series(axes: Axes, signal: NDArray[np.float64], tr_ms: float, unit: str) -> None:
    axes.plot(np.arange(signal.size) * tr_ms / 1000, signal, color=PALETTE[0], linewidth=1)
    axes.set_xlim(0, max(1, signal.size - 1) * tr_ms / 1000)
    axes.set_xlabel("Time [s]")
    axes.set_ylabel(in_unit("Signal v", unit))
    axes.set_title(f"Time series: {signal.size} samples, TR {tr_ms:g} ms")


def _cloud_axes(figure: Figure | SubFigure, cloud: ArrayLike) -> Axes:
    """Add 2-D axes for a cloud in the plane, 3-D axes for any other."""
    return figure.add_subplot(projection="rectilinear" if _points(cloud).shape[1] == 2 else "3d")


def _points(cloud: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(cloud, dtype=float)
    if points.ndim != 2 or points.shape[0] == 0 or points.shape[1] < 2:
        raise InputError("point cloud", f"expected at least one point of two coordinates, found shape {points.shape}")
    return points
