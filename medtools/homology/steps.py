"""The work of `medtools homology`: diagrams and PR per subject, PS per network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.limits import Estimate
from medtools.core.log import LOGGER
from medtools.core.manifest import write_manifest
from medtools.core.provenance import read_record
from medtools.core.stage import Job, Sample
from medtools.core.tables import write_tsv
from medtools.homology import layout, matrices, rips
from medtools.homology.inputs import (
    ALL,
    Subject,
    assign_networks,
    atlas_file,
    find_subjects,
    only_manifest,
    subjects_of,
)
from medtools.homology.params import DiagramParams, DistanceParams
from medtools.homology.signals import check_usable, clouds, samples_of_lag
from medtools.io.atlas import load_atlas, networks
from medtools.io.diagrams import common_rois, read_diagrams, write_diagrams
from medtools.io.matrices import write_matrix
from medtools.io.timeseries import RoiSeries, read_series

_INTERPRETER_BYTES = 300 * 2**20
_DECIDE_DIAGRAMS = ("dimension", "lag", "lag_ms", "max_dim", "standardize", "compat")


def run_diagrams(job: Job) -> None:
    """Write diagrams and PR matrices of every subject, and the manifest that later steps read."""
    subjects = {subject.id: subject for subject in find_subjects(job.inputs, job.params.layout)}
    if not job.inputs:
        LOGGER.info("no INPUT given: found %d subjects in the current folder", len(subjects))
    folder = job.out / "diagrams"
    samples = [
        Sample(s.id, (*_reads(s.series), *atlas_file(job.params.atlas)), layout.record_file(folder, s.id))
        for s in subjects.values()
    ]
    done = job.for_each(samples, lambda sample: _one_subject(job, subjects[sample.id]), "diagrams and PR")
    if not job.only:
        _write_manifest(job, [subjects[sample.id] for sample in done])


def estimate_diagrams(job: Job) -> Estimate:
    """Predict memory and time from the first usable subject's clouds, the costliest of each thread at once."""
    _check_options(job)
    subjects = find_subjects(job.inputs, job.params.layout)
    chosen = [subject for subject in subjects if not job.only or subject.id in job.only]
    costs = next((costs for subject in chosen if (costs := _costs(job, subject))), None)
    if costs is None:
        return Estimate(_INTERPRETER_BYTES, None, f"none of the {len(chosen)} subjects can be used")
    at_once = sorted((cost.memory for cost in costs), reverse=True)[: job.threads]
    seconds = len(chosen) * sum(cost.seconds for cost in costs) / job.threads
    detail = f"{len(chosen)} subjects, {len(costs)} ROIs, {costs[0].n_points} points, {job.threads} threads"
    return Estimate(_INTERPRETER_BYTES + sum(at_once), seconds, detail)


def run_ps(job: Job) -> None:
    """Write the subject-by-subject matrices of every ROI, network by network, from the cached diagrams."""
    manifest = only_manifest(job.inputs)
    folder = job.params.diagrams or job.out / "diagrams"
    subjects = subjects_of(manifest)
    standing = [subject for subject in subjects if _stands(folder, subject)]
    if len(standing) < 2:
        found = f"{len(standing)} of the {len(subjects)} subjects of {manifest} have diagrams here, PS needs 2"
        raise InputError(folder, found, "run `medtools homology` on them first")
    if len(standing) < len(subjects):
        LOGGER.warning("PS leaves out %d of %d subjects without diagrams", len(subjects) - len(standing), len(subjects))
    _check_made_alike(folder, standing)
    by_id = {s.id: read_diagrams(layout.diagrams_file(folder, s.id)) for s in standing}
    names, stored = common_rois(by_id), list(by_id.values())
    example = RoiSeries(np.empty((len(names), 0)), names, None, str(manifest))
    members = assign_networks(example, job.params.atlas, job.params.networks).networks
    files = [layout.diagrams_file(folder, subject.id) for subject in standing]
    reads = (manifest, *files, *atlas_file(job.params.atlas))
    samples = [Sample(network, reads, layout.ps_folder(job.out, network) / "ps.json") for network in members]

    def work(sample: Sample) -> Iterable[Path]:
        layout.check_distinct([names[row] for row in members[sample.id]], manifest, "ROIs")
        yield _write_subjects(job, sample.id, subjects, folder)
        for row in members[sample.id]:
            job.deadline.check()
            found = matrices.by_dimension([d.diagrams[row] for d in stored], **_distance(job))
            for dim, matrix in enumerate(found):
                path = layout.ps_file(job.out, sample.id, names[row], dim)
                write_matrix(path, [subject.id for subject in standing], matrix, corner="subject")
                yield path

    job.for_each(samples, work, "PS by network")


def _one_subject(job: Job, subject: Subject) -> Iterable[Path]:
    params: DiagramParams = job.params
    series = read_series(subject.series, layout=params.layout, key=params.key)
    check_usable(series, params)
    regions = assign_networks(series, params.atlas, params.networks)
    layout.check_distinct(regions.networks, params.atlas, "networks")
    diagrams = rips.diagrams_batch(
        clouds(series, params),
        params.max_dim,
        engine=params.engine,
        threads=job.threads,
        max_mem=None if job.max_memory is None else job.max_memory // job.threads,
        timeout=job.deadline.remaining(),
    )
    path = layout.diagrams_file(job.out / "diagrams", subject.id)
    write_diagrams(path, regions.names, diagrams)
    yield path
    for network, rows in regions.networks.items():
        names = [regions.names[row] for row in rows]
        found = matrices.by_dimension([diagrams[row] for row in rows], **_distance(job))
        for dim, matrix in enumerate(found):
            yield from _write_pr(job, subject, network, dim, names, matrix)


def _write_pr(
    job: Job, subject: Subject, network: str, dim: int, names: list[str], matrix: NDArray[np.float64]
) -> Iterable[Path]:
    path = layout.pr_file(job.out, subject.id, network, dim)
    write_matrix(path, names, matrix)
    yield path
    if job.params.png:
        # Matplotlib costs more to import than a subject's PR to compute: not without need.
        from medtools.core.figures import save_image
        from medtools.homology.plots.matrices import grey_image

        picture = layout.pr_file(job.out, subject.id, network, dim, ".png")
        save_image(grey_image(matrix), picture)
        yield picture


def _check_options(job: Job) -> None:
    """Refuse what is wrong for every subject alike, before any of them is looked at."""
    params: DiagramParams = job.params
    networks(load_atlas(params.atlas), wanted=[name for name in params.networks if name != ALL])
    if params.tr is not None:
        samples_of_lag(params, params.tr)
    own = {job.out.resolve(), (job.out / "manifest.tsv").resolve()}
    if any(path.resolve() in own for path in job.inputs or [Path()]):
        raise InputError("--out", f"{job.out} is also INPUT, and its manifest.tsv would be replaced", "choose another")


def _costs(job: Job, subject: Subject) -> list[rips.Estimate]:
    """Return what each cloud of a subject will cost, nothing for one that cannot be used."""
    params: DiagramParams = job.params
    try:
        series = read_series(subject.series, layout=params.layout, key=params.key)
        return [rips.estimate(len(cloud), params.max_dim, engine=params.engine) for cloud in clouds(series, params)]
    except InputError:
        return []


def _write_manifest(job: Job, subjects: list[Subject]) -> None:
    """List the subjects that stand; their series are named by the records, since they may lie elsewhere."""
    path = job.out / "manifest.tsv"
    if not subjects:
        path.unlink(missing_ok=True)
        return
    columns = ["id", "subject", "diagrams"]
    extra = list(dict.fromkeys(key for s in subjects for key in s.cells if key not in (*columns, "series")))
    rows = [
        {"id": s.id, "subject": s.id, **s.cells, "diagrams": layout.diagrams_file(job.out / "diagrams", s.id)}
        for s in subjects
    ]
    write_manifest(path, [*columns, *extra], rows)
    job.wrote(path)


def _write_subjects(job: Job, network: str, subjects: list[Subject], folder: Path) -> Path:
    """Say who is in the PS matrices and who is not, with the cause."""
    path = layout.ps_folder(job.out, network) / "subjects.tsv"
    rows = []
    for subject in subjects:
        cause = None if _stands(folder, subject) else _cause(folder, subject)
        rows.append({"id": subject.id, "group": subject.cells.get(job.params.group), "left_out_because": cause})
    write_tsv(path, ["id", "group", "left_out_because"], rows)
    return path


def _distance(job: Job) -> dict[str, object]:
    params: DistanceParams = job.params
    return {
        "kind": params.distance,
        "ground": params.ground,
        "order": params.order,
        "threads": job.threads,
        "timeout": job.deadline.remaining(),
    }


def _stands(folder: Path, subject: Subject) -> bool:
    record = read_record(layout.record_file(folder, subject.id))
    return record is not None and record["status"] == "complete" and layout.diagrams_file(folder, subject.id).is_file()


def _cause(folder: Path, subject: Subject) -> str:
    record = read_record(layout.record_file(folder, subject.id)) or {}
    return str(record.get("cause", "no diagrams"))


def _check_made_alike(folder: Path, subjects: list[Subject]) -> None:
    """Refuse to compare diagrams that other parameters made."""
    expected: dict[str, object] = {}
    for path in (layout.record_file(folder, subject.id) for subject in subjects):
        params = (read_record(path) or {}).get("params", {})
        for key in _DECIDE_DIAGRAMS:
            value = params.get(key)
            if expected.setdefault(key, value) != value:
                found = f"made with {key} {value!r}, the diagrams of {subjects[0].id} with {expected[key]!r}"
                raise InputError(path, found, "make all of them by the same parameters")


def _reads(series: Path) -> tuple[Path, ...]:
    sidecar = series.with_suffix(".json")
    return (series, sidecar) if sidecar.is_file() else (series,)
