"""The stages of ad-lite-net, declared; what each reads and writes is in the modules named."""

from __future__ import annotations

from medtools.core.stage import Stage, lazy
from medtools.systems.ad_lite_net.params import (
    DemoParams,
    ExplainParams,
    InferParams,
    ReproduceParams,
    ScoreParams,
    TrainParams,
)

_ROOM = "medtools.systems.ad_lite_net"

STAGES = {
    "demo": Stage(
        name="demo ad-lite-net",
        summary="Axial slices of made heads in four stages of atrophy, imbalanced, ten slices per subject.",
        params=DemoParams,
        run=lazy(f"{_ROOM}.demo", "run"),
        example="medtools demo ad-lite-net --out data/heads",
    ),
    "train": Stage(
        name="train ad-lite-net",
        summary="Train AD-Lite Net, a network of the paper's Table 1 or a trivial baseline, fold by fold.\n\n"
        "INPUT is a manifest with columns image and label; class folders become one by `medtools preprocess images`. "
        "Each fold is a sample: --sample r1f1 trains one, so folds run as parallel jobs.",
        params=TrainParams,
        run=lazy(f"{_ROOM}.classification", "run"),
        estimate=lazy(f"{_ROOM}.classification", "estimate"),
        inputs="The manifest of the images.",
        cohort=True,
        example="medtools train ad-lite-net data/heads/manifest.tsv --size 64 --bn-momentum 0.1 --out run/",
    ),
    "infer": Stage(
        name="infer ad-lite-net",
        summary="Class probabilities of new images; refuses labels that the model does not know.",
        params=InferParams,
        run=lazy(f"{_ROOM}.inference", "run"),
        reads=lazy(f"{_ROOM}.inference", "reads"),
        inputs="The manifest of the images.",
        example="medtools infer ad-lite-net new/manifest.tsv --model run/ --out predictions/",
    ),
    "score": Stage(
        name="score ad-lite-net",
        summary="Scores over all folds with intervals, confusion and ROC figures, beside the published row.",
        params=ScoreParams,
        run=lazy(f"{_ROOM}.scoring", "run"),
        reads=lazy(f"{_ROOM}.scoring", "reads"),
        inputs="A run folder, or predictions of labelled images.",
        example="medtools score ad-lite-net run/ --out run/scores",
    ),
    "explain": Stage(
        name="explain ad-lite-net",
        summary="Grad-CAM of test images on the joined feature maps, and a map of all test images.",
        params=ExplainParams,
        run=lazy(f"{_ROOM}.explanation", "run"),
        reads=lazy(f"{_ROOM}.explanation", "reads"),
        inputs="The manifest that was trained on.",
        example="medtools explain ad-lite-net data/heads/manifest.tsv --model run/ --out run/explain",
    ),
    "reproduce": Stage(
        name="reproduce ad-lite-net",
        summary="The rows of the paper's tables and ablations for a cohort, each trained on the same division.",
        params=ReproduceParams,
        run=lazy(f"{_ROOM}.reproduction", "run"),
        reads=lazy(f"{_ROOM}.reproduction", "reads"),
        inputs="The manifest of the images.",
        example="medtools reproduce ad-lite-net images/manifest.tsv --rows ad-lite,no-pcb,majority --out tables/",
    ),
}
