"""Figures as files: one style, one palette, and the same bytes for the same data on any machine."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from cycler import cycler
from matplotlib import rc_context, rcdefaults, rcParams
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from medtools.core.atomic import atomic_path
from medtools.core.errors import InputError

# Okabe and Ito (2008), told apart with every common colour vision deficiency; its yellow is too pale for lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
SEQUENTIAL_MAP = "viridis"
SIGNIFICANCE_MAP = "magma_r"
GREY = "#8a8a8a"

# Names of ROIs and subjects are data: a "$" in one must not be read as the start of a formula (text.parse_math).
_STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.grid": False,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes3d.depthshade": False,
    "figure.dpi": 150,
    "figure.titlesize": 11,
    "figure.titleweight": "bold",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "medtools",
    "text.parse_math": False,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}
_METADATA = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
}


@contextlib.contextmanager
def style() -> Iterator[None]:
    """Draw in the medtools style, whatever a user's `matplotlibrc` says; also usable as a decorator."""
    with rc_context():
        rcdefaults()
        rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float, *, layout: Literal["constrained", "compressed"] = "constrained") -> Figure:
    """Return an empty figure that belongs to no window system or global state.

    Parameters
    ----------
    width, height : float
        Size in inches.
    layout : {"constrained", "compressed"}
        How `settle` places the parts; "compressed" is for one grid of square panels.

    Returns
    -------
    matplotlib.figure.Figure
        With an Agg canvas.
    """
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def head(figure: Figure, title: str) -> None:
    """Write the title of a whole figure at its upper left, broken into lines that fit its width."""
    letters = int(figure.get_figwidth() * 72 / (0.75 * rcParams["figure.titlesize"]))
    lines = [textwrap.fill(line, letters) for line in title.splitlines()]
    figure.suptitle("\n".join(lines), x=0.01, ha="left")


def settle(figure: Figure) -> Figure:
    """Lay a finished figure out and fix every part in its place; return the same figure.

    Matplotlib would lay it out again each time it is drawn, with a slightly other result each time: a figure
    saved twice would differ from itself.
    """
    engine = figure.get_layout_engine()
    if engine is not None:
        # The second pass knows how large square panels came out in the first.
        engine.execute(figure)
        engine.execute(figure)
        figure.set_layout_engine("none")
    return figure


def save_figure(figure: Figure, path: str | Path, *, dpi: float = 150) -> None:
    """Write a figure as PNG or SVG, complete or not at all, without dates or software names.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        What to write.
    path : str or Path
        Ends in `.png` or `.svg`.
    dpi : float
        Pixels per inch of a PNG, and of the raster parts of an SVG.

    Raises
    ------
    InputError
        If the file name has another suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _METADATA:
        raise InputError(path, f"figures are written as .png or .svg, not {suffix or 'without a suffix'}")
    with style(), atomic_path(path) as partial:
        figure.savefig(partial, format=suffix[1:], dpi=dpi, metadata=_METADATA[suffix])


def save_image(pixels: NDArray[np.uint8], path: str | Path) -> None:
    """Write a grey image as an 8-bit, one-channel PNG of exactly these pixels.

    Parameters
    ----------
    pixels : (height, width) uint8
        Grey levels, 0 black to 255 white.
    path : str or Path
        Ends in `.png`.

    Raises
    ------
    InputError
        If the file name has another suffix.
    """
    if Path(path).suffix.lower() != ".png":
        raise InputError(path, "grey images are written as .png")
    with atomic_path(path) as partial:
        Image.fromarray(pixels).save(partial, format="PNG")
