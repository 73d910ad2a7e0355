"""Figures of whole-body scans: dark is hot, as they are read, with lesions outlined and a map below if there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medtools.core.figures import PALETTE, head, new_figure, settle, style

_BRIGHTEST = 99.5
"""Percentile shown as black: a bladder or a lesion would leave everything else white."""

_HEIGHT = 3.9
_MAP, _ALPHA = "inferno", 0.55


@dataclass(frozen=True)
class Shown:
    """One scan of a figure.

    Attributes
    ----------
    image : (height, width) array
        From zero.
    title : str
    lesions : (height, width) bool, optional
    overlay : (height, width) float, optional
        In [0, 1].
    """

    image: NDArray[Any]
    title: str
    lesions: NDArray[np.bool_] | None = None
    overlay: NDArray[np.floating] | None = None


@style()
def scans_figure(shown: Sequence[Shown], title: str, *, bar: str = "") -> Figure:
    """Draw scans side by side and, where they have one, the map of each below it.

    Parameters
    ----------
    shown : sequence of Shown
        At least one.
    title : str
    bar : str
        What the map shows, for its colour bar.
    """
    height, width = shown[0].image.shape
    rows = 2 if any(one.overlay is not None for one in shown) else 1
    across = max(_HEIGHT * width / height, 0.75)
    figure = new_figure(1.1 * across * len(shown) + (0.9 if rows == 2 else 0.0), _HEIGHT * rows + 0.9)
    head(figure, title)
    bare: dict[str, Any] = {"xticks": [], "yticks": [], "frame_on": False}  # no ticks, no time to lay them out
    panels = figure.subplots(rows, len(shown), squeeze=False, subplot_kw=bare)
    drawn = None
    for column, one in enumerate(shown):
        panels[0, column].set_title(one.title, fontsize=7)
        for axes in panels[:, column]:
            axes.imshow(dark(one.image), cmap="gray", vmin=0, vmax=1)
        if one.overlay is not None:
            drawn = panels[1, column].imshow(one.overlay, cmap=_MAP, alpha=_ALPHA, vmin=0, vmax=1)
        if one.lesions is not None and one.lesions.any():
            for axes, colour in zip(panels[:, column], (PALETTE[1], PALETTE[5]), strict=False):
                axes.contour(one.lesions, levels=[0.5], colors=colour, linewidths=0.8)
    if drawn is not None:
        figure.colorbar(drawn, ax=panels[1].tolist(), label=bar, shrink=0.8)
    return settle(figure)


def dark(image: NDArray[Any]) -> NDArray[np.float64]:
    """Return grey levels from 1 (nothing) to 0 (hot)."""
    values = image.astype(np.float64)
    return 1 - np.clip(values / (float(np.percentile(values, _BRIGHTEST)) or float(values.max()) or 1.0), 0, 1)
