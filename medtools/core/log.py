"""Messages to stderr: rich on a terminal, plain lines elsewhere, one JSON object per line on request."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import IO, Literal

LOGGER = logging.getLogger("medtools")


class _JsonLines(logging.Formatter):
    """One JSON object per record: time, level, stage, sample and message."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "stage": getattr(record, "stage", None),
            "sample": getattr(record, "sample", None),
            "message": record.getMessage(),
        }
        return json.dumps({key: value for key, value in line.items() if value is not None}, ensure_ascii=False)


def set_up(verbosity: int = 0, form: Literal["text", "json"] = "text", stream: IO[str] | None = None) -> None:
    """Send medtools' messages to `stream` (stderr): -1 warnings only, 0 progress of the work, 1 everything.

    Third-party loggers stay as they are, so that a library's chatter never mixes with ours.
    """
    stream = stream or sys.stderr
    handler: logging.Handler
    if form == "json":
        handler = logging.StreamHandler(stream)
        handler.setFormatter(_JsonLines())
    elif stream.isatty():
        from rich.console import Console
        from rich.logging import RichHandler

        handler = RichHandler(console=Console(file=stream), show_path=False, show_time=False, markup=False)
    else:
        handler = logging.StreamHandler(stream)
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    LOGGER.handlers[:] = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(logging.WARNING if verbosity < 0 else logging.DEBUG if verbosity > 0 else logging.INFO)
