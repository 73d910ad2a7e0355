"""The stages of asd-transformer, declared; what each reads and writes is in the modules named."""

from __future__ import annotations

from medtools.core.stage import Stage, lazy
from medtools.systems.asd_transformer.params import (
    ClassifierParams,
    CommunitiesParams,
    ConnectivityParams,
    DemoParams,
    ExplainParams,
    InferParams,
    ScoreParams,
)

_ROOM = "medtools.systems.asd_transformer"

STAGES = {
    "demo": Stage(
        name="demo asd-transformer",
        summary="A synthetic multi-site cohort: autism loosens two communities, sites distort every edge.",
        params=DemoParams,
        run=lazy(f"{_ROOM}.demo", "run"),
        example="medtools demo asd-transformer --out data/asd",
    ),
    "preprocess connectivity": Stage(
        name="preprocess asd-transformer connectivity",
        summary="Connectivity matrices of every subject, from time series or matrices of any format.\n\n"
        "INPUT is a manifest with column series or connectivity, ABIDE's phenotype table beside its .1D files, "
        "or the base code's abide.npy.",
        params=ConnectivityParams,
        run=lazy(f"{_ROOM}.preparation", "run"),
        inputs="A manifest, a phenotype table (.csv), or abide.npy.",
        cohort=True,
        record="connectivity",
        example="medtools preprocess asd-transformer connectivity data/manifest.tsv --out connectivity/",
    ),
    "preprocess communities": Stage(
        name="preprocess asd-transformer communities",
        summary="The functional network that most of each ROI lies in, from two label images.",
        params=CommunitiesParams,
        run=lazy(f"{_ROOM}.preparation", "run_communities"),
        reads=lazy(f"{_ROOM}.preparation", "reads_communities"),
        inputs="Label image of the atlas (NIfTI).",
        record="communities",
        example="medtools preprocess asd-transformer communities cc200.nii.gz --networks yeo7.nii.gz --out data/",
    ),
    "train": Stage(
        name="train asd-transformer",
        summary="Train the transformer, a network of the paper's Table 1 or a simpler baseline, fold by fold.\n\n"
        "Each fold is a sample: --sample r1f1 trains one, so folds run as parallel jobs.",
        params=ClassifierParams,
        run=lazy(f"{_ROOM}.classification", "run"),
        inputs="The manifest of the cohort.",
        cohort=True,
        example="medtools train asd-transformer data/asd/manifest.tsv --out run/",
    ),
    "infer": Stage(
        name="infer asd-transformer",
        summary="Apply a trained classifier to new subjects; refuses what it was not trained for.",
        params=InferParams,
        run=lazy(f"{_ROOM}.inference", "run"),
        reads=lazy(f"{_ROOM}.inference", "reads"),
        inputs="The manifest of the new subjects.",
        example="medtools infer asd-transformer new/manifest.tsv --model run/ --out predictions/",
    ),
    "score": Stage(
        name="score asd-transformer",
        summary="Scores over all folds with intervals, confusion and ROC figures, beside the published row.",
        params=ScoreParams,
        run=lazy(f"{_ROOM}.scoring", "run"),
        reads=lazy(f"{_ROOM}.scoring", "reads"),
        inputs="A run folder that `medtools train` wrote.",
        example="medtools score asd-transformer run/ --out run/scores",
    ),
    "explain": Stage(
        name="explain asd-transformer",
        summary="Attention between communities, nodes that differ, and sites before and after harmonisation.",
        params=ExplainParams,
        run=lazy(f"{_ROOM}.explanation", "run"),
        reads=lazy(f"{_ROOM}.explanation", "reads"),
        inputs="The manifest of the cohort that was trained on.",
        example="medtools explain asd-transformer data/asd/manifest.tsv --model run/ --out run/explain",
    ),
}
