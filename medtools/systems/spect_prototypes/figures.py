"""Figures of spect-prototypes: one episode, the space of embeddings, and the table of what was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from medtools.core.figures import GREY, PALETTE, head, new_figure, settle, style

_RIGHT, _WRONG = PALETTE[2], PALETTE[1]


@style()
def episode_figure(
    support: Mapping[str, Sequence[NDArray[np.float32]]],
    queries: Mapping[str, Sequence[tuple[NDArray[np.float32], str, float]]],
    *,
    title: str,
) -> Figure:
    """Draw the support and the queries of an episode, a row per class.

    Parameters
    ----------
    support : mapping
        Class to its support crops (h, w).
    queries : mapping
        True class to its queries: crop, class called, probability of the class called.
    title : str
        Which episode; it should say that queries bear the class called and its probability.
    """
    shots = max(len(crops) for crops in support.values())
    asked = max(len(crops) for crops in queries.values())
    figure = new_figure(1.05 * (shots + asked) + 0.8, 1.3 * len(support) + 0.6)
    head(figure, title)
    # The empty column keeps support and queries apart.
    ratios = [*[1.0] * shots, 0.2, *[1.0] * asked]
    panels = figure.subplots(len(support), shots + 1 + asked, squeeze=False, width_ratios=ratios)
    for axes in panels.flat:
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    for row, (name, crops) in enumerate(support.items()):
        panels[row, 0].set_ylabel(name)
        for axes, crop in zip(panels[row], crops, strict=False):
            axes.imshow(crop, cmap="gray")
            axes.set_title("support", fontsize=7, color=GREY, loc="center")
        for axes, (crop, called, probability) in zip(panels[row, shots + 1 :], queries.get(name, ()), strict=False):
            axes.imshow(crop, cmap="gray")
            colour = _RIGHT if called == name else _WRONG
            axes.set_title(f"{called}\n{probability:.2f}", fontsize=7, color=colour, loc="center")
    return settle(figure)


@style()
def map_figure(rows: Sequence[Mapping[str, Any]], classes: Sequence[str], *, axis: str, title: str) -> Figure:
    """Draw embeddings in the plane: training crops hollow, validation filled, prototypes as stars.

    Parameters
    ----------
    rows : sequence of mapping
        truth, part (train, validation, prototype), x, y.
    classes : sequence of str
        Order of the colours.
    axis : str
        What the two axes are.
    title : str
    """
    figure = new_figure(5.6, 4.2)
    axes = figure.add_subplot()
    looks: dict[str, dict[str, Any]] = {
        "train": {"marker": "o", "markersize": 4, "markerfacecolor": "none"},
        "validation": {"marker": "o", "markersize": 4},
        "prototype": {"marker": "*", "markersize": 12, "markeredgecolor": "black"},
    }
    for part, look in looks.items():
        for number, name in enumerate(classes):
            points = [(row["x"], row["y"]) for row in rows if row["part"] == part and row["truth"] == name]
            x, y = np.array(points).reshape(-1, 2).T
            axes.plot(x, y, linestyle="", color=PALETTE[number % len(PALETTE)], **look)
    axes.set_xlabel(f"{axis} 1")
    axes.set_ylabel(f"{axis} 2")
    axes.set_title(title)
    colours = {name: PALETTE[number % len(PALETTE)] for number, name in enumerate(classes)}
    keys = [Line2D([], [], linestyle="", marker="o", color=colour, label=name) for name, colour in colours.items()]
    keys += [Line2D([], [], linestyle="", color="black", label=part, **look) for part, look in looks.items()]
    figure.legend(handles=keys, loc="outside right upper")
    return settle(figure)


@style()
def table_figure(rows: Sequence[Mapping[str, str]]) -> Figure:
    """Draw the rows of the table: accuracy by training episodes, a panel per number of shots.

    Parameters
    ----------
    rows : sequence of mapping
        The columns of `table.tsv`, as text.
    """
    networks = [row for row in rows if row["distance"] != "n/a"]
    shots = sorted({int(row["shots"]) for row in networks} or {int(r["shots"]) for r in rows if r["shots"] != "n/a"})
    figure = new_figure(2.7 * len(shots) + 1.8, 3.2)
    panels = figure.subplots(1, len(shots), squeeze=False, sharey=True)[0]
    chance = next((float(row["accuracy"]) for row in rows if row["start"] == "chance"), None)
    lines = list(dict.fromkeys((row["start"], row["distance"], row["batch_norm"]) for row in networks))
    distances = list(dict.fromkeys(row["distance"] for row in networks))
    counts = sorted({int(row["episodes"]) for row in networks})
    for axes, shot in zip(panels, shots, strict=True):
        for start, distance, how in lines:
            line = (start, distance, how, str(shot))
            own = [r for r in networks if (r["start"], r["distance"], r["batch_norm"], r["shots"]) == line]
            own.sort(key=lambda row: int(row["episodes"]))
            axes.plot(
                [counts.index(int(row["episodes"])) for row in own],
                [float(row["accuracy"]) for row in own],
                color=PALETTE[distances.index(distance) % len(PALETTE)],
                linestyle="-" if how == "re-estimated" else ":",
                marker="o" if start == "random" else "^",
                markersize=4,
            )
        for number, name in enumerate(("pixels", "shape", "shape-all")):
            value = [float(r["accuracy"]) for r in rows if r["start"] == name and r["shots"] == str(shot)]
            if value:
                axes.axhline(value[0], color=GREY, linewidth=1, linestyle=("--", "-.", (0, (1, 3)))[number])
        if chance is not None:
            axes.axhline(chance, color="black", linewidth=0.8)
        axes.set_xticks(range(len(counts)), list(map(str, counts)))
        axes.set_xlim(-0.3, max(len(counts), 1) - 0.7)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel("Training episodes")
        axes.set_title(f"{shot} shot{'s' if shot > 1 else ''}")
    panels[0].set_ylabel("Accuracy on other subjects")
    figure.legend(handles=_table_keys(distances, {row["start"] for row in networks}), loc="outside right upper")
    return settle(figure)


def _table_keys(distances: Sequence[str], starts: set[str]) -> list[Line2D]:
    keys = [Line2D([], [], color=PALETTE[n % len(PALETTE)], label=name) for n, name in enumerate(distances)]
    keys += [Line2D([], [], color="black", marker="o^"[n], linestyle="", label=f"start: {name}")
             for n, name in enumerate(("random", "weights")) if name in starts]  # fmt: skip
    keys += [Line2D([], [], color="black", linestyle="-", label="batch norm re-estimated"),
             Line2D([], [], color="black", linestyle=":", label="batch norm as trained"),
             Line2D([], [], color=GREY, linestyle="--", label="nearest mean of pixels"),
             Line2D([], [], color=GREY, linestyle="-.", label="shape, on the support"),
             Line2D([], [], color=GREY, linestyle=(0, (1, 3)), label="shape, all training crops"),
             Line2D([], [], color="black", linewidth=0.8, label="chance")]  # fmt: skip
    return keys
