"""`medtools reproduce local-prototype`: the paper's rows for a cohort, each trained, applied and scored alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.nested import files_below, run_within
from medtools.core.params import check
from medtools.core.stage import Job
from medtools.core.tables import read_tsv, write_tsv
from medtools.systems import registry
from medtools.systems.local_prototype.params import InferParams, ReproduceParams, ScoreParams, TrainParams
from medtools.systems.local_prototype.slices import load_manifest

_COLUMNS = ("row", "level", "dice", "ci_low", "ci_high", "n", "published")
_PASSED = (
    "held_out", "encoder", "weights", "width", "batch", "iterations", "epochs", "learning_rate", "augment",
    "temperature",
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A row of the tables.

    Attributes
    ----------
    network : str
        Name of the trained network, which rows may share; empty where none is trained.
    training, segmenting : dict
        What the row changes in the defaults of `train` and of `infer`.
    shots : int
        Support volumes; 0 for all of them.
    published : str
        Row of the paper, as `medtools score --published` names it.
    """

    network: str
    training: dict[str, Any] = field(default_factory=dict)
    segmenting: dict[str, Any] = field(default_factory=dict)
    shots: int = 1
    published: str = "none"


_ADDED = {"added_classes": True}
ROWS = {
    "ours": Row("ours", published="ours"),
    "added-classes": Row("added-classes", _ADDED, published="added-classes"),
    "panet": Row("panet", {"alpha": 1.0, "alignment": 1.0}, published="panet"),
    "copy-mask": Row("", {}, {"method": "copy-mask"}),
    "intensity": Row("", {}, {"method": "intensity"}),
    "pretrained": Row("", {}, {"method": "pretrained"}),
    "pretrained-global": Row("", {}, {"method": "pretrained", "alpha": 1.0}),
    "alpha-1/16": Row("alpha-1-16", {**_ADDED, "alpha": 1 / 16}, published="alpha-1/16"),
    "alpha-1/8": Row("added-classes", _ADDED, published="alpha-1/8"),
    "alpha-1/4": Row("alpha-1-4", {**_ADDED, "alpha": 1 / 4}, published="alpha-1/4"),
    "alpha-1": Row("alpha-1", {**_ADDED, "alpha": 1.0}, published="alpha-1"),
    "no-overlap": Row("no-overlap", {**_ADDED, "overlap": False}, published="no-overlap"),
    "vote-mean": Row("ours", {}, {"vote": "mean"}),
    "vote-last": Row("ours", {}, {"vote": "last"}),
    "shots-5": Row("ours", shots=5),
}
"""Table 1 and Figure 3 (its networks see the added classes); votes and shots change only how `ours` is applied."""


def run(job: Job) -> None:
    """Train, apply and score every row; write `table.tsv`."""
    params: ReproduceParams = job.params
    manifest, _ = load_manifest(job.inputs)
    supports = [row.id for row in manifest.rows if row.get("split") == "support"]
    for name in params.rows:
        if name not in ROWS:
            raise InputError("--rows", f"no row {name!r}", f"there are {', '.join(ROWS)}")
        if ROWS[name].shots > len(supports):
            found = f"{name} needs {ROWS[name].shots} support volumes, there are {len(supports)}"
            raise InputError(manifest.path, found, "mark more rows with split = support, or leave the row out")
    table: list[dict[str, Any]] = []
    for number, name in enumerate(params.rows, start=1):
        job.deadline.check()
        LOGGER.info("%d of %d: %s", number, len(params.rows), name)
        table += _row(job, name, supports)
    job.wrote(write_tsv(job.out / "table.tsv", _COLUMNS, table))


def reads(job: Job) -> list[Path]:
    """List what decides the table."""
    manifest, _ = load_manifest(job.inputs)
    weights = [job.params.weights] if job.params.weights else []
    return [manifest.path, *(row.paths["slices"] for row in manifest.rows), *weights]


def _row(job: Job, name: str, supports: list[str]) -> list[dict[str, Any]]:
    """Make one row with the same stages that a user calls; what is finished is skipped."""
    params: ReproduceParams = job.params
    row, stages = ROWS[name], registry.stages("local-prototype")
    folder = job.out / "rows" / name.replace("/", "-")
    asked: dict[str, Any] = {"support": tuple(supports[: row.shots]), **row.segmenting}
    if row.network:
        run = job.out / "networks" / row.network
        passed = {key: getattr(params, key) for key in _PASSED}
        run_within(job, stages["train"], check(TrainParams, passed | row.training), job.inputs, run)
        job.wrote(*files_below(run))
        asked["model"] = run
    else:
        asked["organs"] = params.held_out
    if row.segmenting.get("method") == "pretrained":
        asked |= {"encoder": params.encoder, "weights": params.weights}
    run_within(job, stages["infer"], check(InferParams, asked), job.inputs, folder / "segmentations")
    scored = {"predictions": folder / "segmentations", "published": row.published, "resamples": params.resamples}
    run_within(job, stages["score"], check(ScoreParams, scored), job.inputs, folder / "scores")
    job.wrote(*files_below(folder))
    return _lines(name, folder / "scores")


def _lines(name: str, scores: Path) -> list[dict[str, Any]]:
    _, found = read_tsv(scores / "scores.tsv")
    compared = scores / "comparison.tsv"
    papers = {row["level"]: row["published"] for row in read_tsv(compared)[1]} if compared.is_file() else {}
    return [
        {"row": name, "dice": row["value"], "published": papers.get(row["level"])}
        | {key: row[key] for key in ("level", "ci_low", "ci_high", "n")}
        for row in found
        if row["metric"] == "dice"
    ]
