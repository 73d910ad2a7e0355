"""Exact Vietoris-Rips persistence diagrams (H0, H1, H2) of point clouds and distance matrices."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medtools.core.errors import InputError, RefusedError
from medtools.homology import cohomology, filtration, peers
from medtools.homology.collapse import ROW_MULTIPLE, collapsed
from medtools.homology.jobs import Cancel, CancelledError, run_all

Engine = Literal["auto", "gudhi", "ripser"]
Diagrams = list[NDArray[np.float64]]

# Equal lengths differ by rounding after an embedding; bars no longer than this share of the diameter are such dirt.
NOISE = 1e-12

# Memory of the own engine: lengths, numbers and ends of the edges, for each pair of points; and columns at the least.
_MATRIX_BYTES, _COLUMN_BYTES = 40, 2**20


class Estimate(NamedTuple):
    """What one point cloud will cost on one core, by formulas fitted to measurements.

    Attributes
    ----------
    n_points, n_edges : int
        Points of the cloud, and edges that enter the filtration before it is contractible.
    memory : int
        Peak memory in bytes.
    seconds : float
        Time, good to a factor of 3 where edge collapse works, as it does on embedded time series. On clouds where it
        does not (points spread evenly over a sphere, random matrices), auto and gudhi take longer.
    """

    n_points: int
    n_edges: int
    memory: int
    seconds: float


def diagrams(
    points: ArrayLike,
    max_dim: int = 2,
    *,
    engine: Engine = "auto",
    max_mem: int | None = None,
    timeout: float | None = None,
    cancel: Cancel | None = None,
) -> Diagrams:
    """Persistence diagrams of the Vietoris-Rips filtration of a point cloud (Eq. 3), coefficients Z/2, no threshold.

    Parameters
    ----------
    points : array_like
        (n, d) finite coordinates; distances are Euclidean.
    max_dim : int
        Largest homology dimension, 0, 1 or 2.
    engine : {"auto", "gudhi", "ripser"}
        `auto` is this package's own edge collapse and cohomology; the others are for comparison. All give equal bars.
    max_mem : int, optional
        Bytes this call may use (default: 80 % of the machine's). More is refused, before the work where it can be
        foreseen and during it otherwise.
    timeout : float, optional
        Seconds after which the call gives up. The other engines cannot be interrupted; with them a predicted time
        beyond the limit is refused.
    cancel : Cancel, optional
        Flag that stops the work from another thread.

    Returns
    -------
    list of NDArray[np.float64]
        For each dimension 0..max_dim the (k, 2) finite bars (birth, death), sorted. The one essential class of H0 and
        bars without length are left out.

    Raises
    ------
    InputError
        If the points are not a finite (n, d) array with n >= 1, or an option is unknown.
    RefusedError
        If memory or time are predicted, or found, to exceed their limits.
    """
    return diagrams_batch([points], max_dim, engine=engine, max_mem=max_mem, timeout=timeout, cancel=cancel)[0]


def diagrams_from_distances(
    distances: ArrayLike,
    max_dim: int = 2,
    *,
    engine: Engine = "auto",
    max_mem: int | None = None,
    timeout: float | None = None,
    cancel: Cancel | None = None,
) -> Diagrams:
    """Persistence diagrams of the Vietoris-Rips filtration of a distance matrix.

    Parameters
    ----------
    distances : array_like
        (n, n) symmetric, finite, non-negative, zero diagonal. The triangle inequality is not needed.
    max_dim, engine, max_mem, timeout, cancel :
        As in `diagrams`.

    Returns
    -------
    list of NDArray[np.float64]
        As in `diagrams`.

    Raises
    ------
    InputError
        If the matrix is not a distance matrix; a correlation matrix is named as such.
    """
    _check_options(max_dim, engine)
    matrix = _checked_distances(distances)
    _refuse_excess("distance matrix", len(matrix), max_dim, engine, max_mem, timeout)

    def work(item: NDArray[np.float64], flag: NDArray[np.uint8]) -> Diagrams:
        return _from_distances(*filtration.scaled(item), max_dim, engine, _limit(max_mem), flag)

    return run_all(work, [matrix], timeout=timeout, cancel=cancel)[0]


def diagrams_batch(
    clouds: Sequence[ArrayLike],
    max_dim: int = 2,
    *,
    engine: Engine = "auto",
    threads: int = 1,
    max_mem: int | None = None,
    timeout: float | None = None,
    cancel: Cancel | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Diagrams]:
    """Persistence diagrams of many point clouds, for example all ROIs of a subject.

    Parameters
    ----------
    clouds : sequence of array_like
        (n_i, d) point clouds.
    max_dim, engine, cancel :
        As in `diagrams`.
    threads : int
        Worker threads; the diagrams do not depend on it, bit for bit.
    max_mem : int, optional
        Bytes for each worker.
    timeout : float, optional
        Seconds for the whole batch.
    progress : callable, optional
        Called with (finished, all) clouds.

    Returns
    -------
    list of list of NDArray[np.float64]
        ``result[i][k]`` is the H_k diagram of cloud i, as in `diagrams`.
    """
    _check_options(max_dim, engine)
    checked = [_checked_points(cloud, index) for index, cloud in enumerate(clouds)]
    for index, cloud in enumerate(checked):
        _refuse_excess(f"point cloud {index}", len(cloud), max_dim, engine, max_mem, timeout)

    def work(cloud: NDArray[np.float64], flag: NDArray[np.uint8]) -> Diagrams:
        points, unit = filtration.scaled(cloud)
        return _from_distances(filtration.euclidean(points), unit, max_dim, engine, _limit(max_mem), flag)

    def report(done: int) -> None:
        if progress is not None:
            progress(done, len(checked))

    return run_all(work, checked, threads=threads, timeout=timeout, cancel=cancel, progress=report)


def estimate(n_points: int, max_dim: int = 2, *, engine: Engine = "auto") -> Estimate:
    """Predict memory and time for a cloud of `n_points` points without computing anything.

    Parameters
    ----------
    n_points : int
        Points of the cloud; an embedded series has n_samples - dimension * lag.
    max_dim, engine :
        As in `diagrams`.
    """
    _check_options(max_dim, engine)
    edges = n_points * (n_points - 1) // 2
    triangles = edges * (n_points - 2) // 3
    memory, seconds = _MATRIX_BYTES * n_points**2 + _COLUMN_BYTES, 1e-4 + 6e-8 * n_points**2
    if max_dim > 0 and engine == "auto":
        seconds += (0.6e-9 if n_points < 2048 else 1.5e-9) * edges * n_points
    elif engine == "gudhi":
        memory, seconds = memory + 200 * edges, seconds + 1.2e-8 * edges * n_points
    elif max_dim > 1:
        memory, seconds = memory + 160 * triangles, seconds + 4e-6 * triangles
    return Estimate(n_points, edges, memory, seconds)


def _from_distances(
    distances: NDArray[np.float64],
    unit: float,
    max_dim: int,
    engine: Engine,
    max_mem: int,
    flag: NDArray[np.uint8],
) -> Diagrams:
    """Diagrams from a checked matrix of distances in multiples of `unit`."""
    noise = NOISE * float(distances.max())
    if len(distances) < 2:
        found = [np.empty((0, 2)) for _ in range(max_dim + 1)]
    elif max_dim == 0 and engine == "auto":
        deaths = filtration.spanning_tree_lengths(distances)
        found = [np.column_stack([np.zeros_like(deaths), deaths])]
    elif engine == "auto":
        found = _own_bars(distances, max_dim, max_mem, flag)
    else:
        found = _peer_bars(distances, max_dim, engine)
    return [_finished(bars, noise) * unit for bars in found]


def _own_bars(distances: NDArray[np.float64], max_dim: int, max_mem: int, flag: NDArray[np.uint8]) -> Diagrams:
    n = len(distances)
    u, v, lengths = filtration.sorted_edges(distances, True)
    bits = (n - 1).bit_length()
    number = np.int32 if len(u) << bits < 2**31 else np.int64
    never = np.iinfo(number).max >> bits << bits
    work_space = np.empty((n, -(-n // ROW_MULTIPLE) * ROW_MULTIPLE), dtype=number)
    graph, entered = collapsed(u, v, work_space, bits, never, flag)
    if len(entered) > cohomology.MAX_EDGES:
        raise RefusedError(f"{len(entered)} edges are left after edge collapse; {cohomology.MAX_EDGES} can be used")
    status, bars = cohomology.persistence(graph, max_dim, max_mem - _MATRIX_BYTES * n**2, flag)
    if status == cohomology.OUT_OF_MEMORY:
        raise RefusedError(
            f"a cloud of {n} points needs more than the {max_mem / 2**20:.0f} MiB allowed; "
            "raise the memory limit, or lower the largest homology dimension or the number of samples"
        )
    if status == cohomology.CANCELLED or flag[0]:
        raise CancelledError("cancelled")
    if not bars[:, 2].all():
        raise RuntimeError("a class outlives the filtration, although its end is contractible")
    births_deaths = lengths[entered][bars[:, 1:]]
    return [births_deaths[bars[:, 0] == dim] for dim in range(max_dim + 1)]


def _peer_bars(distances: NDArray[np.float64], max_dim: int, engine: Engine) -> Diagrams:
    u, v, lengths = filtration.sorted_edges(distances, False)
    numbers = np.zeros(distances.shape, dtype=np.int32)
    numbers[u[1:], v[1:]] = numbers[v[1:], u[1:]] = np.arange(1, len(u))
    compute = peers.gudhi_bars if engine == "gudhi" else peers.ripser_bars
    return [lengths[bars] for bars in compute(numbers, max_dim)]


def _finished(bars: NDArray[np.float64], noise: float) -> NDArray[np.float64]:
    bars = bars[bars[:, 1] - bars[:, 0] > noise]
    return bars[np.lexsort((bars[:, 1], bars[:, 0]))]


def _limit(max_mem: int | None) -> int:
    return int(0.8 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) if max_mem is None else max_mem


def _refuse_excess(
    where: str, n_points: int, max_dim: int, engine: Engine, max_mem: int | None, timeout: float | None
) -> None:
    need = estimate(n_points, max_dim, engine=engine)
    if need.memory > _limit(max_mem):
        raise RefusedError(
            f"{where}: {n_points} points need about {need.memory / 2**20:.0f} MiB with engine {engine}, "
            f"{_limit(max_mem) / 2**20:.0f} MiB allowed; use engine auto, fewer samples or a lower homology dimension"
        )
    if timeout is not None and engine != "auto" and need.seconds > timeout:
        raise RefusedError(
            f"{where}: {n_points} points take about {need.seconds:.0f} s with engine {engine}, {timeout:g} s allowed; "
            "use engine auto, fewer samples or a lower homology dimension"
        )


def _check_options(max_dim: int, engine: str) -> None:
    if engine not in ("auto", "gudhi", "ripser"):
        raise InputError("engine", f"unknown engine {engine!r}", "choose auto, gudhi or ripser")
    if max_dim not in (0, 1, 2):
        raise InputError("max_dim", f"expected 0, 1 or 2, found {max_dim}")


def _checked_points(points: ArrayLike, index: int) -> NDArray[np.float64]:
    cloud = np.ascontiguousarray(points, dtype=np.float64)
    if cloud.ndim != 2 or cloud.shape[0] < 1 or cloud.shape[1] < 1:
        raise InputError(f"point cloud {index}", f"expected (n_points, n_coordinates), found shape {cloud.shape}")
    if not np.isfinite(cloud).all():
        raise InputError(f"point cloud {index}", "holds NaN or infinite coordinates", "remove or interpolate them")
    return cloud


def _checked_distances(distances: ArrayLike) -> NDArray[np.float64]:
    matrix = np.ascontiguousarray(distances, dtype=np.float64)
    where = "distance matrix"
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 1:
        raise InputError(where, f"expected a square matrix, found shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise InputError(where, "holds NaN or infinite entries")
    if np.allclose(np.diag(matrix), 1.0) and np.abs(matrix).max() <= 1.0 + 1e-9:
        raise InputError(where, "ones on the diagonal: this is a correlation matrix", "pass for example 1 - r")
    if np.diag(matrix).any():
        raise InputError(where, "the diagonal is not zero")
    if (matrix < 0).any():
        raise InputError(where, "holds negative entries")
    if not np.array_equal(matrix, matrix.T):
        raise InputError(where, "is not symmetric", "average it with its transpose if the difference is rounding")
    return np.abs(matrix)  # without negative zeros
