"""The stages of dspic, declared; what each reads and writes is in the modules named."""

from __future__ import annotations

from medtools.core.stage import Stage, lazy
from medtools.systems.dspic.params import (
    AugmentParams,
    DemoParams,
    ExplainParams,
    InferParams,
    ReproduceParams,
    ScoreParams,
    TrainParams,
)

_ROOM = "medtools.systems.dspic"

STAGES = {
    "demo": Stage(
        name="demo dspic",
        summary="Whole-body bone scans of made patients as DICOM NM, anterior and posterior.",
        params=DemoParams,
        run=lazy(f"{_ROOM}.demo", "run"),
        example="medtools demo dspic --out data/scans",
    ),
    "preprocess augment": Stage(
        name="preprocess dspic augment",
        summary="The paper's D_2 (moved copies) or D_3 (drawn by a DCGAN per class) of a data set.\n\n"
        "For a look at the images, or for --split paper. To keep test patients out, give `medtools train dspic` the "
        "original images and --augment.",
        params=AugmentParams,
        run=lazy(f"{_ROOM}.augmentation", "run"),
        reads=lazy(f"{_ROOM}.augmentation", "reads"),
        inputs="The manifest of normalised images.",
        record="augment",
        example="medtools preprocess dspic augment spect/manifest.tsv --mode geometry --out d2/",
    ),
    "train": Stage(
        name="train dspic",
        summary="Train dSPIC with attention or residual module, a network of Table 7 or a trivial baseline.\n\n"
        "INPUT is the manifest that `medtools preprocess spect` wrote. Each fold is a sample: --sample r1f1 trains "
        "one, so folds run as parallel jobs.",
        params=TrainParams,
        run=lazy(f"{_ROOM}.classification", "run"),
        estimate=lazy(f"{_ROOM}.classification", "estimate"),
        inputs="The manifest of normalised images.",
        cohort=True,
        example="medtools train dspic spect/manifest.tsv --height 256 --width 64 --epochs 20 --out run/",
    ),
    "infer": Stage(
        name="infer dspic",
        summary="Probabilities of normal, metastasis and arthritis, and what is called: one, or both diseases.",
        params=InferParams,
        run=lazy(f"{_ROOM}.inference", "run"),
        reads=lazy(f"{_ROOM}.inference", "reads"),
        inputs="The manifest of normalised images.",
        example="medtools infer dspic new/manifest.tsv --model run/ --call threshold --out predictions/",
    ),
    "score": Stage(
        name="score dspic",
        summary="Scores over all folds with intervals, confusion and ROC figures, McNemar's test against another run.",
        params=ScoreParams,
        run=lazy(f"{_ROOM}.scoring", "run"),
        reads=lazy(f"{_ROOM}.scoring", "reads"),
        inputs="A run folder that `medtools train` wrote.",
        example="medtools score dspic run/ --against other/ --out run/scores",
    ),
    "explain": Stage(
        name="explain dspic",
        summary="Spatial and channel attention, Grad-CAM and a map of the test images.\n\n"
        "Maps are also written as NIfTI on the grid of the image in the manifest. Where its lesions are outlined, "
        "they are drawn, and the share of each map inside them stands beside their share of the area.",
        params=ExplainParams,
        run=lazy(f"{_ROOM}.explanation", "run"),
        reads=lazy(f"{_ROOM}.explanation", "reads"),
        inputs="The manifest that was trained on.",
        example="medtools explain dspic spect/manifest.tsv --model run/ --out run/explain",
    ),
    "reproduce": Stage(
        name="reproduce dspic",
        summary="The rows of the paper's tables for a cohort, by patients divided first and by the paper's division.",
        params=ReproduceParams,
        run=lazy(f"{_ROOM}.reproduction", "run"),
        reads=lazy(f"{_ROOM}.reproduction", "reads"),
        inputs="The manifest of normalised images.",
        example="medtools reproduce dspic spect/manifest.tsv --rows am-d1,am-d2,none-d1 --out tables/",
    ),
}
