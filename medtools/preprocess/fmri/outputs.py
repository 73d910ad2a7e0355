"""Files of one run: series, confounds, mean volume, coverage, quality, figures; and the tables of the cohort."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from medtools.core.atomic import write_json, write_text
from medtools.core.figures import save_figure
from medtools.core.manifest import write_manifest
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.io.nifti import write_volume
from medtools.io.timeseries import make_series
from medtools.io.write_series import write_series
from medtools.preprocess.fmri import figures, qc
from medtools.preprocess.fmri.confounds import Table, motion_table, regress
from medtools.preprocess.fmri.page import quality_page
from medtools.preprocess.fmri.params import FmriParams
from medtools.preprocess.fmri.pipeline import Extracted, Sampled
from medtools.preprocess.fmri.rigid import framewise_displacement
from medtools.preprocess.fmri.runs import CARRIED, Entry, atlas_name
from medtools.preprocess.fmri.spheres import Regions
from medtools.preprocess.fmri.template import load_template

_FIGURE_VOXEL_MM = 3.0
_FIGURES = ("registration", "motion", "carpet", "coverage")


def thresholds(params: FmriParams) -> qc.Thresholds:
    """Collect the parameters that flag a run."""
    return qc.Thresholds(
        fd_mm=params.fd_threshold,
        mean_fd_mm=params.max_mean_fd,
        fd_share=params.max_fd_share,
        displacement_mm=params.max_displacement,
        roi_coverage=params.min_coverage,
        brain_overlap=params.min_overlap,
        tsnr=params.min_tsnr,
    )


def series_path(folder: Path, run_id: str, params: FmriParams) -> Path:
    """Return where a run's series stand."""
    return folder / f"{run_id}_atlas-{atlas_name(params.atlas)}_timeseries.tsv"


def quality_path(folder: Path, run_id: str) -> Path:
    """Return where a run's quality measures stand."""
    return folder / f"{run_id}_qc.json"


def write_run(
    folder: Path,
    entry: Entry,
    params: FmriParams,
    run: Sampled,
    regions: Regions,
    found: Extracted,
    quality: dict[str, Any],
    tr_ms: float,
) -> Iterable[Path]:
    """Write everything of one run but figures; yield each path as soon as its file stands."""
    series = series_path(folder, entry.id, params)
    how = "z-scored residuals" if params.standardize != "none" else "residuals"
    description = f"Mean signal of each region, {how} of the regression listed beside the confounds."
    write_series(series, make_series(found.clean, regions.names, tr_ms, series.name), description=description)
    yield from (series, series.with_suffix(".json"))
    yield from _write_confounds(folder, entry, run, found)
    mean = folder / f"{entry.id}_space-{entry.run.entities.get('space', 'MNI152')}_desc-mean_bold.nii.gz"
    write_volume(mean, run.mean, run.template.affine, template_space=True)
    yield mean
    yield _write_coverage(folder, entry, params, regions, found)
    path = quality_path(folder, entry.id)
    write_json(path, quality)
    yield path


def write_figures(
    folder: Path, entry: Entry, params: FmriParams, run: Sampled, regions: Regions, found: Extracted, tr_ms: float
) -> Iterable[Path]:
    """Draw motion, carpet, registration and coverage; yield each path."""
    if run.motion is not None:
        yield _save(folder, entry, "motion", figures.draw_motion(run.motion, tr_ms, params.fd_threshold))
    template = run.template
    points, tissue = figures.carpet_sample(
        run.at(template.brain), run.at(template.white_core), run.at(template.ventricles)
    )
    if points.size:
        voxels = run.values[:, points].T
        before = regress(voxels, {}, tr_ms, standardize=False).T
        after = regress(voxels, found.confounds, tr_ms, standardize=False).T
        dvars = qc.dvars_percent(run.values[:, run.at(template.brain)])
        fd = None if run.motion is None else framewise_displacement(run.motion)
        yield _save(folder, entry, "carpet", figures.draw_carpet(before, after, tissue, dvars, fd, tr_ms))
    shown, mean, seen = _for_figures(run)
    yield _save(folder, entry, "registration", figures.draw_registration(mean, shown))
    coverage = figures.draw_coverage(mean, seen, shown, regions.centres, found.coverage, params.min_coverage)
    yield _save(folder, entry, "coverage", coverage)


def write_cohort(job: Job, entries: Sequence[Entry], failures: Mapping[str, str]) -> None:
    """Write the manifest that later stages read, and the quality of every run as table, figure and page.

    Parameters
    ----------
    job : Job
    entries : sequence of Entry
        All runs; those that failed are in the quality table only.
    failures : mapping of str to str
        Causes of those that failed.
    """
    params: FmriParams = job.params
    rows, judged = [], []
    for entry in entries:
        if entry.id in failures:
            judged.append({"id": entry.id, "status": "FAIL", "reasons": failures[entry.id]})
            continue
        folder = job.out / entry.id
        quality = json.loads(quality_path(folder, entry.id).read_text(encoding="utf-8"))
        judged.append({"id": entry.id, **quality})
        series = series_path(folder, entry.id, params)
        rows.append(
            {"id": entry.id, "subject": entry.subject, "series": series, "qc": quality["status"], **entry.cells}
        )
    extra = [name for name in CARRIED if any(name in entry.cells for entry in entries)]
    write_manifest(job.out / "manifest.tsv", ["id", "subject", "series", "qc", *extra], rows)
    measures = qc.measures(thresholds(params))
    write_tsv(job.out / "qc.tsv", ["id", "status", "reasons", *(measure.name for measure in measures)], judged)
    write_json(job.out / "qc.json", {measure.name: _described(measure) for measure in measures})
    save_figure(figures.draw_quality(judged, measures), job.out / "qc.png")
    write_text(job.out / "index.html", quality_page(judged, _FIGURES if params.figures else ()))
    job.wrote(*(job.out / name for name in ("manifest.tsv", "qc.tsv", "qc.json", "qc.png", "index.html")))


def _described(measure: qc.Measure) -> dict[str, Any]:
    limit = {"WarnWhen": measure.suspicious, "Threshold": measure.threshold} if measure.suspicious else {}
    unit = {"Units": measure.unit} if measure.unit else {}
    return {"Description": measure.meaning, **unit, **limit}


def _write_confounds(folder: Path, entry: Entry, run: Sampled, found: Extracted) -> Iterable[Path]:
    """Write what was regressed out, and motion and quality courses whether regressed or not."""
    table: Table = {} if run.motion is None else motion_table(run.motion)
    table |= found.confounds
    if run.motion is not None:
        table["framewise_displacement"] = framewise_displacement(run.motion)
    brain = run.at(run.template.brain)
    if brain.any():
        table["dvars_percent"] = qc.dvars_percent(run.values[:, brain])
    path = folder / f"{entry.id}_desc-confounds_timeseries.tsv"
    rows = [dict(zip(table, values, strict=True)) for values in np.stack(list(table.values()), axis=1).tolist()]
    write_tsv(path, list(table), rows)
    yield path
    about = {"Regressed": list(found.confounds), "AlwaysRegressed": ["constant", "linear trend"]}
    units = {"Translations": "mm", "Rotations": "rad", "framewise_displacement": "mm", "dvars_percent": "%"}
    write_json(path.with_suffix(".json"), about | {"Units": units})
    yield path.with_suffix(".json")


def _write_coverage(folder: Path, entry: Entry, params: FmriParams, regions: Regions, found: Extracted) -> Path:
    path = folder / f"{entry.id}_atlas-{atlas_name(params.atlas)}_coverage.tsv"
    rows = [
        {"name": name, "x": x, "y": y, "z": z, "n_voxels": int(size), "coverage": float(share)}
        for name, (x, y, z), size, share in zip(
            regions.names, regions.centres.tolist(), regions.sizes, found.coverage, strict=True
        )
    ]
    write_tsv(path, ["name", "x", "y", "z", "n_voxels", "coverage"], rows)
    return path


def _save(folder: Path, entry: Entry, name: str, figure: Any) -> Path:
    path = folder / f"{entry.id}_{name}.png"
    save_figure(figure, path)
    return path


def _for_figures(run: Sampled) -> tuple[Any, np.ndarray, np.ndarray]:
    """Bring mean and field of view to the straight 3-mm template grid on which figures are drawn."""
    shown = load_template(_FIGURE_VOXEL_MM)
    seen = np.zeros(run.mean.size, dtype=np.float32)
    seen[run.index[run.at(run.template.brain)]] = 1
    to_run = np.linalg.inv(run.template.affine) @ shown.affine
    moved = [
        ndimage.affine_transform(part, to_run[:3, :3], to_run[:3, 3], output_shape=shown.t1.shape, order=1)
        for part in (run.mean, seen.reshape(run.mean.shape))
    ]
    return shown, moved[0], moved[1] > 0.5
