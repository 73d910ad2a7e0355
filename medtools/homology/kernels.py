"""How the numerical kernels are compiled.

Kernels release the interpreter lock and keep IEEE arithmetic, so that bits depend neither on threads nor on vectors.
Compiled code is kept beside the module or in the user's cache folder; numba notices changes of a module only in its own
file, so a kernel calls kernels of its own module alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def compiled(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile on the first call; without a folder to keep the code in, compile in every process."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:
        return numba.njit(nogil=True, error_model="numpy")(function)


def inlined(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Compile into the kernels that call it, which spares small functions with many arrays the cost of a call."""
    return numba.njit(inline="always", error_model="numpy")(function)
