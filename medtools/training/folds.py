"""Folds, repeats and permutations side by side: the way to use several cores without changing a bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import BrokenProcessPool, TerminatedWorkerError

from medtools.core.errors import MedtoolsError

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_folds(function: Callable[[Item], Result], items: Sequence[Item], *, threads: int = 1) -> list[Result]:
    """Apply `function` to every item, in `threads` processes that compute with one thread each.

    The results, in the order of the items, are the same bytes for any number of processes, as long as `function`
    depends on nothing but its item.

    Parameters
    ----------
    function : callable
        Its results come back by pickle; return numbers, arrays or paths.
    items : sequence
        Folds, seeds, paths.
    threads : int
        Processes. A process costs the import of what `function` needs (seconds for PyTorch), once.

    Raises
    ------
    MedtoolsError
        A process was killed, most often for want of memory.
    """
    if threads <= 1 or len(items) <= 1:
        return [function(item) for item in items]
    pool = Parallel(n_jobs=min(threads, len(items)), backend="loky", inner_max_num_threads=1)
    try:
        return list(pool(delayed(function)(item) for item in items))
    except (TerminatedWorkerError, BrokenProcessPool) as error:
        raise MedtoolsError(
            f"one of {threads} parallel processes was killed, most often for want of memory; lower --threads"
        ) from error
