"""`medtools homology`: the main job, with its steps `ps` and `plot`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medtools.cli.lazy import HELP_FLAGS, DefaultGroup, Entry
from medtools.cli.stage_command import stage_command


def _load(step: str) -> Any:
    def load() -> Any:
        from medtools.homology.stages import STAGES

        return stage_command(STAGES[step])

    return load


class HomologyGroup(DefaultGroup):
    """`homology INPUT...` runs the default step; `homology ps` and `homology plot` the others."""

    default = "diagrams"
    entries: Mapping[str, Entry] = {
        "diagrams": Entry("Persistence diagrams and PR matrices, subject by subject.", _load("diagrams")),
        "ps": Entry("Subject-by-subject PS matrices from the diagrams.", _load("ps")),
        "plot": Entry("Figures of one subject and of the cohort.", _load("plot")),
    }


command = HomologyGroup(name="homology", context_settings=HELP_FLAGS, help="Persistent homology of ROI time series.")
