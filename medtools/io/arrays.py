"""NumPy and MATLAB arrays from files nobody vouches for: no pickles, no sizes taken on trust."""

from __future__ import annotations

import io
import math
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.io.guard import check_size, printable, read_whole
from medtools.io.mat import decode_mat

_DECODE_ERRORS = (
    ValueError, TypeError, SyntaxError, LookupError, ArithmeticError, EOFError, OSError, RuntimeError, MemoryError,
    tokenize.TokenError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def read_npy(path: str | Path) -> NDArray:
    """Read one array of real numbers from a `.npy` file.

    Returns
    -------
    ndarray
        Any shape; integer, unsigned or floating dtype as in the file.

    Raises
    ------
    InputError
        Not a `.npy` file, empty, holding more or less than it declares, or another kind (objects, complex, text).
    """
    return _decode_npy(read_whole(path), printable(path))


def read_npz(path: str | Path, *, empty: bool = False) -> dict[str, NDArray]:
    """Read every array of a `.npz` file, names (text) included.

    Parameters
    ----------
    path : str or Path
        The file.
    empty : bool
        Accept arrays without values.

    Raises
    ------
    InputError
        As `read_npy`, a damaged archive, or one that would unpack to more than is accepted.
    """
    content, where = read_whole(path), printable(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            check_size(where, sum(member.file_size for member in members))
            packed = {member.filename.removesuffix(".npy"): archive.read(member) for member in members}
    except _DECODE_ERRORS as error:
        raise InputError(where, f"damaged or truncated .npz ({_reason(error)})", "write it again") from error
    return {name: _decode_npy(data, f"{where}:{name}", text=True, empty=empty) for name, data in packed.items()}


def read_mat(path: str | Path, key: str | None = None) -> NDArray:
    """Read one numeric matrix from a MATLAB 5 file (`save -v6` or `-v7`).

    Parameters
    ----------
    path : str or Path
        The file.
    key : str, optional
        Name of the variable; needed where the file has more than one matrix.

    Returns
    -------
    ndarray
        As stored: two axes unless `key` names something else.

    Raises
    ------
    InputError
        Not MATLAB 5, truncated, declaring or unpacking to more than is accepted, no such variable, no matrix, or more
        than one.
    """
    return choose_mat(read_whole(path), printable(path), key)


def choose_mat(content: bytes, where: str, key: str | None = None) -> NDArray:
    """Return one numeric matrix from the bytes of a MATLAB 5 file; otherwise as `read_mat`."""
    variables = decode_mat(content, where)
    numeric = {name: item.values for name, item in variables.items() if item.values is not None}
    return _choose(numeric, {name: (item.kind, item.shape) for name, item in variables.items()}, key, where)


def choose_array(arrays: dict[str, NDArray], key: str | None, where: str) -> NDArray:
    """Return the array named `key`, or the only numeric one with two axes longer than one.

    Raises
    ------
    InputError
        No such array, no matrix, or more than one.
    """
    numeric = {name: array for name, array in arrays.items() if array.dtype.kind != "U"}
    return _choose(numeric, {name: (str(array.dtype), array.shape) for name, array in arrays.items()}, key, where)


def _choose(
    numeric: dict[str, NDArray], described: dict[str, tuple[str, tuple[int, ...]]], key: str | None, where: str
) -> NDArray:
    words = [f"{name} ({kind} {'x'.join(map(str, shape))})" for name, (kind, shape) in described.items()]
    listed = ", ".join(words)[:200] or "nothing"
    if key is not None:
        if key not in numeric:
            raise InputError(where, f"no array of real numbers named {key!r}, found {listed}")
        return numeric[key]
    matrices = [name for name, array in numeric.items() if array.ndim == 2 and min(array.shape) > 1]
    if not matrices:
        raise InputError(where, f"no matrix of real numbers, found {listed}", "store one, ROIs by time")
    if len(matrices) > 1:
        found = f"{len(matrices)} matrices ({', '.join(matrices)[:200]}), which are the series?"
        raise InputError(where, found, "keep one, or name it by its key")
    return numeric[matrices[0]]


def _decode_npy(content: bytes, where: str, *, text: bool = False, empty: bool = False) -> NDArray:
    stream = io.BytesIO(content)
    shape, fortran, dtype = _read_npy_header(stream, where)
    if not (text and dtype.kind == "U"):
        _check_kind(dtype, where)
    count = math.prod(shape)
    declared, held = count * dtype.itemsize, len(content) - stream.tell()
    if min(shape, default=0) < 0 or declared != held:
        found = f"damaged: declares {'x'.join(map(str, shape))} {dtype} ({declared:,} bytes), holds {held:,} bytes"
        raise InputError(where, found, "write it again")
    if not declared and not empty:
        raise InputError(where, f"holds no values: its shape is {'x'.join(map(str, shape))}")
    return np.frombuffer(content, dtype, count, stream.tell()).reshape(shape, order="F" if fortran else "C")


def _read_npy_header(stream: io.BytesIO, where: str) -> tuple[tuple[int, ...], bool, np.dtype]:
    readers = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
    try:
        version = npy_format.read_magic(stream)
        if version not in readers:
            raise InputError(where, f".npy format {version[0]}.{version[1]} is not read", "save plain numbers")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of damaged headers, which numpy compiles as Python literals
            return readers[version](stream)
    except _DECODE_ERRORS as error:
        raise InputError(where, f"not a .npy array ({_reason(error)})") from error


def _check_kind(dtype: np.dtype, where: str) -> None:
    if dtype.kind in "iuf":
        return
    kinds = {"O": "Python objects, which could run code", "c": "complex numbers", "U": "text", "S": "text"}
    raise InputError(where, f"holds {kinds.get(dtype.kind, f'{dtype} values')}", "store real numbers")


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__
