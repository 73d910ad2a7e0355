"""What a run recorded, epoch by epoch: `metrics.csv`, and the curves drawn from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medtools.core.atomic import write_text
from medtools.core.errors import InputError
from medtools.io.text import read_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Row = dict[str, float]
_COUNTS = ("epoch", "step")


def columns(history: Sequence[Row]) -> list[str]:
    """Return every recorded quantity in order of first appearance."""
    return list(dict.fromkeys(name for row in history for name in row))


def as_csv(history: Sequence[Row]) -> str:
    """Format a history as comma-separated text; floats keep every digit, what was not measured is empty."""
    names = columns(history)
    return "".join(_line(cells) for cells in (names, *([_cell(row.get(name)) for name in names] for row in history)))


def write_history(path: str | Path, history: Sequence[Row]) -> None:
    """Write `metrics.csv` atomically."""
    write_text(path, as_csv(history))


class HistoryFile:
    """`metrics.csv` of a running fit, brought up to date by one line per epoch.

    It is there to be watched; what resuming needs is in the checkpoint.
    """

    def __init__(self, path: Path, history: Sequence[Row]) -> None:
        self.path, self._names = path, columns(history)
        if history:
            write_history(path, history)
        else:
            path.unlink(missing_ok=True)

    def append(self, history: Sequence[Row]) -> None:
        """Add the last row of `history`, in a single write; a new column writes the file anew."""
        row = history[-1]
        if not set(row) <= set(self._names):
            self._names = columns(history)
            write_history(self.path, history)
            return
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(_line([_cell(row.get(name)) for name in self._names]))


def read_history(path: str | Path) -> list[Row]:
    """Read `metrics.csv`.

    Raises
    ------
    InputError
        Missing or damaged file, or a cell that is not a number.
    """
    path = Path(path)
    try:
        return [{name: _number(name, text) for name, text in row.items() if text != ""} for row in read_rows(path, ",")]
    except InputError as error:
        raise InputError(path, f"not a table of numbers ({error.found})") from error
    except ValueError as error:
        raise InputError(path, f"not a table of numbers ({error})") from error


def draw_curves(history: Sequence[Row], *, kept_epoch: int | None = None) -> Figure:
    """Draw one panel per quantity that was recorded and, if it is a learning rate, changed.

    Training and validation share a panel where their names match.

    Parameters
    ----------
    history : sequence of dict
        As in `metrics.csv`.
    kept_epoch : int, optional
        Epoch whose weights were kept: a vertical line.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from medtools.core.figures import new_figure, style

    panels: dict[str, list[str]] = {}
    for name in columns(history):
        constant = len({row.get(name) for row in history}) == 1
        if name not in _COUNTS and not (name.startswith("lr") and constant):
            panels.setdefault(name.removeprefix("val_"), []).append(name)
    wide = min(3, len(panels))
    tall = -(-len(panels) // wide)
    with style():
        figure = new_figure(3.2 * wide, 2.4 * tall)
        for place, (quantity, names) in enumerate(panels.items(), start=1):
            axes = figure.add_subplot(tall, wide, place)
            _draw_panel(axes, quantity, names, history, kept_epoch)
        handles = [axes.get_legend_handles_labels() for axes in figure.axes]
        named = {text: line for lines, texts in handles for line, text in zip(lines, texts, strict=True)}
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=len(named))
    return figure


def _draw_panel(
    axes: Axes, quantity: str, names: Sequence[str], history: Sequence[Row], kept_epoch: int | None
) -> None:
    from medtools.core.figures import GREY, PALETTE

    for name in names:
        measured = [row for row in history if math.isfinite(row.get(name, math.nan))]
        validated = name.startswith("val_")
        label, colour = ("validation", PALETTE[1]) if validated else ("training", PALETTE[0])
        # A single point has no line to be seen by.
        marker = "o" if len(measured) == 1 else None
        x, y = [row["epoch"] for row in measured], [row[name] for row in measured]
        axes.plot(x, y, marker=marker, color=colour, label=label)
    if kept_epoch is not None:
        axes.axvline(kept_epoch, color=GREY, linestyle="--", linewidth=0.8, label="kept epoch")
    axes.set_title(quantity)
    axes.set_xlabel("epoch")


def _line(cells: Sequence[str]) -> str:
    return ",".join(cells) + "\n"


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else repr(float(value))


def _number(name: str, text: str) -> float:
    return int(text) if name in _COUNTS else float(text)
