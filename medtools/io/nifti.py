"""NIfTI behind one guard: sizes before allocation, the whole file read, a usable geometry, no patient fields out."""

from __future__ import annotations

import gzip
import io
import logging
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import nibabel as nib
import numpy as np

from medtools.core.atomic import atomic_path
from medtools.core.errors import InputError, RefusedError
from medtools.io.nifti_header import CHUNK, VolumeHeader, open_stream, read_exactly, read_header

__all__ = ["DEFAULT_MAX_BYTES", "Volume", "VolumeHeader", "iter_volumes", "open_volume", "read_header", "write_volume"]

LOGGER = logging.getLogger(__name__)

DEFAULT_MAX_BYTES = 8 * 2**30


@dataclass(frozen=True)
class Volume:
    """A checked image: header and values, `(x, y, z)` or `(x, y, z, t)`, each volume contiguous."""

    header: VolumeHeader
    data: np.ndarray

    @property
    def affine(self) -> np.ndarray:
        """Voxel index to mm."""
        return self.header.affine


def open_volume(
    path: str | Path,
    ndim: int | None = None,
    max_bytes: int = DEFAULT_MAX_BYTES,
    *,
    allow_shear: bool = False,
    allow_nonfinite: bool = False,
) -> Volume:
    """Read a whole NIfTI image as float32, to the end of the file.

    Parameters
    ----------
    path, ndim, allow_shear
        As in `read_header`.
    max_bytes : int
        Largest array to allocate.
    allow_nonfinite : bool
        Accept NaN and infinite voxels.

    Returns
    -------
    Volume
        Values scaled as the header says.

    Raises
    ------
    InputError
        As in `read_header`; also a damaged compressed stream (its checksum is verified) and non-finite voxels.
    RefusedError
        The values need more than `max_bytes`.
    """
    header = read_header(path, ndim, allow_shear)
    _check_budget(header, header.shape, max_bytes)
    spatial = header.shape[:3]
    store = np.empty((header.n_volumes, *reversed(spatial)), dtype=np.float32)
    for index, volume in enumerate(iter_volumes(header, max_bytes, allow_nonfinite=allow_nonfinite)):
        store[index] = volume.T
    data = store.transpose(3, 2, 1, 0) if len(header.shape) == 4 else store[0].T
    return Volume(header, data)


def iter_volumes(
    header: VolumeHeader, max_bytes: int = DEFAULT_MAX_BYTES, *, allow_nonfinite: bool = False
) -> Iterator[np.ndarray]:
    """Yield the `(x, y, z)` float32 volumes of a checked image in order, holding one at a time.

    The file is read to its end: damage past the last volume raises after that volume has been yielded.

    Raises
    ------
    InputError
        Truncated or damaged data, or non-finite voxels unless `allow_nonfinite`.
    RefusedError
        One volume needs more than `max_bytes`.
    """
    spatial = header.shape[:3]
    _check_budget(header, spatial, max_bytes)
    count = math.prod(spatial)
    with open_stream(header.path) as stream:
        _skip(stream, header.offset, header.path)
        for index in range(header.n_volumes):
            raw = read_exactly(stream, count * header.dtype.itemsize, header.path, f"volume {index}")
            volume = _scaled(raw.view(header.dtype), header.slope, header.intercept).reshape(spatial, order="F")
            if not allow_nonfinite:
                _check_finite(volume, index, header)
            yield volume
        trailing = _read_rest(stream, header.path)
    if trailing:
        LOGGER.warning("%s: %d bytes after the last voxel are ignored", header.path.name, trailing)


def write_volume(
    path: str | Path, data: np.ndarray, affine: np.ndarray, *, tr_ms: float | None = None, template_space: bool = False
) -> None:
    """Write a NIfTI image atomically; equal values give equal bytes.

    The header is made anew from the arguments, so no field of an input file (description, intent, extensions) gets
    through. A name ending in `.gz` is compressed at level 3 without name or time of day.

    Parameters
    ----------
    path : str or Path
        `.nii` or `.nii.gz`.
    data : (x, y, z) or (x, y, z, t) array
        Written in its own type (bool as uint8).
    affine : (4, 4)
        Voxel index to mm.
    tr_ms : float, optional
        Repetition time of 4-D data in milliseconds; left out, the header says none.
    template_space : bool
        Coordinates are those of MNI152 instead of the scanner's.
    """
    data = np.asarray(data)
    image = nib.Nifti1Image(data.astype(np.uint8) if data.dtype == bool else data, affine)
    code = "mni" if template_space else "scanner"
    image.header.set_sform(affine, code=code)
    image.header.set_qform(affine, code=code, strip_shears=True)
    image.header.set_xyzt_units("mm", "sec" if tr_ms is not None else "unknown")
    if data.ndim == 4:
        image.header["pixdim"][4] = 0.0 if tr_ms is None else tr_ms / 1e3
    buffer = io.BytesIO()
    image.to_file_map({"image": nib.FileHolder(fileobj=buffer), "header": nib.FileHolder(fileobj=buffer)})
    with atomic_path(path) as partial, partial.open("wb") as stream:
        if Path(path).name.endswith(".gz"):
            with gzip.GzipFile(filename="", mode="wb", compresslevel=3, fileobj=stream, mtime=0) as packed:
                packed.write(buffer.getbuffer())
        else:
            stream.write(buffer.getbuffer())


def _check_budget(header: VolumeHeader, shape: tuple[int, ...], max_bytes: int) -> None:
    needed = math.prod(shape) * 4
    if needed > max_bytes:
        raise RefusedError(
            f"{header.path}: {shape} voxels need {needed / 2**20:.0f} MiB as float32; "
            f"the limit is {max_bytes / 2**20:.0f} MiB"
        )


def _skip(stream: IO[bytes], count: int, path: Path) -> None:
    while count:
        count -= read_exactly(stream, min(count, CHUNK), path, "the header").size


def _read_rest(stream: IO[bytes], path: Path) -> int:
    """Read to the end, which makes gzip check its checksum; return how many bytes there were."""
    trailing = 0
    while True:
        try:
            part = stream.read(CHUNK)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise InputError(path, f"compressed data are damaged at the end ({error})", "fetch it again") from error
        if not part:
            return trailing
        trailing += len(part)


def _scaled(values: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    if slope == 1.0 and intercept == 0.0:
        return values.astype(np.float32)
    return (values * np.float64(slope) + intercept).astype(np.float32)


def _check_finite(volume: np.ndarray, index: int, header: VolumeHeader) -> None:
    if math.isfinite(float(np.sum(volume, dtype=np.float64))):
        return
    where = np.argwhere(~np.isfinite(volume))
    first = tuple(int(position) for position in where[0])
    place = f"volume {index}, " if header.n_volumes > 1 else ""
    raise InputError(header.path, f"{len(where)} voxels are not finite (NaN or infinite), first at {place}{first}")
