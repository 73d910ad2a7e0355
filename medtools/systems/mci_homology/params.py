"""Parameters of mci-homology's own stages, with the card's defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from medtools.core.params import Names, Params
from medtools.systems.mci_homology.cohort import PER_GROUP


class DemoParams(Params):
    """The synthetic cohort of the card."""

    rois: int = Field(34, description="ROIs: a network's size (18, 21, 22, 32, 33, 34), or 160 for all six networks.")
    per_group: int = Field(PER_GROUP, ge=1, le=5000, description="Subjects in each of HC, EMCI and LMCI.")
    samples: int = Field(187, ge=8, le=100_000, description="Samples per series.")
    effect: bool = Field(True, description="Plant the group differences; without them the groups are alike.")


class StatsParams(Params):
    """Group comparison of PR matrices."""

    homology: Path = Field(Path("homology"), description="Folder that `medtools homology` wrote.")
    group: str = Field("group", description="Manifest column that names the group.")
    comparisons: Names = Field((), description="Pairs first:second, e.g. HC:EMCI,HC:LMCI; default: every two groups.")
    networks: Names = Field((), description="Networks to test; default: all that were computed.")
    alpha: float = Field(0.01, gt=0, lt=1, description="Significance level of each pair.")
    fdr: Literal["none", "bh"] = Field(
        "none", description="Correction over the pairs: none as in the paper, or Benjamini-Hochberg."
    )
