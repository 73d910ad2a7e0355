"""The stages of local-prototype, declared; what each reads and writes is in the modules named."""

from __future__ import annotations

from medtools.core.stage import Stage, lazy
from medtools.systems.local_prototype.params import (
    DemoParams,
    ExplainParams,
    InferParams,
    PreprocessParams,
    ReproduceParams,
    ScoreParams,
    TrainParams,
)

_ROOM = "medtools.systems.local_prototype"

STAGES = {
    "demo": Stage(
        name="demo local-prototype",
        summary="Made abdomens with six organs; queries lie elsewhere than the support by a known shift.",
        params=DemoParams,
        run=lazy(f"{_ROOM}.demo", "run"),
        example="medtools demo local-prototype --out data/organs",
    ),
    "preprocess slices": Stage(
        name="preprocess local-prototype slices",
        summary="Volumes and label maps to 8-bit axial slices.\n\n"
        "INPUT is a manifest with columns image, labels and split (train, support, query), with organs.tsv beside it "
        "or --organs; or a folder of NIfTI files named as VISCERAL names them.",
        params=PreprocessParams,
        run=lazy(f"{_ROOM}.preparation", "run"),
        inputs="A manifest, or a folder in VISCERAL's layout.",
        cohort=True,
        record="slices",
        example="medtools preprocess local-prototype slices data/organs/manifest.tsv --size 128 --out slices/",
    ),
    "train": Stage(
        name="train local-prototype",
        summary="Train by episodes, once for each held-out class, which no episode ever asks for.\n\n"
        "Each fold is a sample: --sample kidney trains one, so folds run as parallel jobs. An organ that is held out "
        "still appears in the images, as background (as in the paper).",
        params=TrainParams,
        run=lazy(f"{_ROOM}.learning", "run"),
        inputs="The manifest of prepared slices.",
        cohort=True,
        example="medtools train local-prototype slices/manifest.tsv --out run/",
    ),
    "infer": Stage(
        name="infer local-prototype",
        summary="Segment the queries by one annotated support (or several): NIfTI masks in the grids of the queries.",
        params=InferParams,
        run=lazy(f"{_ROOM}.inference", "run"),
        reads=lazy(f"{_ROOM}.inference", "reads"),
        inputs="The manifest of prepared slices.",
        folder="segmentations",
        example="medtools infer local-prototype slices/manifest.tsv --model run/ --out segmentations/",
    ),
    "score": Stage(
        name="score local-prototype",
        summary="Dice by organ and query with intervals, against alignment, published rows and another method.",
        params=ScoreParams,
        run=lazy(f"{_ROOM}.scoring", "run"),
        reads=lazy(f"{_ROOM}.scoring", "reads"),
        inputs="The manifest of prepared slices.",
        folder="scores",
        example="medtools score local-prototype slices/manifest.tsv --predictions segmentations/ --out scores/",
    ),
    "explain": Stage(
        name="explain local-prototype",
        summary="For one slice: similarity with organ and background, the cell that decided, and the features.",
        params=ExplainParams,
        run=lazy(f"{_ROOM}.explanation", "run"),
        reads=lazy(f"{_ROOM}.explanation", "reads"),
        inputs="The manifest of prepared slices.",
        example="medtools explain local-prototype slices/manifest.tsv --model run/ --organ liver --out explain/",
    ),
    "reproduce": Stage(
        name="reproduce local-prototype",
        summary="The rows of the paper's tables for a cohort: each trained, applied and scored by the stages above.",
        params=ReproduceParams,
        run=lazy(f"{_ROOM}.reproduction", "run"),
        reads=lazy(f"{_ROOM}.reproduction", "reads"),
        inputs="The manifest of prepared slices.",
        example="medtools reproduce local-prototype slices/manifest.tsv --rows ours,panet,copy-mask --out tables/",
    ),
}
