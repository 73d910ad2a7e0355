"""NIfTI headers behind one guard: what a file declares is checked before anything is allocated."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import nibabel as nib
import numpy as np

from medtools.core.errors import InputError

_DTYPES = frozenset(["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"])
_GZIP_MAGIC = b"\x1f\x8b"
_MAX_DEFLATE_RATIO = 1032  # the format's bound: 258 bytes out of 2 bits in
_MILLISECONDS_PER_UNIT = {8: 1e3, 16: 1.0, 24: 1e-3}  # NIfTI time codes: s, ms, us
_SECONDS_BELOW = 100.0  # an unlabelled repetition time below this is in seconds
CHUNK = 1 << 20


@dataclass(frozen=True)
class VolumeHeader:
    """What a checked header says; nothing in it can name a patient.

    Attributes
    ----------
    path : Path
    shape : tuple of int
        Three or four axes.
    dtype : numpy.dtype
        Type on disk.
    slope, intercept : float
        Stored value times slope plus intercept is the value.
    affine : (4, 4) float64
        Voxel index to scanner or template coordinates (right, anterior, superior) in mm.
    tr_ms : float or None
        Repetition time of a 4-D file in milliseconds; None where the header has none.
    offset : int
        First byte of the data in the uncompressed stream.
    warnings : tuple of str
        Oddities that do not prevent reading.
    """

    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype
    slope: float
    intercept: float
    affine: np.ndarray
    tr_ms: float | None
    offset: int
    warnings: tuple[str, ...] = ()

    @property
    def zooms(self) -> tuple[float, float, float]:
        """Voxel size in mm along each array axis."""
        size = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(size[0]), float(size[1]), float(size[2])

    @property
    def n_volumes(self) -> int:
        """Number of volumes: the fourth axis, or 1."""
        return self.shape[3] if len(self.shape) == 4 else 1


def read_header(path: str | Path, ndim: int | None = None, allow_shear: bool = False) -> VolumeHeader:
    """Read and check a NIfTI header without reading the data.

    Parameters
    ----------
    path : str or Path
        `.nii` or `.nii.gz`, NIfTI-1 or NIfTI-2.
    ndim : {3, 4}, optional
        Number of axes expected; one volume in a 4-D file counts as 3-D.
    allow_shear : bool
        Accept an affine whose axes are not orthogonal.

    Raises
    ------
    InputError
        Missing, empty, truncated or non-NIfTI file, more data declared than the file can hold, a type of voxel that
        is no real number, non-finite scaling, no usable affine, or another number of axes than `ndim`.
    """
    path = Path(path)
    with open_stream(path) as stream:
        raw = _header_bytes(stream, path)
    header = _parse(raw, path)
    warnings: list[str] = []
    shape = _shape(header, path, ndim)
    dtype = _dtype(header, path)
    slope, intercept = _scaling(header, path)
    offset = _offset(header, path)
    _check_size(path, offset + math.prod(shape) * dtype.itemsize)
    affine = _affine(header, path, allow_shear, warnings)
    tr_ms = _repetition_time(header, warnings) if len(shape) == 4 else None
    return VolumeHeader(path, shape, dtype, slope, intercept, affine, tr_ms, offset, tuple(warnings))


def open_stream(path: Path) -> IO[bytes]:
    """Open the uncompressed stream of a NIfTI file, whether it is compressed or not."""
    if path.is_dir():
        raise InputError(path, "is a folder, expected a NIfTI file")
    if not path.exists():
        raise InputError(path, "no such file")
    if not path.name.endswith((".nii", ".nii.gz")):
        raise InputError(path, "expected a .nii or .nii.gz file", "convert it, for DICOM with dcm2niix")
    try:
        return gzip.open(path, "rb") if _is_packed(path) else path.open("rb")  # type: ignore[return-value]
    except PermissionError as error:
        raise InputError(path, "no permission to read it") from error


def _is_packed(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(2) == _GZIP_MAGIC


def read_exactly(stream: IO[bytes], count: int, path: Path, what: str) -> np.ndarray:
    """Read exactly `count` bytes; memory is touched only as far as the file really goes."""
    content = np.empty(count, dtype=np.uint8)
    view, done = memoryview(content), 0  # type: ignore[arg-type]
    while done < count:
        try:
            part = stream.readinto(view[done : done + CHUNK])  # type: ignore[attr-defined]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(path, f"compressed data are damaged in {what} ({error})", "fetch it again") from error
        if not part:
            raise InputError(path, f"file ends inside {what}", "it is truncated: fetch it again")
        done += part
    return content


def _header_bytes(stream: IO[bytes], path: Path) -> bytes:
    head = read_exactly(stream, 348, path, "the header").tobytes()
    if 540 in (int.from_bytes(head[:4], "little"), int.from_bytes(head[:4], "big")):
        head += read_exactly(stream, 540 - 348, path, "the header").tobytes()
    return head


def _parse(raw: bytes, path: Path) -> nib.Nifti1Header:
    kind, magic = (nib.Nifti2Header, raw[4:7]) if len(raw) == 540 else (nib.Nifti1Header, raw[344:347])
    if magic in (b"ni1", b"ni2"):
        raise InputError(path, "header of a .hdr/.img pair", "convert it to a single .nii file")
    if magic not in (b"n+1", b"n+2"):
        raise InputError(path, "not a NIfTI file (its magic number is wrong)")
    little = int.from_bytes(raw[:4], "little") == len(raw)
    if not little and int.from_bytes(raw[:4], "big") != len(raw):
        raise InputError(path, "not a NIfTI file (its header has another size)")
    return kind(raw, endianness="<" if little else ">", check=False)


def _shape(header: nib.Nifti1Header, path: Path, ndim: int | None) -> tuple[int, ...]:
    dims = [int(size) for size in header["dim"]]
    if not 1 <= dims[0] <= 7:
        raise InputError(path, f"header declares {dims[0]} axes, expected 3 or 4")
    sizes = dims[1 : dims[0] + 1]
    if min(sizes) < 1:
        raise InputError(path, f"header declares an axis of size {min(sizes)} (shape {tuple(sizes)})")
    sizes += [1] * (3 - len(sizes))
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    if len(sizes) > 4:
        raise InputError(path, f"{len(sizes)}-D image {tuple(sizes)}, expected 3-D or 4-D")
    if ndim == 4 and len(sizes) == 3:
        raise InputError(path, f"3-D image {tuple(sizes)}, expected a 4-D series", "give the whole run in one file")
    if ndim == 3 and len(sizes) == 4:
        raise InputError(path, f"4-D series {tuple(sizes)}, expected a 3-D image")
    return tuple(sizes)


def _dtype(header: nib.Nifti1Header, path: Path) -> np.dtype:
    try:
        dtype = header.get_data_dtype()
    except (KeyError, nib.spatialimages.HeaderDataError) as error:
        raise InputError(path, f"unknown data type code {int(header['datatype'])}") from error
    if dtype.newbyteorder("=").name not in _DTYPES:
        raise InputError(path, f"voxels of type {dtype}, expected real integers or floats")
    return dtype


def _scaling(header: nib.Nifti1Header, path: Path) -> tuple[float, float]:
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise InputError(path, f"scaling of the values is not finite (scl_slope {slope}, scl_inter {intercept})")
    return (1.0, 0.0) if slope == 0 else (slope, intercept)


def _offset(header: nib.Nifti1Header, path: Path) -> int:
    offset, least = float(header["vox_offset"]), len(header.binaryblock) + 4
    if not math.isfinite(offset) or offset < 0 or offset > 2**40:
        raise InputError(path, f"data start at byte {offset:g}, which no file can mean")
    return max(int(offset), least)


def _check_size(path: Path, needed: int) -> None:
    """Refuse, before anything is allocated, data that the file cannot hold."""
    size = path.stat().st_size
    if needed > size * (_MAX_DEFLATE_RATIO if _is_packed(path) else 1):
        raise InputError(
            path, f"header declares {needed} bytes, the file has {size}", "it is truncated or damaged: fetch it again"
        )


def _affine(header: nib.Nifti1Header, path: Path, allow_shear: bool, warnings: list[str]) -> np.ndarray:
    sform_code, qform_code = int(header["sform_code"]), int(header["qform_code"])
    if sform_code <= 0 and qform_code <= 0:
        warnings.append("no orientation (qform and sform codes are 0): left and right are a guess")
    try:
        quaternion_form = header.get_qform(coded=False) if qform_code > 0 else None
        affine = header.get_sform() if sform_code > 0 else quaternion_form
        affine = header.get_base_affine() if affine is None else affine
    except (ValueError, np.linalg.LinAlgError, nib.spatialimages.HeaderDataError) as error:
        raise InputError(path, f"unusable orientation ({error})") from error
    affine = np.asarray(affine, dtype=np.float64)
    _check_affine(affine, path, allow_shear)
    if sform_code > 0 and quaternion_form is not None and _corner_distance(header, affine, quaternion_form) > 1.0:
        warnings.append("sform and qform place the image more than 1 mm apart; the sform is used")
    sizes = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64))
    if not np.allclose(sizes, np.linalg.norm(affine[:3, :3], axis=0), rtol=0.01):
        warnings.append("voxel sizes in pixdim and in the affine differ; the affine is used")
    return affine


def _check_affine(affine: np.ndarray, path: Path, allow_shear: bool) -> None:
    if not np.isfinite(affine).all():
        raise InputError(path, "affine has values that are not finite")
    axes = affine[:3, :3]
    sizes = np.linalg.norm(axes, axis=0)
    if sizes.min() < 1e-6 or abs(np.linalg.det(axes / sizes)) < 1e-4:
        raise InputError(path, "affine is singular: the image is flat along one direction")
    cosines = (axes / sizes).T @ (axes / sizes) - np.eye(3)
    if not allow_shear and np.abs(cosines).max() > 1e-2:
        raise InputError(
            path,
            f"affine is sheared (axes meet at cosine {np.abs(cosines).max():.3f})",
            "resample it to a straight grid",
        )


def _corner_distance(header: nib.Nifti1Header, one: np.ndarray, other: np.ndarray) -> float:
    last = np.maximum(np.asarray(header["dim"][1:4], dtype=np.float64) - 1, 0)
    corners = np.array([(*(last * bits), 1.0) for bits in np.ndindex(2, 2, 2)])
    difference = (corners @ (one - other).T)[:, :3]
    largest = float(np.linalg.norm(difference, axis=1).max())
    return largest if math.isfinite(largest) else math.inf


def _repetition_time(header: nib.Nifti1Header, warnings: list[str]) -> float | None:
    value = float(header["pixdim"][4])
    if not math.isfinite(value) or value <= 0:
        return None
    unit = int(header["xyzt_units"]) & 0x38
    if unit in _MILLISECONDS_PER_UNIT:
        return value * _MILLISECONDS_PER_UNIT[unit]
    seconds = value < _SECONDS_BELOW
    warnings.append(f"repetition time {value:g} has no unit in the header; taken as {'s' if seconds else 'ms'}")
    return value * 1e3 if seconds else value
