"""Numeric variables of MATLAB 5 files (`save -v6`, `-v7`; Octave and scipy write the same).

`scipy.io.loadmat` crashes the process on some damaged files and allocates what a header declares before it looks at
what the file holds; here every size is checked against the bytes that are there.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.io.guard import MAX_BYTES

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_STORAGE = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_CLASSES = {
    1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 6: "double", 7: "single", 8: "int8", 9: "uint8",
    10: "int16", 11: "uint16", 12: "int32", 13: "uint32", 14: "int64", 15: "uint64", 16: "function", 17: "opaque",
}  # fmt: skip
_NUMERIC = range(6, 16)
_WITHOUT_SHAPE = (16, 17)
_COMPLEX, _LOGICAL = 0x08, 0x02


@dataclass(frozen=True)
class MatVariable:
    """One variable of a file.

    Attributes
    ----------
    kind : str
        MATLAB's class, `complex` or `logical`.
    shape : tuple of int
        Empty where the class has none.
    values : ndarray or None
        The numbers, in the type they are stored in; None for what is not a real numeric array.
    """

    kind: str
    shape: tuple[int, ...]
    values: NDArray | None


def decode_mat(content: bytes, where: str) -> dict[str, MatVariable]:
    """Decode the variables of a MATLAB 5 file.

    Parameters
    ----------
    content : bytes
        The whole file.
    where : str
        Names the file in errors.

    Returns
    -------
    dict of str to MatVariable
        In the order of the file.

    Raises
    ------
    InputError
        Not MATLAB 5, truncated or damaged, or unpacking to more than is accepted.
    """
    if content.startswith(b"MATLAB 7.3"):
        raise InputError(where, "is a MATLAB 7.3 file", "save it with `save -v7`")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or not content.startswith(b"MATLAB 5.0"):
        raise InputError(where, "is not a MATLAB 5 file", "save it with `save -v7`")
    variables = {}
    try:
        for matrix in _matrices(memoryview(content), order, where):
            name, variable = _variable(matrix, order)
            if name:  # the nameless one holds what opaque objects refer to
                variables[name] = variable
    except (ValueError, struct.error, zlib.error) as error:
        raise InputError(where, f"damaged or truncated .mat ({error})", "save it again") from error
    return variables


def _matrices(content: memoryview, order: str, where: str) -> Iterator[memoryview]:
    """Yield the payload of each variable, unpacked within bounds."""
    position, room = _HEADER_BYTES, MAX_BYTES
    while position < len(content):
        kind, size = struct.unpack_from(f"{order}II", content, position)
        payload = content[position + 8 : position + 8 + size]
        if len(payload) < size:
            raise ValueError(f"the variable at byte {position} ends early")
        if kind == _COMPRESSED:
            engine = zlib.decompressobj()
            unpacked = memoryview(engine.decompress(payload, room))
            if engine.unconsumed_tail:
                raise InputError(where, f"unpacks to more than {MAX_BYTES / 2**20:,.0f} MiB", "keep one matrix")
            if not engine.eof:
                raise ValueError(f"the variable at byte {position} ends early")
            room -= len(unpacked)
            kind, inner, _ = _element(unpacked, 0, order)
        else:
            inner = payload
        if kind != _MATRIX:
            raise ValueError(f"no variable at byte {position}")
        yield inner
        position += 8 + size


def _element(data: memoryview, position: int, order: str) -> tuple[int, memoryview, int]:
    """Return type and payload of the element at `position`, and where the next one starts."""
    kind, size = struct.unpack_from(f"{order}II", data, position)
    start, end = position + 8, position + 8 + size
    following = end + -end % 8
    if kind >> 16:  # small format: size and type share four bytes, up to four bytes of data follow
        kind, size = kind & 0xFFFF, kind >> 16
        start, end, following = position + 4, position + 4 + size, position + 8
    if end > min(len(data), following):
        raise ValueError("a variable's part ends early")
    return kind, data[start:end], following


def _variable(matrix: memoryview, order: str) -> tuple[str, MatVariable]:
    _, flags, position = _element(matrix, 0, order)
    word = struct.unpack_from(f"{order}I", flags)[0]
    number = word & 0xFF
    kind = _CLASSES.get(number)
    if kind is None:
        raise ValueError(f"unknown class {number}")
    if number in _WITHOUT_SHAPE:
        return f"({kind})", MatVariable(kind, (), None)
    _, sizes, position = _element(matrix, position, order)
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    _, label, position = _element(matrix, position, order)
    name = bytes(label).decode("latin-1")
    marks = {_COMPLEX: "complex", _LOGICAL: "logical"}
    kind = next((mark for bit, mark in marks.items() if (word >> 8) & bit), kind)
    if number not in _NUMERIC or kind in marks.values():
        return name, MatVariable(kind, shape, None)
    stored, numbers, _ = _element(matrix, position, order)
    if stored not in _STORAGE or min(shape, default=0) < 0:
        raise ValueError(f"{name!r} is stored in no known way")
    dtype = np.dtype(order + _STORAGE[stored])
    if math.prod(shape) * dtype.itemsize != len(numbers):
        held = len(numbers) // dtype.itemsize
        raise ValueError(f"{name!r} declares {'x'.join(map(str, shape))} numbers and holds {held}")
    return name, MatVariable(kind, shape, np.frombuffer(numbers, dtype).reshape(shape, order="F"))
