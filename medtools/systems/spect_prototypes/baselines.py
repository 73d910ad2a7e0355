"""What needs no network: nearest mean of pixels, and logistic regression on seven numbers of shape and brightness."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.measure import euler_number, regionprops

from medtools.systems.spect_prototypes.crops import Crops
from medtools.systems.spect_prototypes.evaluation import Answer, Task, by_prototypes
from medtools.systems.spect_prototypes.model import Distance
from medtools.training.classical import make_baseline

FEATURES = ("area", "perimeter", "solidity", "eccentricity", "euler_number", "mean", "sd")


def shape_features(crops: Crops) -> NDArray[np.float64]:
    """Describe each crop by FEATURES, (n, 7): of the mask, all its pieces together, and of the values inside it."""
    return np.array([_features(image, mask) for image, mask in zip(crops.images, crops.masks, strict=True)])


def nearest_pixels(crops: Crops, how: Distance = "euclidean") -> Answer:
    """Answer episodes by the nearest mean image."""
    return by_prototypes(torch.from_numpy(crops.images).flatten(1), how)


def by_shape(features: NDArray[np.float64], crops: Crops, train: NDArray[np.int64] | None, seed: int) -> Answer:
    """Answer episodes by a logistic regression on features.

    Parameters
    ----------
    features : (n, 7) float64
    crops : Crops
    train : (m,) int64, optional
        Crops to fit on, once for all episodes; None fits on each episode's support.
    seed : int
    """

    def answer(task: Task) -> NDArray[np.float64]:
        rows = task.support.ravel() if train is None else train[np.isin(crops.labels[train], task.classes)]
        estimator = make_baseline("logistic-regression", seed=seed).fit(features[rows], crops.labels[rows])
        table = estimator.predict_proba(features[task.queries])
        order = [list(estimator.classes_).index(name) for name in task.classes]
        return np.asarray(table[:, order], dtype=np.float64)

    return answer


def _features(image: NDArray[np.float32], mask: NDArray[np.bool_]) -> tuple[float, ...]:
    (region,) = regionprops(mask.astype(np.uint8))
    inside = image[mask].astype(np.float64)
    whole = float(region.solidity), float(region.eccentricity), float(euler_number(mask, connectivity=2))
    return float(region.area), float(region.perimeter), *whole, float(inside.mean()), float(inside.std())
