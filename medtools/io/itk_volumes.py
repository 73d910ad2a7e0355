"""MetaImage (.mha, .mhd) and NRRD (.nrrd, .nhdr) volumes: sizes before allocation, the whole file read."""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError, RefusedError
from medtools.io.guard import printable, read_whole

SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
DEFAULT_MAX_BYTES = 4 * 2**30
_META_TYPES = {
    "MET_CHAR": "i1", "MET_UCHAR": "u1", "MET_SHORT": "i2", "MET_USHORT": "u2", "MET_INT": "i4", "MET_UINT": "u4",
    "MET_LONG": "i4", "MET_ULONG": "u4", "MET_FLOAT": "f4", "MET_DOUBLE": "f8",
}  # fmt: skip
_NRRD_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    "float": "f4",
    "double": "f8",
}
# Signs that turn a NRRD space into NIfTI's right, anterior, superior.
_NRRD_SPACES = {
    "left-posterior-superior": (-1.0, -1.0, 1.0),
    "right-anterior-superior": (1.0, 1.0, 1.0),
    "left-anterior-superior": (-1.0, 1.0, 1.0),
}
_NRRD_SHORT = {"lps": "left-posterior-superior", "ras": "right-anterior-superior", "las": "left-anterior-superior"}


@dataclass(frozen=True)
class _Layout:
    """What a header says about the voxels: `offset` into `file`, or -1 for its last bytes."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    affine: NDArray[np.float64]
    packed: bool
    file: Path
    offset: int


def read_itk_volume(path: str | Path, max_bytes: int = DEFAULT_MAX_BYTES) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Read a three-dimensional image of real numbers.

    Parameters
    ----------
    path : str or Path
        `.mha`, `.mhd`, `.nrrd` or `.nhdr`, raw or gzip-compressed.
    max_bytes : int
        Largest array to allocate.

    Returns
    -------
    data : (x, y, z) array
        In the type of the file.
    affine : (4, 4) float64
        Index to mm (right, anterior, superior).

    Raises
    ------
    InputError
        Missing, truncated or damaged file, a header that does not say what is needed, or no usable geometry.
    RefusedError
        The values need more than `max_bytes`.
    """
    path = Path(path)
    where = printable(path)
    content = read_whole(path, max_bytes)
    try:
        layout = (_meta_layout if path.suffix.lower() in (".mha", ".mhd") else _nrrd_layout)(path, content)
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(where, f"unusable header ({error})", "write the image again, for example as NIfTI") from error
    needed = math.prod(layout.shape) * layout.dtype.itemsize
    if needed > max_bytes:
        raise RefusedError(f"{where}: {layout.shape} voxels need {needed >> 20} MiB")
    if abs(np.linalg.det(layout.affine[:3, :3])) < 1e-9 or not np.isfinite(layout.affine).all():
        raise InputError(where, "no usable geometry: spacing or directions are zero or not finite")
    body = content if layout.file == path else read_whole(_beside(path, layout.file), max_bytes)
    body = body[layout.offset :] if layout.offset >= 0 else body[-needed:]
    if layout.packed:
        body = _unpack(body, needed, where)
    if len(body) < needed:
        found = f"the header declares {needed} bytes of voxels, the file has {len(body)}"
        raise InputError(where, found, "it is truncated: fetch it again")
    data = np.frombuffer(body, layout.dtype, count=math.prod(layout.shape)).reshape(layout.shape, order="F")
    if data.dtype.kind == "f" and not np.isfinite(data).all():
        raise InputError(where, "voxels that are not finite")
    return data.astype(data.dtype.newbyteorder("="), copy=False), layout.affine


def _beside(path: Path, other: Path) -> Path:
    if other.name != str(other) or not (path.parent / other).is_file():
        raise InputError(printable(path), f"its data file {other} is not beside it", "keep header and data together")
    return path.parent / other


def _unpack(body: bytes, needed: int, where: str) -> bytes:
    """Decompress gzip or zlib data, never to more than what the header declares."""
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        unpacked = decoder.decompress(body, needed + 1)
        if len(unpacked) >= needed and not decoder.eof:
            decoder.decompress(decoder.unconsumed_tail, 1)
    except zlib.error as error:
        raise InputError(where, "damaged compressed data", "fetch it again") from error
    if len(unpacked) < needed or not decoder.eof:
        raise InputError(where, "the compressed data break off or hold more than the header declares", "fetch it again")
    return unpacked


def _fields(text: str, separator: str) -> dict[str, str]:
    pairs = (line.split(separator, 1) for line in text.splitlines() if separator in line and line[:1] != "#")
    return {key.strip(): value.strip() for key, value in pairs}


def _numbers(text: str) -> list[float]:
    return [float(part) for part in re.split(r"[\s,()]+", text) if part]


def _meta_layout(path: Path, content: bytes) -> _Layout:
    end = re.search(rb"ElementDataFile\s*=[^\n]*\n?", content)
    if end is None:
        raise ValueError("no ElementDataFile")
    fields = _fields(content[: end.end()].decode("latin-1"), "=")
    shape = _shape(fields["DimSize"])
    if fields.get("ElementNumberOfChannels", "1") != "1":
        raise ValueError("several values per voxel")
    big = (fields.get("BinaryDataByteOrderMSB") or fields.get("ElementByteOrderMSB") or "").lower() == "true"
    dtype = np.dtype((">" if big else "<") + _META_TYPES[fields["ElementType"]])
    spacing = _numbers(fields.get("ElementSpacing") or fields["ElementSize"])
    matrix = _numbers(fields.get("TransformMatrix") or fields.get("Rotation") or "1 0 0 0 1 0 0 0 1")
    origin = _numbers(fields.get("Offset") or fields.get("Position") or fields.get("Origin") or "0 0 0")
    axes = np.array(matrix).reshape(3, 3).T * spacing  # each stored row is the direction of one image axis
    local = fields["ElementDataFile"].upper() == "LOCAL"
    offset = end.end() if local else int(fields.get("HeaderSize", "0"))
    packed = fields.get("CompressedData", "False").lower() == "true"
    file = path if local else Path(fields["ElementDataFile"])
    return _Layout(shape, dtype, _affine(axes, origin, (-1.0, -1.0, 1.0)), packed, file, offset)


def _nrrd_layout(path: Path, content: bytes) -> _Layout:
    if not content.startswith(b"NRRD000"):
        raise ValueError("does not begin with NRRD")
    end = re.search(rb"\r?\n\r?\n", content)
    fields = _fields(content[: end.start() if end else len(content)].decode("latin-1"), ":")
    if fields["dimension"] != "3":
        raise ValueError(f"{fields['dimension']} dimensions, expected 3")
    encoding = fields["encoding"].lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise ValueError(f"encoding {encoding}, expected raw or gzip")
    kind = _NRRD_TYPES[fields["type"].lower()]
    dtype = np.dtype((">" if fields.get("endian", "little").lower() == "big" else "<") + kind)
    name = fields.get("space", "left-posterior-superior").lower()
    signs = _NRRD_SPACES[_NRRD_SHORT.get(name, name)]
    if "space directions" in fields:
        axes = np.array(_numbers(fields["space directions"])).reshape(3, 3).T
    else:
        axes = np.diag(_numbers(fields["spacings"]))
    origin = _numbers(fields.get("space origin", "0 0 0"))
    file = fields.get("data file") or fields.get("datafile")
    if file is None and end is None:
        raise ValueError("no empty line after the header")
    skip = int(fields.get("byte skip") or fields.get("byteskip") or 0)
    offset = skip if file else end.end() + max(skip, 0)  # type: ignore[union-attr]
    offset = -1 if skip == -1 else offset
    return _Layout(
        _shape(fields["sizes"]),
        dtype,
        _affine(axes, origin, signs),
        encoding != "raw",
        Path(file) if file else path,
        offset,
    )


def _shape(text: str) -> tuple[int, int, int]:
    sizes = [int(part) for part in text.split()]
    if len(sizes) != 3 or min(sizes) < 1:
        raise ValueError(f"size {text}, expected three positive numbers")
    return sizes[0], sizes[1], sizes[2]


def _affine(axes: NDArray[np.float64], origin: list[float], signs: tuple[float, ...]) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes, origin
    return np.diag([*signs, 1.0]) @ affine
