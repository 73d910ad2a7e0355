"""Functional connectivity of ROI time series, and the graphs made from it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import shortest_path

from medtools.core.errors import InputError

Array = NDArray[np.float64]

DENSITY = 0.20
_LEAST_SAMPLES = 3


def pearson(series: Array, where: str = "series") -> tuple[Array, list[int]]:
    """Correlate every two ROIs.

    Parameters
    ----------
    series : (n_rois, n_samples) float64
        Finite.
    where : str
        Named in errors.

    Returns
    -------
    connectivity : (n_rois, n_rois) float64
        In [-1, 1], exactly symmetric, 1 on the diagonal; 0 for a constant ROI.
    constant : list of int
        ROIs that do not vary.

    Raises
    ------
    InputError
        Fewer than 3 samples.
    """
    if series.shape[1] < _LEAST_SAMPLES:
        raise InputError(where, f"{series.shape[1]} samples per ROI, a correlation needs at least {_LEAST_SAMPLES}")
    centred = series - series.mean(axis=1, keepdims=True)
    constant = np.ptp(series, axis=1) == 0
    norms = np.where(constant, 1.0, np.linalg.norm(centred, axis=1))
    unit = np.where(constant[:, None], 0.0, centred / norms[:, None])
    return symmetric(unit @ unit.T), np.flatnonzero(constant).tolist()


def symmetric(matrix: Array) -> Array:
    """Return (..., n, n) correlations clipped to [-1, 1], exactly symmetric, 1 on the diagonal."""
    clipped = np.clip((matrix + np.swapaxes(matrix, -1, -2)) / 2, -1.0, 1.0)
    diagonal = np.arange(matrix.shape[-1])
    clipped[..., diagonal, diagonal] = 1.0
    return clipped


def upper_triangles(matrices: NDArray[np.floating]) -> Array:
    """Return the entries above the diagonal, (n_subjects, n_rois (n_rois - 1) / 2) float64."""
    rows, columns = np.triu_indices(matrices.shape[-1], k=1)
    return matrices[:, rows, columns].astype(np.float64)


def from_triangles(values: Array, n_rois: int) -> Array:
    """Undo `upper_triangles`: (n_subjects, n_rois, n_rois), 1 on the diagonal."""
    matrices = np.tile(np.eye(n_rois), (len(values), 1, 1))
    rows, columns = np.triu_indices(n_rois, k=1)
    matrices[:, rows, columns] = values
    matrices[:, columns, rows] = values
    return matrices


def strongest_edges(connectivity: NDArray[np.floating], density: float = DENSITY) -> NDArray[np.bool_]:
    """Keep the strongest positive edges; of equal ones the first in row order.

    Parameters
    ----------
    connectivity : (n_rois, n_rois) float
        Symmetric; only the part above the diagonal is read.
    density : float
        Share of all pairs that are kept, fewer where fewer are positive.

    Returns
    -------
    (n_rois, n_rois) bool
        Symmetric, no self-loops.
    """
    n = len(connectivity)
    rows, columns = np.triu_indices(n, k=1)
    values = connectivity[rows, columns]
    chosen = np.argsort(-values, kind="stable")[: round(density * len(values))]
    chosen = chosen[values[chosen] > 0]
    adjacency = np.zeros((n, n), dtype=bool)
    adjacency[rows[chosen], columns[chosen]] = True
    return adjacency | adjacency.T


def local_efficiency(adjacency: NDArray[np.bool_], lengths: Array | None = None) -> Array:
    """Return the efficiency of each node's neighbours among themselves, the node removed (Eq. 2).

    E(v) = mean over ordered pairs i != j of neighbours of 1 / d_ij, with d_ij the shortest path within the subgraph
    of the neighbours (Latora and Marchiori 2001), 1 / d = 0 where there is none; 0 with fewer than two neighbours.

    Parameters
    ----------
    adjacency : (n, n) bool
        Symmetric, no self-loops.
    lengths : (n, n) float64, optional
        Length of each edge; without it every edge has length 1.

    Returns
    -------
    (n,) float64
        In [0, 1] for edges of length 1.
    """
    efficiency = np.zeros(len(adjacency))
    for node, row in enumerate(adjacency):
        near = np.flatnonzero(row)
        k = len(near)
        if k < 2:
            continue
        part = adjacency[np.ix_(near, near)]
        total = _sum_of_inverses(part) if lengths is None else _weighted_sum(part, lengths[np.ix_(near, near)])
        efficiency[node] = total / (k * (k - 1))
    return efficiency


def efficiency_of(connectivity: NDArray[np.floating], density: float = DENSITY, *, weighted: bool = False) -> Array:
    """Return nodal local efficiency of one subject's connectivity; weighted edges have length 1 / r."""
    adjacency = strongest_edges(connectivity, density)
    lengths = None
    if weighted:
        lengths = np.divide(1.0, connectivity, out=np.zeros(connectivity.shape), where=adjacency)
    return local_efficiency(adjacency, lengths)


def _sum_of_inverses(adjacency: NDArray[np.bool_]) -> float:
    """Sum 1 / d over ordered pairs, by breadth-first search from all nodes at once."""
    edges = adjacency.astype(np.float32)  # counts of paths stay below 2^24, where float32 is exact
    reached, front = adjacency | np.eye(len(adjacency), dtype=bool), edges
    total, distance = float(edges.sum()), 1
    while not reached.all():
        distance += 1
        new = (front @ edges > 0) & ~reached
        count = np.count_nonzero(new)
        if not count:
            break
        total += count / distance
        reached |= new
        front = new.astype(np.float32)
    return total


def _weighted_sum(adjacency: NDArray[np.bool_], lengths: Array) -> float:
    paths = shortest_path(np.where(adjacency, lengths, 0.0), method="D", directed=False)
    off = ~np.eye(len(adjacency), dtype=bool)
    return float((1.0 / paths[off]).sum())  # 1 / inf is 0
