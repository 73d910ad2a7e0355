"""Figures of a classifier on its test samples: confusion matrix and ROC curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from medtools.core.figures import PALETTE, SEQUENTIAL_MAP, new_figure, save_figure, settle, style
from medtools.metrics.classification import auroc, class_numbers, confusion_matrix


def write_figures(
    folder: Path, truth: ArrayLike, probabilities: NDArray[np.float64], classes: Sequence[str], *, title: str
) -> tuple[Path, Path]:
    """Write `confusion.png` and `roc.png` into a folder; return their paths. Arguments as of `confusion_figure`."""
    confusion, roc = folder / "confusion.png", folder / "roc.png"
    save_figure(confusion_figure(truth, probabilities, classes, title=title), confusion)
    save_figure(roc_figure(truth, probabilities, classes, title=title), roc)
    return confusion, roc


@style()
def confusion_figure(
    truth: ArrayLike, probabilities: NDArray[np.float64], classes: Sequence[str], *, title: str = ""
) -> Figure:
    """Draw how often each true class (row) was called each class (column), as counts and shares of the row.

    Parameters
    ----------
    truth : (n_samples,) array of str
    probabilities : (n_samples, n_classes) float64
    classes : sequence of str
        Names of the columns.
    title : str
        Which model and task this is.
    """
    true = class_numbers(truth, list(classes))
    counts = np.asarray(confusion_matrix(true, probabilities.argmax(axis=1), len(classes)))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(2.6, 0.75 * len(classes))
    figure = new_figure(side + 1.9, side + 1.2)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap=SEQUENTIAL_MAP, vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        axes.text(column, row, f"{count:.0f}\n{share:.0%}", ha="center", va="center", color=_ink(share))
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("Called")
    axes.set_ylabel("True")
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label="Share of the true class", shrink=0.8)
    return settle(figure)


@style()
def roc_figure(
    truth: ArrayLike, probabilities: NDArray[np.float64], classes: Sequence[str], *, title: str = ""
) -> Figure:
    """Draw the ROC curve of each class against the rest; of two classes, of the second.

    Parameters
    ----------
    truth, probabilities, classes, title
        As for `confusion_figure`.
    """
    true = class_numbers(truth, list(classes))
    figure = new_figure(4.4, 4.2)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1, linestyle=":")
    for number in [1] if len(classes) == 2 else range(len(classes)):
        positive, score = true == number, probabilities[:, number]
        if positive.all() or not positive.any():
            continue
        area = float(auroc(positive, score))
        x, y = roc_curve(positive, score)
        label = f"{classes[number]}: area {area:.3f}"
        axes.plot(x, y, color=PALETTE[number % len(PALETTE)], label=label, drawstyle="default")
    axes.set_xlabel("1 − specificity")
    axes.set_ylabel("Sensitivity")
    axes.set_aspect("equal")
    axes.set_title(title)
    axes.legend(loc="lower right")
    return settle(figure)


def roc_curve(
    positive: NDArray[np.bool_], score: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return false and true positive rates at every threshold, from (0, 0) to (1, 1); equal scores share a point.

    Parameters
    ----------
    positive : (n_samples,) bool
        At least one True and one False.
    score : (n_samples,) float64
    """
    order = np.argsort(-score, kind="stable")
    last_of_equal = np.r_[np.diff(score[order]) != 0, True]
    hits = np.cumsum(positive[order])[last_of_equal] / positive.sum()
    alarms = np.cumsum(~positive[order])[last_of_equal] / (~positive).sum()
    return np.r_[0.0, alarms], np.r_[0.0, hits]


def _ink(share: float) -> str:
    return "black" if share > 0.6 else "white"
