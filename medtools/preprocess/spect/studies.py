"""Which files belong to a study of cardiac SPECT: by a manifest, by BIDS-like names, or one file each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medtools.core.errors import InputError
from medtools.core.manifest import read_manifest, safe_name
from medtools.io.dicom_image import SUFFIXES as DICOM_SUFFIXES
from medtools.io.guard import printable
from medtools.io.images import SUFFIXES as PICTURE_SUFFIXES
from medtools.io.text import read_rows
from medtools.io.volumes import SUFFIXES as VOLUME_SUFFIXES

Point = tuple[float, float]

CARRIED = ("split", "site", "group")
"""Columns of a manifest that describe a subject, for later stages."""

_DIGITS = 10
_SUFFIXES = (*VOLUME_SUFFIXES, *PICTURE_SUFFIXES, *DICOM_SUFFIXES)
_SUBJECT = re.compile(r"(sub-[A-Za-z0-9]+)")


@dataclass(frozen=True)
class Study:
    """The files of one study, before anything is opened, and the CARRIED cells of its row in a manifest."""

    id: str
    subject: str
    image: Path
    labels: Path | None = None
    landmarks: Path | None = None
    slice: int | None = None
    cells: Mapping[str, str] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """Those there are."""
        return tuple(path for path in (self.image, self.labels, self.landmarks) if path is not None)


def find_studies(inputs: Sequence[Path]) -> list[Study]:
    """Find the studies of manifests, folders and files, without opening an image.

    Raises
    ------
    InputError
        Nothing found, a missing file, or two studies with one identifier.
    """
    if not inputs:
        raise InputError("INPUT", "nothing given", "name a manifest, a BIDS-like folder, or image files")
    found = [study for path in inputs for study in _studies_of(path)]
    seen: set[str] = set()
    for study in found:
        if not safe_name(study.id):
            raise InputError(printable(study.image), f"{study.id!r} cannot be an identifier", "rename the file")
        if study.id in seen:
            raise InputError(printable(study.image), f"a second study {study.id!r}", "rename it, or give a manifest")
        seen.add(study.id)
    return found


def manifest_of(path: Path) -> Path | None:
    """Return the manifest that INPUT is, or that lies in the folder that it is; None where there is none."""
    inside = path / "manifest.tsv" if path.is_dir() else path
    return inside if inside.suffix == ".tsv" and inside.is_file() else None


def read_landmarks(path: Path, subject: str) -> dict[str, Point]:
    """Read the landmarks of one subject: columns name, row, col and, where several subjects share the file, subject.

    Raises
    ------
    InputError
        A column is missing, a name comes twice, or a place is no finite number.
    """
    found: dict[str, Point] = {}
    rows = read_rows(path)
    if not rows or not {"name", "row", "col"} <= rows[0].keys():
        raise InputError(printable(path), "expected the columns name, row and col", "and subject, if several share it")
    for row in rows:
        if row.get("subject", subject) != subject:
            continue
        try:
            place = float(row["row"]), float(row["col"])
        except ValueError:
            place = (np.nan, np.nan)
        if not np.isfinite(place).all() or not row["name"]:
            raise InputError(printable(path), f"landmark {row['name']!r} is at ({row['row']}, {row['col']})")
        if row["name"] in found:
            raise InputError(printable(path), f"landmark {row['name']!r} of {subject} comes twice")
        found[row["name"]] = place
    return found


def _studies_of(path: Path) -> list[Study]:
    manifest = manifest_of(path)
    if manifest is not None:
        return _of_manifest(manifest)
    if path.is_file():
        if not path.name.lower().endswith(_SUFFIXES):
            raise InputError(printable(path), f"expected a manifest, or one of {', '.join(_SUFFIXES)}")
        return [_named(path)]
    if not path.is_dir():
        raise InputError(printable(path), "no such file or folder")
    images = [file for file in sorted(path.rglob("*")) if _bids_stem(file) is not None and file.parent.name == "spect"]
    if not images:
        fix = "or give a manifest with the columns id, subject and image"
        raise InputError(printable(path), "no sub-*/spect/*_spect.nii.gz in it", fix)
    return [_named(file) for file in images]


def _of_manifest(path: Path) -> list[Study]:
    manifest = read_manifest(path, ("image",), ("labels", "landmarks"))
    studies = []
    for row in manifest.rows:
        labels, landmarks = row.paths.get("labels"), row.paths.get("landmarks")
        text = row.get("slice")
        if text is not None and not (text.isdecimal() and len(text) < _DIGITS):
            found = f"row {row.id!r}, column 'slice': {printable(text[:20])!r} is no number of a slice"
            raise InputError(path, found, "count from 0")
        number = int(text) if text is not None else None
        cells = {column: row.cells[column] for column in CARRIED if column in row.cells}
        studies.append(Study(row.id, row.subject, row.paths["image"], labels, landmarks, number, cells))
    return studies


def _bids_stem(path: Path) -> str | None:
    """Return what precedes `_spect` in the name of an image; None for other files."""
    name = path.name
    suffix = next((suffix for suffix in _SUFFIXES if name.lower().endswith(f"_spect{suffix}")), None)
    hidden = name.startswith(".") or not path.is_file()
    return None if suffix is None or hidden else name[: -len(f"_spect{suffix}")]


def _named(path: Path) -> Study:
    """Describe a file by its name, with the labels and landmarks beside it where it has a BIDS name."""
    stem = _bids_stem(path)
    if stem is None:
        suffix = next(suffix for suffix in _SUFFIXES if path.name.lower().endswith(suffix))
        name = path.name[: -len(suffix)]
        return Study(name, _subject(name), path)
    beside = [path.with_name(f"{stem}_dseg{suffix}") for suffix in (*VOLUME_SUFFIXES, *PICTURE_SUFFIXES)]
    labels = next((file for file in beside if file.is_file()), None)
    landmarks = path.with_name(f"{stem}_landmarks.csv")
    return Study(stem, _subject(stem), path, labels, landmarks if landmarks.is_file() else None)


def _subject(name: str) -> str:
    match = _SUBJECT.match(name)
    return name if match is None else match[1]
