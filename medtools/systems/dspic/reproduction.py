"""`medtools reproduce dspic`: the paper's tables for a cohort, each row under the honest division and the paper's."""

from __future__ import annotations

import json
import shutil
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
from medtools.systems.dspic.cohort import SETS
from medtools.systems.dspic.params import GeometryParams, ReproduceParams, ScoreParams, SizeParams, TrainParams

_MODELS = {"am": "dspic-am", "rm": "dspic-rm", "none": "dspic"}
_COMPARATORS = ("si-clf", "si-clf-am", "si-clf-rm", "si-clf-am-rm", "alexnet")

ROWS: dict[str, dict[str, Any]] = {
    **{
        f"{name}-{number.replace('_', '').lower()}": {"model": model, "augment": augment}
        for name, model in _MODELS.items()
        for augment, number in SETS.items()
    },
    "am-no-pools-d2": {"model": "dspic-am", "augment": "geometry", "pools": False},
    **{f"{name}-d2": {"model": name, "augment": "geometry"} for name in _COMPARATORS},
    "majority": {"model": "majority"},
    "logistic-regression": {"model": "logistic-regression"},
}
"""Tables 5, 6, 8 and 9, the network without an added layer, and trivial baselines."""

_PUBLISHED = ("accuracy", "precision_macro", "sensitivity_macro", "specificity_macro", "f1_of_means", "auroc_macro")
_MEASURES = (*_PUBLISHED, "f1_macro", "auroc_micro", "accuracy_oracle_top2")
_COLUMNS = (
    "row", "set", "split", "parameters", "n", "ci_low", "ci_high", *_MEASURES, "mcnemar_p",
    *(f"published_{name}" for name in _PUBLISHED),
)  # fmt: skip


def run(job: Job) -> None:
    """Train and score every row; write `table.tsv`."""
    params: ReproduceParams = job.params
    for name in params.rows:
        if name not in ROWS:
            raise InputError("--rows", f"no row {name!r}", f"there are {', '.join(ROWS)}")
    rows = []
    for split in params.splits:
        for number, name in enumerate(params.rows, start=1):
            job.deadline.check()
            LOGGER.info("--split %s, %d of %d: %s", split, number, len(params.rows), name)
            rows.append(_row(job, name, split))
    job.wrote(write_tsv(job.out / "table.tsv", _COLUMNS, rows))


def reads(job: Job) -> list[Path]:
    """List what decides the table."""
    return image_cohort.reads(job.inputs)


def settings_of(params: ReproduceParams, name: str, split: str) -> TrainParams:
    """Return the parameters by which a row is trained."""
    shared = (*SizeParams.model_fields, *GeometryParams.model_fields, "label", "batch", "epochs", "head_pool")
    values = {key: getattr(params, key) for key in shared}
    return check(TrainParams, values | {"split": split, "final": False} | ROWS[name])


def lend_gans(job: Job, out: Path, split: str) -> None:
    """Copy finished DCGANs of another row: they depend on the training images, not on the classifier."""
    inner = Path("gan") if split == "paper" else Path("folds", "r1f1", "gan")
    others = [job.out / "runs" / f"{row}-{split}" / inner for row in ROWS if ROWS[row].get("augment") == "dcgan"]
    if (out / inner).exists():
        return
    for folder in others:
        if any(folder.glob("*/model.ckpt")):
            partial = (out / inner).with_name(".medtools-gan")  # under its final name when complete
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(folder, partial)
            partial.rename(out / inner)
            return


def _row(job: Job, name: str, split: str) -> dict[str, Any]:
    """Train and score one row with the same stages that a user calls; a finished one is skipped."""
    params: ReproduceParams = job.params
    out, first = (job.out / "runs" / f"{row}-{split}" for row in (name, params.rows[0]))
    settings = settings_of(params, name, split)
    if settings.augment == "dcgan":
        lend_gans(job, out, split)
    stages = registry.stages("dspic")
    run_within(job, stages["train"], settings, job.inputs, out)
    # Under the paper's division each data set has test images of its own; nothing can be paired there.
    against = first if split == "patient" and first != out else None
    scoring = check(ScoreParams, {"against": against, "resamples": params.resamples})
    run_within(job, stages["score"], scoring, (out,), out / "scores")
    job.wrote(*files_below(out))
    found = {row["metric"]: row for row in reversed(read_tsv(out / "scores" / "scores.tsv")[1]) if _overall(row)}
    card = json.loads((out / "model_card.json").read_text(encoding="utf-8"))
    published = registry.card("dspic").content["published"].get(_published_name(name), {}).get(card["set"], {})
    paired = read_tsv(out / "scores" / "mcnemar.tsv")[1][0]["p"] if against else None
    return (
        {key: found[key]["value"] for key in _MEASURES if key in found}
        | {key: found["accuracy"][key] for key in ("n", "ci_low", "ci_high")}
        | {"row": name, "set": card["set"], "split": split, "parameters": card.get("total"), "mcnemar_p": paired}
        | {f"published_{key}": value for key, value in published.items()}
    )


def _published_name(name: str) -> str:
    return "dspic-am-no-pools" if name == "am-no-pools-d2" else str(ROWS[name]["model"])


def _overall(row: dict[str, str]) -> bool:
    return row["level"].startswith("test") and ", class " not in row["level"]
