"""The stages of mci-homology, declared; what each reads and writes is in the modules named."""

from __future__ import annotations

from medtools.core.stage import Stage, lazy
from medtools.homology.stages import STAGES as HOMOLOGY
from medtools.systems.mci_homology.params import (
    ClassifierParams,
    DemoParams,
    InferParams,
    ReproduceParams,
    ScoreParams,
    StatsParams,
)

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
    "train": Stage(
        name="train mci-homology",
        summary="Train a classifier of PR matrices: the paper's network or a baseline, fold by fold.\n\n"
        "Each fold is a sample: --sample r1f1 trains one, so folds run as parallel jobs.",
        params=ClassifierParams,
        run=lazy(f"{_ROOM}.classification", "run"),
        inputs="The manifest of the cohort.",
        cohort=True,
        example="medtools train mci-homology data/demo/manifest.tsv --homology results/ --task HC:EMCI --out run/",
    ),
    "infer": Stage(
        name="infer mci-homology",
        summary="Apply a trained classifier to new subjects; refuses what it was not trained for.",
        params=InferParams,
        run=lazy(f"{_ROOM}.inference", "run"),
        reads=lazy(f"{_ROOM}.inference", "reads"),
        inputs="The manifest of the new subjects.",
        example="medtools infer mci-homology new/manifest.tsv --homology new_results/ --model run/ --out predictions/",
    ),
    "score": Stage(
        name="score mci-homology",
        summary="Scores over all folds with intervals, confusion and ROC figures, beside the published accuracy.",
        params=ScoreParams,
        run=lazy(f"{_ROOM}.scoring", "run"),
        reads=lazy(f"{_ROOM}.scoring", "reads"),
        inputs="A run folder that `medtools train` wrote.",
        example="medtools score mci-homology run/ --out run/scores",
    ),
    "reproduce": Stage(
        name="reproduce mci-homology",
        summary="Tables 1 and 2 and the figures of the paper for a cohort, beside the published numbers.",
        params=ReproduceParams,
        run=lazy(f"{_ROOM}.reproduction", "run"),
        reads=lazy(f"{_ROOM}.reproduction", "reads"),
        inputs="The manifest of the cohort.",
        example="medtools reproduce mci-homology data/manifest.tsv --homology results/ --out paper/",
    ),
}
