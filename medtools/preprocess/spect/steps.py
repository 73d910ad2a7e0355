"""The work of `medtools preprocess spect`: one 16-bit PNG per view, and the manifest that later stages read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.manifest import read_manifest, safe_name, write_manifest
from medtools.core.provenance import read_record
from medtools.core.stage import Job, Sample
from medtools.io.dicom_image import SUFFIXES as DICOM_SUFFIXES
from medtools.io.dicom_image import is_dicom, read_planar
from medtools.io.guard import printable, read_text
from medtools.io.images import SUFFIXES as PICTURE_SUFFIXES
from medtools.io.images import read_image, write_image
from medtools.io.nifti import open_volume
from medtools.io.volumes import NIFTI_SUFFIXES
from medtools.preprocess.spect.normalise import min_max, to_levels
from medtools.preprocess.spect.params import SpectParams

CARRIED = ("label", "view", "split", "site", "group")
_TABLE = "labels.csv"
_VIEW = re.compile(r"(?<![a-z])(ant|post)(erior)?(?![a-z])", re.IGNORECASE)
_SUFFIXES = (*NIFTI_SUFFIXES, *PICTURE_SUFFIXES, *DICOM_SUFFIXES)


@dataclass(frozen=True)
class Scan:
    """A file with one view, or with several frames."""

    id: str
    subject: str
    path: Path
    cells: Mapping[str, str] = field(default_factory=dict)


def run(job: Job) -> None:
    """Prepare every view; write `manifest.tsv`."""
    scans = {scan.id: scan for scan in find_scans(job.inputs)}
    samples = [Sample(s.id, (s.path,), job.out / "records" / f"{s.id}.json") for s in scans.values()]
    done = job.for_each(samples, lambda sample: _one(job, scans[sample.id]), "reading, scaling")
    if not job.only and done:
        _write_manifest(job, [scans[sample.id] for sample in done])


def find_scans(inputs: Sequence[Path]) -> list[Scan]:
    """Find the scans of files, folders or a manifest.

    Raises
    ------
    InputError
        Nothing found, an unknown kind of file, or two files with one identifier.
    """
    if not inputs:
        raise InputError("INPUT", "nothing given", "name scans, a folder of them, or a manifest")
    found = [scan for path in inputs for scan in _of_input(path)]
    seen: dict[str, Path] = {}
    for scan in found:
        if not safe_name(scan.id):
            raise InputError(printable(scan.path), f"{printable(scan.id)!r} cannot be an identifier", "rename the file")
        if scan.id in seen:
            text = f"has the identifier {scan.id!r}, and so has {printable(seen[scan.id])}"
            raise InputError(printable(scan.path), text, "rename one of them, or give a manifest")
        seen[scan.id] = scan.path
    return found


def views_of(scan: Scan, params: SpectParams) -> dict[str, NDArray[np.uint16]]:
    """Return the views in a file by name (`anterior`, `posterior`, or empty), each scaled and of the size asked for.

    Raises
    ------
    InputError
        As the readers; frames that are no whole-body image; a width above the height.
    """
    frames, views = _frames(scan)
    named = views if len(set(views)) == len(views) else tuple(f"frame{n}" for n in range(1, len(views) + 1))
    if len(named) == 1:
        named = (scan.cells.get("view") or named[0] or _view_in(scan.path.name),)
    images = {}
    for view, frame in zip(named, frames, strict=True):
        upright = np.rot90(frame) if params.turn else frame
        rows, columns = upright.shape
        if columns > rows:
            found = f"{rows} rows and {columns} columns: a body lies on its side"
            raise InputError(printable(scan.path), found, "turn it by --turn, or give the whole-body image")
        images[view] = to_levels(min_max(_resampled(upright, params)))
    return images


def _resampled(frame: NDArray[np.floating], params: SpectParams) -> NDArray[np.float32]:
    values = np.ascontiguousarray(frame, dtype=np.float32)
    height, width = params.height or values.shape[0], params.width or values.shape[1]
    if values.shape == (height, width):
        return values
    image = Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.float32)


def _frames(scan: Scan) -> tuple[NDArray[np.floating], tuple[str, ...]]:
    name = scan.path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        data = open_volume(scan.path).data
        plane = np.squeeze(data)
        if plane.ndim != 2:
            raise InputError(printable(scan.path), f"{data.shape} voxels, expected one plane")
        return plane.T[None, ::-1], ("",)
    if name.endswith(PICTURE_SUFFIXES):
        pixels = read_image(scan.path)
        if pixels.ndim != 2:
            raise InputError(printable(scan.path), "a colour image, expected counts", "export grey values")
        return pixels[None].astype(np.float32), ("",)
    image = read_planar(scan.path)
    if image.modality != "NM":
        LOGGER.warning("%s: modality %s, expected NM", printable(scan.path), image.modality)
    return image.frames, image.views


def _of_input(path: Path) -> list[Scan]:
    if path.suffix == ".tsv":
        rows = read_manifest(path, ("image",)).rows
        return [
            Scan(row.id, row.subject, row.paths["image"], {c: row.cells[c] for c in CARRIED if c in row.cells})
            for row in rows
        ]
    if path.is_file():
        if not _usable(path):
            raise InputError(printable(path), "is no DICOM, PNG, JPEG or NIfTI file")
        return [_named(path)]
    if not path.is_dir():
        raise InputError(printable(path), "no such file or folder")
    for name, reader in (("manifest.tsv", _of_input), (_TABLE, _of_labels)):
        if (path / name).is_file():
            return reader(path / name)
    found = [_named(file) for file in sorted(path.rglob("*")) if file.is_file() and _usable(file)]
    if not found:
        raise InputError(printable(path), "no DICOM, PNG, JPEG or NIfTI file in it")
    return found


def _of_labels(path: Path) -> list[Scan]:
    """Read `labels.csv`: patient, view, file, label."""
    rows = list(csv.DictReader(io.StringIO(read_text(path))))
    if not rows or not {"patient", "view", "file", "label"} <= set(rows[0]):
        raise InputError(printable(path), "expected the columns patient, view, file and label")
    scans = []
    for number, row in enumerate(rows, start=2):
        file = path.parent / (row["file"] or "")
        inside = file.resolve().is_relative_to(path.parent.resolve())
        if not row["patient"] or not inside or not file.is_file():
            raise InputError(printable(path), f"line {number}: no patient, or no such file {row['file']!r}")
        cells = {"label": row["label"].replace("&", ""), "view": (row["view"] or "").lower()}
        cells = {key: value for key, value in cells.items() if value}
        scans.append(Scan(_named(file).id, row["patient"], file, cells))
    return scans


def _named(path: Path) -> Scan:
    stem = path.name
    for suffix in _SUFFIXES:
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    subject = re.sub(r"[_ -]+$", "", _VIEW.sub("", stem)) or stem
    return Scan(stem, subject, path)


def _usable(path: Path) -> bool:
    if path.name[0] == ".":
        return False
    return path.name.lower().endswith(_SUFFIXES) or (not path.suffix and is_dicom(path))


def _view_in(name: str) -> str:
    match = _VIEW.search(name)
    return "" if match is None else f"{match[1].lower()}erior"


def _one(job: Job, scan: Scan) -> Iterable[Path]:
    images = views_of(scan, job.params)
    paths = []
    for view, pixels in images.items():
        known = len(images) == 1 and (not view or bool(scan.cells.get("view") or _view_in(scan.id)))
        paths.append(job.out / (f"{scan.id}.png" if known else f"{scan.id}_{view}.png"))
        write_image(paths[-1], pixels)
    return paths


def _write_manifest(job: Job, scans: list[Scan]) -> None:
    rows = []
    for scan in scans:
        record = read_record(job.out / "records" / f"{scan.id}.json") or {"outputs": []}
        for image in [job.out / Path(entry["path"]).name for entry in record["outputs"]]:
            view = scan.cells.get("view") or _view_in(image.stem)
            rows.append({"id": image.stem, "subject": scan.subject, "image": image, **scan.cells, "view": view or None})
    carried = [column for column in CARRIED if any(row.get(column) for row in rows)]
    write_manifest(job.out / "manifest.tsv", ["id", "subject", "image", *carried], rows)
    job.wrote(job.out / "manifest.tsv")
