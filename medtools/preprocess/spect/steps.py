"""The work of `medtools preprocess spect`: one 16-bit PNG per view, and the manifest that later stages read.

Beside an image stand its pixel spacing (`ID.json`, where the scan says it) and the mask of its lesions
(`lesions/ID.png`, where someone outlined them in LabelMe).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medtools.core.atomic import write_json
from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.log import LOGGER
from medtools.core.manifest import read_manifest, safe_name, write_manifest
from medtools.core.provenance import read_record
from medtools.core.stage import Job, Sample
from medtools.io.dicom_image import SUFFIXES as DICOM_SUFFIXES
from medtools.io.dicom_image import is_dicom, read_planar
from medtools.io.guard import printable
from medtools.io.images import SUFFIXES as PICTURE_SUFFIXES
from medtools.io.images import read_image, write_image
from medtools.io.nifti import open_volume
from medtools.io.text import read_rows
from medtools.io.volumes import NIFTI_SUFFIXES
from medtools.preprocess.spect.figures import Shown, scans_figure
from medtools.preprocess.spect.lesions import LESIONS, drawn_mask, named_file, read_mask
from medtools.preprocess.spect.normalise import min_max, to_levels
from medtools.preprocess.spect.params import SpectParams

CARRIED = ("label", "view", "split", "site", "group")
SPACING = "PixelSpacing"
_TABLE = "labels.csv"
_OVERVIEW = (2, 6)
"""Images per label, and labels."""

_VIEW = re.compile(r"(?<![a-z])(ant|post)(erior)?(?![a-z])", re.IGNORECASE)
_SUFFIXES = (*NIFTI_SUFFIXES, *PICTURE_SUFFIXES, *DICOM_SUFFIXES)


@dataclass(frozen=True)
class Scan:
    """A file with one view, or with several frames."""

    id: str
    subject: str
    path: Path
    cells: Mapping[str, str] = field(default_factory=dict)
    lesions: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """What decides the images."""
        return (self.path,) if self.lesions is None else (self.path, self.lesions)


@dataclass(frozen=True)
class View:
    """One image, upright and of the size asked for.

    Attributes
    ----------
    pixels : (height, width) uint16
    lesions : (height, width) bool or None
        None where nobody outlined any.
    spacing_mm : (row, column) or None
    """

    pixels: NDArray[np.uint16]
    lesions: NDArray[np.bool_] | None = None
    spacing_mm: tuple[float, float] | None = None


def run(job: Job) -> None:
    """Prepare every view; write `manifest.tsv`."""
    scans = {scan.id: scan for scan in find_scans(job.inputs)}
    samples = [Sample(s.id, s.files, job.out / "records" / f"{s.id}.json") for s in scans.values()]
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


def views_of(scan: Scan, params: SpectParams) -> dict[str, View]:
    """Return the views in a file by name (`anterior`, `posterior`, or empty), each scaled and of the size asked for.

    Raises
    ------
    InputError
        As the readers; frames that are no whole-body image; a width above the height; lesions outlined for a file
        of several views.
    """
    frames, views, spacing = _frames(scan)
    if scan.lesions is not None and len(frames) > 1:
        found = f"lesions are outlined for a file of {len(frames)} views"
        raise InputError(printable(scan.path), found, "give each view as a file of its own")
    named = views if len(set(views)) == len(views) else tuple(f"frame{n}" for n in range(1, len(views) + 1))
    if len(named) == 1:
        named = (scan.cells.get("view") or named[0] or _view_in(scan.path.name),)
    return {view: _upright(scan, frame, spacing, params) for view, frame in zip(named, frames, strict=True)}


def _upright(scan: Scan, frame: NDArray[np.floating], spacing: tuple[float, float] | None, params: SpectParams) -> View:
    turned = np.rot90(frame) if params.turn else frame
    rows, columns = turned.shape
    if columns > rows:
        found = f"{rows} rows and {columns} columns: a body lies on its side"
        raise InputError(printable(scan.path), found, "turn it by --turn, or give the whole-body image")
    pixels = to_levels(min_max(_resampled(turned, params)))
    height, width = pixels.shape
    mask = None
    if scan.lesions is not None:
        mask = drawn_mask(scan.lesions, (frame.shape[0], frame.shape[1]), (height, width), turn=params.turn)
    if spacing is not None:
        tall, wide = spacing[::-1] if params.turn else spacing
        spacing = (tall * rows / height, wide * columns / width)
    return View(pixels, mask, spacing)


def _resampled(frame: NDArray[np.floating], params: SpectParams) -> NDArray[np.float32]:
    values = np.ascontiguousarray(frame, dtype=np.float32)
    height, width = params.height or values.shape[0], params.width or values.shape[1]
    if values.shape == (height, width):
        return values
    image = Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.float32)


def _frames(scan: Scan) -> tuple[NDArray[np.floating], tuple[str, ...], tuple[float, float] | None]:
    name = scan.path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        volume = open_volume(scan.path)
        data = volume.data
        plane = np.squeeze(data)
        if plane.ndim != 2:
            raise InputError(printable(scan.path), f"{data.shape} voxels, expected one plane")
        steps = [float(np.linalg.norm(volume.affine[:3, k])) for k in range(3) if data.shape[k] > 1]
        return plane.T[None, ::-1], ("",), (steps[1], steps[0]) if len(steps) == 2 else None
    if name.endswith(PICTURE_SUFFIXES):
        pixels = read_image(scan.path)
        if pixels.ndim != 2:
            raise InputError(printable(scan.path), "a colour image, expected counts", "export grey values")
        return pixels[None].astype(np.float32), ("",), None
    image = read_planar(scan.path)
    if image.modality != "NM":
        LOGGER.warning("%s: modality %s, expected NM", printable(scan.path), image.modality)
    return image.frames, image.views, image.spacing_mm


def _of_input(path: Path) -> list[Scan]:
    if path.suffix == ".tsv":
        rows = read_manifest(path, ("image",)).rows
        scans = []
        for row in rows:
            cells = {c: row.cells[c] for c in CARRIED if c in row.cells}
            lesions = named_file(path, f"row {row.id!r}", row.get(LESIONS))
            scans.append(Scan(row.id, row.subject, row.paths["image"], cells, lesions))
        return scans
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
    """Read `labels.csv`: patient, view, file, label and, where lesions are outlined, lesions."""
    rows = read_rows(path, ",", padded=True)
    if not rows or not {"patient", "view", "file", "label"} <= set(rows[0]):
        raise InputError(printable(path), "expected the columns patient, view, file and label")
    scans = []
    for number, row in enumerate(rows, start=2):
        file = named_file(path, f"line {number}", row["file"])
        if not row["patient"] or file is None:
            raise InputError(printable(path), f"line {number}: no patient, or no file")
        cells = {"label": row["label"].replace("&", ""), "view": row["view"].lower()}
        cells = {key: value for key, value in cells.items() if value}
        lesions = named_file(path, f"line {number}", row.get(LESIONS))
        scans.append(Scan(_named(file).id, row["patient"], file, cells, lesions))
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
    for view, image in images.items():
        known = len(images) == 1 and (not view or bool(scan.cells.get("view") or _view_in(scan.id)))
        path = job.out / (f"{scan.id}.png" if known else f"{scan.id}_{view}.png")
        write_image(path, image.pixels)
        paths.append(path)
        if image.spacing_mm is not None:
            write_json(path.with_suffix(".json"), {SPACING: [round(value, 6) for value in image.spacing_mm]})
            paths.append(path.with_suffix(".json"))
        if image.lesions is not None:
            paths.append(job.out / LESIONS / path.name)
            write_image(paths[-1], image.lesions.astype(np.uint8) * 255)
    return paths


def _write_manifest(job: Job, scans: list[Scan]) -> None:
    rows = []
    for scan in scans:
        record = read_record(job.out / "records" / f"{scan.id}.json") or {"outputs": []}
        written = [Path(entry["path"]) for entry in record["outputs"]]
        masks = {path.name for path in written if path.parent.name == LESIONS}
        images = [path.name for path in written if path.suffix == ".png" and path.parent.name != LESIONS]
        for image in [job.out / name for name in images]:
            view = scan.cells.get("view") or _view_in(image.stem)
            mask = job.out / LESIONS / image.name if image.name in masks else None
            cells = {**scan.cells, "view": view or None, LESIONS: mask}
            rows.append({"id": image.stem, "subject": scan.subject, "image": image, **cells})
    carried = [column for column in (*CARRIED, LESIONS) if any(row.get(column) for row in rows)]
    write_manifest(job.out / "manifest.tsv", ["id", "subject", "image", *carried], rows)
    job.wrote(job.out / "manifest.tsv")
    _write_overview(job, rows)


def _write_overview(job: Job, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw the first images of each label, with their lesions: for a look at what will be learned from."""
    by_label: dict[str, list[Shown]] = {}
    for row in rows:
        several = by_label.setdefault(row.get("label") or "", [])
        if len(several) < _OVERVIEW[0] and len(by_label) <= _OVERVIEW[1]:
            pixels = read_image(row["image"])
            mask = row[LESIONS] and read_mask(row[LESIONS], (pixels.shape[0], pixels.shape[1]))
            several.append(Shown(pixels, f"{row.get('label') or ''}\n{row['view'] or ''}", mask))
    shown = [one for several in by_label.values() for one in several]
    sides = {one.image.shape for one in shown}
    outlined = ", lesions outlined" if any(one.lesions is not None for one in shown) else ""
    if len(sides) == 1:
        save_figure(scans_figure(shown, f"First scans of each label{outlined}"), job.out / "overview.png")
        job.wrote(job.out / "overview.png")
