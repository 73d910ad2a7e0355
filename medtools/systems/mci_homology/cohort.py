"""Who is in the synthetic cohort: known without generating it, so that a workflow can plan its jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PATH_COLUMNS = ("series",)
"""Columns of a manifest that name files."""

PREPROCESSING = "fmri"
"""Its raw images, by the name of their `medtools preprocess`."""

GROUPS = ("HC", "EMCI", "LMCI")
"""Healthy controls, early and late mild cognitive impairment."""

PER_GROUP = 20
"""Subjects per group unless asked otherwise."""

FOLDS, REPEATS, PERMUTATIONS = 5, 5, 200


def ids(per_group: int) -> list[str]:
    """Return the identifiers of the cohort's subjects, `sub-0001` on, group after group in the order of `GROUPS`."""
    return [f"sub-{number:04d}" for number in range(1, len(GROUPS) * per_group + 1)]


def groups(per_group: int) -> list[str]:
    """Return the group of each subject, in the order of `ids`."""
    return [group for group in GROUPS for _ in range(per_group)]


def series_name(identifier: str) -> str:
    """Return the file name of a subject's series."""
    return f"{identifier}_atlas-dosenbach160_timeseries.tsv"


def sample_ids(demo_params: Mapping[str, Any]) -> list[str]:
    """Return the identifiers that the demo stage will write with these parameters."""
    return ids(int(demo_params.get("per_group", PER_GROUP)))


def fold_names(train_params: Mapping[str, Any]) -> list[str]:
    """Return the names of a training's folds; what is missing in the parameters has its default."""
    protocol = train_params.get("protocol", "cv")
    if protocol == "paper":
        return ["r1f1"]
    repeats = train_params.get("repeats", REPEATS)
    if protocol == "permutation":
        repeats = train_params.get("permutations", PERMUTATIONS) + 1
    return [f"r{r + 1}f{f + 1}" for r in range(repeats) for f in range(train_params.get("folds", FOLDS))]
