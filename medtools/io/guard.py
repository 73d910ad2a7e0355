"""What stands between a file and an allocation: the file is read whole and bounded before anything is decoded."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from medtools.core.errors import InputError

MAX_BYTES = 2**28
"""Largest table or array accepted, on disk and decoded: 256 MiB, some 30,000 regions of 1,200 samples."""


def printable(path: str | Path) -> str:
    r"""Return a path as one line that any terminal shows: other bytes as `\xNN`, control characters escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text)


def read_whole(path: str | Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Read a regular file completely.

    Parameters
    ----------
    path : str or Path
        File to read.
    max_bytes : int
        Refuse longer files, before reading them.

    Returns
    -------
    bytes
        Never empty.

    Raises
    ------
    InputError
        Missing, unreadable, not a regular file (a pipe would block), empty or too long.
    """
    path, where = Path(path), printable(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise InputError(where, "is a folder, expected a file")
        if not stat.S_ISREG(status.st_mode):
            raise InputError(where, "is not a regular file", "write the data to a file first")
        check_size(where, status.st_size, max_bytes)
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(where, "no such file") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(where, f"cannot be read ({reason})") from error
    if not content:
        raise InputError(where, "the file is empty")
    return content


def read_text(path: str | Path, max_bytes: int = MAX_BYTES) -> str:
    """Read a text file completely; any line ending becomes a line feed, a byte-order mark goes.

    Raises
    ------
    InputError
        As `read_whole`, and for bytes that are not UTF-8 (with their line) or NUL characters.
    """
    content, where = read_whole(path, max_bytes), printable(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{content[error.start]:02x} in line {line} is not UTF-8 text"
        raise InputError(where, found, "save the file as UTF-8") from error
    if "\0" in text:
        raise InputError(where, "holds NUL characters: this is not text", "check the file's type and suffix")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_object(path: str | Path, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Read a JSON object, such as a BIDS side-car.

    Raises
    ------
    InputError
        As `read_text`, no JSON, nested too deep, or another value than an object.
    """
    where = printable(path)
    try:
        content = json.loads(read_text(path, max_bytes))
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits
        raise InputError(where, f"not valid JSON ({error})", "correct the file, or remove a side-car") from error
    if not isinstance(content, dict):
        raise InputError(where, f"expected a JSON object, found {type(content).__name__}", "correct the file")
    return content


def check_size(where: str, n_bytes: int, max_bytes: int = MAX_BYTES) -> None:
    """Refuse what is longer than `max_bytes`, be it on disk or only declared by a header.

    Raises
    ------
    InputError
        Naming both sizes.
    """
    if n_bytes > max_bytes:
        found = f"holds or declares {n_bytes / 2**20:,.0f} MiB, the most accepted is {max_bytes / 2**20:,.0f} MiB"
        raise InputError(where, found, "give ROI time series, one row or column per region")
