"""Shrink a Vietoris-Rips filtration without changing its persistence: an early end, then edge collapse.

Both steps remove what a neighbour makes redundant. A vertex w *dominates* a vertex or an edge at time t if everything
adjacent to the latter at time t is adjacent to w too; removing it then leaves the homotopy type of the flag complex
alone. If an edge is dominated (by any vertices) at all times in [t, s), its removal from the complexes of those times
is a homotopy equivalence that commutes with the inclusions, so the edge may as well enter at time s: the diagrams stay
exactly equal. This holds for any order of the edges and for equal lengths; going from long to short edges, almost all
long ones never enter (Boissonnat and Pritam, SoCG 2020; Glisse and Pritam, SoCG 2022).

The kernels work on whole rows of an *arrival matrix*: entry (u, v) is the integer time at which the edge uv enters,
shifted left by enough bits that a vertex index fits below it. A minimum over a row then yields a time and its vertex.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medtools.homology.kernels import compiled

Times = NDArray[np.int32] | NDArray[np.int64]
Time: TypeAlias = Any  # an entry of Times: an int to the caller, a machine integer of that width in a kernel

# Rows are padded to whole vectors, with entries that never arrive.
ROW_MULTIPLE = 16


@compiled
def end_time(lengths: NDArray[np.int32]) -> Time:
    """A time from which the Rips complex is contractible for good, found by removing dominated vertices.

    Vertices are removed from the outside in. A vertex p may go, for all times from T on, if some remaining w has
    ``d(w, x) <= max(T, d(p, x))`` for all remaining x and ``d(p, w) <= T``. When one vertex is left, every complex from
    the largest T on can be reduced to a point, so all finite bars have died. T is at most the enclosing radius and
    often half of it.

    Parameters
    ----------
    lengths : NDArray[np.int32]
        (n, n) edge lengths as non-negative integers in the order of the lengths (equal integers may stand for different
        lengths), vertices ordered from the centre of the cloud outwards.

    Returns
    -------
    int
        T as one of the integers of `lengths`.
    """
    end: Time = np.int32(0)
    for p in range(len(lengths) - 1, 0, -1):
        best: Time = np.int32(2**31 - 1)
        for w in range(p):
            if lengths[p, w] < best:
                best = min(best, _domination_start(lengths[w], lengths[p], lengths[p, w], p))
                if best <= end:
                    break
        end = max(end, best)
    return end


@compiled
def _domination_start(row_w: Times, row_p: Times, start: Time, n_left: int) -> Time:
    for x in range(n_left):
        start = max(start, row_w[x] if row_w[x] >= row_p[x] else np.int32(0))
    return start


@compiled
def arrival_matrix(u: Times, v: Times, out: Times, bits: int, diagonal: int, never: Time) -> None:
    """Fill `out` with the times 1, 2, ... of the edges (u[1], v[1]), (u[2], v[2]), ..., each shifted left by `bits`."""
    out[:] = never
    for x in range(len(out)):
        out[x, x] = diagonal
    for k in range(1, len(u)):
        out[u[k], v[k]] = k << bits
        out[v[k], u[k]] = k << bits


@compiled
def collapse(
    arrival: Times,
    u: NDArray[np.int32],
    v: NDArray[np.int32],
    bits: int,
    never: Time,
    cancel: NDArray[np.uint8],
) -> NDArray[np.int64]:
    """One pass of edge collapse over all edges, from the last to arrive to the first.

    Parameters
    ----------
    arrival : Times
        (n, padded n) arrival matrix, changed in place: collapsed edges get later times or `never`.
    u, v : NDArray[np.int32]
        (n_edges + 1,) ends of the edges in order of arrival; entry 0 is unused.
    bits : int
        Width of a vertex index in `arrival`.
    never : int
        Largest time, of edges that are not in the graph; its lower `bits` are 0.
    cancel : NDArray[np.uint8]
        (1,) stop at once when not zero.

    Returns
    -------
    NDArray[np.int64]
        (n_edges + 1,) new time of each edge, not shifted; -1 if it never arrives.
    """
    number: Any = arrival.dtype.type
    index = np.empty(arrival.shape[1], arrival.dtype)
    for x in range(len(index)):
        index[x] = number(x)
    rivals = np.empty_like(index)
    times = np.arange(len(u))
    mask = number((1 << bits) - 1)
    for k in range(len(u) - 1, 0, -1):
        if cancel[0]:
            break
        now = number(k << bits)
        row_u, row_v = arrival[u[k]], arrival[v[k]]
        nearest = _nearest(row_u, row_v, index, number(never))
        if nearest >= now:
            continue  # no common neighbour yet: nothing can dominate
        failure = _first_failure(arrival[nearest & mask], row_u, row_v, now, index, number(never))
        later = number(never)
        if failure < never:
            later = _put_off(arrival, u[k], v[k], now, failure, mask, index, rivals, number(never))
        if later != now:
            arrival[u[k], v[k]] = later
            arrival[v[k], u[k]] = later
            times[k] = later >> bits
        if later == never:
            times[k] = -1
    return times


@compiled
def _nearest(row_u: Times, row_v: Times, index: Times, never: Time) -> Time:
    """First vertex to become adjacent to both u and v: time | index."""
    number: Any = row_u.dtype.type
    first = number(never)
    for x in range(len(index)):
        first = min(first, number(max(row_u[x], row_v[x]) | index[x]))
    return first


@compiled
def _first_failure(row_w: Times, row_u: Times, row_v: Times, now: Time, index: Times, never: Time) -> Time:
    """First time from now on at which w does not dominate the edge uv, | the neighbour that it misses."""
    number: Any = row_u.dtype.type
    first = number(never)
    for x in range(len(index)):
        since = max(max(row_u[x], row_v[x]), now)
        first = min(first, number(since | index[x]) if row_w[x] > since else number(never))
    return first


@compiled
def _neighbours(row_u: Times, row_v: Times, now: Time, index: Times, out: Times, never: Time) -> None:
    """Fill `out` with time | index of the vertices adjacent to u and v by `now`, `never` elsewhere."""
    number: Any = row_u.dtype.type
    for x in range(len(index)):
        since = max(row_u[x], row_v[x])
        out[x] = number(since | index[x]) if since <= now else number(never)


@compiled
def _keep_adjacent(rivals: Times, row_x: Times, now: Time, never: Time) -> Time:
    """Drop the rivals that are not adjacent to x by `now`; first of the rest."""
    number: Any = rivals.dtype.type
    first = number(never)
    for y in range(len(rivals)):
        rivals[y] = rivals[y] if row_x[y] <= now else number(never)
        first = min(first, rivals[y])
    return first


@compiled
def _put_off(
    arrival: Times,
    u: int,
    v: int,
    now: Time,
    failure: Time,
    mask: Time,
    index: Times,
    rivals: Times,
    never: Time,
) -> Time:
    """Latest time to which the edge uv can be put off, passing from one dominator to the next.

    `failure` is the first failure of the nearest common neighbour. A neighbour that a candidate misses at the present
    time rules out, in one step, all candidates that miss it.
    """
    number: Any = arrival.dtype.type
    row_u, row_v = arrival[u], arrival[v]
    _neighbours(row_u, row_v, number(now - 1), index, rivals, never)
    while failure < never:
        missed = failure & mask
        if failure - missed > now:
            now = number(failure - missed)
            _neighbours(row_u, row_v, now, index, rivals, never)
            rivals[u] = number(never)
            rivals[v] = number(never)
        first = _keep_adjacent(rivals, arrival[missed], now, never)
        if first == never:
            return number(now)
        failure = _first_failure(arrival[first & mask], row_u, row_v, now, index, never)
    return number(never)
