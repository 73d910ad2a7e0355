"""Exact Wasserstein and bottleneck distances between persistence diagrams, one pair or many at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medtools.core.errors import InputError
from medtools.homology.bottleneck import bottleneck_pairs
from medtools.homology.jobs import Cancel, run_all
from medtools.homology.line import line_pairs
from medtools.homology.plane import plane_pairs

Ground = Literal["l2", "linf"]
Kind = Literal["wasserstein", "bottleneck"]

_CHUNKS_PER_THREAD = 8
_LARGEST_CHUNK = 4096


def distance(
    a: ArrayLike, b: ArrayLike, *, order: float = 1.0, ground: Ground = "l2", kind: Kind = "wasserstein"
) -> float:
    """Distance between two persistence diagrams, each augmented with the diagonal (Eq. 4).

    Parameters
    ----------
    a, b : array_like
        (n, 2) and (m, 2) finite (birth, death) rows.
    order : float
        q >= 1 of the Wasserstein distance; ignored by the bottleneck distance.
    ground : {"l2", "linf"}
        Metric between points: Euclidean with (d - b) / sqrt(2) to the diagonal (the authors' code), or maximum with
        (d - b) / 2 (the paper's Eq. 4).
    kind : {"wasserstein", "bottleneck"}
        Bottleneck is the limit q -> infinity; it always uses the maximum metric, as every published definition does.

    Returns
    -------
    float
        The exact distance, in the unit of the filtration.

    Raises
    ------
    InputError
        If a diagram is not (k, 2), holds NaN, infinite bars or death < birth, or the options are unknown.
    """
    return float(pairs([a, b], np.array([[0, 1]]), order=order, ground=ground, kind=kind)[0])


def matrix(
    diagrams: Sequence[ArrayLike],
    *,
    order: float = 1.0,
    ground: Ground = "l2",
    kind: Kind = "wasserstein",
    threads: int = 1,
    timeout: float | None = None,
    cancel: Cancel | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Distances between all pairs of diagrams: PR over the ROIs of a subject (Eq. 6), PS over subjects (Eq. 5).

    Parameters
    ----------
    diagrams : sequence of array_like
        n diagrams of one homology dimension.
    order, ground, kind :
        As in `distance`.
    threads, timeout, cancel, progress :
        As in `pairs`.

    Returns
    -------
    NDArray[np.float64]
        (n, n) symmetric with zero diagonal; each pair is computed once.
    """
    n = len(diagrams)
    upper = np.column_stack(np.triu_indices(n, k=1))
    values = pairs(
        diagrams,
        upper,
        order=order,
        ground=ground,
        kind=kind,
        threads=threads,
        timeout=timeout,
        cancel=cancel,
        progress=progress,
    )
    out = np.zeros((n, n))
    out[upper[:, 0], upper[:, 1]] = values
    out[upper[:, 1], upper[:, 0]] = values
    return out


def pairs(
    diagrams: Sequence[ArrayLike],
    indices: ArrayLike,
    *,
    order: float = 1.0,
    ground: Ground = "l2",
    kind: Kind = "wasserstein",
    threads: int = 1,
    timeout: float | None = None,
    cancel: Cancel | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float64]:
    """Distances of chosen pairs of diagrams, for work that is split over jobs or a rectangle of a matrix.

    Parameters
    ----------
    diagrams : sequence of array_like
        (k, 2) finite diagrams of one homology dimension.
    indices : array_like
        (n_pairs, 2) integers into `diagrams`.
    order, ground, kind :
        As in `distance`.
    threads : int
        Worker threads; the values do not depend on it, bit for bit.
    timeout : float, optional
        Seconds after which the call gives up with a `RefusedError`.
    cancel : Cancel, optional
        Flag that stops the work from another thread.
    progress : callable, optional
        Called with (finished, all) pairs.

    Returns
    -------
    NDArray[np.float64]
        (n_pairs,) distances.
    """
    _check_options(order, ground, kind)
    flat, offsets = pack(diagrams)
    wanted = np.ascontiguousarray(indices, dtype=np.int64).reshape(-1, 2)
    if len(wanted) and (wanted.min() < 0 or wanted.max() >= len(diagrams)):
        raise InputError("pairs", f"index {int(wanted.max())} of {len(diagrams)} diagrams", "index the list from 0")
    out = np.zeros(len(wanted))
    size = int(np.clip(-(-len(wanted) // (max(1, threads) * _CHUNKS_PER_THREAD)), 1, _LARGEST_CHUNK))
    linf = ground == "linf"
    on_a_line = not flat[:, 0].any()
    deaths = np.ascontiguousarray(flat[:, 1])

    def work(start: int, flag: NDArray[np.uint8]) -> None:
        part = slice(start, start + size)
        if kind == "bottleneck":
            bottleneck_pairs(flat, offsets, wanted[part], flag, out[part])
        elif on_a_line:
            line_pairs(deaths, offsets, wanted[part], float(order), linf, flag, out[part])
        else:
            plane_pairs(flat, offsets, wanted[part], float(order), linf, flag, out[part])

    def report(chunks: int) -> None:
        if progress is not None:
            progress(min(chunks * size, len(wanted)), len(wanted))

    run_all(work, range(0, len(wanted), size), threads=threads, timeout=timeout, cancel=cancel, progress=report)
    return out


def pack(diagrams: Sequence[ArrayLike]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Join diagrams into one array, each sorted by (birth, death), points on the diagonal left out.

    Returns
    -------
    flat : NDArray[np.float64]
        (total, 2) bars of all diagrams.
    offsets : NDArray[np.int64]
        (len(diagrams) + 1,) first row of each diagram in `flat`.
    """
    parts = [_as_bars(diagram, index) for index, diagram in enumerate(diagrams)]
    flat = np.concatenate([np.empty((0, 2)), *parts])
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    _refuse(owner, ~np.isfinite(flat).all(axis=1), "holds NaN or an infinite bar", "drop the essential class first")
    _refuse(owner, flat[:, 1] < flat[:, 0], "a bar dies before it is born", "columns are birth, death")
    long = flat[:, 1] > flat[:, 0]
    if not long.all():
        flat, owner = flat[long], owner[long]
    birth, death = flat.T
    ascending = (birth[1:] > birth[:-1]) | ((birth[1:] == birth[:-1]) & (death[1:] >= death[:-1]))
    if not (ascending | (owner[1:] > owner[:-1])).all():
        flat = flat[np.lexsort((death, birth, owner))]
    return flat, np.searchsorted(owner, np.arange(len(parts) + 1))


def _as_bars(diagram: ArrayLike, index: int) -> NDArray[np.float64]:
    bars = np.asarray(diagram, dtype=np.float64)
    if bars.size == 0:
        return np.empty((0, 2))
    if bars.ndim != 2 or bars.shape[1] != 2:
        raise InputError(f"diagram {index}", f"expected (k, 2) births and deaths, found shape {bars.shape}")
    return bars


def _refuse(owner: NDArray[np.int64], wrong: NDArray[np.bool_], found: str, fix: str) -> None:
    if wrong.any():
        raise InputError(f"diagram {owner[wrong][0]}", found, fix)


def _check_options(order: float, ground: str, kind: str) -> None:
    if ground not in ("l2", "linf"):
        raise InputError("ground", f"unknown metric {ground!r}", "choose l2 or linf")
    if kind not in ("wasserstein", "bottleneck"):
        raise InputError("distance", f"unknown kind {kind!r}", "choose wasserstein or bottleneck")
    if not 1.0 <= order < np.inf:
        raise InputError("order", f"expected a finite number >= 1, found {order}", "use bottleneck for infinity")
