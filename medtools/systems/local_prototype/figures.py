"""Figures of local-prototype: episodes with their maps, segmentations, Dice by organ and by alignment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medtools.core.figures import GREY, PALETTE, SEQUENTIAL_MAP, head, new_figure, settle, style

_TRUTH, _FOUND = PALETTE[2], PALETTE[1]
_COLUMNS = 4


@style()
def overlay_figure(panels: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw slices with the true (green) and the found (orange) outline.

    Parameters
    ----------
    panels : sequence of mapping
        title, image (h, w), truth and found (h', w') bool, dice.
    """
    rows, columns = -(-len(panels) // _COLUMNS), min(len(panels), _COLUMNS)
    figure = new_figure(2.2 * columns, 2.5 * rows + 0.4)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _slice(axes, panel["image"], panel["truth"].shape)
        _outline(axes, panel["truth"], _TRUTH)
        _outline(axes, panel["found"], _FOUND)
        axes.set_title(f"{panel['title']}\nDice {panel['dice']:.2f}", fontsize=8)
    for axes in grid.flat[len(panels) :]:
        axes.axis("off")
    figure.legend(handles=_keys({"truth": _TRUTH, "segmentation": _FOUND}), loc="outside lower center", ncols=2)
    return settle(figure)


@style()
def dice_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the Dice of every query and organ as points, with their means.

    Parameters
    ----------
    rows : sequence of mapping
        organ, dice.
    """
    organs = list(dict.fromkeys(row["organ"] for row in rows))
    figure = new_figure(max(3.2, 0.85 * len(organs) + 1.2), 3.0)
    axes = figure.add_subplot()
    for place, organ in enumerate(organs):
        values = np.array([row["dice"] for row in rows if row["organ"] == organ])
        spread = np.linspace(-0.12, 0.12, len(values)) if len(values) > 1 else np.zeros(1)
        axes.plot(place + spread, values, "o", color=PALETTE[0], markersize=4, alpha=0.7)
        axes.hlines(values.mean(), place - 0.3, place + 0.3, color=PALETTE[1], linewidth=2)
    axes.set_xticks(range(len(organs)), organs, rotation=30, ha="right")
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("Dice")
    axes.set_title("Each query, and the mean")
    return settle(figure)


@style()
def alignment_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw segmentation Dice against alignment Dice of every pair of slices (Figure 3, right).

    Parameters
    ----------
    rows : sequence of mapping
        organ, alignment_dice, segmentation_dice.
    """
    organs = list(dict.fromkeys(row["organ"] for row in rows))
    figure = new_figure(4.8, 3.6)
    axes = figure.add_subplot()
    for number, organ in enumerate(organs):
        chosen = [row for row in rows if row["organ"] == organ]
        x, y = (np.array([float(row[key]) for row in chosen]) for key in ("alignment_dice", "segmentation_dice"))
        colour = PALETTE[number % len(PALETTE)]
        axes.plot(x, y, "os^Dv"[number // len(PALETTE) % 5], color=colour, markersize=3.5, alpha=0.6, label=organ)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--")
    axes.annotate("copying the mask", (0.97, 0.92), color=GREY, ha="right", fontsize=8)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("Alignment Dice (support mask on query mask)")
    axes.set_ylabel("Segmentation Dice")
    figure.legend(loc="outside right upper")
    return settle(figure)


@style()
def episode_figure(maps: Mapping[str, NDArray[Any]], columns: int, *, title: str) -> Figure:
    """Draw one episode: both slices, the features, both similarities and the winning cells.

    Parameters
    ----------
    maps : mapping
        As `medtools explain` writes them to `maps.npz`.
    columns : int
        Cells in a row of the grid.
    title : str
    """
    figure = new_figure(9.2, 5.0)
    head(figure, title)
    grid = figure.subplots(2, 4)
    for axes, key, name in ((grid[0, 0], "support", "Support"), (grid[1, 0], "query", "Query, segmented")):
        _slice(axes, maps[key], maps[key].shape)
        _outline(axes, maps[f"{key}_mask"], _TRUTH)
        axes.set_title(name)
    _outline(grid[1, 0], maps["organ_similarity"] > maps["background_similarity"], _FOUND)
    for place, name in ((0, "Support"), (1, "Query")):
        grid[place, 1].imshow(maps["components"][place])
        grid[place, 1].set_title(f"{name}: features")
    organ = maps["organ_similarity"]
    near = (organ != 0) & (organ > -1 + 1e-6)  # where no cell has the organ it has the least cosine, 0 or -1
    low = float(min(maps[f"{key}_similarity"][near].min() for key in ("organ", "background"))) if near.any() else 0.0
    for place, key in ((0, "organ"), (1, "background")):
        shown = np.ma.masked_where(~near, maps[f"{key}_similarity"])
        image = grid[place, 2].imshow(shown, cmap=SEQUENTIAL_MAP, vmin=low, vmax=1)
        grid[place, 2].set_title(f"Cosine with {key}")
    figure.colorbar(image, ax=grid[:, 2].tolist(), shrink=0.7)
    # Neighbouring cells get unlike colours: a cell has no order.
    cells = maps["winning_cell"]
    colour = 3 * (cells // columns % 3) + cells % columns % 3
    _slice(grid[0, 3], maps["query"], maps["query"].shape)
    grid[0, 3].imshow(np.ma.masked_where(~near, colour), cmap=_cell_colours(), vmin=0, vmax=8, alpha=0.7)
    grid[0, 3].set_title("Cell that decided")
    difference = np.ma.masked_where(~near, maps["organ_similarity"] - maps["background_similarity"])
    most = float(np.abs(difference).max()) if near.any() else 1.0
    image = grid[1, 3].imshow(difference, cmap="RdBu_r", vmin=-most, vmax=most)
    grid[1, 3].set_title("Organ minus background")
    figure.colorbar(image, ax=grid[1, 3], shrink=0.7)
    for axes in grid.flat:
        axes.set_xticks([])
        axes.set_yticks([])
    return settle(figure)


def _slice(axes: Axes, image: NDArray[np.uint8], shape: tuple[int, ...]) -> None:
    """Draw a square slice so that masks of `shape`, from before padding, lie on it."""
    side = max(shape)
    top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
    axes.imshow(
        image, cmap="gray", vmin=0, vmax=255, extent=(-left - 0.5, side - left - 0.5, side - top - 0.5, -top - 0.5)
    )
    axes.set_xlim(-0.5, shape[1] - 0.5)
    axes.set_ylim(shape[0] - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])


def _outline(axes: Axes, mask: NDArray[np.bool_], colour: str) -> None:
    if mask.any() and not mask.all():
        axes.contour(mask.astype(np.float64), levels=[0.5], colors=[colour], linewidths=1.0)


def _keys(colours: Mapping[str, str]) -> list[Any]:
    from matplotlib.lines import Line2D

    return [Line2D([], [], color=colour, label=name) for name, colour in colours.items()]


def _cell_colours() -> ListedColormap:
    return ListedColormap([*PALETTE, "#b0b0b0", "#7a5195"])
