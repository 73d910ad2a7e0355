"""Who is in the made cohort, and which folds a training has: known without NumPy, for a workflow's plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

SUBJECTS = 12
"""Of the paper, and of the made cohort unless asked otherwise."""

PATH_COLUMNS = ("image", "labels")
"""Columns of a manifest that name files."""


def sample_ids(demo_params: Mapping[str, Any]) -> list[str]:
    """Return the identifiers that the demo stage will write with these parameters."""
    return [f"sub-{number:02d}" for number in range(1, int(demo_params.get("subjects", SUBJECTS)) + 1)]


def find_samples(source: Path) -> dict[str, tuple[str, ...]]:
    """Return the studies of a BIDS-like folder: identifier to image, label map and landmarks.

    Raises
    ------
    InputError
        As `medtools preprocess spect-prototypes` would.
    """
    from medtools.preprocess.spect.studies import find_studies

    return {study.id: tuple(map(str, study.files)) for study in find_studies([source])}
