"""Arrays, text and containers out of a pickle that nobody vouches for, without running anything that it asks for.

NumPy's own classes are no safe ground: an array's or a type's state can announce any size, or declare numbers to be
Python objects. Stand-ins take the same state here, check it against the bytes that are there, and build the array.
"""

from __future__ import annotations

import math
import pickle
from typing import IO, Any

import numpy as np

from medtools.core.errors import InputError

_KINDS = "biufUSO"


def load_arrays(stream: IO[bytes]) -> Any:
    """Unpickle numbers, text, lists, dictionaries and NumPy arrays.

    Parameters
    ----------
    stream : binary file
        At the start of the pickle.

    Returns
    -------
    object
        Arrays as ndarray.

    Raises
    ------
    InputError
        The pickle asks for anything else, which could run code.
    Exception
        Of any kind, where it is damaged.
    """
    return _plain(_Unpickler(stream).load())


class _Type:
    """Stands in for `numpy.dtype`."""

    def __init__(self, code: str = "O", _align: bool = False, _copy: bool = True) -> None:
        self.code, self.order = code, ""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = {"<": "<", ">": ">"}.get(state[1], "")

    def dtype(self) -> np.dtype:
        """Return the type meant."""
        found = np.dtype(self.order + self.code if isinstance(self.code, str) else "V")
        if found.kind not in _KINDS or not found.itemsize:
            raise ValueError(f"an array of {found}")
        return found


class _Array:
    """Stands in for `numpy.ndarray`, which is made empty and given its content as state."""

    def __init__(self, *_: object) -> None:
        self.values = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, content = state
        dtype, count = kind.dtype(), math.prod(shape)
        held = len(content) if dtype.kind == "O" else len(content) // dtype.itemsize
        if min(shape, default=0) < 0 or held != count or isinstance(content, list) != (dtype.kind == "O"):
            raise ValueError("an array of another size than it declares")
        if dtype.kind == "O":
            flat = np.empty(count, dtype=object)
            flat[:] = [_plain(item) for item in content]
        else:
            flat = np.frombuffer(content, dtype, count)
        self.values = flat.reshape(shape, order="F" if fortran else "C")


def _scalar(kind: _Type, content: bytes) -> Any:
    return np.frombuffer(content, kind.dtype(), 1)[0]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":  # how Python 2 wrote bytes
        raise ValueError(f"text in {encoding}")
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Any] = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    ("numpy", "ndarray"): None,  # only named, as what to make
    ("numpy", "dtype"): _Type,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle._Unpickler):  # type: ignore[name-defined, misc]
    """The unpickler in Python: the one in C makes room for whatever number of objects a damaged file announces."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise InputError("pickle", f"asks for {module}.{name}, which could run code", "store arrays and text only")
        return _STAND_INS[module, name]


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.values
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
