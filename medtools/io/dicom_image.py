"""Planar DICOM images (scintigrams, radiographs, single slices): sizes are checked on the header before pixels.

Only numbers, the modality and the view leave this module; no patient field does, in messages neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from medtools.core.errors import InputError
from medtools.io.dicom_stream import decoding_fault, opened
from medtools.io.guard import check_size, printable

SUFFIXES = (".dcm", ".ima", ".dicom")
_TAGS = (
    "SOPClassUID", "Modality", "Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated", "PixelSpacing",
    "RescaleSlope", "RescaleIntercept", "PhotometricInterpretation", "DetectorInformationSequence", "DetectorVector",
)  # fmt: skip


@dataclass(frozen=True)
class PlanarImage:
    """The frames of one file.

    Attributes
    ----------
    frames : (n_frames, rows, columns) float32
        Rescaled by slope and intercept where the header has them.
    modality : str
        Such as `NM`.
    views : tuple of str
        View of each frame in lower case (`anterior`), empty where the header names none.
    spacing_mm : pair of float or None
        Row and column spacing.
    bright_is_low : bool
        MONOCHROME1: the lowest value is shown white.
    """

    frames: NDArray[np.float32]
    modality: str
    views: tuple[str, ...]
    spacing_mm: tuple[float, float] | None
    bright_is_low: bool


def is_dicom(path: str | Path) -> bool:
    """Tell whether a file has the DICOM prefix."""
    try:
        with Path(path).open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def read_planar(path: str | Path) -> PlanarImage:
    """Read a grey planar image with one or several frames.

    Raises
    ------
    InputError
        Missing, truncated or no DICOM file, no pixels, a colour image, too large, values that are not finite, or a
        compression without a decoder (the package that is missing is named).
    """
    path, where = Path(path), printable(path)
    tags = _header(path, where)
    for name in ("Rows", "Columns", "BitsAllocated", "Modality"):
        if tags.get(name) in (None, "", 0):
            raise InputError(where, f"no {name}: not an image, or its header breaks off", "fetch it again")
    if _number(tags, "SamplesPerPixel", 1, where) != 1:
        raise InputError(where, "a colour image, expected grey values", "leave out screen captures")
    count = int(_number(tags, "NumberOfFrames", 1, where))
    shape = (count, int(_number(tags, "Rows", 0, where)), int(_number(tags, "Columns", 0, where)))
    check_size(where, count * shape[1] * shape[2] * int(_number(tags, "BitsAllocated", 16, where)) // 8)
    stored = _stored(path, where).reshape(-1, shape[1], shape[2]) if count else None
    if stored is None or stored.shape != shape:
        raise InputError(where, f"the pixels do not fill {count} frames of {shape[1]}×{shape[2]}", "fetch it again")
    slope, intercept = _number(tags, "RescaleSlope", 1, where), _number(tags, "RescaleIntercept", 0, where)
    frames = (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    if not np.isfinite(frames).all():
        raise InputError(where, "pixel values that are not finite")
    return PlanarImage(
        frames,
        str(tags.Modality),
        _views(tags, count),
        _spacing(tags, where),
        tags.get("PhotometricInterpretation") == "MONOCHROME1",
    )


def _header(path: Path, where: str) -> pydicom.Dataset:
    try:
        with opened(path) as stream:
            tags = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(_TAGS))
            list(tags.iterall())  # elements are interpreted when they are looked at, and fail then
            return tags
    except FileNotFoundError as error:
        raise InputError(where, "no such file") from error
    except InvalidDicomError as error:
        raise InputError(where, "not a DICOM file", "fetch it again or move it away") from error
    except Exception as error:  # pydicom raises whatever a broken element happens to cause
        raise InputError(where, f"unreadable DICOM header ({type(error).__name__})", "fetch it again") from error


def _spacing(tags: pydicom.Dataset, where: str) -> tuple[float, float] | None:
    found = tags.get("PixelSpacing")
    if found is None or isinstance(found, str) or len(found) != 2:
        return None
    try:
        rows, columns = float(found[0]), float(found[1])
    except (TypeError, ValueError) as error:
        raise InputError(where, "PixelSpacing holds no usable number", "fetch it again") from error
    return (rows, columns) if min(rows, columns) > 0 and max(rows, columns) < math.inf else None


def _number(tags: pydicom.Dataset, name: str, default: float, where: str) -> float:
    value = tags.get(name)
    try:
        return default if value in (None, "", 0) else float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(where, f"{name} holds no usable number", "fetch it again") from error


def _stored(path: Path, where: str) -> NDArray[Any]:
    dataset = pydicom.Dataset()
    try:
        with opened(path) as stream:
            dataset = pydicom.dcmread(stream)
            return np.asarray(dataset.pixel_array)
    except (AttributeError, EOFError, OSError) as error:
        raise InputError(where, "truncated: the pixel data are missing or incomplete", "fetch it again") from error
    except (ValueError, RuntimeError, NotImplementedError) as error:
        raise InputError(where, *decoding_fault(dataset, error)) from error
    except Exception as error:  # pydicom raises whatever a broken element happens to cause
        raise InputError(where, f"unreadable DICOM file ({type(error).__name__})", "fetch it again") from error


def _views(tags: pydicom.Dataset, count: int) -> tuple[str, ...]:
    """Return each frame's view: by its detector, whose entry names the view (PS3.3, C.8.4.11)."""
    detectors = tags.get("DetectorInformationSequence") or []
    named = [_view(detector) for detector in detectors]
    vector = tags.get("DetectorVector")
    numbers = list(range(1, count + 1)) if vector is None else [int(v) for v in np.atleast_1d(np.asarray(vector))]
    return tuple(named[n - 1] if 0 < n <= len(named) else "" for n in (*numbers, *[0] * count)[:count])


def _view(detector: pydicom.Dataset) -> str:
    codes = detector.get("ViewCodeSequence") or []
    text = str(codes[0].get("CodeMeaning", "")).lower() if codes else ""
    return next((view for view in ("anterior", "posterior") if view in text), "")
