"""Edges of a Vietoris-Rips filtration in order of arrival, from points or from a distance matrix."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from medtools.homology.collapse import end_time
from medtools.homology.kernels import compiled

Floats = NDArray[np.float64]
Ends = NDArray[np.int32]


class Edges(NamedTuple):
    """Edges sorted by length; entry 0 of each array stands for the start of the filtration.

    Attributes
    ----------
    n_vertices : int
        Points of the cloud.
    u, v : Ends
        (n_edges + 1,) ends of each edge.
    lengths : Floats
        (n_edges + 1,) ascending lengths, the first 0.
    """

    n_vertices: int
    u: Ends
    v: Ends
    lengths: Floats


def scaled(values: Floats) -> tuple[Floats, float]:
    """Values divided by a power of 2 so that the largest is near 1 (no square over- or underflows), and that power."""
    largest = float(np.abs(values).max(initial=0.0))
    exponent = int(np.frexp(largest)[1])
    return (values, 1.0) if exponent == 0 else (np.ldexp(values, -exponent), float(np.ldexp(1.0, exponent)))


@compiled
def euclidean(points: Floats) -> Floats:
    """All pairwise Euclidean distances of (n, d) points, (n, n), exactly symmetric."""
    n, d = points.shape
    out = np.empty((n, n))
    columns = points.T.copy()
    for i in range(n):
        for j in range(n):
            out[i, j] = 0.0
        for k in range(d):
            x = columns[k, i]
            for j in range(n):
                out[i, j] += (columns[k, j] - x) ** 2
        for j in range(n):
            out[i, j] = np.sqrt(out[i, j])
    return out


def edges(distances: Floats, *, until_contractible: bool) -> Edges:
    """Edges of the filtration in order of length, ties in a fixed but arbitrary order.

    Parameters
    ----------
    distances : Floats
        (n, n) distance matrix with entries of at most about 1 (`scaled`).
    until_contractible : bool
        Leave out edges that arrive when no bar can be alive any more (see `collapse.end_time`).
    """
    limit = np.inf
    if until_contractible:
        order = np.argsort(distances.sum(axis=1))
        rounded = _rounded(distances, order).view(np.int32)
        end = np.array([end_time(rounded)], dtype=np.int32).view(np.float32)
        limit = float(np.nextafter(end, np.float32(np.inf))[0])
    u, v, lengths = _short_edges(distances, limit)
    order = np.argsort(lengths[1:]) + 1
    order = np.concatenate([[0], order])
    return Edges(len(distances), u[order], v[order], lengths[order])


@compiled
def _rounded(distances: Floats, order: NDArray[np.int64]) -> NDArray[np.float32]:
    """Distances with rows and columns in another order; positive single floats sort like their bit patterns."""
    n = len(order)
    out = np.empty((n, n), np.float32)
    for i in range(n):
        for j in range(n):
            out[i, j] = distances[order[i], order[j]]
    return out


@compiled
def _short_edges(distances: Floats, limit: float) -> tuple[Ends, Ends, Floats]:
    n = len(distances)
    count = 1
    for i in range(n):
        for j in range(i + 1, n):
            count += distances[i, j] <= limit
    u, v, lengths = np.zeros(count, np.int32), np.zeros(count, np.int32), np.zeros(count)
    count = 1
    for i in range(n):
        for j in range(i + 1, n):
            if distances[i, j] <= limit:
                u[count], v[count], lengths[count] = i, j, distances[i, j]
                count += 1
    return u, v, lengths


@compiled
def spanning_tree_lengths(distances: Floats) -> Floats:
    """Edge lengths of a minimum spanning tree of a complete graph (Prim), (n - 1,), in order of growth."""
    n = len(distances)
    nearest = np.full(n, np.inf)
    out = np.empty(n - 1)
    x = 0
    for k in range(n - 1):
        nearest[x] = -1.0
        following, least = x, np.inf
        for y in range(n):
            if nearest[y] >= 0.0:
                nearest[y] = min(nearest[y], distances[x, y])
                if nearest[y] < least:
                    following, least = y, nearest[y]
        out[k] = least
        x = following
    return out


@compiled
def spanning_forest(u: Ends, v: Ends, n_vertices: int) -> NDArray[np.bool_]:
    """Which edges join two components when they arrive (Kruskal); entry 0 is unused, as in `u` and `v`."""
    parent = np.arange(n_vertices)
    joins = np.zeros(len(u), np.bool_)
    for e in range(1, len(u)):
        a, b = u[e], v[e]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a != b:
            parent[a] = b
            joins[e] = True
    return joins
