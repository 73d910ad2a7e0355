"""What each stage of drivpocket reads and writes."""

from __future__ import annotations

from medtools.core.stage import Stage, lazy
from medtools.systems.drivpocket.params import DemoParams, InferParams, RankParams, ScoreParams, SegmentParams

_ROOM = "medtools.systems.drivpocket"
_MANIFEST = "The manifest.tsv that `medtools preprocess protein` wrote."

STAGES = {
    "demo": Stage(
        name="demo drivpocket",
        summary="Synthetic globules with one true and two decoy pockets, in scPDB's layout.",
        params=DemoParams,
        run=lazy(f"{_ROOM}.steps", "run_demo"),
        example="medtools demo drivpocket --out data/globules",
    ),
    "train segment": Stage(
        name="train drivpocket segment",
        summary="Train the network that gives candidates their shape, on cavities.",
        params=SegmentParams,
        run=lazy(f"{_ROOM}.learning", "run_segment"),
        inputs=_MANIFEST,
        reads=lazy(f"{_ROOM}.learning", "reads"),
        estimate=lazy(f"{_ROOM}.learning", "estimate_segment"),
        record="segment",
        example="medtools train drivpocket segment pockets/manifest.tsv --out runs/segment --device cuda",
    ),
    "train rank": Stage(
        name="train drivpocket rank",
        summary="Train the classifier that ranks candidates, on ligands.",
        params=RankParams,
        run=lazy(f"{_ROOM}.learning", "run_rank"),
        inputs=_MANIFEST,
        reads=lazy(f"{_ROOM}.learning", "reads"),
        record="rank",
        example="medtools train drivpocket rank pockets/manifest.tsv --out runs/rank",
    ),
    "infer": Stage(
        name="infer drivpocket",
        summary="Ranked pockets of structures: table, shapes, binding atoms and residues, scripts and pictures.",
        params=InferParams,
        run=lazy(f"{_ROOM}.steps", "run_infer"),
        inputs="Structures, folders of them, or manifests; default: the current folder.",
        estimate=lazy(f"{_ROOM}.steps", "estimate_infer"),
        cohort=True,
        example="medtools infer drivpocket 1abc.pdb --segmenter runs/segment/model.ckpt --ranker runs/rank/model.ckpt",
    ),
    "score": Stage(
        name="score drivpocket",
        summary="DCC, DVO and DCA of predicted pockets against known sites, beside the published rows.",
        params=ScoreParams,
        run=lazy(f"{_ROOM}.scoring", "run"),
        inputs="The folder or manifest.tsv that `medtools infer drivpocket` wrote, or another manifest of known sites.",
        reads=lazy(f"{_ROOM}.scoring", "reads"),
        example="medtools score drivpocket infer/ --out scores/",
    ),
}
