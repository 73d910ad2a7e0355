"""How DICOM files are opened: pydicom keeps silent, makes room only for what is there, and its errors get a name."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import pydicom

_PLUGINS = "install pylibjpeg, pylibjpeg-libjpeg and pylibjpeg-openjpeg"


@contextlib.contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file for pydicom.

    Raises
    ------
    OSError
        It cannot be opened.
    """
    with _quiet(), _Measured(path) as stream:
        yield stream


def decoding_fault(dataset: pydicom.Dataset, error: Exception) -> tuple[str, str]:
    """Say what is wrong with pixels that could not be decoded, and what to do."""
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is None or not syntax.is_transfer_syntax:
        return "no known transfer syntax: how its pixels are stored cannot be told", "fetch it again"
    if not syntax.is_compressed:
        return "truncated: the pixel data are incomplete", "fetch it again"
    if "missing dependencies" in str(error):
        return f"no decoder for {syntax.name}", _PLUGINS
    return f"damaged pixel data ({syntax.name})", "fetch it again"


class _Measured(io.BufferedReader):
    """A file that makes room only for what it holds, whatever length a damaged element announces."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._size = path.stat().st_size

    def read(self, size: int | None = -1) -> bytes:
        left = max(0, self._size - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep pydicom from reporting faults itself: its messages quote the values of fields, a patient's among them."""
    logger = logging.getLogger("pydicom")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
