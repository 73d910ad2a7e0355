"""What each stage of mci-homology reads and writes."""

from __future__ import annotations

from pydantic import Field

from medtools.core.params import Params
from medtools.core.stage import Stage, lazy
from medtools.homology.stages import STAGES as HOMOLOGY
from medtools.systems.mci_homology.cohort import PER_GROUP


class DemoParams(Params):
    """The synthetic cohort of the card."""

    rois: int = Field(34, description="ROIs: a network's size (18, 21, 22, 32, 33, 34), or 160 for all six networks.")
    per_group: int = Field(PER_GROUP, ge=1, le=5000, description="Subjects in each of HC, EMCI and LMCI.")
    samples: int = Field(187, ge=8, le=100_000, description="Samples per series.")
    effect: bool = Field(True, description="Plant the group differences; without them the groups are alike.")


STAGES = {
    "demo": Stage(
        name="demo mci-homology",
        summary="A synthetic HC/EMCI/LMCI cohort: hub ROIs change their memory, correlations stay the same.",
        params=DemoParams,
        run=lazy("medtools.systems.mci_homology.demo", "run"),
        example="medtools demo mci-homology --out data/demo",
    ),
    "homology": HOMOLOGY["diagrams"],
    "homology ps": HOMOLOGY["ps"],
    "homology plot": HOMOLOGY["plot"],
}
