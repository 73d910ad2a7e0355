"""The stages of spect-prototypes, declared; what each reads and writes is in the modules named."""

from __future__ import annotations

from medtools.core.stage import Stage, lazy
from medtools.systems.spect_prototypes.params import (
    DemoParams,
    ExplainParams,
    InferParams,
    PreprocessParams,
    ReproduceParams,
    ScoreParams,
    TrainParams,
)

_ROOM = "medtools.systems.spect_prototypes"

STAGES = {
    "demo": Stage(
        name="demo spect-prototypes",
        summary="Made hearts with a liver: SPECT slices with label maps and landmarks, named as BIDS names them.",
        params=DemoParams,
        run=lazy(f"{_ROOM}.demo", "run"),
        example="medtools demo spect-prototypes --out data/hearts",
    ),
    "preprocess": Stage(
        name="preprocess spect-prototypes",
        summary="Cut a crop of every tissue out of the slice of the heart.\n\n"
        "INPUT is a BIDS-like folder (sub-*/spect/*_spect.nii.gz with *_dseg.nii.gz beside), or a manifest with the "
        "columns image and labels. The slice is the one with the largest area of ventricle and myocardium.",
        params=PreprocessParams,
        run=lazy(f"{_ROOM}.preparation", "run"),
        inputs="A folder, a manifest, or images.",
        cohort=True,
        record="crops",
        example="medtools preprocess spect-prototypes data/hearts --out crops/",
    ),
    "train": Stage(
        name="train spect-prototypes",
        summary="Train by episodes of a few crops per tissue; other subjects judge.\n\n"
        "With --loso each subject is left out once (a sample of the stage: --sample r1f1 trains the first), and one "
        "more network is trained on everyone.",
        params=TrainParams,
        run=lazy(f"{_ROOM}.learning", "run"),
        inputs="The manifest of crops.",
        cohort=True,
        example="medtools train spect-prototypes crops/manifest.tsv --out run/",
    ),
    "infer": Stage(
        name="infer spect-prototypes",
        summary="Classify crops by the prototypes of a few labelled ones; classes may be new, nothing is retrained.",
        params=InferParams,
        run=lazy(f"{_ROOM}.inference", "run"),
        reads=lazy(f"{_ROOM}.inference", "reads"),
        inputs="The manifest of crops to classify.",
        folder="predictions",
        example="medtools infer spect-prototypes new/manifest.tsv --model run/ --support few/manifest.tsv --out out/",
    ),
    "score": Stage(
        name="score spect-prototypes",
        summary="Accuracy over episodes and subjects with intervals, recall per tissue, against another run.",
        params=ScoreParams,
        run=lazy(f"{_ROOM}.scoring", "run"),
        reads=lazy(f"{_ROOM}.scoring", "reads"),
        inputs="A run folder that `medtools train` wrote.",
        folder="scores",
        example="medtools score spect-prototypes run/ --against other/ --out run/scores",
    ),
    "reproduce": Stage(
        name="reproduce spect-prototypes",
        summary="The rows that the paper leaves out: start, distance, shots and episodes, beside three baselines.\n\n"
        "Each row is a sample of the stage: one that is done is not done again, and --sample makes one alone.",
        params=ReproduceParams,
        run=lazy(f"{_ROOM}.reproduction", "run"),
        inputs="The manifest of crops.",
        cohort=True,
        folder="table",
        example="medtools reproduce spect-prototypes crops/manifest.tsv --out table/",
    ),
    "explain": Stage(
        name="explain spect-prototypes",
        summary="One episode with its posterior, and the map of embeddings with the prototypes.",
        params=ExplainParams,
        run=lazy(f"{_ROOM}.explanation", "run"),
        reads=lazy(f"{_ROOM}.explanation", "reads"),
        inputs="The manifest that was trained on.",
        example="medtools explain spect-prototypes crops/manifest.tsv --model run/ --out explain/",
    ),
}
