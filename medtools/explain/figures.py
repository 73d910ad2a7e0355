"""Figures of what a classifier looks at: maps over images, and features in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medtools.core.figures import PALETTE, head, new_figure, save_figure, settle, style
from medtools.core.tables import write_tsv
from medtools.explain.embedding import in_the_plane

_MAP, _ALPHA = "inferno", 0.45


@dataclass(frozen=True)
class Explained:
    """One image with its map.

    Attributes
    ----------
    image : (height, width) or (height, width, 3) array
    cam : (height, width) float
        In [0, 1].
    title : str
    """

    image: NDArray
    cam: NDArray[np.floating]
    title: str


def few_of_each(truth: NDArray[np.str_], classes: Sequence[str], count: int) -> NDArray[np.int64]:
    """Return the places of at most `count` samples of each class, spread evenly over it."""
    parts = []
    for name in classes:
        here = np.flatnonzero(truth == name)
        parts.append(here[np.linspace(0, len(here) - 1, min(count, len(here))).round().astype(np.int64)])
    return np.concatenate(parts)


def packed(groups: Sequence[Sequence[Explained]], across: int = 6) -> list[list[Explained]]:
    """Put groups, such as classes, into rows of at most `across` images, several in one row where they fit."""
    rows: list[list[Explained]] = []
    for group in groups:
        if rows and len(rows[-1]) + len(group) <= across:
            rows[-1] += group
        else:
            rows.append(list(group))
    return rows


@style()
def overlay_figure(rows: Sequence[Sequence[Explained]], title: str) -> Figure:
    """Draw images and, below each, the same image under its map; one row of pairs per entry of `rows`.

    Parameters
    ----------
    rows : sequence of sequence of Explained
        For instance a row per class.
    title : str
    """
    columns = max(len(row) for row in rows)
    height, width = rows[0][0].image.shape[:2]
    across = 1.5 if height <= 2 * width else 1.1
    down = min(across * height / width, 4.0)
    figure = new_figure(across * columns + 0.4, (2 * down + 0.45) * len(rows) + 0.5)
    head(figure, title)
    panels = figure.subplots(2 * len(rows), columns, squeeze=False)
    for axes in panels.flat:
        axes.set_axis_off()
    for number, row in enumerate(rows):
        for column, one in enumerate(row):
            above, below = panels[2 * number, column], panels[2 * number + 1, column]
            above.set_title(one.title, fontsize=7)
            for axes in (above, below):
                axes.imshow(one.image, cmap="gray", aspect="equal")
            below.imshow(one.cam, cmap=_MAP, alpha=_ALPHA, vmin=0, vmax=1)
    return settle(figure)


@style()
def embedding_figure(
    points: NDArray[np.floating], labels: Sequence[str], classes: Sequence[str], *, title: str, axis: str
) -> Figure:
    """Draw samples in the plane, coloured by class.

    Parameters
    ----------
    points : (n, 2) float
    labels : sequence of str
        Class of each sample.
    classes : sequence of str
        Order of the legend.
    title : str
    axis : str
        What the two axes are, e.g. `principal component`.
    """
    figure = new_figure(4.8, 4.0)
    axes = figure.add_subplot()
    chosen = np.asarray(labels)
    for number, name in enumerate(classes):
        here = points[chosen == name]
        axes.plot(
            here[:, 0], here[:, 1], "o", color=PALETTE[number % len(PALETTE)], markersize=3, alpha=0.7, label=name
        )
    axes.set_xlabel(f"{axis} 1")
    axes.set_ylabel(f"{axis} 2")
    axes.set_title(title)
    figure.legend(loc="outside right upper")
    return settle(figure)


def write_embedding(
    out: Path,
    features: NDArray[np.floating],
    ids: Sequence[str] | NDArray[np.str_],
    truth: NDArray[np.str_],
    classes: Sequence[str],
    *,
    how: Literal["pca", "umap"],
    seed: int,
    title: str,
) -> list[Path]:
    """Lay samples out in the plane; write `embedding.png` and `embedding.tsv` and return their paths.

    Parameters
    ----------
    out : Path
        Folder.
    features : (n, width) float
    ids, truth : (n,) str
        Identifier and class of each sample.
    classes : sequence of str
        Order of the legend.
    how, seed
        As `in_the_plane`.
    title : str

    Raises
    ------
    InputError
        As `in_the_plane`.
    """
    points = in_the_plane(features, how, seed=seed)
    axis = "Principal component" if how == "pca" else "UMAP"
    picture = out / "embedding.png"
    save_figure(embedding_figure(points, truth.tolist(), classes, title=title, axis=axis), picture)
    rows = [
        {"id": str(name), "truth": label, "x": float(x), "y": float(y)}
        for name, label, (x, y) in zip(ids, truth.tolist(), points, strict=True)
    ]
    return [picture, write_tsv(out / "embedding.tsv", ["id", "truth", "x", "y"], rows)]
