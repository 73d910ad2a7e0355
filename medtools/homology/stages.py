"""The steps of `medtools homology`, declared; `steps.py` and `figures.py` do the work."""

from __future__ import annotations

from medtools.core.stage import Stage, lazy
from medtools.homology.params import DiagramParams, PlotParams, PsParams

_STEPS, _FIGURES = "medtools.homology.steps", "medtools.homology.figures"

STAGES = {
    "diagrams": Stage(
        name="homology",
        summary="Persistence diagrams and ROI-by-ROI Wasserstein matrices (PR) of every subject.\n\n"
        "Other steps: `medtools homology ps`, `medtools homology plot`.",
        params=DiagramParams,
        run=lazy(_STEPS, "run_diagrams"),
        inputs="ROI series (.tsv .csv .mat .npy .npz), manifests, or folders of them; default: the current folder.",
        estimate=lazy(_STEPS, "estimate_diagrams"),
        cohort=True,
        example="medtools homology data/ --tr 3000 --out results/",
    ),
    "ps": Stage(
        name="homology ps",
        summary="Subject-by-subject Wasserstein matrices (PS) of every ROI, from diagrams made before.",
        params=PsParams,
        run=lazy(_STEPS, "run_ps"),
        inputs="The manifest whose subjects to compare.",
        cohort=True,
        record="ps",
        folder="homology",
        example="medtools homology ps data/manifest.tsv --out results/",
    ),
    "plot": Stage(
        name="homology plot",
        summary="Figures: point cloud, diagrams, barcodes, PR and PS heat maps, Betti curves.",
        params=PlotParams,
        run=lazy(_FIGURES, "run"),
        inputs="The manifest whose subjects to draw.",
        reads=lazy(_FIGURES, "reads"),
        record="plot",
        example="medtools homology plot data/manifest.tsv --homology results/ --out results/figures/",
    ),
}
