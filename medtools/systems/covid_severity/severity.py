"""The CT severity score: from involvement per lobe to 0-25 points and a class (paper section 2.7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

LOBES = ("left_upper", "left_lower", "right_upper", "right_middle", "right_lower")
LUNGS = ("left_lung", "right_lung")
CLASSES = ("mild", "moderate", "severe")
FOUR_CLASSES = ("no edema", *CLASSES)
MAX_SCORE = 25
ClassCount = Literal[3, 4]


@dataclass(frozen=True)
class Severity:
    """Involvement and score of one scan; None where a lobe is missing from the mask.

    Attributes
    ----------
    volumes_ml : tuple of float
        Volume of each lobe.
    involvement : tuple of float or None
        Infected share of each lobe in percent.
    lobe_scores : tuple of int or None
        0 to 5.
    total : int or None
        Sum, 0 to 25; None where any lobe is missing.
    """

    volumes_ml: tuple[float, ...]
    involvement: tuple[float | None, ...]
    lobe_scores: tuple[int | None, ...]
    total: int | None


def severity(
    infection: NDArray[np.bool_], lobes: NDArray[np.uint8], voxel_ml: float, *, zero_below: float = 0.0
) -> Severity:
    """Score a scan.

    Parameters
    ----------
    infection : (n_slices, height, width) bool
    lobes : (n_slices, height, width) uint8
        The original lobe mask, 1 to 5: the denominator is the whole lobe, not what the removals left of it.
    voxel_ml : float
        Volume of a voxel in ml.
    zero_below : float
        Involvement in percent under which a lobe counts as healthy; 0 lets a single voxel score 1, as published.
    """
    whole, infected = lobe_voxels(infection, lobes, len(LOBES))
    shares = involvement(infected, whole)
    scores = tuple(None if share is None else lobe_score(share, zero_below) for share in shares)
    known = [score for score in scores if score is not None]
    total = sum(known) if len(known) == len(LOBES) else None
    return Severity(tuple(float(count * voxel_ml) for count in whole), shares, scores, total)


def lobe_voxels(
    infection: NDArray[np.bool_], labels: NDArray[np.uint8], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return voxels and infected voxels of labels 1..count, slice by slice to spare memory."""
    whole, infected = np.zeros(count + 1, np.int64), np.zeros(count + 1, np.int64)
    for mask, lobe in zip(infection, labels, strict=True):
        whole += np.bincount(lobe.ravel(), minlength=count + 1)
        infected += np.bincount(lobe[mask], minlength=count + 1)
    return whole[1:], infected[1:]


def involvement(infected: NDArray[np.int64], whole: NDArray[np.int64]) -> tuple[float | None, ...]:
    """Return 100 · infected / whole, None where there is no voxel."""
    return tuple(100.0 * int(i) / int(w) if w else None for i, w in zip(infected, whole, strict=True))


def lobe_score(percent: float, zero_below: float = 0.0) -> int:
    """Return the score of one lobe.

    The paper's table leaves 25-26 and 49-50 open; here 5 ≤ p ≤ 25 scores 2, 25 < p < 50 scores 3, 50 ≤ p ≤ 75 scores 4.
    """
    if percent <= 0 or percent < zero_below:
        return 0
    if percent < 5:
        return 1
    if percent <= 25:
        return 2
    if percent < 50:
        return 3
    return 4 if percent <= 75 else 5


def severity_class(total: int, classes: ClassCount = 3) -> str:
    """Return mild (below 8), moderate (8 to 15) or severe (above 15); with 4 classes "no edema" for 0."""
    if classes == 4 and total == 0:
        return FOUR_CLASSES[0]
    return CLASSES[0] if total < 8 else CLASSES[1] if total <= 15 else CLASSES[2]


def class_indices(totals: Sequence[int], classes: ClassCount = 3) -> NDArray[np.int64]:
    """Return the class of each total as 0, 1, 2 (, 3) in growing severity."""
    names = FOUR_CLASSES if classes == 4 else CLASSES
    return np.array([names.index(severity_class(total, classes)) for total in totals], dtype=np.int64)
