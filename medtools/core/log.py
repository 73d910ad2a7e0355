"""Messages to stderr: rich on a terminal, plain lines elsewhere, one JSON object per line on request."""

from __future__ import annotations

import datetime
import json
import logging
import sys
import traceback
import unicodedata
from typing import IO, Literal

LOGGER = logging.getLogger("medtools")
_ESCAPED = ("Cc", "Cs", "Zl", "Zp")


class _PlainLines(logging.Formatter):
    """One line per record."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname}: {one_line(_message(record))}"


class _JsonLines(logging.Formatter):
    """One JSON object per record: time, level, stage, sample and message."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line = {
            "time": moment.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "stage": getattr(record, "stage", None),
            "sample": getattr(record, "sample", None),
            "message": _message(record),
            "trace": self.formatException(record.exc_info) if record.exc_info else None,
        }
        return json.dumps({key: value for key, value in line.items() if value is not None}, ensure_ascii=False)


def set_up(verbosity: int = 0, form: Literal["text", "json"] = "text", stream: IO[str] | None = None) -> None:
    """Send medtools' messages to `stream` (stderr): -1 warnings only, 0 progress of the work, 1 everything.

    Third-party loggers stay as they are; what they and Python itself warn of takes the same form, so that every line
    on stderr can be read like ours.
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
        handler.setFormatter(_PlainLines())
    LOGGER.handlers[:] = [handler]
    logging.lastResort = handler
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").handlers[:] = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(logging.WARNING if verbosity < 0 else logging.DEBUG if verbosity > 0 else logging.INFO)


def is_json() -> bool:
    """Tell whether stderr was promised to hold JSON lines only."""
    return any(isinstance(handler.formatter, _JsonLines) for handler in LOGGER.handlers)


def fail(message: str, trace: bool = False) -> None:
    """Say on stderr why the command stops, in the form chosen by `set_up`; in an `except` block also with its trace."""
    if is_json():
        LOGGER.error(message, exc_info=trace)
        return
    if trace:
        traceback.print_exc()
    sys.stderr.write(f"error: {one_line(message)}\n")


def one_line(text: str) -> str:
    """Escape line breaks, control characters and stray bytes: names of files and ROIs may hold anything."""
    return "".join(
        c.encode("unicode_escape").decode("ascii") if unicodedata.category(c) in _ESCAPED else c for c in text
    )


def _message(record: logging.LogRecord) -> str:
    text = record.getMessage()
    return text.partition("\n")[0] if record.name == "py.warnings" else text
