"""The work of `medtools homology`: diagrams and PR per subject, PS per network, figures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.figures import save_image
from medtools.core.limits import Estimate
from medtools.core.log import LOGGER
from medtools.core.manifest import write_manifest
from medtools.core.provenance import read_record
from medtools.core.stage import Job, Sample
from medtools.core.tables import write_tsv
from medtools.homology import layout, matrices, rips
from medtools.homology.figures import draw_figures
from medtools.homology.inputs import Subject, assign_networks, find_subjects, subjects_of
from medtools.homology.params import DiagramParams, DistanceParams
from medtools.homology.plots.matrices import grey_image
from medtools.homology.signals import check_usable, clouds
from medtools.io.diagrams import SubjectDiagrams, read_diagrams, write_diagrams
from medtools.io.matrices import write_matrix
from medtools.io.timeseries import RoiSeries, read_series

_INTERPRETER_BYTES = 300 * 2**20


def run_diagrams(job: Job) -> None:
    """Write diagrams and PR matrices of every subject, and the manifest that later steps read."""
    subjects = {subject.id: subject for subject in find_subjects(job.inputs, job.params.layout)}
    folder = job.out / "diagrams"
    samples = [Sample(s.id, _reads(s.series), layout.record_file(folder, s.id)) for s in subjects.values()]
    done = job.for_each(samples, lambda sample: _one_subject(job, subjects[sample.id]), "diagrams and PR")
    if not job.only and done:
        _write_manifest(job, [subjects[sample.id] for sample in done])


def estimate_diagrams(job: Job) -> Estimate:
    """Predict memory and time from the first subject's clouds, the costliest of each thread at once."""
    subjects = find_subjects(job.inputs, job.params.layout)
    series = read_series(subjects[0].series, layout=job.params.layout, key=job.params.key)
    costs = [rips.estimate(cloud, job.params.max_dim, engine=job.params.engine) for cloud in clouds(series, job.params)]
    at_once = sorted((cost.memory for cost in costs), reverse=True)[: job.threads]
    seconds = len(subjects) * sum(cost.seconds for cost in costs) / job.threads
    detail = f"{len(subjects)} subjects, {len(costs)} ROIs, {costs[0].n_points} points, {job.threads} threads"
    return Estimate(_INTERPRETER_BYTES + sum(at_once), seconds, detail)


def run_ps(job: Job) -> None:
    """Write the subject-by-subject matrices of every ROI, network by network, from the cached diagrams."""
    manifest = _only_input(job)
    folder = job.params.diagrams or job.out / "diagrams"
    subjects = subjects_of(manifest)
    standing = [subject for subject in subjects if _stands(folder, subject)]
    if len(standing) < 2:
        found = f"{len(standing)} of the {len(subjects)} subjects of {manifest} have diagrams here, PS needs 2"
        raise InputError(folder, found, "run `medtools homology` on them first")
    if len(standing) < len(subjects):
        LOGGER.warning("PS leaves out %d of %d subjects without diagrams", len(subjects) - len(standing), len(subjects))
    stored = [read_diagrams(layout.diagrams_file(folder, subject.id)) for subject in standing]
    names = _common_rois(standing, stored)
    example = RoiSeries(np.empty((len(names), 0)), names, None, str(manifest))
    members = assign_networks(example, job.params.atlas, job.params.networks).networks
    reads = (manifest, *(layout.diagrams_file(folder, subject.id) for subject in standing))
    samples = [Sample(network, reads, layout.ps_folder(job.out, network) / "ps.json") for network in members]

    def work(sample: Sample) -> Iterable[Path]:
        yield _write_subjects(job, sample.id, subjects, folder)
        for row in members[sample.id]:
            job.deadline.check()
            found = matrices.by_dimension([d.diagrams[row] for d in stored], **_distance(job))
            for dim, matrix in enumerate(found):
                path = layout.ps_file(job.out, sample.id, names[row], dim)
                write_matrix(path, [subject.id for subject in standing], matrix, corner="subject")
                yield path

    job.for_each(samples, work, "PS by network")


def run_plot(job: Job) -> None:
    """Draw the figures of one subject per group and of the cohort."""
    draw_figures(job, _only_input(job))


def _one_subject(job: Job, subject: Subject) -> Iterable[Path]:
    params: DiagramParams = job.params
    series = read_series(subject.series, layout=params.layout, key=params.key)
    check_usable(series, params)
    regions = assign_networks(series, params.atlas, params.networks)
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
        picture = layout.pr_file(job.out, subject.id, network, dim, ".png")
        save_image(grey_image(matrix), picture)
        yield picture


def _write_manifest(job: Job, subjects: list[Subject]) -> None:
    columns = ["id", "subject", "series", "diagrams"]
    extra = list(dict.fromkeys(key for s in subjects for key in s.cells if key not in columns))
    rows = [
        {
            "id": s.id,
            "subject": s.id,
            **s.cells,
            "series": s.series,
            "diagrams": layout.diagrams_file(job.out / "diagrams", s.id),
        }
        for s in subjects
    ]
    path = job.out / "manifest.tsv"
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


def _common_rois(subjects: list[Subject], stored: list[SubjectDiagrams]) -> tuple[str, ...]:
    first = stored[0]
    for subject, other in zip(subjects, stored, strict=True):
        if other.roi_names != first.roi_names or other.max_dim != first.max_dim:
            found = f"{len(other.roi_names)} ROIs up to H{other.max_dim}"
            expected = f"{subjects[0].id} has {len(first.roi_names)} up to H{first.max_dim}"
            raise InputError(subject.series, f"{found}, but {expected} or other names", "PS compares like with like")
    return first.roi_names


def _reads(series: Path) -> tuple[Path, ...]:
    sidecar = series.with_suffix(".json")
    return (series, sidecar) if sidecar.is_file() else (series,)


def _only_input(job: Job) -> Path:
    if len(job.inputs) != 1:
        raise InputError("INPUT", f"expected one manifest, found {len(job.inputs)}", "see --help")
    path = job.inputs[0]
    return path / "manifest.tsv" if path.is_dir() else path


def plot_reads(job: Job) -> Iterable[Path]:
    """List what decides the figures: the manifest and the records of diagrams and PS."""
    manifest = _only_input(job)
    yield manifest
    yield from (p for p in sorted(job.params.homology.glob("diagrams/*.json")))
    yield from (p for p in sorted(job.params.homology.glob("PS/*/ps.json")))
