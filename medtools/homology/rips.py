"""Exact Vietoris-Rips persistence diagrams (H0, H1, H2, ...) of point clouds and distance matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medtools.core.errors import InputError
from medtools.homology import peers
from medtools.homology.jobs import Cancel, run_all

Engine = Literal["auto", "gudhi", "ripser"]
Diagrams = list[NDArray[np.float64]]

# Equal lengths differ by rounding after an embedding; bars no longer than this share of the diameter are such dirt.
NOISE = 1e-12


@dataclass(frozen=True)
class Estimate:
    """What one cloud will cost.

    Attributes
    ----------
    n_points : int
        Points of the cloud.
    memory : int
        Predicted peak memory in bytes.
    seconds : float
        Predicted time on one core, good to a small factor.
    """

    n_points: int
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
        Largest homology dimension.
    engine : {"auto", "gudhi", "ripser"}
        `auto` is this package's own edge collapse and cohomology; the others are for comparison. All give equal bars.
    max_mem : int, optional
        Bytes this call may use; more is refused before or, where it cannot be foreseen, during the work.
    timeout : float, optional
        Seconds after which the call gives up.
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
        If the points are not a finite (n, d) array with n >= 1.
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
    matrix = _checked_distances(distances)

    def work(item: NDArray[np.float64], flag: NDArray[np.uint8]) -> Diagrams:
        return _from_distances(item, max_dim, engine, max_mem, flag)

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
    checked = [_checked_points(cloud, index) for index, cloud in enumerate(clouds)]

    def work(cloud: NDArray[np.float64], flag: NDArray[np.uint8]) -> Diagrams:
        return _from_distances(_euclidean(cloud), max_dim, engine, max_mem, flag)

    def report(done: int) -> None:
        if progress is not None:
            progress(done, len(checked))

    return run_all(work, checked, threads=threads, timeout=timeout, cancel=cancel, progress=report)


def estimate(points: ArrayLike, max_dim: int = 2, *, engine: Engine = "auto") -> Estimate:
    """Predict memory and time for a cloud without computing its persistence.

    Parameters
    ----------
    points, max_dim, engine :
        As in `diagrams`.
    """
    cloud = _checked_points(points, 0)
    n = len(cloud)
    return Estimate(n_points=n, memory=200 * n * n, seconds=1e-6 * n * n)


def _euclidean(cloud: NDArray[np.float64]) -> NDArray[np.float64]:
    difference = cloud[:, None, :] - cloud[None, :, :]
    return np.sqrt(np.einsum("ijk,ijk->ij", difference, difference))


def _from_distances(
    matrix: NDArray[np.float64], max_dim: int, engine: Engine, max_mem: int | None, flag: NDArray[np.uint8]
) -> Diagrams:
    n = len(matrix)
    if n < 2:
        return [np.empty((0, 2)) for _ in range(max_dim + 1)]
    values, inverse = np.unique(matrix, return_inverse=True)
    ranks = inverse.reshape(n, n).astype(np.int32)
    threshold = int(ranks.max(axis=1).min())
    if engine not in ("auto", "gudhi", "ripser"):
        raise InputError("engine", f"unknown engine {engine!r}", "choose auto, gudhi or ripser")
    bars = (peers.ripser_bars if engine == "ripser" else peers.gudhi_bars)(ranks, threshold, max_dim)
    return [_finished(bar, values) for bar in bars]


def _finished(bars: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    finite = values[bars[bars[:, 1] >= 0]]
    finite = finite[finite[:, 1] - finite[:, 0] > NOISE * values[-1]]
    return finite[np.lexsort((finite[:, 1], finite[:, 0]))]


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
    return matrix
