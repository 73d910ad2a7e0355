"""`medtools reproduce mci-homology`: the paper's tables 1 and 2 and its figures for a cohort, beside the published."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.nested import files_below, run_within
from medtools.core.params import check
from medtools.core.stage import Job
from medtools.core.tables import read_tsv, write_tsv
from medtools.homology.layout import file_word
from medtools.homology.params import PlotParams
from medtools.homology.stages import STAGES as HOMOLOGY
from medtools.systems import registry
from medtools.systems.mci_homology import pr
from medtools.systems.mci_homology.params import ClassifierParams, ReproduceParams, ScoreParams, StatsParams
from medtools.systems.mci_homology.scoring import published_accuracy

_TABLE_1 = (
    "model", "task", "network", "dimension", "accuracy", "ci_low", "ci_high", "balanced_accuracy", "auroc", "n",
    "published_accuracy", "difference",
)  # fmt: skip
_TABLE_2 = ("model", "network", "peak_accuracy", "task", "dimension", "published_peak")


@dataclass(frozen=True)
class Cell:
    """One classifier of the tables."""

    model: str
    task: str
    network: str
    dim: int

    @property
    def folder(self) -> Path:
        """Its run folder below `runs/`."""
        return Path(self.model) / f"{file_word(self.network)}_H{self.dim}_{file_word(self.task)}"


def run(job: Job) -> None:
    """Train and score every cell, then write the tables and draw the figures."""
    params: ReproduceParams = job.params
    manifest = pr.load_manifest(job.inputs)
    groups = list(dict.fromkeys(manifest.labels(params.group)))
    cells = list(_cells(params, groups, pr.available(manifest, params.homology)))
    if not cells:
        raise InputError("--networks", "no network and dimension asked for was computed", "see --dims and --networks")
    rows = []
    for number, cell in enumerate(cells, start=1):
        job.deadline.check()
        LOGGER.info("%d of %d: %s, %s, %s H%d", number, len(cells), cell.model, cell.task, cell.network, cell.dim)
        rows.append(_row(job, cell))
    job.wrote(write_tsv(job.out / "table1.tsv", _TABLE_1, rows))
    job.wrote(write_tsv(job.out / "table2.tsv", _TABLE_2, _peaks(rows, params.published)))
    _figures(job)


def reads(job: Job) -> list[Path]:
    """List what decides the tables."""
    return pr.reads(job.inputs, job.params.homology)


def _cells(params: ReproduceParams, groups: list[str], available: list[tuple[str, int]]) -> Iterator[Cell]:
    tasks = params.tasks or tuple(f"{first}:{second}" for first, second in combinations(groups, 2))
    for model in params.models:
        for task in tasks:
            for network, dim in available:
                if (not params.networks or network in params.networks) and dim in params.dims:
                    yield Cell(model, task, network, dim)


def _row(job: Job, cell: Cell) -> dict[str, Any]:
    """Train and score one cell with the same stages that a user calls; a finished one is skipped."""
    params: ReproduceParams = job.params
    out = job.out / "runs" / cell.folder
    values = {
        "homology": params.homology,
        "group": params.group,
        "network": cell.network,
        "dim": cell.dim,
        "task": cell.task,
        "model": cell.model,
        "protocol": params.protocol,
        "folds": params.folds,
        "repeats": params.repeats,
        "epochs": params.epochs,
    }
    stages = registry.stages("mci-homology")
    run_within(job, stages["train"], check(ClassifierParams, values), job.inputs, out)
    run_within(job, stages["score"], check(ScoreParams, {"published": params.published}), (out,), out / "scores")
    job.wrote(*files_below(out))
    _, scores = read_tsv(out / "scores" / "scores.tsv")
    test = {row["metric"]: row for row in scores if row["level"] == "test"}
    accuracy = test["accuracy"]
    published = published_accuracy(params.published, cell.task, cell.dim, cell.network)
    return {
        "model": cell.model,
        "task": cell.task,
        "network": cell.network,
        "dimension": f"H{cell.dim}",
        "accuracy": float(accuracy["value"]),
        "ci_low": accuracy["ci_low"],
        "ci_high": accuracy["ci_high"],
        "balanced_accuracy": test["balanced_accuracy"]["value"],
        "auroc": test["auroc"]["value"],
        "n": accuracy["n"],
        "published_accuracy": published if cell.model == "cnn" else None,
        "difference": float(accuracy["value"]) - published if published is not None and cell.model == "cnn" else None,
    }


def _peaks(rows: list[dict[str, Any]], data: str) -> list[dict[str, Any]]:
    """Return the best accuracy of each model and network over tasks and dimensions, as the paper's Table 2."""
    table = registry.card("mci-homology").content["published"]["peak_accuracy_percent"]
    best: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = (row["model"], row["network"])
        if key not in best or row["accuracy"] > best[key]["accuracy"]:
            best[key] = row
    column = {"ADNI": 0, "TLSA": 1}.get(data)
    peaks = []
    for (model, network), row in best.items():
        published = table.get(model, {}).get(network) if column is not None else None
        peaks.append(
            {
                "model": model,
                "network": network,
                "peak_accuracy": row["accuracy"],
                "task": row["task"],
                "dimension": row["dimension"],
                "published_peak": published[column] / 100 if published else None,
            }
        )
    return peaks


def _figures(job: Job) -> None:
    """Draw figures 2 and 4 (PR and PS heat maps) and 5 (P-plots) with the stages that draw them."""
    params: ReproduceParams = job.params
    plot = check(PlotParams, {"homology": params.homology, "networks": params.networks, "group": params.group})
    run_within(job, HOMOLOGY["plot"], plot, job.inputs, job.out / "figures")
    comparisons = {"homology": params.homology, "networks": params.networks, "group": params.group}
    stats = registry.stages("mci-homology")["stats"]
    run_within(job, stats, check(StatsParams, comparisons), job.inputs, job.out / "stats")
    job.wrote(*files_below(job.out / "figures"), *files_below(job.out / "stats"))
