"""The stages of mci-homology, declared; what each reads and writes is in the modules named."""

from __future__ import annotations

from medtools.core.stage import Stage, lazy
from medtools.homology.stages import STAGES as HOMOLOGY
from medtools.systems.mci_homology.params import DemoParams, StatsParams

_ROOM = "medtools.systems.mci_homology"

STAGES = {
    "demo": Stage(
        name="demo mci-homology",
        summary="A synthetic HC/EMCI/LMCI cohort: hub ROIs change their memory, correlations stay the same.",
        params=DemoParams,
        run=lazy(f"{_ROOM}.demo", "run"),
        example="medtools demo mci-homology --out data/demo",
    ),
    "homology": HOMOLOGY["diagrams"],
    "homology ps": HOMOLOGY["ps"],
    "homology plot": HOMOLOGY["plot"],
    "stats": Stage(
        name="stats mci-homology",
        summary="Which ROI pairs differ between groups: rank-sum tests, P-plots, degrees.",
        params=StatsParams,
        run=lazy(f"{_ROOM}.group_statistics", "run"),
        reads=lazy(f"{_ROOM}.group_statistics", "reads"),
        inputs="The manifest of the cohort.",
        example="medtools stats mci-homology data/demo/manifest.tsv --homology results/ --out results/stats",
    ),
}
