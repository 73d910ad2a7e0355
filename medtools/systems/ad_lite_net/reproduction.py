"""`medtools reproduce ad-lite-net`: rows of the paper's tables and ablations, each trained on the same division."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.params import Params, check
from medtools.core.stage import Job, execute
from medtools.core.tables import read_tsv, write_tsv
from medtools.io import image_cohort
from medtools.systems import registry
from medtools.systems.ad_lite_net import baselines
from medtools.systems.ad_lite_net.cohort import CLASSICAL
from medtools.systems.ad_lite_net.params import ReproduceParams, ScoreParams, TrainParams

ABLATIONS: dict[str, dict[str, Any]] = {
    "no-pcb": {"pcb": False},
    "tx-none": {"tx": "none"},
    "tx-invert": {"tx": "invert"},
    "depthwise-0": {"depthwise": 0},
    "depthwise-1": {"depthwise": 1},
    "filters-16-32": {"filters": (16, 32), "depthwise": 1},
    "filters-16-64": {"filters": (16, 64), "depthwise": 1},
    "filters-48-64": {"filters": (48, 64), "depthwise": 1},
    "dense-16": {"dense": 16},
    "separable": {"separable": True},
}
"""Changes to AD-Lite Net; the filter counts were tried by the authors with one depthwise layer."""

_COLUMNS = (
    "row", "parameters", "start", "level", "accuracy", "ci_low", "ci_high", "f1_weighted", "f1_macro", "auroc_macro",
    "n", "published_accuracy", "published_f1_weighted",
)  # fmt: skip


def run(job: Job) -> None:
    """Train and score every row; write `table.tsv`."""
    params: ReproduceParams = job.params
    models = ("ad-lite", *baselines.NETWORKS, *CLASSICAL)
    for name in params.rows:
        if name not in (*models, *ABLATIONS):
            raise InputError("--rows", f"no row {name!r}", f"there are {', '.join((*models, *ABLATIONS))}")
    rows = []
    for number, name in enumerate(params.rows, start=1):
        job.deadline.check()
        LOGGER.info("%d of %d: %s", number, len(params.rows), name)
        rows.append(_row(job, name))
    write_tsv(job.out / "table.tsv", _COLUMNS, rows)
    job.wrote(job.out / "table.tsv")


def reads(job: Job) -> list[Path]:
    """List what decides the table."""
    return image_cohort.reads(job.inputs)


def _row(job: Job, name: str) -> dict[str, Any]:
    """Train and score one row with the same stages that a user calls; a finished one is skipped."""
    params: ReproduceParams = job.params
    out = job.out / "runs" / name
    values: dict[str, Any] = {key: getattr(params, key) for key in ("label", "preset", "split", "size", "batch")}
    values |= {"bn_momentum": params.bn_momentum, "final": False, "model": name if name not in ABLATIONS else "ad-lite"}
    values |= ABLATIONS.get(name, {}) | ({} if params.epochs is None else {"epochs": params.epochs})
    _stage(job, "train", check(TrainParams, values), job.inputs, out)
    _stage(job, "score", check(ScoreParams, {}), (out,), out / "scores")
    found = {row["metric"]: row for row in reversed(read_tsv(out / "scores" / "scores.tsv")[1]) if _overall(row)}
    table = registry.card("ad-lite-net").content["published"]["table_1"]
    published = table.get(name, {}).get(params.preset, (None, None))
    card = out / "model_card.json"
    size = json.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}
    measures = {key: found[key]["value"] for key in ("f1_weighted", "f1_macro", "auroc_macro") if key in found}
    return measures | {
        "row": name,
        "parameters": size.get("total"),
        "start": size.get("start"),
        "level": found["accuracy"]["level"],
        "accuracy": found["accuracy"]["value"],
        "ci_low": found["accuracy"]["ci_low"],
        "ci_high": found["accuracy"]["ci_high"],
        "n": found["accuracy"]["n"],
        "published_accuracy": published[0],
        "published_f1_weighted": published[1],
    }


def _overall(row: dict[str, str]) -> bool:
    return row["level"].startswith("test") and ", class " not in row["level"]


def _stage(job: Job, name: str, params: Params, inputs: tuple[Path, ...], out: Path) -> None:
    stage = registry.stages("ad-lite-net")[name]
    part = replace(
        job, stage=stage, params=params, inputs=inputs, out=out, only=(), tolerate=False, outputs=[], read={},
        failures={}, total=0, redone=0,
    )  # fmt: skip
    execute(stage, part)
    job.wrote(out / stage.record_name)
