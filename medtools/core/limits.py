"""Time and memory: what a stage may use, what it used, and how it is told to stop."""

from __future__ import annotations

import re
import resource
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from medtools.core.errors import InputError, RefusedError

_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


class Terminated(BaseException):
    """SIGTERM arrived: unwind so that partial files go, then exit 143."""


@dataclass(frozen=True)
class Estimate:
    """What a stage will need, known before it allocates anything.

    Attributes
    ----------
    memory_bytes : int
        Peak memory of the process.
    seconds : float or None
        Wall time, where it can be predicted.
    detail : str
        What the figures rest on.
    """

    memory_bytes: int
    seconds: float | None = None
    detail: str = ""

    def __str__(self) -> str:
        duration = "" if self.seconds is None else f", {self.seconds:.3g} s"
        return f"peak memory {self.memory_bytes / 2**20:.0f} MiB{duration}" + (
            f" ({self.detail})" if self.detail else ""
        )


def parse_size(text: str) -> int:
    """Read a size such as `800M`, `4GiB` or `1.5g` as bytes (powers of 1024)."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", text, re.IGNORECASE)
    if not match or float(match[1]) <= 0:
        raise InputError("--max-mem", f"expected a size such as 800M or 4G, found {text!r}")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def check_memory(estimate: Estimate, max_memory: int | None) -> None:
    """Refuse work that would exceed `max_memory` bytes, or what the machine has.

    Raises
    ------
    RefusedError
        Naming the need, the bound and what to do.
    """
    bound = max_memory if max_memory is not None else available_memory()
    if bound is not None and estimate.memory_bytes > bound:
        source = "--max-mem allows" if max_memory is not None else "this machine has"
        need = f"needs about {estimate.memory_bytes / 2**20:.0f} MiB ({estimate.detail})"
        raise RefusedError(f"{need}, {source} {bound / 2**20:.0f} MiB; lower the load or raise --max-mem")


def available_memory() -> int | None:
    """Return the bytes of memory the kernel says are available, or None where it does not say."""
    try:
        with open("/proc/meminfo", encoding="ascii") as stream:  # noqa: PTH123 (a kernel interface, not a file)
            for line in stream:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


def peak_memory_bytes() -> int:
    """Return the largest resident size this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class Deadline:
    """A bound on wall time that long work asks about."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds

    def remaining(self) -> float | None:
        """Return the seconds left, or None where there is no bound."""
        return None if self._end is None else self._end - time.monotonic()

    def check(self) -> None:
        """Raise RefusedError once the time is up."""
        remaining = self.remaining()
        if remaining is not None and remaining <= 0:
            raise RefusedError(f"stopped after --timeout {self.seconds:g} s; raise it or lower the load")


@contextmanager
def terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that a cancelled batch job cleans up after itself."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise Terminated

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
