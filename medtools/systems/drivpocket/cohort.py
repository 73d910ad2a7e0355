"""Which structures a cohort has, known without making or reading one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

PROTEINS = 24

PATH_COLUMNS = ("structure",)
"""Columns of a manifest that name files."""


def globule_name(number: int) -> str:
    """Return the identifier of a globule, numbered from 1."""
    return f"globule-{number:04d}"


def sample_ids(demo_params: Mapping[str, Any]) -> list[str]:
    """Return the identifiers that the demo stage will write with these parameters."""
    return [globule_name(number) for number in range(1, int(demo_params.get("proteins", PROTEINS)) + 1)]


def structure_words(infer_params: Mapping[str, Any]) -> str:
    """Return the command-line words that let preprocessing read structures as inference with these parameters does."""
    from medtools.preprocess.protein.params import StructureParams

    shared = {key: value for key, value in infer_params.items() if key in StructureParams.model_fields}
    return " ".join(f"--set {quote(f'{key}={json.dumps(value)}')}" for key, value in shared.items())


def find_samples(source: Path) -> dict[str, tuple[str, ...]]:
    """Return the structures of a folder without a manifest: identifier to the files that decide its pockets.

    Raises
    ------
    InputError
        As `medtools infer drivpocket` would.
    """
    from medtools.io.structure_files import find_structures

    return {entry.id: tuple(map(str, entry.files)) for entry in find_structures([source])}
