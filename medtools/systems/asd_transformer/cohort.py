"""Who is in the synthetic cohort, and which folds a training has: known without NumPy, for a workflow's plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CLASSES = ("NC", "ASD")
"""Controls, and the positive class."""

PREPROCESSING = "fmri"
"""Its raw images, by the name of their `medtools preprocess`."""

SUBJECTS, SITES = 240, 5
"""Size of the synthetic cohort unless asked otherwise."""

COMMUNITIES = {
    "outside": 41, "visual": 29, "somatomotor": 21, "dorsal attention": 19, "ventral attention": 20, "limbic": 7,
    "fronto-parietal": 21, "default": 42,
}  # fmt: skip
"""Yeo's seven networks and what lies outside them, in order, with their number of Craddock-200 ROIs."""

REDRAWS, FOLDS = 5, 5


def ids(subjects: int) -> list[str]:
    """Return the identifiers of the cohort's subjects, `sub-0001` on."""
    return [f"sub-{number:04d}" for number in range(1, subjects + 1)]


def site_names(subjects: int, sites: int) -> list[str]:
    """Return the site of each subject, in turn."""
    return [f"site{1 + number % sites}" for number in range(subjects)]


def sample_ids(demo_params: Mapping[str, Any]) -> list[str]:
    """Return the identifiers that the demo stage will write with these parameters."""
    return ids(int(demo_params.get("subjects", SUBJECTS)))


def fold_names(train_params: Mapping[str, Any], sites: Sequence[str] = ()) -> list[str]:
    """Return the names of a training's folds.

    Parameters
    ----------
    train_params : mapping
        As configured; what is missing has its default.
    sites : sequence of str
        Site of each subject, for the protocol that leaves one out after the other.
    """
    protocol = train_params.get("protocol", "paper")
    repeats = int(train_params.get("repeats", REDRAWS)) if protocol != "site" else 1
    folds = {"paper": 1, "site": len(set(sites))}.get(protocol, int(train_params.get("folds", FOLDS)))
    return [f"r{r + 1}f{f + 1}" for r in range(repeats) for f in range(folds)]
