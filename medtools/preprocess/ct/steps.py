"""The work of `medtools preprocess ct`: one folder per scan, and the manifest that later stages read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from medtools.core.limits import Estimate
from medtools.core.log import LOGGER
from medtools.core.manifest import write_manifest
from medtools.core.stage import Job, Sample
from medtools.io.nifti import read_header, write_volume
from medtools.io.volumes import NIFTI_SUFFIXES
from medtools.preprocess.ct.params import ScanParams
from medtools.preprocess.ct.scans import CARRIED, Entry, find_scans, prepare

_BASE_BYTES = 450 * 2**20
_BYTES_PER_VOXEL = 12  # a NIfTI as float32 beside its raw values and its HU as int16; the masks come later and are less
_SECONDS_PER_VOXEL = 2e-7
_SLICE_VOXELS = 512 * 512


def run(job: Job) -> None:
    """Prepare every scan; write `manifest.tsv`."""
    params: ScanParams = job.params
    entries = {entry.id: entry for entry in find_scans(job.inputs, params)}
    samples = [Sample(e.id, e.files(params), job.out / e.id / "preprocess.json") for e in entries.values()]
    done = job.for_each(samples, lambda sample: _one(job, entries[sample.id]), "reading, lobes")
    if not job.only and done:
        write_scans(job, [entries[sample.id] for sample in done])


def estimate(job: Job) -> Estimate:
    """Predict memory from the largest scan, time from all."""
    entries = find_scans(job.inputs, job.params)
    voxels = [voxels_of(entry.ct) for entry in entries]
    detail = f"largest scan {max(voxels) / _SLICE_VOXELS:.0f} slices of 512×512"
    return Estimate(_BASE_BYTES + _BYTES_PER_VOXEL * max(voxels), _SECONDS_PER_VOXEL * sum(voxels), detail)


def voxels_of(path: Path) -> int:
    """Count the voxels of a scan without reading it; a DICOM folder counts as 512×512 per file."""
    if path.is_dir():
        return _SLICE_VOXELS * sum(1 for file in path.rglob("*") if file.is_file())
    if path.name.lower().endswith(NIFTI_SUFFIXES):
        x, y, z = read_header(path, ndim=3).shape
        return x * y * z
    return path.stat().st_size  # two bytes per voxel raw, half of that compressed


def write_scans(job: Job, entries: Sequence[Entry]) -> None:
    """Write the manifest of prepared scans."""
    rows = []
    for entry in entries:
        folder = job.out / entry.id
        mask = next(kind for kind in ("lobes", "lungs") if (folder / f"{kind}.nii.gz").is_file())
        row = {"id": entry.id, "subject": entry.subject, "ct": folder / "ct.nii.gz", mask: folder / f"{mask}.nii.gz"}
        rows.append(row | {name: entry.cells[name] for name in CARRIED if name in entry.cells})
    known = ("id", "subject", "ct", "lobes", "lungs", *CARRIED)
    write_manifest(job.out / "manifest.tsv", [name for name in known if any(name in row for row in rows)], rows)
    job.wrote(job.out / "manifest.tsv")


def _one(job: Job, entry: Entry) -> Iterable[Path]:
    scan = prepare(entry, job.params, device=job.device)
    for note in scan.notes:
        LOGGER.warning("%s: %s", entry.id, note)
    folder = job.out / entry.id
    for stale in ("lobes", "lungs"):
        (folder / f"{stale}.nii.gz").unlink(missing_ok=True)
    ct, mask = folder / "ct.nii.gz", folder / f"{scan.kind}.nii.gz"
    write_volume(ct, scan.grid.from_slices(scan.hu), scan.grid.affine)
    write_volume(mask, scan.grid.from_slices(scan.mask), scan.grid.affine)
    return [ct, mask]
