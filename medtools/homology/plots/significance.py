"""Group differences as pictures: the P-plot and the significant partners of each ROI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.figures import PALETTE, SIGNIFICANCE_MAP, head, new_figure, settle, style
from medtools.homology.plots import panels
from medtools.homology.statistics import PairTest

_MASK_COLOURS = ListedColormap(["white", PALETTE[0]])


@style()
def p_plot(
    tests: Mapping[str, Sequence[PairTest]],
    names: Sequence[str],
    *,
    network: str = "",
    dimensions: Sequence[int] = (0, 1, 2),
) -> Figure:
    """Draw -log10 p of every ROI pair and which pairs are significant (the paper's Figure 5, transposed).

    Parameters
    ----------
    tests : mapping of str to sequence of PairTest
        For each comparison, such as "HC vs EMCI", its tests in the order of `dimensions`.
    names : sequence of str
        ROI names in the order of the matrices.
    network : str
        Name of the network.
    dimensions : sequence of int
        Homology dimensions, one row of panels each.

    Returns
    -------
    matplotlib.figure.Figure
        Left the p-values, one column per comparison on one colour scale; right the significant pairs.

    Raises
    ------
    InputError
        If there is no comparison, or one lacks a dimension or has another number of ROIs.
    """
    every = _checked_tests(tests, names, len(dimensions))
    alpha = every[0].alpha
    side = max(2.4, len(names) * float(np.clip(3.4 / len(names), 0.03, 0.16)))
    cell = side / len(names)
    margin = panels.name_width(names, cell)
    figure = new_figure(
        (side + 0.25) * 2 * len(tests) + 2 * margin + 0.2, (side + 0.4) * len(dimensions) + margin + 1.1
    )
    frames = figure.subplots(len(dimensions), 2 * len(tests), squeeze=False)
    largest = max(float(_log_p(test).max()) for test in every)
    # A few vanishing p-values would leave every other pair pale.
    end = float(np.clip(largest, -1.5 * np.log10(alpha), -4 * np.log10(alpha)))
    for column, (comparison, group_tests) in enumerate(tests.items()):
        last = column == len(tests) - 1
        for row, (dimension, test) in enumerate(zip(dimensions, group_tests, strict=True)):
            left, right = frames[row, column], frames[row, column + len(tests)]
            image = panels.heat_map(left, _log_p(test), cmap=SIGNIFICANCE_MAP, vmin=0, vmax=end)
            left.set_title(f"{comparison}, H{dimension}")
            _draw_mask(right, test)
            right.set_title(f"{comparison}, H{dimension}: {test.n_significant} of {test.n_pairs} pairs")
            bottom = row == len(dimensions) - 1
            panels.name_ticks(left, names, cell, x=bottom, y=column == 0)
            panels.name_ticks(right, names, cell, x=bottom, y=last)
            right.yaxis.tick_right()
    bar = figure.colorbar(
        image,
        ax=frames.ravel().tolist(),
        location="bottom",
        anchor=(0.0, 1.0),
        extend="max" if largest > end else "neither",
        shrink=0.45,
        aspect=45,
        pad=0.02,
        label="−log₁₀ p of the rank-sum test (black line: p = α)",
    )
    bar.ax.axvline(-np.log10(alpha), color="black", linewidth=1.5)
    head(figure, _heading("P-plot", every[0], network))
    return settle(figure)


@style()
def degree_chart(tests: Mapping[str, PairTest], names: Sequence[str], *, dimension: int, network: str = "") -> Figure:
    """Draw how many significant partners each ROI has, one panel per comparison.

    Parameters
    ----------
    tests : mapping of str to PairTest
        For each comparison, such as "HC vs EMCI", its test.
    names : sequence of str
        ROI names in the order of the matrices.
    dimension : int
        Homology dimension.
    network : str
        Name of the network.

    Returns
    -------
    matplotlib.figure.Figure
        ROIs from top to bottom in the order of the matrices.

    Raises
    ------
    InputError
        If there is no comparison or the names do not fit one.
    """
    if not tests:
        raise InputError("degree chart", "expected at least one comparison, found none")
    height = 0.17 * len(names)
    figure = new_figure(1.8 + 2.9 * len(tests), height + 1.4)
    frames = figure.subplots(1, len(tests), sharex=True, sharey=True, squeeze=False)[0]
    for index, (axes, (comparison, test)) in enumerate(zip(frames, tests.items(), strict=True)):
        panels.same_length("ROI names", names, len(test.p))
        axes.barh(range(len(names)), test.degree, height=0.75, color=PALETTE[index % len(PALETTE)])
        axes.axvline(test.alpha * (len(names) - 1), color="black", linestyle="--", linewidth=0.8)
        axes.set_title(_concentration(comparison, test))
        axes.set_xlim(0, len(names) - 1)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.set_xlabel("Significant partners (dashed: by chance)")
    frames[0].set_yticks(range(len(names)), names, fontsize=7.5)
    frames[0].set_ylim(len(names) - 0.4, -0.6)
    head(figure, _heading(f"Significant partners, H{dimension}", next(iter(tests.values())), network))
    return settle(figure)


def _checked_tests(tests: Mapping[str, Sequence[PairTest]], names: Sequence[str], n_dimensions: int) -> list[PairTest]:
    """Return all tests of all comparisons after checking their number and size."""
    for comparison, group_tests in tests.items():
        if len(group_tests) != n_dimensions:
            raise InputError(comparison, f"expected {n_dimensions} tests, one per dimension, found {len(group_tests)}")
        for test in group_tests:
            panels.same_length("ROI names", names, len(test.p))
    every = [test for group_tests in tests.values() for test in group_tests]
    if not every:
        raise InputError("P-plot", "expected at least one comparison, found none")
    return every


def _log_p(test: PairTest) -> NDArray[np.float64]:
    """Return -log10 p, finite where p underflows to 0."""
    return -np.log10(np.maximum(test.p, np.finfo(float).tiny))


def _draw_mask(axes: Axes, test: PairTest) -> None:
    """Fill the cells of significant pairs and rule the others lightly, so that a cell can be traced to its names."""
    panels.heat_map(axes, test.mask, cmap=_MASK_COLOURS, vmin=0, vmax=1)
    edges = np.arange(len(test.p) - 1) + 0.5
    axes.hlines(edges, -0.5, len(test.p) - 0.5, color="#dddddd", linewidth=0.3)
    axes.vlines(edges, -0.5, len(test.p) - 0.5, color="#dddddd", linewidth=0.3)


def _concentration(comparison: str, test: PairTest) -> str:
    if not test.n_significant:
        return f"{comparison}\nno significant pair"
    return f"{comparison}\n{test.n_significant} pairs, top two ROIs hold {100 * test.concentration:.0f} %"


def _heading(what: str, test: PairTest, network: str) -> str:
    """Say what was tested and how many pairs chance alone would give."""
    rule = f"p < {test.alpha:g}" if test.correction == "none" else f"BH-adjusted p < {test.alpha:g}"
    where = f"network {network}" if network else ""
    chance = f"{test.expected_false_positives:.1f} of {test.n_pairs} pairs expected at p < {test.alpha:g} by chance"
    return panels.title(what, where, f"rank-sum test, {rule}") + "\n" + chance
