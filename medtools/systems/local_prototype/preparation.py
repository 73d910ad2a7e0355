"""`medtools preprocess local-prototype slices`: volumes of any layout to 8-bit slices with one label map each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.manifest import Manifest, Row, read_manifest, write_manifest
from medtools.core.stage import Job, Sample
from medtools.io.volumes import NIFTI_SUFFIXES, read_volume, stem
from medtools.preprocess.ct.checks import as_labels
from medtools.preprocess.ct.grid import SliceGrid
from medtools.systems.local_prototype.cohort import GOLD, OPTIONAL_PATHS, PATH_COLUMNS, VISCERAL, Organ
from medtools.systems.local_prototype.slices import (
    ORGANS,
    make_organs,
    read_organs,
    stretch,
    write_organs,
    write_stack,
)

_LARGEST_LABEL = 255


@dataclass(frozen=True)
class Entry:
    """One volume to prepare: its image, and either a label map, one mask per organ, or (a query) nothing."""

    id: str
    subject: str
    image: Path
    masks: tuple[tuple[Organ | None, Path], ...]
    part: str

    @property
    def files(self) -> tuple[Path, ...]:
        """What decides the result."""
        return self.image, *(path for _, path in self.masks)


def run(job: Job) -> None:
    """Write one file of slices per volume, the table of organs and, last, the manifest."""
    source = _source(job)
    if source.is_dir() and not (source / "manifest.tsv").is_file():
        entries, organs = find_visceral(source, job.params.support), tuple(VISCERAL.values())
    else:
        entries, organs = _from_manifest(job, source / "manifest.tsv" if source.is_dir() else source)
    by_id = {entry.id: entry for entry in entries}
    samples = [Sample(e.id, e.files, job.out / "records" / f"{e.id}.json") for e in entries]
    done = job.for_each(samples, lambda sample: _one(job, by_id[sample.id]), "volumes")
    if done and not job.only:
        kept = [by_id[sample.id] for sample in done]
        rows = [{"id": e.id, "subject": e.subject, "slices": _file(job, e.id), "split": e.part} for e in kept]
        write_organs(job.out / ORGANS, organs)
        write_manifest(job.out / "manifest.tsv", list(rows[0]), rows)
        job.wrote(job.out / ORGANS, job.out / "manifest.tsv")


def find_visceral(folder: Path, support: str) -> list[Entry]:
    """Find volumes and masks named as VISCERAL names them: `10000132_1_CTce_ThAb.nii.gz`, `..._ThAb_58_6.nii.gz`.

    A mask is told by a RadLex number among the fields behind the second. Volumes of the gold corpus are queries,
    the one named is the support, all others are for training.

    Raises
    ------
    InputError
        No volume, or one without masks.
    """
    files = sorted(path for path in folder.rglob("*") if path.name.endswith(NIFTI_SUFFIXES))
    masks: dict[str, list[tuple[Organ | None, Path]]] = {}
    volumes: dict[str, Path] = {}
    for path in files:
        fields = stem(path).split("_")
        numbers = [int(word) for word in fields[2:] if word.isdigit() and int(word) in VISCERAL]
        if numbers:
            masks.setdefault(fields[0], []).append((VISCERAL[numbers[0]], path))
        else:
            volumes[fields[0]] = path
    if not volumes:
        raise InputError(folder, "no manifest.tsv and no volume in VISCERAL's layout", "write a manifest")
    bare = sorted(set(volumes) - set(masks))
    if bare:
        raise InputError(volumes[bare[0]], "no mask belongs to this volume", "expected e.g. " + _example(bare[0]))
    part = {name: "query" if name in GOLD else "train" for name in volumes} | {support: "support"}
    return [Entry(name, name, path, tuple(masks[name]), part[name]) for name, path in sorted(volumes.items())]


def combine(masks: list[tuple[Organ, NDArray[np.floating], str]]) -> NDArray[np.uint8]:
    """Put masks of 0 and 1 into one label map; where they overlap, the later one stands.

    Raises
    ------
    InputError
        A mask holds other values, or has another shape than the first.
    """
    labels = np.zeros(masks[0][1].shape, dtype=np.uint8)
    for organ, mask, where in masks:
        if mask.shape != labels.shape:
            raise InputError(where, f"mask of shape {mask.shape}, the others have {labels.shape}")
        if not np.isin(mask, (0, 1)).all():
            other = float(mask[~np.isin(mask, (0, 1))][0])
            raise InputError(where, f"is no mask: holds the value {other:g}", "expected 0 and 1")
        labels[mask == 1] = organ.value
    return labels


def _source(job: Job) -> Path:
    if len(job.inputs) != 1:
        raise InputError("INPUT", f"expected one manifest or folder, found {len(job.inputs)}")
    return job.inputs[0]


def _from_manifest(job: Job, path: Path) -> tuple[list[Entry], tuple[Organ, ...]]:
    manifest = read_manifest(path, PATH_COLUMNS, OPTIONAL_PATHS)
    parts = manifest.labels("split", ("train", "support", "query"))
    entries = [
        Entry(row.id, row.subject, row.paths["image"], _label_map(manifest, row, part), part)
        for row, part in zip(manifest.rows, parts, strict=True)
    ]
    if not job.params.organs:
        return entries, read_organs(path.parent / ORGANS)
    values, groups = {}, {}
    for text in job.params.organs:
        name, _, rest = text.partition("=")
        values[name], _, groups[name] = rest.partition("/")
    return entries, make_organs(values, groups, "--organs")


def _label_map(manifest: Manifest, row: Row, part: str) -> tuple[tuple[Organ | None, Path], ...]:
    """Return the label map of a row; only a query may be without one."""
    if "labels" in row.paths:
        return ((None, row.paths["labels"]),)
    if part == "query":
        return ()
    found = f"row {row.id!r} ({part}) has no file in column 'labels'"
    raise InputError(manifest.path, found, "only queries may be without a label map")


def _one(job: Job, entry: Entry) -> Iterable[Path]:
    data, affine = read_volume(entry.image)
    grid = SliceGrid.of(data.shape, affine, str(entry.image))
    loaded = []
    for organ, path in entry.masks:
        mask, mask_affine = read_volume(path)
        if not SliceGrid.of(mask.shape, mask_affine, str(path)).same_as(grid):
            raise InputError(path, "lies on another grid than its volume", "resample it to the volume")
        ordered = SliceGrid.of(mask.shape, mask_affine, str(path)).to_slices(mask)
        loaded.append((organ, ordered, str(path)))
    labels = None
    if loaded and loaded[0][0] is None:
        labels = np.ascontiguousarray(as_labels(loaded[0][1], _LARGEST_LABEL, loaded[0][2]))
    elif loaded:
        labels = combine([(organ, mask, where) for organ, mask, where in loaded if organ is not None])
    path = _file(job, entry.id)
    write_stack(path, stretch(grid.to_slices(data), job.params.size), labels, grid)
    return [path]


def _file(job: Job, identifier: str) -> Path:
    return job.out / "slices" / f"{identifier}.npz"


def _example(name: str) -> str:
    return f"{name}_1_CTce_ThAb_58_1.nii.gz (58 is the liver's RadLex number)"
