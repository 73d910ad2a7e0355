"""The work of `medtools preprocess fmri`: one folder per run, and the manifest and quality table of all."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from medtools.core.errors import InputError
from medtools.core.limits import Estimate
from medtools.core.log import LOGGER
from medtools.core.stage import Job, Sample
from medtools.core.tables import read_tsv
from medtools.io.nifti import DEFAULT_MAX_BYTES, VolumeHeader, iter_volumes, open_volume, read_header
from medtools.preprocess.fmri import qc
from medtools.preprocess.fmri.confounds import DEFAULT_COLUMNS, Table, parse_table, select_columns
from medtools.preprocess.fmri.fsl import align_with_fsl, require_fsl
from medtools.preprocess.fmri.normalise import brain_mask
from medtools.preprocess.fmri.outputs import thresholds, write_cohort, write_figures, write_run
from medtools.preprocess.fmri.params import NO_CONFOUNDS, FmriParams
from medtools.preprocess.fmri.pipeline import (
    Cleaning,
    Sampled,
    align_run,
    check_length,
    extract,
    gather_normalised,
    own_confounds,
    quality,
    sample_aligned,
)
from medtools.preprocess.fmri.rigid import PARAMETERS
from medtools.preprocess.fmri.runs import Entry, atlas_files, check_atlas, find_runs, in_mni, load_regions
from medtools.preprocess.fmri.spheres import Regions
from medtools.preprocess.fmri.template import load_template, template_on
from medtools.preprocess.fmri.timing import repetition_time, slice_times

_BASE_BYTES = 540 * 2**20
_GRID_VOXELS = {3.0: 75_000}
_SECONDS_PER_VALUE = 1.2e-6


def run(job: Job) -> None:
    """Process every run; write `manifest.tsv`, `qc.tsv` and `qc.json`."""
    params: FmriParams = job.params
    if params.backend == "fsl":
        require_fsl()
    check_atlas(params.atlas)
    entries = {entry.id: entry for entry in find_runs(job.inputs, params)}
    shared = atlas_files(params.atlas)
    samples = [Sample(e.id, (*e.files, *shared), job.out / e.id / "preprocess.json") for e in entries.values()]
    done = job.for_each(samples, lambda sample: _named(job, entries[sample.id]), "preprocessing")
    if not job.only and done:
        causes = {identifier: str(error) for identifier, error in job.failures.items()}
        write_cohort(job, list(entries.values()), causes)


def estimate(job: Job) -> Estimate:
    """Predict memory from the largest run, time from all; unreadable files count nothing (they fail by name later)."""
    params: FmriParams = job.params
    memory, values = 0, 0
    for entry in find_runs(job.inputs, params):
        try:
            header = read_header(entry.run.path, ndim=4)
        except InputError:
            continue
        normalised = in_mni(entry, params)
        voxel_mm = math.prod(header.zooms) ** (1 / 3) if normalised else params.voxel
        sampled = int(_GRID_VOXELS[3.0] * (3.0 / voxel_mm) ** 3) * header.n_volumes
        held = math.prod(header.shape[:3]) * 3 if normalised else math.prod(header.shape)
        memory = max(memory, 4 * (held + 2 * sampled) + (0 if normalised else 2 * held))
        values += sampled + (0 if normalised else math.prod(header.shape))
    return Estimate(_BASE_BYTES + memory, _SECONDS_PER_VALUE * values, "largest run, one at a time")


def _named(job: Job, entry: Entry) -> Iterable[Path]:
    """Process a run; what a step found wrong with it is said with the name of its file."""
    try:
        yield from _one(job, entry)
    except InputError as error:
        if error.where.startswith("--") or Path(error.where).exists():
            raise
        raise InputError(entry.run.path, f"{error.where}: {error.found}", error.fix) from error


def _one(job: Job, entry: Entry) -> Iterable[Path]:
    params: FmriParams = job.params
    header = read_header(entry.run.path, ndim=4)
    where = str(entry.run.path)
    notes = list(header.warnings)
    check_length(header.n_volumes - params.drop)
    tr_ms = repetition_time(params.tr, header.tr_ms, entry.run.sidecar, where, force=params.force_tr)
    given = None
    if in_mni(entry, params):
        given = _given_confounds(entry, params, header.n_volumes, notes)
        sampled, regions = _normalised(job, entry, header, given, notes)
    else:
        sampled, regions = _acquired(job, entry, header, tr_ms, notes)
    table = _chosen_confounds(entry, params, sampled, given, notes)
    cleaning = Cleaning(params.standardize != "none", params.global_signal, params.low_pass, params.high_pass)
    found = extract(sampled, regions, tr_ms, cleaning, table)
    limits = thresholds(params)
    measured = quality(sampled, found, tr_ms, limits)
    absent = [name for name, share in zip(regions.names, found.coverage, strict=True) if share == 0]
    if absent:
        notes.append(f"out of view: {', '.join(absent[:5])}" + (" ..." if len(absent) > 5 else ""))
    reasons = qc.reasons_to_warn(measured, limits, notes)
    for reason in reasons:
        LOGGER.warning("%s: %s", entry.id, reason)
    folder = job.out / entry.id
    judged = {"status": "WARN" if reasons else "PASS", "reasons": "; ".join(reasons), **measured}
    yield from write_run(folder, entry, params, sampled, regions, found, judged, tr_ms)
    if params.figures:
        yield from write_figures(folder, entry, params, sampled, regions, found, tr_ms)


def _acquired(job: Job, entry: Entry, header: VolumeHeader, tr_ms: float, notes: list[str]) -> tuple[Sampled, Regions]:
    """Align a run as it came from the scanner and sample it on the template's grid."""
    params: FmriParams = job.params
    template = load_template(params.voxel)
    regions = load_regions(params.atlas, params.radius, template.brain.shape, template.affine)
    times, axis = slice_times(entry.run.sidecar, header.shape, tr_ms, str(entry.run.path))
    if not params.slice_timing:
        times = None
    elif times is None:
        notes.append("no SliceTiming in the side-car: slice timing skipped")
    data = open_volume(entry.run.path, 4, job.max_memory or DEFAULT_MAX_BYTES).data[..., params.drop :]
    if params.backend == "fsl":
        aligned = align_with_fsl(data, header.affine, tr_ms, template, slice_times_s=times, slice_axis=axis)
    else:
        aligned = align_run(
            data,
            header.affine,
            tr_ms,
            template,
            slice_times_s=times,
            slice_axis=axis,
            deformable=params.normalisation == "bspline",
            threads=job.threads,
        )
    if aligned.note:
        notes.append(aligned.note)
    return sample_aligned(aligned, template, regions, fwhm_mm=params.smoothing, threads=job.threads), regions


def _normalised(
    job: Job, entry: Entry, header: VolumeHeader, given: Table | None, notes: list[str]
) -> tuple[Sampled, Regions]:
    """Take the voxels of a run in MNI space, one volume in memory at a time."""
    params: FmriParams = job.params
    shape = (header.shape[0], header.shape[1], header.shape[2])
    template = template_on(shape, header.affine)
    regions = load_regions(params.atlas, params.radius, shape, header.affine)
    limit = job.max_memory or DEFAULT_MAX_BYTES
    volumes = itertools.islice(iter_volumes(header, limit, allow_nonfinite=True), params.drop, None)
    sampled = gather_normalised(volumes, header.n_volumes - params.drop, template, regions, fwhm_mm=params.smoothing)
    brain = _brain_of(entry, sampled.mean, header, notes)
    motion = None
    if given is not None and all(name in given for name in PARAMETERS):
        motion = np.stack([given[name] for name in PARAMETERS], axis=1)
    return dataclasses.replace(sampled, brain=brain, motion=motion), regions


def _brain_of(entry: Entry, mean: np.ndarray, header: VolumeHeader, notes: list[str]) -> np.ndarray | None:
    """Read fMRIPrep's brain mask, or segment the mean volume."""
    path = entry.run.mask_path
    if path is not None:
        mask = open_volume(path, ndim=3)
        if mask.data.shape == mean.shape and np.allclose(mask.affine, header.affine, atol=1e-3):
            return mask.data > 0.5
        notes.append(f"{path.name} lies on another grid and is not used")
    try:
        return brain_mask(mean, header.affine)
    except InputError as error:
        notes.append(str(error))
        return None


def _given_confounds(entry: Entry, params: FmriParams, n_volumes: int, notes: list[str]) -> Table | None:
    """Read fMRIPrep's confounds of a run, as far as it is analysed; None where there are none."""
    path = entry.run.confounds_path
    if path is None:
        return None
    columns, rows = read_tsv(path)
    table = parse_table(columns, rows, n_volumes, str(path))
    unsettled = sum(name.startswith("non_steady_state_outlier") for name in table)
    if unsettled > params.drop:
        notes.append(f"fMRIPrep marks {unsettled} volumes before steady state; --drop {unsettled} removes them")
    return {name: values[params.drop :] for name, values in table.items()}


def _chosen_confounds(entry: Entry, params: FmriParams, run: Sampled, given: Table | None, notes: list[str]) -> Table:
    """Choose what to regress out, from fMRIPrep's table where there is one, else from what this run gives."""
    if given is None:
        given, missing = own_confounds(run)
        notes += missing
        wanted = params.confounds or tuple(given)
    else:
        wanted = params.confounds or DEFAULT_COLUMNS
    return {} if wanted in (NO_CONFOUNDS, ()) else select_columns(given, wanted, str(entry.run.path))
