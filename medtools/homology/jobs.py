"""Run compiled kernels on threads so that Ctrl-C, a time limit or a caller can stop them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

import numpy as np

from medtools.core.errors import RefusedError

Item = TypeVar("Item")
Result = TypeVar("Result")

_POLL_S = 0.05


class CancelledError(RuntimeError):
    """The caller's `Cancel` was set while the work was running."""


class Cancel:
    """A flag that compiled kernels read in their outer loops; set it from any thread to stop them.

    Attributes
    ----------
    flag : NDArray[np.uint8]
        (1,) zero while work may go on.
    """

    def __init__(self) -> None:
        self.flag = np.zeros(1, dtype=np.uint8)

    def set(self) -> None:
        """Ask everything that holds this flag to stop."""
        self.flag[0] = 1


def run_all(
    work: Callable[[Item, np.ndarray], Result],
    items: Sequence[Item],
    *,
    threads: int = 1,
    timeout: float | None = None,
    cancel: Cancel | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Result]:
    """Apply `work(item, flag)` to every item on `threads` threads; results come in the order of the items.

    Parameters
    ----------
    work : callable
        Takes one item and the (1,) uint8 cancel flag that it must watch; should release the interpreter lock.
    items : sequence
        What to work on.
    threads : int
        Worker threads; the results do not depend on it.
    timeout : float, optional
        Seconds for all items together.
    cancel : Cancel, optional
        Set by the caller to stop early.
    progress : callable, optional
        Called from the waiting thread with the number of finished items, at most every 50 ms.

    Raises
    ------
    RefusedError
        If the time limit passed.
    CancelledError
        If `cancel` was set.
    """
    stop = cancel or Cancel()
    limit = None if timeout is None else time.monotonic() + timeout
    pool = ThreadPoolExecutor(max_workers=max(1, threads))
    futures = []
    try:
        futures = [pool.submit(work, item, stop.flag) for item in items]
        pending = set(futures)
        while pending:
            done, pending = wait(pending, timeout=_POLL_S, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
            if progress is not None:
                progress(len(futures) - len(pending))
            if stop.flag[0]:
                raise CancelledError("cancelled by the caller")
            if pending and limit is not None and time.monotonic() > limit:
                raise RefusedError(
                    f"time limit of {timeout:g} s passed with {len(pending)} of {len(futures)} items unfinished; "
                    "raise the limit or reduce the number of samples or the largest homology dimension"
                )
        return [future.result() for future in futures]
    finally:
        if any(not future.done() for future in futures):
            stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
