"""Which scans a cohort has, known without making or reading one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PATH_COLUMNS = ("ct",)
"""Columns of a manifest that name files."""

SCANS = 6


def sample_ids(demo_params: Mapping[str, Any]) -> list[str]:
    """Return the identifiers that the demo stage will write with these parameters."""
    return [f"phantom-{number:03d}" for number in range(1, int(demo_params.get("scans", SCANS)) + 1)]


def find_samples(source: Path) -> dict[str, tuple[str, ...]]:
    """Return the scans of a folder without a manifest: identifier to the files that make it.

    Raises
    ------
    InputError
        As `medtools infer covid-severity` would.
    """
    from medtools.preprocess.ct.scans import list_scans

    return {
        entry.id: tuple(str(file) for file in sorted(entry.ct.rglob("*")) if file.is_file())
        if entry.ct.is_dir()
        else (str(entry.ct),)
        for entry in list_scans([source])
    }
