"""A place for what libraries keep between runs, where neither the installation nor HOME can be written."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def make_writable() -> None:
    """Point numba (compiled code) and matplotlib (fonts) at a private folder in TMPDIR if they have nowhere to write.

    Cluster nodes and containers often have a read-only installation and no home; numba would refuse to start there.
    Must run before either is imported. Variables that the user has set stand.
    """
    if os.access(os.path.expanduser("~"), os.W_OK):  # noqa: PTH111 (Path.expanduser fails for users without a home)
        return
    folder = str(_private_folder())
    os.environ.setdefault("MPLCONFIGDIR", folder)
    if not os.access(_PACKAGE, os.W_OK):
        os.environ.setdefault("NUMBA_CACHE_DIR", folder)


def _private_folder() -> Path:
    """Return this user's own folder, the same in every run; never one that somebody else could have filled."""
    folder = Path(tempfile.gettempdir()) / f"medtools-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o022:
        return folder
    return Path(tempfile.mkdtemp(prefix="medtools-"))
