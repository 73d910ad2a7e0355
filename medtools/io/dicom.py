"""CT series from DICOM files, behind one guard: geometry and sizes are checked on headers before pixels are decoded.

Only numbers leave this module. Messages name files and geometry, never the patient's fields.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from medtools.core.errors import InputError, RefusedError
from medtools.io.dicom_stream import decoding_fault, opened
from medtools.io.guard import printable

LOGGER = logging.getLogger(__name__)

DEFAULT_MAX_BYTES = 4 * 2**30
AIR_HU = -1024
_TAGS = (
    "SOPInstanceUID", "SeriesInstanceUID", "Modality", "ImageType", "Rows", "Columns", "NumberOfFrames",
    "SamplesPerPixel", "BitsAllocated", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient",
    "GantryDetectorTilt", "RescaleSlope", "RescaleIntercept", "RescaleType",
)  # fmt: skip
_SCALARS = (
    "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "GantryDetectorTilt", "RescaleSlope",
    "RescaleIntercept",
)  # fmt: skip
_VECTORS = {"PixelSpacing": 2, "ImagePositionPatient": 3, "ImageOrientationPatient": 6}
_MAX_PACKING = 2**14  # no codec packs 16 KiB of pixels into a byte
_POSITION_TOLERANCE_MM = 0.01
_SPACING_TOLERANCE = 0.02
_MAX_TILT_DEGREES = 0.5
_MAX_OBLIQUITY_DEGREES = 20.0


@dataclass(frozen=True)
class Slice:
    """The header of one image: only what geometry and rescaling need."""

    path: Path
    tags: pydicom.Dataset = field(repr=False)

    @property
    def is_localizer(self) -> bool:
        """Whether it is a scout image for planning."""
        return "LOCALIZER" in [str(part).upper() for part in self.tags.get("ImageType", [])]


@dataclass(frozen=True)
class Series:
    """All slices of one series, in the order of their files."""

    slices: tuple[Slice, ...]

    @property
    def is_volume(self) -> bool:
        """Whether it could be a CT volume: CT images that are no scouts."""
        sized = any("Rows" in one.tags for one in self.slices)
        return self.slices[0].tags.get("Modality") == "CT" and sized and not self.slices[0].is_localizer

    def __str__(self) -> str:
        tags = self.slices[0].tags
        kind = "localizer" if self.slices[0].is_localizer else str(tags.get("Modality", "no modality"))
        return f"{kind}, {len(self.slices)} files of {tags.get('Rows', '?')}×{tags.get('Columns', '?')} pixels"


@dataclass(frozen=True)
class CtSeries:
    """A CT volume as read.

    Attributes
    ----------
    hu : (columns, rows, slices) int16
        CT numbers; padding, and whatever is below air, is -1024.
    affine : (4, 4) float64
        Index to mm (right, anterior, superior), as in NIfTI.
    """

    hu: NDArray[np.int16]
    affine: NDArray[np.float64]


def holds_dicom(folder: str | Path) -> bool:
    """Tell whether a folder holds DICOM files itself, looking at no subfolder."""
    return any(_is_dicom(path) for path in _files(Path(folder), deep=False))


def read_ct(path: str | Path, series: int | None = None, max_bytes: int = DEFAULT_MAX_BYTES) -> CtSeries:
    """Read the one CT volume among the DICOM files of a folder and its subfolders.

    Scouts and objects without images (reports, structures) are left out with a message.

    Parameters
    ----------
    path : str or Path
        Folder of a study or series.
    series : int, optional
        Which CT series to take where there are several, counted from 1 in the order of the message that lists them.
    max_bytes : int
        Largest volume to allocate.

    Raises
    ------
    InputError
        No CT volume, several of them, a truncated file, slices that are missing, repeated, unevenly spaced, of
        different size or orientation, a tilted gantry, a reformat that is not axial, absent spacing, a compression
        without a decoder.
    RefusedError
        The volume needs more than `max_bytes`.
    """
    path = Path(path)
    chosen = _choose(find_series(path), series, path)
    slices, affine = _stack(chosen.slices, path)
    first = slices[0].tags
    needed = int(first.Rows) * int(first.Columns) * len(slices) * 2
    if needed > max_bytes:
        raise RefusedError(
            f"{printable(path)}: {len(slices)} slices need {needed / 2**20:.0f} MiB; "
            f"the limit is {max_bytes / 2**20:.0f} MiB"
        )
    store = np.empty((len(slices), int(first.Rows), int(first.Columns)), dtype=np.int16)
    for index, one in enumerate(slices):
        store[index] = _pixels(one)
    return CtSeries(store.transpose(2, 1, 0), affine)


def find_series(path: str | Path) -> list[Series]:
    """Group the DICOM files below a folder by series, reading headers only.

    Raises
    ------
    InputError
        No such folder, no DICOM file in it, or a file that breaks off in its header.
    """
    path = Path(path)
    groups: dict[str, list[Slice]] = {}
    for file in _files(path, deep=True):
        if _is_dicom(file):
            one = _header(file)
            groups.setdefault(str(one.tags.get("SeriesInstanceUID", "")), []).append(one)
    if not groups:
        raise InputError(printable(path), "no DICOM files in it")
    return [Series(tuple(slices)) for slices in groups.values()]


def _files(folder: Path, *, deep: bool) -> Iterator[Path]:
    if not folder.is_dir():
        raise InputError(printable(folder), "no such folder" if not folder.exists() else "is no folder of DICOM files")
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] != ".") if deep else []
        for name in sorted(names):
            if name[0] != "." and name.upper() != "DICOMDIR":
                yield Path(parent, name)


def _is_dicom(path: Path) -> bool:
    """Tell whether a file has the DICOM prefix; one that claims to by its name and is empty counts too."""
    try:
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM" or path.suffix.lower() in (".dcm", ".ima")
    except OSError as error:
        raise InputError(printable(path), f"cannot be read ({error.strerror})") from error


def _header(path: Path) -> Slice:
    try:
        with opened(path) as stream:
            tags = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(_TAGS))
            for name in _TAGS:
                tags.get(name)  # decoded only now: an unknown type of value is found here
    except InvalidDicomError as error:
        found = "the file is empty" if not path.stat().st_size else "not a DICOM file, although its name says so"
        raise InputError(printable(path), found, "fetch it again or move it away") from error
    except Exception as error:
        raise InputError(
            printable(path), f"unreadable DICOM header ({type(error).__name__})", "fetch it again"
        ) from error
    if not all(name in tags for name in ("SOPInstanceUID", "SeriesInstanceUID", "Modality")):
        raise InputError(printable(path), "the file breaks off in its header", "fetch it again")
    damaged = next((name for name in (*_SCALARS, *_VECTORS) if not _holds_numbers(tags, name)), None)
    if damaged is not None:
        raise InputError(printable(path), f"{damaged} holds no usable number", "fetch it again")
    return Slice(path, tags)


def _holds_numbers(tags: pydicom.Dataset, name: str) -> bool:
    """Tell whether a field is absent, empty, or one finite number (a vector: finite numbers)."""
    value = tags.get(name)
    if value is None or value == "":
        return True
    several = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if several != (name in _VECTORS):
        return False
    try:
        return all(math.isfinite(float(one)) for one in (value if several else [value]))
    except (TypeError, ValueError, OverflowError):
        return False


def _choose(found: Sequence[Series], number: int | None, path: Path) -> Series:
    volumes = [one for one in found if one.is_volume]
    for other in (one for one in found if not one.is_volume):
        first = other.slices[0]
        if first.tags.Modality == "CT" and "Rows" not in first.tags:  # its series' identifier may be cut short, too
            raise InputError(printable(first.path), "the file breaks off in its header", "fetch it again")
        LOGGER.info("%s: left out (%s)", printable(path), other)
    if not volumes:
        kinds = "; ".join(str(one) for one in found)
        raise InputError(printable(path), f"no CT volume in it, only: {kinds}", "give the folder of the chest CT")
    if number is not None:
        if not 1 <= number <= len(volumes):
            raise InputError("--series", f"there is no CT series {number} in {printable(path)}, only {len(volumes)}")
        return volumes[number - 1]
    if len(volumes) > 1:
        listed = "; ".join(f"{i}: {one}" for i, one in enumerate(volumes, start=1))
        raise InputError(printable(path), f"{len(volumes)} CT series in one folder ({listed})", "choose by --series N")
    return volumes[0]


def _stack(slices: Sequence[Slice], path: Path) -> tuple[list[Slice], NDArray[np.float64]]:
    """Check that slices form one straight axial stack; return them in order, and the affine of (column, row, slice)."""
    for one in slices:
        _check_slice(one, slices[0])
    if len(slices) < 2:
        raise InputError(printable(path), "a single slice, expected a volume")
    columns, rows = _orientation(slices[0])
    normal = np.cross(columns, rows)
    positions = np.array([[float(value) for value in one.tags.ImagePositionPatient] for one in slices])
    order = np.argsort(positions @ normal, kind="stable")
    ordered, positions = [slices[i] for i in order], positions[order]
    steps = np.diff(positions @ normal)
    _check_steps(steps, ordered, path)
    _check_axial(normal, positions, ordered, path)
    row_spacing, column_spacing = (float(value) for value in slices[0].tags.PixelSpacing)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = columns * column_spacing, rows * row_spacing
    affine[:3, 2], affine[:3, 3] = (positions[-1] - positions[0]) / (len(slices) - 1), positions[0]
    return ordered, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine  # DICOM's left, posterior to NIfTI's right, anterior


def _check_slice(one: Slice, first: Slice) -> None:
    tags, where = one.tags, printable(one.path)
    if "Rows" not in tags or "Columns" not in tags:
        raise InputError(where, "the file breaks off in its header", "fetch it again")
    if int(tags.get("NumberOfFrames") or 1) > 1:
        raise InputError(where, "multi-frame (enhanced) CT", "export it as single-frame images, or convert it to NIfTI")
    if int(tags.get("SamplesPerPixel") or 1) != 1:
        raise InputError(where, "a colour image, expected CT numbers", "leave out screen captures")
    for name, count in _VECTORS.items():
        if len(tags.get(name) or ()) != count:
            raise InputError(where, f"no usable {name}: the geometry is unknown", "export the original images")
    if min(float(value) for value in tags.PixelSpacing) <= 0:
        raise InputError(where, f"PixelSpacing is {list(tags.PixelSpacing)} mm", "export the original images")
    rescaled = tags.get("RescaleSlope") not in (None, "") and tags.get("RescaleIntercept") not in (None, "")
    if not rescaled or float(tags.RescaleSlope) == 0:
        raise InputError(where, "no rescale slope and intercept: the values are not CT numbers")
    same = (
        ("Rows", tags.Rows == first.tags.Rows and tags.Columns == first.tags.Columns),
        ("PixelSpacing", _near(tags.PixelSpacing, first.tags.PixelSpacing, 1e-3)),
        ("ImageOrientationPatient", _near(tags.ImageOrientationPatient, first.tags.ImageOrientationPatient, 1e-3)),
    )
    for name, equal in same:
        if not equal:
            raise InputError(where, f"{name} differs from {first.path.name}: mixed series", "separate the series")


def _near(one: Sequence[Any], other: Sequence[Any], tolerance: float) -> bool:
    return bool(np.allclose(np.array(one, dtype=float), np.array(other, dtype=float), rtol=0, atol=tolerance))


def _orientation(one: Slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    cosines = np.array([float(value) for value in one.tags.ImageOrientationPatient])
    columns, rows = cosines[:3], cosines[3:]  # directions of growing column and row index
    if not (abs(np.linalg.norm(columns) - 1) < 1e-2 and abs(np.linalg.norm(rows) - 1) < 1e-2):
        raise InputError(printable(one.path), "ImageOrientationPatient is no pair of unit vectors")
    if abs(float(columns @ rows)) > 1e-2:
        raise InputError(printable(one.path), "ImageOrientationPatient: rows and columns are not perpendicular")
    return columns, rows


def _check_steps(steps: NDArray[np.float64], ordered: Sequence[Slice], path: Path) -> None:
    for index in map(int, np.flatnonzero(steps < _POSITION_TOLERANCE_MM)):
        first, second = ordered[index].path.name, ordered[index + 1].path.name
        raise InputError(
            printable(path), f"{first} and {second} lie at the same position", "remove the duplicate or separate series"
        )
    usual = float(np.median(steps))
    odd = np.abs(steps - usual) > _SPACING_TOLERANCE * usual + _POSITION_TOLERANCE_MM
    for index in map(int, np.flatnonzero(odd)):
        between = f"between {ordered[index].path.name} and {ordered[index + 1].path.name}"
        missing = round(float(steps[index]) / usual) - 1
        if missing >= 1 and abs(float(steps[index]) - (missing + 1) * usual) < 0.1 * usual:
            raise InputError(printable(path), f"{missing} slices are missing {between}", "export the whole series")
        raise InputError(
            printable(path), f"uneven slices: {steps[index]:.2f} mm {between}, {usual:.2f} mm elsewhere",
            "resample it to even slices",
        )  # fmt: skip


def _check_axial(
    normal: NDArray[np.float64], positions: NDArray[np.float64], ordered: Sequence[Slice], path: Path
) -> None:
    oblique = math.degrees(math.acos(min(abs(float(normal[2])), 1.0)))
    if oblique > _MAX_OBLIQUITY_DEGREES:
        raise InputError(
            printable(path), f"not axial: slices are inclined by {oblique:.0f} degrees", "give the axial series"
        )
    way = positions[-1] - positions[0]
    sheared = math.degrees(math.acos(min(abs(float(way @ normal)) / float(np.linalg.norm(way)), 1.0)))
    tilt = max(sheared, *(abs(float(one.tags.get("GantryDetectorTilt") or 0.0)) for one in ordered))
    if tilt > _MAX_TILT_DEGREES:
        raise InputError(
            printable(path), f"gantry tilt of {tilt:.1f} degrees", "correct the tilt first, for example with dcm2niix"
        )


def _pixels(one: Slice) -> NDArray[np.int16]:
    """Return one slice in HU.

    MONOCHROME1 only turns the display around: slope and intercept give HU as for MONOCHROME2, so nothing is inverted.
    """
    where, size = printable(one.path), one.path.stat().st_size
    if int(one.tags.Rows) * int(one.tags.Columns) > size * _MAX_PACKING:
        found = f"declares {one.tags.Rows}×{one.tags.Columns} pixels, more than its {size} bytes can hold"
        raise InputError(where, found, "it is truncated or damaged: fetch it again")
    try:
        with opened(one.path) as stream:
            dataset = pydicom.dcmread(stream)
            stored = dataset.pixel_array
    except (AttributeError, EOFError, OSError) as error:
        raise InputError(where, "truncated: the pixel data are missing or incomplete", "fetch it again") from error
    except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        raise InputError(where, *decoding_fault(dataset, error)) from error
    if stored.shape != (one.tags.Rows, one.tags.Columns):
        raise InputError(where, f"pixels of shape {stored.shape}, the header says {one.tags.Rows}×{one.tags.Columns}")
    hu = stored.astype(np.float64) * float(one.tags.RescaleSlope) + float(one.tags.RescaleIntercept)
    padding = dataset.get("PixelPaddingValue")
    if isinstance(padding, int):
        hu[stored == np.asarray(int(padding)).astype(stored.dtype)] = AIR_HU
    return np.clip(np.rint(hu), AIR_HU, np.iinfo(np.int16).max).astype(np.int16)
