"""The work of `medtools preprocess images`: one PNG per image or slice, and the manifest that later stages read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.manifest import write_manifest
from medtools.core.stage import Job, Sample
from medtools.io.dicom_image import read_planar
from medtools.io.guard import printable
from medtools.io.images import grey_levels, read_image, resized, write_image
from medtools.io.nifti import open_volume
from medtools.preprocess.images.params import ImageParams
from medtools.preprocess.images.sources import CARRIED, Source, find_sources


def run(job: Job) -> None:
    """Prepare every image; write `manifest.tsv`."""
    sources = {source.id: source for source in find_sources(job.inputs, job.params, job.seed)}
    samples = [Sample(s.id, (s.path,), job.out / "records" / f"{s.id}.json") for s in sources.values()]
    done = job.for_each(samples, lambda sample: _one(job, sources[sample.id]), "reading, resizing")
    if not job.only and done:
        _write_manifest(job, [sources[sample.id] for sample in done])


def images_of(source: Source, params: ImageParams) -> dict[str, NDArray[np.uint8]]:
    """Return the images that one file becomes, by identifier, at the size asked for.

    Raises
    ------
    InputError
        An unreadable file, several frames, or slices that the volume does not have.
    """
    size = (params.size, params.size)
    if source.kind == "picture":
        return {source.id: resized(grey_levels(read_image(source.path)), size)}
    if source.kind == "nifti":
        return {name: resized(grey_levels(s), size) for name, s in _slices(source, params).items()}
    image = read_planar(source.path)
    if len(image.frames) != 1:
        raise InputError(printable(source.path), f"{len(image.frames)} frames, expected one image per file")
    frame = -image.frames[0] if image.bright_is_low else image.frames[0]
    return {source.id: resized(grey_levels(frame), size)}


def names_of(source: Source, params: ImageParams) -> list[str]:
    """Return the identifiers of the images that one file becomes."""
    if source.kind != "nifti":
        return [source.id]
    return [f"{source.id}_{params.axis}{number:03d}" for number in params.slice_range]


def _slices(source: Source, params: ImageParams) -> dict[str, NDArray[Any]]:
    """Take slices of a volume as a radiologist sees them: front or head up, the patient's right on the left.

    Slices are numbered along right, anterior and superior, whatever the order of the stored axes.
    """
    if not params.slices:
        raise InputError(printable(source.path), "a volume", "choose slices by --slices first:last")
    image = open_volume(source.path, ndim=3)
    volume = nib.orientations.apply_orientation(image.data, nib.orientations.io_orientation(image.affine))
    axis = "xyz".index(params.axis)
    if params.slice_range.stop > volume.shape[axis]:
        found = f"{volume.shape[axis]} slices along {params.axis}, --slices asks for {params.slices}"
        raise InputError(printable(source.path), found)
    planes = [np.take(volume, number, axis=axis).T[::-1] for number in params.slice_range]
    planes = planes if params.axis == "x" else [plane[:, ::-1] for plane in planes]
    return dict(zip(names_of(source, params), planes, strict=True))


def _one(job: Job, source: Source) -> Iterable[Path]:
    paths = []
    for name, pixels in images_of(source, job.params).items():
        paths.append(job.out / f"{name}.png")
        write_image(paths[-1], pixels)
    return paths


def _write_manifest(job: Job, sources: list[Source]) -> None:
    rows = [
        {"id": name, "subject": source.subject, "image": job.out / f"{name}.png", **source.cells}
        for source in sources
        for name in names_of(source, job.params)
    ]
    carried = [column for column in CARRIED if any(column in row for row in rows)]
    write_manifest(job.out / "manifest.tsv", ["id", "subject", "image", *carried], rows)
    job.wrote(job.out / "manifest.tsv")
