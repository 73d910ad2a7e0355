"""Distance matrices as pictures: ROI by ROI (PR), subject by subject (PS), and the authors' grey images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from medtools.core.errors import InputError
from medtools.core.figures import SEQUENTIAL_MAP, head, new_figure, settle, style
from medtools.homology.plots import panels


@style()
def pr_heatmap(
    matrix: ArrayLike,
    names: Sequence[str],
    *,
    dimension: int,
    network: str = "",
    networks: Sequence[str] | None = None,
    subject: str = "",
    distance: str = "Wasserstein distance",
    unit: str = "z-score",
) -> Figure:
    """Draw the distances between the ROIs of one subject (the paper's Figure 2).

    Parameters
    ----------
    matrix : (n_rois, n_rois) float
        PR of one homology dimension.
    names : sequence of str
        ROI names in the order of the matrix.
    dimension : int
        Homology dimension.
    network : str
        Name of the network that the ROIs make up.
    networks : sequence of str, optional
        Network of each ROI, for a matrix over several networks whose ROIs stand together: blocks take the
        place of the names.
    subject : str
        Whose matrix this is.
    distance, unit : str
        What was measured, for the colour bar.

    Returns
    -------
    matplotlib.figure.Figure
        Larger for more ROIs, up to 12 inches.

    Raises
    ------
    InputError
        If the matrix is not square and finite or the names do not fit it.
    """
    values = panels.square_matrix(matrix, "PR matrix")
    panels.same_length("ROI names", names, len(values))
    # Wide enough for names that can be read; a matrix without names need not grow with its ROIs.
    cell = float(np.clip(9 / len(values), 0.085, 0.17))
    width = max(3.0, cell * len(values)) if networks is None and len(values) <= 106 else 7.0
    cell = width / len(values)
    margin = panels.name_width(names if networks is None else networks, cell)
    figure = new_figure(width + margin + 1.2, width + margin + 0.6, layout="compressed")
    axes = figure.add_subplot()
    image = panels.heat_map(axes, values, cmap=SEQUENTIAL_MAP, vmin=0)
    if networks is None:
        panels.name_ticks(axes, names, cell)
    else:
        panels.same_length("networks", networks, len(values))
        runs = panels.blocks(networks)
        panels.block_lines(axes, runs)
        panels.block_ticks(axes, runs)
    figure.colorbar(image, ax=axes, label=panels.in_unit(distance, unit), shrink=0.8, aspect=30)
    where = f"network {network}" if network else ""
    heading = panels.title(f"PR (between ROIs), H{dimension}", where, f"{len(values)} ROIs")
    head(figure, f"{heading}\n{subject}")
    return settle(figure)


@style()
def ps_heatmap(
    matrix: ArrayLike,
    groups: Sequence[str],
    *,
    roi: str,
    dimension: int,
    network: str = "",
    order: Sequence[str] | None = None,
    distance: str = "Wasserstein distance",
    unit: str = "z-score",
) -> Figure:
    """Draw the distances between subjects for one ROI, subjects sorted by group.

    Parameters
    ----------
    matrix : (n_subjects, n_subjects) float
        PS of one ROI and homology dimension, in any order of subjects.
    groups : sequence of str
        Group of each subject.
    roi, network : str
        Which ROI this is.
    dimension : int
        Homology dimension.
    order : sequence of str, optional
        Order of the groups; by default that of their first subjects.
    distance, unit : str
        What was measured, for the colour bar.

    Returns
    -------
    matplotlib.figure.Figure
        6.4 by 5.6 inches; within a group subjects keep their order.

    Raises
    ------
    InputError
        If the matrix is not square and finite, or groups do not fit it or `order`.
    """
    values, runs = _by_group(matrix, groups, order)
    figure = new_figure(6.4, 5.6, layout="compressed")
    axes = figure.add_subplot()
    image = panels.heat_map(axes, values, cmap=SEQUENTIAL_MAP, vmin=0)
    panels.block_lines(axes, runs, width=1.6)
    panels.block_ticks(axes, runs)
    figure.colorbar(image, ax=axes, label=panels.in_unit(distance, unit), shrink=0.85, aspect=30)
    where = f"{roi} ({network})" if network else roi
    head(figure, panels.title(f"PS (between subjects), H{dimension}", where))
    axes.set_xlabel("Subjects by group")
    return settle(figure)


@style()
def ps_grid(
    matrices: Sequence[ArrayLike],
    groups: Sequence[str],
    *,
    rois: Sequence[str],
    networks: Sequence[str],
    dimension: int,
    order: Sequence[str] | None = None,
    distance: str = "Wasserstein distance",
    unit: str = "z-score",
) -> Figure:
    """Draw PS of several ROIs, lettered, on one colour scale (the paper's Figure 4 has six).

    Parameters
    ----------
    matrices : sequence of (n_subjects, n_subjects) float
        PS of each ROI, all with the same subjects.
    groups : sequence of str
        Group of each subject.
    rois, networks : sequence of str
        ROI and network of each matrix.
    dimension : int
        Homology dimension.
    order : sequence of str, optional
        Order of the groups; by default that of their first subjects.
    distance, unit : str
        What was measured, for the colour bar.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels in a row.

    Raises
    ------
    InputError
        If there is no matrix, or one does not fit its names or groups.
    """
    if not matrices:
        raise InputError("PS matrices", "expected at least one, found none")
    panels.same_length("ROI names", rois, len(matrices))
    panels.same_length("networks", networks, len(matrices))
    ordered = [_by_group(matrix, groups, order) for matrix in matrices]
    end = max(float(values.max()) for values, _ in ordered)
    n_columns = min(3, len(matrices))
    n_rows = -(-len(matrices) // n_columns)
    figure = new_figure(1.3 + 3.3 * n_columns, 0.5 + 3.5 * n_rows, layout="compressed")
    frames = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for index, (axes, (values, runs)) in enumerate(zip(frames, ordered, strict=False)):
        image = panels.heat_map(axes, values, cmap=SEQUENTIAL_MAP, vmin=0, vmax=end)
        panels.block_lines(axes, runs, width=1.4)
        panels.block_ticks(axes, runs, y=index % n_columns == 0)
        axes.set_title(f"({chr(ord('A') + index)}) {rois[index]} ({networks[index]})", fontsize=9)
    for axes in frames[len(matrices) :]:
        axes.set_visible(False)
    figure.colorbar(image, ax=frames.tolist(), label=panels.in_unit(distance, unit), shrink=0.7, aspect=40)
    head(figure, f"PS (between subjects), H{dimension} · {len(groups)} subjects by group")
    return settle(figure)


def grey_image(matrix: ArrayLike) -> NDArray[np.uint8]:
    """Return a matrix as the authors' grey picture: 4 by 4 inches at 56 dpi, from black (least) to white.

    Parameters
    ----------
    matrix : (n, n) float
        PR or PS.

    Returns
    -------
    (224, 224) uint8
        Grey levels after scaling the matrix to its minimum and maximum; black where all values are equal.
        The authors' files hold these pixels inside a transparent border of 5 or 6 pixels.

    Raises
    ------
    InputError
        If the matrix is not square and finite.
    """
    values = panels.square_matrix(matrix, "matrix")
    with style():
        figure = Figure(figsize=(4, 4), dpi=56)
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.imshow(values, aspect="auto", cmap="gray")
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[:, :, 0].copy()


def _by_group(
    matrix: ArrayLike, groups: Sequence[str], order: Sequence[str] | None
) -> tuple[NDArray[np.float64], list[tuple[str, int, int]]]:
    """Return the matrix with subjects sorted by group, and the blocks of the groups."""
    values = panels.square_matrix(matrix, "PS matrix")
    panels.same_length("groups", groups, len(values))
    wanted = list(dict.fromkeys(groups if order is None else order))
    missing = sorted(set(groups) - set(wanted))
    if missing:
        raise InputError("order of groups", f"expected every group of the subjects, {', '.join(missing)} is missing")
    rank = np.argsort([wanted.index(group) for group in groups], kind="stable")
    return values[np.ix_(rank, rank)], panels.blocks([groups[index] for index in rank])
