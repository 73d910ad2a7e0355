"""Cardiac SPECT as slices: of each study the slice of the heart, cut out around it, with labels and landmarks.

A volume in NIfTI, MetaImage or NRRD is turned to axial slices as radiologists see them, whatever the order of its
axes: rows from the front to the back, columns from the patient's right to the left. `HeartSlice.voxel` leads back to
the file's own index. PNG and DICOM NM are taken as they are stored. Rows and columns of landmark files, and the
numbers of slices, are those of this page: row and column in pixels of the whole slice as shown, 0 at the centre of the
first pixel; slices as the file numbers them, from 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.progress import track
from medtools.io.dicom_image import read_planar
from medtools.io.guard import printable
from medtools.io.images import SUFFIXES as PICTURE_SUFFIXES
from medtools.io.images import read_image
from medtools.io.volumes import is_volume_file, read_volume
from medtools.preprocess.ct.grid import SliceGrid
from medtools.preprocess.spect.normalise import min_max
from medtools.preprocess.spect.studies import Point, Study, find_studies, manifest_of, read_landmarks

TISSUES = {1: "ventricle", 2: "myocardium", 3: "liver"}
"""Values of a label map; 0 is background."""

HEART = (1, 2)
"""Values whose area chooses the slice and whose centroid is the centre of the crop."""

CROP = 64
_LEAST_SIDE = 16


@dataclass(frozen=True)
class HeartSlice:
    """One slice of one study.

    Attributes
    ----------
    id, subject : str
    image : (height, width) float32
        Scaled to [0, 1] from the least to the largest value of the whole slice; 0 beyond the slice.
    labels : (height, width) uint8, or None
        0 background and the values of the tissues; 0 beyond the slice.
    spacing : (row, column) in mm, or None
        None where the file does not say (PNG).
    slice : int
        Number of the slice in the file, from 0.
    corner : (row, column) int
        Where pixel (0, 0) of `image` lies in the whole slice; negative where the crop sticks out.
    landmarks : mapping
        Name to (row, column) in pixels of `image`.
    files : tuple of Path
        What was read: image, labels, landmarks.
    grid : SliceGrid or None
        Of a volume's file; None for PNG and DICOM.
    """

    id: str
    subject: str
    image: NDArray[np.float32]
    labels: NDArray[np.uint8] | None
    spacing: tuple[float, float] | None
    slice: int
    corner: tuple[int, int]
    landmarks: Mapping[str, Point]
    files: tuple[Path, ...]
    grid: SliceGrid | None = None

    def voxel(self, row: float, column: float) -> tuple[float, float, float]:
        """Return the index in the file's own array of a point of `image`.

        For a volume that is (i, j, k) as NIfTI counts; for PNG and DICOM (row, column, frame).
        """
        place = row + self.corner[0], column + self.corner[1]
        if self.grid is None:
            return place[0], place[1], float(self.slice)
        index = [0.0, 0.0, 0.0]
        index[self.grid.axes[0]] = float(self.slice)
        for value, axis, flip in zip(place, self.grid.axes[1:], self.grid.flips[1:], strict=True):
            index[axis] = self.grid.shape[axis] - 1 - value if flip else value
        return index[0], index[1], index[2]


@dataclass(frozen=True)
class _Frames:
    """A file as slices, in the order in which the file numbers them."""

    values: NDArray[Any]
    spacing: tuple[float, float] | None
    grid: SliceGrid | None = field(default=None)


def read_hearts(
    inputs: Sequence[Path],
    *,
    crop: int | None = CROP,
    labelled: bool = False,
    tissues: Mapping[int, str] = TISSUES,
) -> list[HeartSlice]:
    """Read the slice of the heart of every study.

    With a label map it is the slice with the largest area of ventricle and myocardium, and a square of `crop` pixels
    around their centroid is cut out, filled with zeros beyond the slice. Without, it is the slice with the largest
    sum, whole. A manifest's column `slice` decides before either.

    Parameters
    ----------
    inputs : sequence of Path
        A manifest (id, subject, image; optional labels, landmarks, slice), a BIDS-like folder
        (`sub-*/spect/*_spect.nii.gz` with `*_dseg.nii.gz` and `*_landmarks.csv` beside), or image files.
    crop : int, optional
        Side of the square in pixels; None keeps the whole slice.
    labelled : bool
        Refuse studies without a label map.
    tissues : mapping
        Values that a label map may have beside 0; 1 and 2 are the heart.

    Raises
    ------
    InputError
        Nothing found, a missing file, NaN, an image of one value only, a label map of another size or with unknown
        values or without a heart, a landmark that is no number.
    """
    studies = find_studies(inputs)
    without = [study for study in studies if study.labels is None] if labelled else []
    if without:
        fix = "put a *_dseg.nii.gz beside it, or fill the manifest's column labels"
        raise InputError(printable(without[0].image), "has no label map", fix)
    return [read_heart(study, crop, tissues) for study in track(studies, "reading slices")]


def reads(inputs: Sequence[Path]) -> list[Path]:
    """List the files that decide what `read_hearts` returns."""
    manifests = [path for path in map(manifest_of, inputs) if path is not None]
    return [*manifests, *(path for study in find_studies(inputs) for path in study.files)]


def read_heart(study: Study, crop: int | None, tissues: Mapping[int, str]) -> HeartSlice:
    """Read one study; as `read_hearts`."""
    where = printable(study.image)
    frames = _read_frames(study.image)
    count, *size = frames.values.shape
    if min(size) < _LEAST_SIDE:
        raise InputError(where, f"slices of {size[0]} x {size[1]} pixels", "give axial slices")
    if study.slice is not None and not 0 <= study.slice < count:
        raise InputError(where, f"no slice {study.slice}, it has {count} (from 0)", "correct the manifest")
    labels = _read_labels(study.labels, frames, tissues) if study.labels is not None else None
    number = _chosen(study, frames.values, labels)
    image = min_max(frames.values[number]).astype(np.float32)
    if not image.any():
        value = float(frames.values[number].flat[0])
        raise InputError(where, f"no foreground pixel: every value of slice {number} is {value:g}", "check the image")
    corner, mask = (0, 0), None
    if labels is not None:
        mask = labels[number]
        if crop is not None:
            corner = _corner(mask, crop)
            image, mask = _square(image, corner, crop), _square(mask, corner, crop)
    landmarks = read_landmarks(study.landmarks, study.subject) if study.landmarks is not None else {}
    moved = {name: (row - corner[0], column - corner[1]) for name, (row, column) in landmarks.items()}
    return HeartSlice(
        study.id, study.subject, image, mask, frames.spacing, number, corner, moved, study.files, frames.grid
    )


def _read_frames(path: Path) -> _Frames:
    name = path.name.lower()
    if is_volume_file(path):
        data, affine = read_volume(path)
        if not np.isfinite(data).all():
            raise InputError(printable(path), "a voxel is not a finite number")
        grid = SliceGrid.of(data.shape, affine, printable(path))
        slices = grid.to_slices(data)
        # As the file counts them, whichever end it begins at.
        return _Frames(slices[::-1] if grid.flips[0] else slices, grid.spacing[1:], grid)
    if name.endswith(PICTURE_SUFFIXES):
        pixels = read_image(path)
        if pixels.ndim != 2:
            raise InputError(printable(path), "a colour image, expected counts", "export grey values")
        return _Frames(pixels[None], None)
    image = read_planar(path)
    return _Frames(image.frames, image.spacing_mm)


def _read_labels(path: Path, image: _Frames, tissues: Mapping[int, str]) -> NDArray[np.uint8]:
    """Read a label map in the order of the image's slices."""
    where = printable(path)
    frames = _read_frames(path)
    if (frames.grid is None) != (image.grid is None):
        raise InputError(where, "image and label map are of different kinds", "convert both to NIfTI")
    same = frames.values.shape == image.values.shape
    values = frames.values
    if frames.grid is not None and image.grid is not None:
        same = same and frames.grid.same_as(image.grid)
        if frames.grid.flips[0] != image.grid.flips[0]:
            values = values[::-1]
    if not same:
        found = f"{' x '.join(map(str, values.shape))} (slices, rows, columns), or places in space"
        raise InputError(where, f"another grid than the image: {found}", "resample the labels to the image")
    known = {0, *tissues}
    unknown = [value for value in np.unique(values).tolist() if value not in known]
    if unknown:
        listed = ", ".join(f"{value} {name}" for value, name in tissues.items())
        raise InputError(where, f"unknown label {unknown[0]:g}", f"known: 0 background, {listed}")
    labels = values.astype(np.uint8)
    if not np.isin(labels, HEART).any():
        raise InputError(where, "no heart in the label map: neither 1 (ventricle) nor 2 (myocardium)")
    return labels


def _chosen(study: Study, values: NDArray[Any], labels: NDArray[np.uint8] | None) -> int:
    if study.slice is not None:
        if labels is not None and not np.isin(labels[study.slice], HEART).any():
            raise InputError(printable(study.image), f"no heart in the label map of slice {study.slice}")
        return study.slice
    if labels is not None:
        return int(np.isin(labels, HEART).sum(axis=(1, 2)).argmax())
    return int(values.sum(axis=(1, 2), dtype=np.float64).argmax())


def _corner(mask: NDArray[np.uint8], crop: int) -> tuple[int, int]:
    """Place a square so that the heart's centroid is its middle, to the nearest pixel."""
    centre = np.argwhere(np.isin(mask, HEART)).mean(axis=0)
    row, column = np.floor(centre - (crop - 1) / 2 + 0.5).astype(int).tolist()
    return row, column


def _square(plane: NDArray[Any], corner: tuple[int, int], side: int) -> NDArray[Any]:
    """Cut a square out of a plane, zeros beyond its edge."""
    found = np.zeros((side, side), dtype=plane.dtype)
    low = [max(0, -start) for start in corner]
    high = [min(side, length - start) for start, length in zip(corner, plane.shape, strict=True)]
    if low[0] < high[0] and low[1] < high[1]:
        source = plane[corner[0] + low[0] : corner[0] + high[0], corner[1] + low[1] : corner[1] + high[1]]
        found[low[0] : high[0], low[1] : high[1]] = source
    return found
