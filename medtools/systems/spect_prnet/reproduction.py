"""`medtools reproduce spect-prnet`: the network, its ablations and the baselines in one table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.nested import files_below, run_within
from medtools.core.params import check
from medtools.core.stage import Job
from medtools.core.tables import read_tsv, write_tsv
from medtools.preprocess.spect import heart as hearts_io
from medtools.systems import registry
from medtools.systems.spect_prnet.errors import COPY, MATCHING, PRNET
from medtools.systems.spect_prnet.params import LocateParams, ReproduceParams, ScoreParams, TrainParams
from medtools.systems.spect_prnet.scoring import OTHERS, SAME, TRAINING

ROWS: dict[str, dict[str, Any]] = {
    "full": {},
    "no-rec": {"reconstruction": 0.0},
    "no-dis": {"distance": 0.0},
    "no-skip": {"skips": False},
    "normalized": {"normalize_offsets": True},
}
"""Row of the table to what is changed in training."""

BASELINES = ("predict-zero", "predict-mean", MATCHING, COPY, "mean of the patch")

_ALL = "all landmarks"
_COLUMNS = (
    "row", "L_dis", "L_rec", "offset_mae_px_same_image", "offset_mae_px_other_subjects", "offset_mae_mm_other_subjects",
    "landmark_error_px", "landmark_error_sd_px", "landmark_success", "patch_mse_same_image", "patch_mse_other_subjects",
    "slice_mse_other_subjects", "slice_psnr_db_other_subjects", "slice_ssim_other_subjects",
)  # fmt: skip

_Scores = Mapping[tuple[str, str], str]


def run(job: Job) -> None:
    """Train, locate and score every row; write `table.tsv`."""
    params: ReproduceParams = job.params
    unknown = [name for name in params.rows if name not in ROWS]
    if unknown or not params.rows:
        raise InputError("--rows", f"no row {(unknown or [''])[0]!r}", f"there are {', '.join(ROWS)}")
    rows, scores = [], {}
    for number, name in enumerate(params.rows, start=1):
        job.deadline.check()
        LOGGER.info("%d of %d: %s", number, len(params.rows), name)
        scores = _scored(job, name)
        rows.append({"row": name, **_network(scores)})
    rows += [{"row": name, **_baseline(name, scores)} for name in BASELINES]
    job.wrote(write_tsv(job.out / "table.tsv", _COLUMNS, rows))


def reads(job: Job) -> list[Path]:
    """List what decides the table."""
    return hearts_io.reads(job.inputs)


def _scored(job: Job, name: str) -> dict[tuple[str, str], str]:
    """Train, locate and score one row with the same stages that a user calls; what is finished is skipped."""
    params: ReproduceParams = job.params
    out = job.out / "runs" / name
    values = {key: getattr(params, key) for key in ("images", "unit", "patch", "width", "epochs")}
    stages = registry.stages("spect-prnet")
    run_within(job, stages["train"], check(TrainParams, values | ROWS[name]), job.inputs, out)
    located = out / "landmarks"
    asked = check(LocateParams, {"model": out, "support": params.support})
    run_within(job, stages["infer locate"], asked, job.inputs, located)
    scored = {"model": out, "landmarks": located, "pairs": params.pairs}
    run_within(job, stages["score"], check(ScoreParams, scored), job.inputs, out / "scores")
    job.wrote(*files_below(out))
    _, table = read_tsv(out / "scores" / "scores.tsv")
    return {(row["metric"], row["level"]): row["value"] for row in table}


def _network(scores: _Scores) -> dict[str, str | None]:
    found = {key: scores.get((key, TRAINING)) for key in ("L_dis", "L_rec")}
    found |= _offsets(scores, "") | _landmarks(scores, PRNET)
    for level in (SAME, OTHERS):
        found[f"patch_mse_{level.replace(' ', '_')}"] = scores.get(("patch_mse", level))
    for key in ("slice_mse", "slice_psnr_db", "slice_ssim"):
        found[f"{key}_other_subjects"] = scores.get((key, OTHERS))
    return found


def _baseline(name: str, scores: _Scores) -> dict[str, str | None]:
    if name in (MATCHING, COPY):
        return _landmarks(scores, name)
    if name == BASELINES[-1]:
        return {f"patch_mse_{level.replace(' ', '_')}": scores.get(("patch_mse_of_its_mean", level))
                for level in (SAME, OTHERS)}  # fmt: skip
    return _offsets(scores, name)


def _offsets(scores: _Scores, method: str) -> dict[str, str | None]:
    same, others = (f"{level}, {method}" if method else level for level in (SAME, OTHERS))
    return {
        "offset_mae_px_same_image": scores.get(("offset_mae_px", same)),
        "offset_mae_px_other_subjects": scores.get(("offset_mae_px", others)),
        "offset_mae_mm_other_subjects": scores.get(("offset_mae_mm", others)),
    }


def _landmarks(scores: _Scores, method: str) -> dict[str, str | None]:
    level = f"{method}, {_ALL}"
    success = next((value for (key, at), value in scores.items() if key.startswith("landmark_within") and at == level))
    return {
        "landmark_error_px": scores.get(("landmark_error_px", level)),
        "landmark_error_sd_px": scores.get(("landmark_error_sd_px", level)),
        "landmark_success": success,
    }
