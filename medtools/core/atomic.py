"""Files that appear complete or not at all: written beside their final name, flushed, then renamed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_HOST = re.sub(r"[^0-9A-Za-z]", "", socket.gethostname())[:40]
_NAME_BYTES = 100
PREFIX = ".medtools-"
"""Begins the name of a file that is not finished yet."""

_PARTIAL = re.compile(r"^\.medtools-([0-9A-Za-z]*)-(\d+)-[0-9a-f]{8}-")


@contextlib.contextmanager
def atomic_path(final: str | Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of `final`; on success it becomes `final`, on failure it goes.

    The temporary name keeps the suffix of `final`, because many libraries choose the format by it.

    Parameters
    ----------
    final : str or Path
        Where the finished file is to stand. Missing parent folders are made.

    Yields
    ------
    Path
        Where to write.
    """
    final = Path(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    ending = os.fsencode(final.name)[-_NAME_BYTES:].decode("utf-8", "ignore")
    partial = final.parent / f"{PREFIX}{_HOST}-{os.getpid()}-{secrets.token_hex(4)}-{ending}"
    try:
        yield partial
        _flush(partial)
        partial.replace(final)
        _flush_folder(final.parent)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, str(partial)):
            error.filename = str(final)  # the name the user knows; a full disk is reported without any
        raise


def write_bytes(final: str | Path, content: bytes) -> None:
    """Write `content` to `final` atomically; a file that holds it already is left untouched, with its date."""
    final = Path(final)
    if final.is_file() and final.stat().st_size == len(content) and final.read_bytes() == content:
        return
    with atomic_path(final) as partial:
        partial.write_bytes(content)


def write_text(final: str | Path, text: str) -> None:
    """Write `text` to `final` atomically, in UTF-8 with line feeds."""
    write_bytes(final, text.encode("utf-8"))


def write_json(final: str | Path, content: Any) -> None:
    """Write `content` to `final` atomically as indented JSON with a closing line feed."""
    write_text(final, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def relative_path(path: str | Path, folder: str | Path) -> str:
    """Return `path` as seen from `folder`, with slashes, so that both may move together.

    Links in the folders are followed, a link that is the file itself is not: its name is the one the user knows.
    """
    path = Path(path)
    return Path(os.path.relpath(path.parent.resolve() / path.name, Path(folder).resolve())).as_posix()


def remove_orphans(folder: str | Path) -> int:
    """Delete partial files that a killed process left anywhere under `folder`; return how many.

    Files of processes that still run, and of other machines, are left alone: several runs may share a folder.
    """
    removed = 0
    for path in Path(folder).rglob(".medtools-*"):
        match = _PARTIAL.match(path.name)
        if match and match[1] == _HOST and path.is_file() and not is_alive(int(match[2])):
            path.unlink(missing_ok=True)
            removed += 1
    return removed


def is_alive(pid: int) -> bool:
    """Tell whether a process of this machine is running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _flush_folder(folder: Path) -> None:
    """Force a rename to disk, where the file system lets folders be opened and flushed."""
    try:
        _flush(folder)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EBADF, errno.EINVAL, errno.ENOTSUP):
            raise


def _flush(path: Path) -> None:
    """Force `path` to disk; network file systems may otherwise show a renamed but empty file."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
