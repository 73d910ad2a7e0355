"""Edges of a Vietoris-Rips filtration in order of arrival, from points or from a distance matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.homology.kernels import compiled

Floats = NDArray[np.float64]
Ends = NDArray[np.int32]


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
    columns = np.ascontiguousarray(points.T)
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


@compiled
def sorted_edges(distances: Floats, until_contractible: bool) -> tuple[Ends, Ends, Floats]:
    """Edges of the filtration in order of length, ties in order of their ends.

    Parameters
    ----------
    distances : Floats
        (n, n) distance matrix with entries of at most about 1 (`scaled`).
    until_contractible : bool
        Leave out edges that arrive when no bar can be alive any more.

    Returns
    -------
    u, v : Ends
        (n_edges + 1,) ends of each edge, u < v; entry 0 is unused.
    lengths : Floats
        (n_edges + 1,) ascending, the first 0.
    """
    n = len(distances)
    limit = contractible_from(distances) if until_contractible else np.inf
    count = 1
    for i in range(n):
        for j in range(i + 1, n):
            count += distances[i, j] <= limit
    lengths, ends = np.zeros(count), np.zeros(count, np.int64)
    count = 1
    for i in range(n):
        for j in range(i + 1, n):
            if distances[i, j] <= limit:
                lengths[count], ends[count] = distances[i, j], i * n + j
                count += 1
    order = _argsort(lengths)
    u, v, ascending = np.empty(count, np.int32), np.empty(count, np.int32), np.empty(count)
    for k in range(count):
        u[k], v[k], ascending[k] = ends[order[k]] // n, ends[order[k]] % n, lengths[order[k]]
    return u, v, ascending


@compiled
def contractible_from(distances: Floats) -> float:
    """A length from which the Rips complex is contractible for good, found by removing dominated vertices.

    Vertices are removed from the outside in. A vertex p may go, for all lengths from t on, if some remaining w has
    ``d(w, x) <= max(t, d(p, x))`` for all remaining x and ``d(p, w) <= t``. When one vertex is left, every complex from
    the largest t on can be reduced to a point, so all finite bars have died. It is at most the enclosing radius, and
    often half of it.

    Lengths are compared in single precision by their bit patterns. Those that become equal count as longer, and the
    result is rounded up, so that it holds for the lengths themselves.
    """
    n = len(distances)
    sums = np.zeros(n)
    for i in range(n):
        for j in range(n):
            sums[i] += distances[i, j]
    outwards = _argsort(sums)
    single = np.empty((n, n), np.float32)
    for i in range(n):
        for j in range(n):
            single[i, j] = distances[outwards[i], outwards[j]]
    bits = single.view(np.int32)
    end: Any = np.int32(0)
    for p in range(n - 1, 0, -1):
        best: Any = np.int32(2**31 - 1)
        for w in range(p):
            if bits[p, w] < best:
                best = min(best, _domination_start(bits[w], bits[p], bits[p, w], p))
                if best <= end:
                    break
        end = max(end, best)
    rounded_up = np.empty(1, np.int32)
    rounded_up[0] = end + 1
    return float(rounded_up.view(np.float32)[0])


@compiled
def _domination_start(row_w: Ends, row_p: Ends, start: Any, n_left: int) -> Any:
    for x in range(n_left):
        start = max(start, row_w[x] if row_w[x] >= row_p[x] else np.int32(0))
    return start


@compiled
def _argsort(values: Floats) -> NDArray[np.int64]:
    """Stable order of values >= 0, by radix sort of their bit patterns."""
    n = len(values)
    keys, order = values.view(np.int64).copy(), np.arange(n)
    moved_keys, moved_order = np.empty(n, np.int64), np.empty(n, np.int64)
    for shift in range(0, 64, 11):
        starts = np.zeros(2049, np.int64)
        for i in range(n):
            starts[((keys[i] >> shift) & 2047) + 1] += 1
        if starts.max() == n:
            continue
        for digit in range(2048):
            starts[digit + 1] += starts[digit]
        for i in range(n):
            digit = (keys[i] >> shift) & 2047
            moved_keys[starts[digit]], moved_order[starts[digit]] = keys[i], order[i]
            starts[digit] += 1
        keys, moved_keys = moved_keys, keys
        order, moved_order = moved_order, order
    return order


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
