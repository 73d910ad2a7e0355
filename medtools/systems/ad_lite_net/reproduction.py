"""`medtools reproduce ad-lite-net`: rows of the paper's tables and ablations, each trained on the same division."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.nested import files_below, run_within
from medtools.core.params import check
from medtools.core.stage import Job
from medtools.core.tables import read_tsv, write_tsv
from medtools.io import image_cohort
from medtools.systems import registry
from medtools.systems.ad_lite_net import baselines
from medtools.systems.ad_lite_net.cohort import CLASSICAL
from medtools.systems.ad_lite_net.params import ReproduceParams, ScoreParams, TrainParams
from medtools.systems.ad_lite_net.rows import ABLATIONS, LONG, parameters, published

_COLUMNS = (
    "row", "parameters", "start", "level", "accuracy", "ci_low", "ci_high", "f1_weighted", "f1_macro", "auroc_macro",
    "n", "published_accuracy", "published_f1_weighted", "published_f1_macro",
)  # fmt: skip

_INTERVAL = ("ci_low", "ci_high", "n")
_PASSED = ("label", "preset", "split", "size", "batch", "bn_momentum", "folds", "class_weights")
"""Parameters of the table that every training gets."""


def run(job: Job) -> None:
    """Train and score every row; write `table.tsv`."""
    params: ReproduceParams = job.params
    known = ("ad-lite", *baselines.NETWORKS, *LONG, *CLASSICAL, *ABLATIONS)
    for name in params.rows:
        if name not in known:
            raise InputError("--rows", f"no row {name!r}", f"there are {', '.join(known)}")
    _weights(params)
    rows = []
    for number, name in enumerate(params.rows, start=1):
        job.deadline.check()
        LOGGER.info("%d of %d: %s", number, len(params.rows), name)
        rows.append(_row(job, name))
    write_tsv(job.out / "table.tsv", _COLUMNS, rows)
    job.wrote(job.out / "table.tsv")


def reads(job: Job) -> list[Path]:
    """List what decides the table."""
    return [*image_cohort.reads(job.inputs), *_weights(job.params).values()]


def _weights(params: ReproduceParams) -> dict[str, Path]:
    """Return the pretrained trunks by network."""
    given = {name: file for name, _, file in (text.partition("=") for text in params.weights)}
    known = [name for name, network in baselines.NETWORKS.items() if network.pretrained]
    for name, file in given.items():
        if name not in known:
            raise InputError("--weights", f"{name!r} does not start pretrained", f"there are {', '.join(known)}")
        if not Path(file).is_file():
            raise InputError(file, "no such file of weights")
    return {name: Path(file) for name, file in given.items()}


def _row(job: Job, name: str) -> dict[str, Any]:
    """Train and score one row with the same stages that a user calls; a finished one is skipped."""
    params: ReproduceParams = job.params
    out = job.out / "runs" / name
    own = {} if params.epochs is None else {"epochs": params.epochs}
    values: dict[str, Any] = {key: getattr(params, key) for key in _PASSED} | {"final": False} | parameters(name) | own
    if values["model"] in CLASSICAL:
        values["class_weights"] = ()
    values["weights"] = _weights(params).get(values["model"])
    trained = check(TrainParams, values)
    stages = registry.stages("ad-lite-net")
    run_within(job, stages["train"], trained, job.inputs, out)
    run_within(job, stages["score"], check(ScoreParams, {"published": params.preset}), (out,), out / "scores")
    job.wrote(*files_below(out))
    found = {row["metric"]: row for row in reversed(read_tsv(out / "scores" / "scores.tsv")[1]) if _overall(row)}
    level, n_folds = found["accuracy"]["level"], len(list(out.glob("folds/*")))
    printed = published(params.preset, trained.model_dump(), level, n_folds)
    place = level if n_folds == 1 or params.preset != "ten-fold" else "mean over folds"
    card = out / "model_card.json"
    size = json.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}
    measures = {key: found[key]["value"] for key in ("f1_weighted", "f1_macro", "auroc_macro") if key in found}
    accuracy = {"accuracy": found["accuracy"]["value"], **{key: found["accuracy"][key] for key in _INTERVAL}}
    known = {"row": name, "parameters": size.get("total"), "start": size.get("start"), "level": level}
    papers = {f"published_{key}": printed.get((key, place)) for key in ("accuracy", "f1_weighted", "f1_macro")}
    return known | accuracy | measures | papers


def _overall(row: dict[str, str]) -> bool:
    return row["level"].startswith("test") and ", class " not in row["level"]
