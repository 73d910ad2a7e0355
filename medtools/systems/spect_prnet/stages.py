"""The stages of spect-prnet, declared; what each reads and writes is in the modules named."""

from __future__ import annotations

from medtools.core.stage import Stage, lazy
from medtools.systems.spect_prnet.params import (
    DemoParams,
    LocateParams,
    ReconstructParams,
    ReproduceParams,
    ScoreParams,
    TrainParams,
)

_ROOM = "medtools.systems.spect_prnet"
_STUDIES = "A manifest, a BIDS-like folder (sub-*/spect/*_spect.nii.gz), or images."

STAGES = {
    "demo": Stage(
        name="demo spect-prnet",
        summary="Made cardiac SPECT slices, each with five landmarks; heart and liver lie where they lie.",
        params=DemoParams,
        run=lazy(f"{_ROOM}.demo", "run"),
        example="medtools demo spect-prnet --out data/hearts",
    ),
    "train": Stage(
        name="train spect-prnet",
        summary="Train PRNet-2D on pairs of patches of one slice, without any label.\n\n"
        "The network learns how far two patches of a slice lie apart, and to rebuild both. For a fine network, "
        "give a small --reach: pairs then lie within it.",
        params=TrainParams,
        run=lazy(f"{_ROOM}.learning", "run"),
        reads=lazy(f"{_ROOM}.learning", "reads"),
        inputs=_STUDIES,
        example="medtools train spect-prnet data/hearts/manifest.tsv --out run/",
    ),
    "infer locate": Stage(
        name="infer spect-prnet locate",
        summary="Find the landmarks of one study (*_landmarks.csv: name,row,col) in all others.",
        params=LocateParams,
        run=lazy(f"{_ROOM}.location", "run"),
        reads=lazy(f"{_ROOM}.location", "reads"),
        inputs=_STUDIES,
        record="locate",
        folder="landmarks",
        example="medtools infer spect-prnet locate data/hearts/manifest.tsv --model run/ --support sub-01 --out found/",
    ),
    "infer reconstruct": Stage(
        name="infer spect-prnet reconstruct",
        summary="Rebuild slices patch by patch, in their file's own grid, with a picture of the difference.",
        params=ReconstructParams,
        run=lazy(f"{_ROOM}.reconstruction", "run"),
        reads=lazy(f"{_ROOM}.reconstruction", "reads"),
        inputs=_STUDIES,
        record="reconstruct",
        folder="reconstruction",
        example="medtools infer spect-prnet reconstruct data/hearts/manifest.tsv --model run/ --out rebuilt/",
    ),
    "score": Stage(
        name="score spect-prnet",
        summary="Errors of offsets, reconstruction and landmarks, beside baselines that need no training.",
        params=ScoreParams,
        run=lazy(f"{_ROOM}.scoring", "run"),
        reads=lazy(f"{_ROOM}.scoring", "reads"),
        inputs=_STUDIES,
        folder="scores",
        example="medtools score spect-prnet data/hearts/manifest.tsv --model run/ --landmarks found/ --out scores/",
    ),
    "reproduce": Stage(
        name="reproduce spect-prnet",
        summary="One table: the network, without L_rec, L_dis or skip connections, and the baselines.",
        params=ReproduceParams,
        run=lazy(f"{_ROOM}.reproduction", "run"),
        reads=lazy(f"{_ROOM}.reproduction", "reads"),
        inputs=_STUDIES,
        example="medtools reproduce spect-prnet data/hearts/manifest.tsv --out tables/",
    ),
}
