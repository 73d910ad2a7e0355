"""Who is in the synthetic cohort, and which folds a training has: known without NumPy, for a workflow's plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PREPROCESSING, ALWAYS_PREPROCESSED = "spect", True
"""Its raw images, by the name of their `medtools preprocess`."""

LABELS = ("N", "M", "A", "MA")
"""Normal, metastasis, arthritis, both."""

CLASSES = ("N", "M", "A")
"""Nodes of the softmax: an image of both diseases counts half for each."""

PATIENTS = {"N": 40, "M": 40, "A": 40, "MA": 8}
VIEWS = ("anterior", "posterior")

D1 = {"N": 334, "M": 174, "A": 252, "MA": 8}
"""Images of the paper's data set before augmentation."""

SETS = {"none": "D_1", "geometry": "D_2", "dcgan": "D_3"}
"""The paper's names of a data set and of its enlarged versions."""

TARGETS = {
    "geometry": {"N": 334, "M": 520, "A": 568, "MA": 80},
    "dcgan": {"N": 334, "M": 394, "A": 472, "MA": 80},
}
"""Images of D_2 and D_3."""

CLASSICAL = ("logistic-regression", "majority")
"""Trivial baselines: no networks, so there is nothing to explain."""

FOLDS = 5

VALIDATION = "validation.tsv"
"""Predictions of a fold's validation images, beside those of its test images."""


def patient_labels(scale: float = 1.0) -> list[tuple[str, str]]:
    """Return identifier and label of each synthetic patient, at least four of each so that they can be divided."""
    found = [name for name, count in PATIENTS.items() for _ in range(max(4, round(count * scale)))]
    return [(f"sub-{number:04d}", name) for number, name in enumerate(found, start=1)]


def sample_ids(demo_params: Mapping[str, Any]) -> list[str]:
    """Return the identifiers of the images that the demo stage will write with these parameters."""
    patients = patient_labels(float(demo_params.get("patients", 1.0)))
    return [f"{patient}_{view}" for patient, _ in patients for view in VIEWS]


def fold_names(train_params: Mapping[str, Any]) -> list[str]:
    """Return the names of a training's folds; what is missing among the parameters has its default."""
    count = int(train_params.get("folds", FOLDS)) if train_params.get("protocol", "holdout") == "cv" else 1
    return [f"r1f{fold + 1}" for fold in range(count)]


def targets_for(counts: Mapping[str, int], mode: str) -> dict[str, int]:
    """Return how many images each label should have: the paper's counts, scaled to this set's own.

    Parameters
    ----------
    counts : mapping
        Images of each label before augmentation.
    mode : str
        `geometry` or `dcgan`.
    """
    return {name: max(n, round(n * TARGETS[mode].get(name, 0) / D1.get(name, 1))) for name, n in counts.items()}
