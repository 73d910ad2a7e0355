"""Which files become images, and what is known of each: identifier, subject, class."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from medtools.core.errors import InputError
from medtools.core.manifest import read_manifest, safe_name
from medtools.core.seeds import generator
from medtools.io.dicom_image import SUFFIXES as DICOM_SUFFIXES
from medtools.io.dicom_image import is_dicom
from medtools.io.guard import printable
from medtools.io.images import SUFFIXES as PICTURE_SUFFIXES
from medtools.io.volumes import NIFTI_SUFFIXES
from medtools.preprocess.images.params import ImageParams

CARRIED = ("label", "split", "site", "group")
_PARTS = ("train", "test", "val", "validation")


@dataclass(frozen=True)
class Source:
    """A file that becomes one image, or several slices.

    Attributes
    ----------
    id, subject : str
    path : Path
    cells : mapping
        Labels and other carried columns.
    """

    id: str
    subject: str
    path: Path
    cells: Mapping[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """`nifti`, `dicom` or `picture`."""
        return _kind(self.path)


def find_sources(inputs: Sequence[Path], params: ImageParams, seed: int) -> list[Source]:
    """Find everything, rename classes and draw what --cap leaves.

    Raises
    ------
    InputError
        Nothing there, an empty class folder, two files with one identifier, or a class of --cap or --relabel that
        does not occur.
    """
    if not inputs:
        raise InputError("INPUT", "nothing given", "name a folder of class folders, or a manifest")
    several = len(inputs) > 1
    found = [source for path in inputs for source in _of_input(path, params, several)]
    _check_ids(found)
    return _capped(_relabelled(found, params), params, seed)


def _of_input(path: Path, params: ImageParams, several: bool) -> list[Source]:
    if path.suffix == ".tsv":
        rows = read_manifest(path, ("image",)).rows
        return [
            Source(row.id, row.subject, row.paths["image"], {c: row.cells[c] for c in CARRIED if c in row.cells})
            for row in rows
        ]
    if path.is_file():
        if not _kind(path):
            raise InputError(printable(path), "is no PNG, JPEG, NIfTI or DICOM file")
        return [_named(path, path.name, "", params)]
    if not path.is_dir():
        raise InputError(printable(path), "no such file or folder")
    if (path / "manifest.tsv").is_file():
        return _of_input(path / "manifest.tsv", params, several)
    files = list(_walk(path))
    if not files:
        raise InputError(printable(path), "no PNG, JPEG, NIfTI or DICOM file in it")
    prefix = f"{path.resolve().name}/" if several else ""
    return [_named(file, prefix + file.relative_to(path).as_posix(), _class_of(file, path), params) for file in files]


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        usable = [Path(parent, name) for name in sorted(names) if name[0] != "." and _kind(Path(parent, name))]
        if Path(parent) != folder and not folders and not usable:
            raise InputError(printable(parent), "an empty class folder", "remove it, or put its images back")
        yield from usable


def _class_of(file: Path, root: Path) -> str:
    return "" if file.parent == root or file.parent.name.lower() in _PARTS else file.parent.name


def _named(path: Path, relative: str, label: str, params: ImageParams) -> Source:
    stem = relative
    for suffix in (*NIFTI_SUFFIXES, *PICTURE_SUFFIXES, *DICOM_SUFFIXES):
        if stem.lower().endswith(suffix):
            stem = stem[: -len(suffix)]
            break
    identifier = "_".join(part for part in stem.split("/") if part)
    subject = identifier
    if params.subject_pattern:
        match = re.search(params.subject_pattern, relative)
        if match is None or not match[1]:
            raise InputError(printable(path), f"no subject by --subject-pattern {params.subject_pattern!r}")
        subject = match[1]
    return Source(identifier, subject, path, {"label": label} if label else {})


def _kind(path: Path) -> str:
    name = path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        return "nifti"
    if name.endswith(PICTURE_SUFFIXES):
        return "picture"
    return "dicom" if name.endswith(DICOM_SUFFIXES) or (not path.suffix and is_dicom(path)) else ""


def _check_ids(found: Sequence[Source]) -> None:
    seen: dict[str, Path] = {}
    for source in found:
        where = printable(source.path)
        if not safe_name(source.id):
            raise InputError(where, f"{printable(source.id)!r} cannot be an identifier", "rename the file")
        if source.id in seen:
            found_text = f"has the identifier {source.id!r}, and so has {printable(seen[source.id])}"
            raise InputError(where, found_text, "rename one of them, or give a manifest")
        seen[source.id] = source.path


def _relabelled(found: list[Source], params: ImageParams) -> list[Source]:
    new = dict(text.split("=", 1) for text in params.relabel)
    _check_classes("--relabel", new, found)
    return [
        replace(s, cells={**s.cells, "label": new[s.cells["label"]]}) if s.cells.get("label") in new else s
        for s in found
    ]


def _capped(found: list[Source], params: ImageParams, seed: int) -> list[Source]:
    most = {name: int(count) for name, count in (text.split("=", 1) for text in params.cap)}
    _check_classes("--cap", most, found)
    dropped: set[str] = set()
    for name, count in most.items():
        ids = [source.id for source in found if source.cells.get("label") == name]
        if len(ids) > count:
            kept = generator(seed, "cap", name).choice(len(ids), count, replace=False).tolist()
            dropped |= set(ids) - {ids[number] for number in kept}
    return [source for source in found if source.id not in dropped]


def _check_classes(option: str, names: Mapping[str, object], found: Sequence[Source]) -> None:
    counts = Counter(source.cells.get("label", "") for source in found)
    for name in names:
        if name not in counts:
            raise InputError(option, f"no class {name!r}", f"classes are {', '.join(sorted(filter(None, counts)))}")
