"""`medtools preprocess asd-transformer`: connectivity of every subject, and the community of every ROI."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from medtools.core.errors import InputError
from medtools.core.manifest import Row, write_manifest
from medtools.core.stage import Job, Sample
from medtools.core.tables import write_tsv
from medtools.io.nifti import open_volume
from medtools.systems.asd_transformer import data
from medtools.systems.asd_transformer.abide import read_archive, read_phenotypes
from medtools.systems.asd_transformer.cohort import COMMUNITIES
from medtools.systems.asd_transformer.files import (
    Communities,
    Connectivity,
    check_connectivity,
    read_communities,
    read_connectivity,
    write_connectivity,
)

_ARCHIVE = "abide"


def run(job: Job) -> None:
    """Write one connectivity file per subject, `communities.tsv` and, last, `manifest.tsv`."""
    source = data.manifest_path(job.inputs)
    communities = data.communities_path(source, job.params.communities)
    if source.suffix == ".npy":
        job.for_each(
            [Sample(_ARCHIVE, (source, communities), job.out / f"{_ARCHIVE}.json")],
            lambda _: _from_archive(job, source, communities),
            "connectivity",
        )
        return
    rows = {row.id: row for row in _rows(job, source)}
    samples = [Sample(r.id, tuple(r.paths.values()), job.out / "records" / f"{r.id}.json") for r in rows.values()]

    def work(sample: Sample) -> Iterable[Path]:
        with threadpool_limits(1):
            found = data.read_subject(rows[sample.id], job.params.layout)
        path = _file(job, sample.id)
        write_connectivity(path, found)
        return [path]

    done = job.for_each(samples, work, "connectivity")
    if done and not job.only:
        first = read_connectivity(_file(job, done[0].id), done[0].id)
        _write_tables(job, [rows[sample.id] for sample in done], communities, first)


def run_communities(job: Job) -> None:
    """Write `communities.tsv`: the network that most voxels of each ROI lie in."""
    if len(job.inputs) != 1:
        raise InputError("INPUT", f"expected one label image of an atlas, found {len(job.inputs)}")
    atlas, networks = open_volume(job.inputs[0], ndim=3), open_volume(job.params.networks, ndim=3)
    labels, numbers = majority_overlap(atlas.data, atlas.affine, networks.data, networks.affine)
    path = job.out / "communities.tsv"
    known = tuple(COMMUNITIES)
    write_tsv(
        path,
        ["roi", "label", "community", "name"],
        [
            {"roi": i, "label": label, "community": n, "name": known[n] if n < len(known) else f"community {n}"}
            for i, (label, n) in enumerate(zip(labels.tolist(), numbers.tolist(), strict=True), start=1)
        ],
    )
    job.wrote(path)


def reads_communities(job: Job) -> list[Path]:
    """List the two label images."""
    return [*job.inputs, job.params.networks]


def majority_overlap(
    atlas: NDArray[np.floating],
    atlas_affine: NDArray[np.float64],
    networks: NDArray[np.floating],
    networks_affine: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each ROI's label and the network at most of its voxels' centres; 0 is outside; of equals the lower.

    Parameters
    ----------
    atlas, networks : (x, y, z) float
        Label images in one space, each on its own grid; 0 is background.
    atlas_affine, networks_affine : (4, 4) float64
        Voxel index to mm.

    Raises
    ------
    InputError
        An image without labels, or with values that are no labels.
    """
    for name, image in (("atlas", atlas), ("networks", networks)):
        if not image.any() or (image < 0).any() or (image != np.rint(image)).any():
            raise InputError(name, "expected a label image of whole numbers from 0", "give the parcellation, not a map")
    voxels = np.argwhere(atlas > 0)
    labels = atlas[tuple(voxels.T)].astype(np.int64)
    to_networks = np.linalg.inv(networks_affine) @ atlas_affine
    places = np.rint(voxels @ to_networks[:3, :3].T + to_networks[:3, 3]).astype(np.int64)
    inside = ((places >= 0) & (places < networks.shape)).all(axis=1)
    found = np.zeros(len(voxels), dtype=np.int64)
    found[inside] = networks[tuple(places[inside].T)].astype(np.int64)
    names, roi = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(names), int(found.max()) + 1), dtype=np.int64)
    np.add.at(counts, (roi, found), 1)
    return names, counts.argmax(axis=1)


def _rows(job: Job, source: Path) -> Sequence[Row]:
    if source.suffix.lower() == ".csv":
        return read_phenotypes(source, job.params.series, job.params.group, job.params.site)
    return data.load_manifest(source).rows


def _from_archive(job: Job, source: Path, communities: Path) -> Iterable[Path]:
    archive = read_archive(source)
    rows = []
    for index, (group, site) in enumerate(zip(archive.groups, archive.sites, strict=True), start=1):
        name = f"abide-{index:04d}"
        matrix = check_connectivity(archive.connectivity[index - 1], None, f"{source} (subject {name})")
        found = Connectivity(matrix, None, archive.series[index - 1].astype(np.float32))
        write_connectivity(_file(job, name), found)
        yield _file(job, name)
        rows.append(Row(name, name, {job.params.group: group, job.params.site: site}))
    yield from _write_tables(job, rows, communities, found)


def _file(job: Job, identifier: str) -> Path:
    return job.out / f"{identifier}_connectivity.npz"


def _write_tables(job: Job, rows: Sequence[Row], communities: Path, first: Connectivity) -> list[Path]:
    """Write the table of communities as the ROIs are named, and the manifest with the labels it had."""
    rois = first.rois or tuple(str(i) for i in range(1, len(first.matrix) + 1))
    table, manifest = job.out / "communities.tsv", job.out / "manifest.tsv"
    write_tsv(table, ["roi", "community", "name"], _community_rows(rois, read_communities(communities, rois)))
    carried = [c for c in dict.fromkeys((job.params.group, job.params.site, "split")) if any(r.get(c) for r in rows)]
    written = [
        {"id": r.id, "subject": r.subject, "connectivity": _file(job, r.id), **{c: r.get(c) for c in carried}}
        for r in rows
    ]
    write_manifest(manifest, ["id", "subject", "connectivity", *carried], written)
    job.wrote(table, manifest)
    return [table, manifest]


def _community_rows(rois: Sequence[str], found: Communities) -> list[dict[str, object]]:
    numbers = found.number.tolist()
    return [{"roi": r, "community": n, "name": found.names[n]} for r, n in zip(rois, numbers, strict=True)]
