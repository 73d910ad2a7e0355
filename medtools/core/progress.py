"""The one progress bar: on a terminal, for work of more than two seconds; silent elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from medtools.core.log import LOGGER, is_json

Item = TypeVar("Item")
_PATIENCE_SECONDS = 2.0


def track(items: Iterable[Item], description: str, total: int | None = None) -> Iterator[Item]:
    """Yield `items`, showing how far the work is once it has taken longer than two seconds.

    Parameters
    ----------
    items : iterable
        What to go through.
    description : str
        What is being done, in the user's words.
    total : int, optional
        How many items there are; by default `len(items)` where it has a length.
    """
    if not sys.stderr.isatty() or not LOGGER.isEnabledFor(logging.INFO) or is_json():
        yield from items
        return
    if total is None:
        total = len(items) if isinstance(items, Sized) else None
    yield from _with_bar(items, description, total)


def _with_bar(items: Iterable[Item], description: str, total: int | None) -> Iterator[Item]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(file=sys.stderr), transient=True)
    task = bar.add_task(description, total=total)
    begun, shown = time.monotonic(), False
    try:
        for item in items:
            if not shown and time.monotonic() - begun > _PATIENCE_SECONDS:
                bar.start()
                shown = True
            yield item
            bar.advance(task)
    finally:
        if shown:
            bar.stop()
