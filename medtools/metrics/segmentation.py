"""Measures of segmentation for boolean masks in two or three dimensions.

Definitions follow Maier-Hein, Reinke et al. 2024 (Metrics Reloaded, Nature Methods 21:195) unless noted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.spatial import KDTree

from medtools.core.errors import InputError

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Overlap:
    """Pixels (or voxels) by truth and prediction."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int


def overlap(truth: ArrayLike, predicted: ArrayLike) -> Overlap:
    """Count pixels by truth and prediction.

    Raises
    ------
    InputError
        Masks of different shapes.
    """
    a, b = _masks(truth, predicted)
    both, in_a, in_b = int(np.count_nonzero(a & b)), int(np.count_nonzero(a)), int(np.count_nonzero(b))
    return Overlap(both, in_b - both, in_a - both, a.size - in_a - in_b + both)


def dice(truth: ArrayLike, predicted: ArrayLike, *, empty: float = 1.0) -> float:
    """Dice coefficient, 2 |A and B| / (|A| + |B|); `empty` where both masks are."""
    o = overlap(truth, predicted)
    return _share(2 * o.true_positive, 2 * o.true_positive + o.false_positive + o.false_negative, empty)


def iou(truth: ArrayLike, predicted: ArrayLike, *, empty: float = 1.0) -> float:
    """Intersection over union (Jaccard); `empty` where both masks are."""
    o = overlap(truth, predicted)
    return _share(o.true_positive, o.true_positive + o.false_positive + o.false_negative, empty)


def sensitivity(truth: ArrayLike, predicted: ArrayLike) -> float:
    """TP / (TP + FN); NaN for an empty truth."""
    o = overlap(truth, predicted)
    return _share(o.true_positive, o.true_positive + o.false_negative, np.nan)


def specificity(truth: ArrayLike, predicted: ArrayLike) -> float:
    """TN / (TN + FP); NaN where the truth fills the image. It grows with the margin of background around an object."""
    o = overlap(truth, predicted)
    return _share(o.true_negative, o.true_negative + o.false_positive, np.nan)


def precision(truth: ArrayLike, predicted: ArrayLike) -> float:
    """TP / (TP + FP); NaN for an empty prediction."""
    o = overlap(truth, predicted)
    return _share(o.true_positive, o.true_positive + o.false_positive, np.nan)


def volume_difference(truth: ArrayLike, predicted: ArrayLike) -> float:
    """Absolute difference of the volumes over the true volume; NaN for an empty truth."""
    a, b = _masks(truth, predicted)
    return _share(abs(int(np.count_nonzero(b)) - int(np.count_nonzero(a))), int(np.count_nonzero(a)), np.nan)


@dataclass(frozen=True)
class SurfaceDistances:
    """Distance of every border pixel of one mask to the nearest border pixel of the other.

    Attributes
    ----------
    from_truth, from_prediction : (n,) float64
        In the units of the spacing. Both are empty if both masks are; both infinite if one is.
    """

    from_truth: NDArray[np.float64]
    from_prediction: NDArray[np.float64]

    @property
    def hausdorff(self) -> float:
        """Largest distance, of both directions; 0 for two empty masks, infinite for one."""
        return self.hausdorff_percentile(100)

    def hausdorff_percentile(self, percent: float) -> float:
        """Larger of the two directions' percentiles; 95 gives HD95, robust to single outlying pixels."""
        if not len(self.from_truth):
            return 0.0
        if not np.isfinite(self.from_truth).all():
            return np.inf
        return float(max(np.percentile(self.from_truth, percent), np.percentile(self.from_prediction, percent)))

    @property
    def average_symmetric(self) -> float:
        """ASSD: mean over the border pixels of both masks together."""
        distances = np.concatenate([self.from_truth, self.from_prediction])
        return float(distances.mean()) if len(distances) else 0.0

    @property
    def mean_of_means(self) -> float:
        """MASD: mean of the two directions' means, each direction counting the same."""
        if not len(self.from_truth):
            return 0.0
        return float((self.from_truth.mean() + self.from_prediction.mean()) / 2)


def surface_distances(
    truth: ArrayLike, predicted: ArrayLike, spacing: Sequence[float] | None = None
) -> SurfaceDistances:
    """Measure between the borders of two masks.

    Border pixels belong to the mask and have a face (edge, in 2-D) neighbour outside it, or lie at the image's edge.

    Parameters
    ----------
    truth, predicted : (...) bool
        Masks of one shape.
    spacing : sequence of float, optional
        Distance between pixel centres along each axis (mm); by default 1.

    Raises
    ------
    InputError
        Different shapes, or a spacing that does not fit.
    """
    a, b = _masks(truth, predicted)
    steps = np.ones(a.ndim) if spacing is None else np.asarray(spacing, dtype=np.float64)
    if steps.shape != (a.ndim,) or not (steps > 0).all():
        raise InputError("spacing", f"expected {a.ndim} positive lengths, found {list(steps)}")
    of_a, of_b = _border(a) * steps, _border(b) * steps
    if not len(of_a) and not len(of_b):
        return SurfaceDistances(np.empty(0), np.empty(0))
    if not len(of_a) or not len(of_b):
        return SurfaceDistances(np.array([np.inf]), np.array([np.inf]))
    return SurfaceDistances(KDTree(of_b).query(of_a)[0], KDTree(of_a).query(of_b)[0])


def _border(mask: Mask) -> NDArray[np.int64]:
    """Return the indices of border pixels, (n, dimensions)."""
    if not mask.any():
        return np.empty((0, mask.ndim), dtype=np.int64)
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    inside = mask[box]
    offset = np.array([part.start for part in box])
    return np.argwhere(inside & ~ndimage.binary_erosion(inside)) + offset


def _masks(truth: ArrayLike, predicted: ArrayLike) -> tuple[Mask, Mask]:
    a, b = np.asarray(truth), np.asarray(predicted)
    if a.shape != b.shape:
        raise InputError(
            "masks", f"truth has shape {a.shape}, prediction {b.shape}", "resample one to the other's grid"
        )
    return a.astype(bool), b.astype(bool)


def _share(numerator: int, denominator: int, undefined: float) -> float:
    return numerator / denominator if denominator else undefined
