"""Who is in the synthetic cohort, which folds a training has, what the paper's data sets prescribe: without NumPy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CLASSES = {"Non": 24, "VeryMild": 17, "Mild": 10, "Moderate": 5}
"""Stages of dementia, healthy first, with their subjects in the synthetic cohort: imbalanced, as the real sets are."""

PATH_COLUMNS = ("image",)
"""Columns of a manifest that name files."""

PREPROCESSING = "images"
"""Its raw images, by the name of their `medtools preprocess`."""

CLASSICAL = ("logistic-regression", "majority")
"""Trivial baselines: no networks, so there is nothing to explain."""

SLICES = 10
FOLDS = 10

PRESETS: dict[str, dict[str, Any]] = {
    "ad": {"epochs": 18, "decay_from": 8},
    "adni": {"epochs": 15, "decay_from": None},
    "oasis": {"epochs": 7, "decay_from": 4},
    "ten-fold": {"epochs": 15, "decay_from": 8, "protocol": "cv"},
}
"""Training by data set; the paper's text, where the notebooks differ."""


def subject_classes(scale: int = 1) -> list[tuple[str, str]]:
    """Return identifier and class of each synthetic subject."""
    found = [name for name, count in CLASSES.items() for _ in range(count * scale)]
    return [(f"sub-{number:04d}", name) for number, name in enumerate(found, start=1)]


def sample_ids(demo_params: Mapping[str, Any]) -> list[str]:
    """Return the identifiers of the images that the demo stage will write with these parameters."""
    slices = int(demo_params.get("slices", SLICES))
    subjects = subject_classes(int(demo_params.get("scale", 1)))
    return [f"{subject}_z{k}" for subject, _ in subjects for k in range(slices)]


def fold_names(train_params: Mapping[str, Any]) -> list[str]:
    """Return the names of a training's folds; what is missing among the parameters has its default."""
    preset = PRESETS.get(str(train_params.get("preset", "ad")), {})
    if train_params.get("protocol") or preset.get("protocol", "holdout") == "holdout":
        protocol = train_params.get("protocol") or "holdout"
    else:
        protocol = "cv"
    folds = int(train_params.get("folds", FOLDS)) if protocol == "cv" else 1
    return [f"r1f{fold + 1}" for fold in range(folds)]


def subjects_unknown(subjects: Sequence[str]) -> bool:
    """Tell whether each image counts as a subject of its own."""
    return len(set(subjects)) == len(subjects)
