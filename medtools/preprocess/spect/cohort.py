"""Who is in the made cohort of cardiac SPECT, and which studies a folder holds: known without reading an image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

SUBJECTS = 12
"""Of the paper (arXiv:2502.06632), and of the made cohort unless asked otherwise."""


def sample_ids(demo_params: Mapping[str, Any]) -> list[str]:
    """Return the identifiers that the demo stage will write with these parameters."""
    return [f"sub-{number:02d}" for number in range(1, int(demo_params.get("subjects", SUBJECTS)) + 1)]


def find_samples(source: Path) -> dict[str, tuple[str, ...]]:
    """Return the studies of a BIDS-like folder or a manifest: identifier to its image, labels and landmarks.

    Raises
    ------
    InputError
        There are none, or a file is missing.
    """
    from medtools.preprocess.spect.studies import find_studies

    return {study.id: tuple(map(str, study.files)) for study in find_studies([source])}
