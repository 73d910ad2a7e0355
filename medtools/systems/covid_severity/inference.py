"""The work of `medtools infer covid-severity`: masks, scores and figures of every scan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medtools.core.atomic import write_json, write_text
from medtools.core.figures import save_figure
from medtools.core.limits import Estimate
from medtools.core.log import LOGGER
from medtools.core.manifest import write_manifest
from medtools.core.progress import track
from medtools.core.stage import Job, Sample
from medtools.core.tables import write_tsv
from medtools.io.nifti import write_volume
from medtools.preprocess.ct.scans import CARRIED, Entry, Scan, find_scans, prepare
from medtools.preprocess.ct.steps import estimate as estimate_reading
from medtools.systems.covid_severity import results
from medtools.systems.covid_severity.figures import involvement_chart, montage
from medtools.systems.covid_severity.model import REGIONS, Method, Segmentation, segment
from medtools.systems.covid_severity.params import InferParams
from medtools.systems.covid_severity.severity import LOBES, LUNGS, severity
from medtools.systems.covid_severity.viewer import index_html, viewer_html

CHART, INDEX = "involvement.png", "index.html"
_SECONDS_PER_VOXEL = 1e-6
_PUBLISHED_MATRIX = 512
# lungmask's R231 numbers the right lung 1 and the left 2; the method wants any lobe of each.
LUNGS_AS_LOBES = np.array([0, 3, 1], dtype=np.uint8)
ABLATIONS = {
    "threshold_only": {},
    "without_pleura": {"pleura": False},
    "without_organs": {"organs": False},
    "without_vessels": {"vessels": False},
    "without_stage_6": {"artefacts": False, "refine": False},
}


def run(job: Job) -> None:
    """Segment and score every scan; write `predictions.tsv`, `manifest.tsv`, the chart and the index of all scans."""
    params: InferParams = job.params
    entries = {entry.id: entry for entry in find_scans(job.inputs, params)}
    samples = [Sample(e.id, e.files(params), job.out / e.id / "infer.json") for e in entries.values()]
    alone = len(samples) == 1
    done = job.for_each(samples, lambda sample: _one(job, entries[sample.id], alone=alone), "severity")
    if not job.only and done:
        _write_tables(job, [entries[sample.id] for sample in done])


def estimate(job: Job) -> Estimate:
    """Predict memory from the largest scan, time from all."""
    reading = estimate_reading(job)
    passes = 1 + len(ABLATIONS) * job.params.ablation
    seconds = (reading.seconds or 0.0) * (1 + passes * _SECONDS_PER_VOXEL / 2e-7)
    return Estimate(reading.memory_bytes, seconds, reading.detail)


def method_of(params: InferParams) -> Method:
    """Return the method that the parameters ask for."""
    given: dict[str, Any] = {
        name: getattr(params, name)
        for name in ("min_component", "max_hole", "min_artefact_component", "isolated_slices", "other_lung")
        if getattr(params, name) is not None
    }
    if params.hu_window:
        given["hu_low"], given["hu_high"] = params.hu_window
    switches = {name: getattr(params, name) for name in ("pleura", "organs", "vessels", "artefacts", "refine")}
    return replace(Method.of(params.variant), scale_areas=params.pixel_scale == "auto", **switches, **given)


def _one(job: Job, entry: Entry, *, alone: bool) -> Iterable[Path]:
    params: InferParams = job.params
    scan = prepare(entry, params, device=job.device)
    for note in scan.notes:
        LOGGER.warning("%s: %s", entry.id, note)
    lung_only = scan.kind == "lungs"
    labels = LUNGS_AS_LOBES[scan.mask] if lung_only else scan.mask
    method = method_of(params)
    to_512 = params.matrix == "512" or (params.matrix == "auto" and params.variant == "code")

    def segmented(chosen: Method, progress: Any = None) -> Segmentation:
        return _segment(scan, labels, chosen, to_512=to_512, threads=job.threads, progress=progress)

    found = segmented(method, track if alone else None)
    options: dict[str, Any] = {"zero_below": params.zero_below, "classes": int(params.classes)}
    result = results.scored(found.mask("infection"), labels, scan.grid.voxel_ml, lung_only=lung_only, **options) | {
        "mask": f"{scan.kind}, {scan.source}",
        "notes": list(scan.notes),
        "slice_mm": scan.grid.spacing[0],
        "area_scale": found.area_scale,
        "organ_entry_slice": found.organ_entry,
    }
    if params.ablation and result["total"] is not None:
        result["ablation"] = {
            name: severity(
                segmented(_ablated(method, name)).mask("infection"), labels, 1.0, zero_below=params.zero_below
            ).total
            for name in ABLATIONS
        }
    return _write(job, entry, scan, labels, found, result)


def _ablated(method: Method, name: str) -> Method:
    return method.without_removals() if name == "threshold_only" else replace(method, **ABLATIONS[name])


def _segment(
    scan: Scan, labels: NDArray[np.uint8], method: Method, *, to_512: bool, threads: int, progress: Any
) -> Segmentation:
    thickness = scan.grid.spacing[0]
    size = (_PUBLISHED_MATRIX, _PUBLISHED_MATRIX)
    if not to_512 or scan.hu.shape[1:] == size:
        return segment(scan.hu, labels, thickness, method, threads=threads, progress=progress)
    hu = np.stack([resized(image, size, order=3) for image in scan.hu])
    lobes = np.stack([resized(image, size, order=0) for image in labels])
    found = segment(hu, lobes, thickness, method, threads=threads, progress=progress)
    native = np.stack([resized(image, scan.hu.shape[1:], order=0) for image in found.regions])
    return replace(found, regions=native)


def resized(image: NDArray[Any], size: tuple[int, ...], order: int) -> NDArray[Any]:
    """Return a slice on another matrix over the same field: cubic (`order` 3) for HU, nearest (0) for masks."""
    factors = [wanted / had for wanted, had in zip(size, image.shape, strict=True)]
    zoomed = ndimage.zoom(image, factors, order=order, mode="nearest", grid_mode=True)
    return np.ascontiguousarray(zoomed, dtype=image.dtype)


def _write(
    job: Job, entry: Entry, scan: Scan, labels: NDArray[np.uint8], found: Segmentation, result: dict[str, Any]
) -> list[Path]:
    folder = job.out / entry.id
    lung_only = scan.kind == "lungs"
    for stale in ("lobes", "lungs"):
        (folder / f"{stale}.nii.gz").unlink(missing_ok=True)
    written = [folder / f"{scan.kind}.nii.gz", folder / results.FILE, folder / "montage.png"]
    write_volume(written[0], scan.grid.from_slices(scan.mask), scan.grid.affine)
    for name in REGIONS:
        path = folder / f"{name}.nii.gz"
        write_volume(path, scan.grid.from_slices(found.mask(name)), scan.grid.affine)
        written.append(path)
    write_json(written[1], result)
    title = results.headline(entry.id, result)
    spacing = scan.grid.spacing
    save_figure(montage(scan.hu, labels, found.regions, spacing, title=title, lung_only=lung_only), written[2])
    if job.params.viewer:
        page = viewer_html(
            scan.hu,
            labels,
            found.regions,
            spacing,
            title=title,
            table=results.viewer_table(result),
            lung_only=lung_only,
        )
        write_text(folder / "viewer.html", page)
        written.append(folder / "viewer.html")
    return written


def _write_tables(job: Job, entries: Sequence[Entry]) -> None:
    rows, listed = [], []
    for entry in entries:
        folder = job.out / entry.id
        result = results.read_result(folder / results.FILE)
        rows.append(results.row(entry.id, entry.subject, result))
        kind = result["mask"].split(",")[0]
        cells = {"id": entry.id, "subject": entry.subject, "infection": folder / "infection.nii.gz"}
        listed.append(
            cells
            | {kind: folder / f"{kind}.nii.gz"}
            | {name: entry.cells[name] for name in CARRIED if name in entry.cells}
            | {key: value for key, value in rows[-1].items() if key.startswith("total_")}
        )
    write_tsv(job.out / "predictions.tsv", results.columns(rows), rows)
    totals = sorted({key for cells in listed for key in cells if key.startswith("total_")})
    known = ("id", "subject", "infection", "lobes", "lungs", *CARRIED, *totals)
    write_manifest(job.out / "manifest.tsv", [k for k in known if any(k in cells for cells in listed)], listed)
    job.wrote(job.out / "predictions.tsv", job.out / "manifest.tsv")
    parts = LOBES if any(f"{LOBES[0]}_ml" in cells for cells in rows) else LUNGS
    save_figure(involvement_chart([cells for cells in rows if f"{parts[0]}_ml" in cells], parts), job.out / CHART)
    write_text(job.out / INDEX, index_html(rows, viewers=job.params.viewer))
    job.wrote(job.out / CHART, job.out / INDEX)
