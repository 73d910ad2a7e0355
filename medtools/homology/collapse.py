"""Edge collapse: shrink a filtered graph without changing the persistence of its flag complex.

A vertex w *dominates* an edge at time t if all common neighbours of its ends at time t are w or adjacent to w; removing
the edge then leaves the homotopy type of the flag complex alone. If an edge is dominated, by whatever vertices, at all
times in [t, s), its removal from the complexes of those times is a homotopy equivalence that commutes with the
inclusions, so the edge may as well enter at time s: the diagrams stay exactly equal. This holds for any order of the
edges and for equal lengths; going from long to short edges, almost all long ones never enter (Boissonnat and Pritam,
SoCG 2020; Glisse and Pritam, SoCG 2022). One pass removes nearly all that five do.

The kernels work on whole rows of an *arrival matrix*: entry (u, v) is the number of the edge uv in order of arrival,
shifted left by enough bits that a vertex index fits below it. A minimum over a row then yields a time and its vertex.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medtools.homology.kernels import compiled

Ends = NDArray[np.int32]
Times = NDArray[np.int32] | NDArray[np.int64]
Time: TypeAlias = Any  # an entry of Times: an int to the caller, a machine integer of that width in a kernel

# A filtered graph: arrival matrix (number of each edge, `NEVER` elsewhere), ends u and v of the edges (entry 0 unused),
# and neighbours of vertex x as ``neighbours[starts[x]:starts[x + 1]]``.
Graph: TypeAlias = tuple[NDArray[np.int32], Ends, Ends, NDArray[np.int64], Ends]
NEVER = 2**31 - 1

# Rows are padded to whole vectors, with entries that never arrive.
ROW_MULTIPLE = 16


@compiled
def collapsed(
    u: Ends, v: Ends, arrival: Times, bits: int, never: Time, cancel: NDArray[np.uint8]
) -> tuple[Graph, NDArray[np.int64]]:
    """Collapse a filtered graph.

    Parameters
    ----------
    u, v : Ends
        (n_edges + 1,) ends of the edges in order of arrival; entry 0 is unused.
    arrival : Times
        (n, padded n) work space, int32 or int64.
    bits : int
        Width of a vertex index in `arrival`.
    never : int
        Largest entry of `arrival`, for edges that are not in the graph; its lower `bits` are 0.
    cancel : NDArray[np.uint8]
        (1,) once it is not zero the rest of the edges are left as they are.

    Returns
    -------
    graph : Graph
        The edges that are left, renumbered in order of arrival.
    entered : NDArray[np.int64]
        (n_left + 1,) number of the given edge with which each of them arrives.
    """
    _fill(u, v, arrival, bits, 0, never)
    times = _later_times(arrival, u, v, bits, never, cancel)
    starts = np.zeros(len(times) + 1, np.int64)
    for k in range(1, len(times)):
        if times[k] > 0:
            starts[times[k] + 1] += 1
    starts[1] = 1
    for k in range(1, len(times)):
        starts[k + 1] += starts[k]
    n_left = starts[len(times)]
    left_u, left_v, entered = np.zeros(n_left, np.int32), np.zeros(n_left, np.int32), np.zeros(n_left, np.int64)
    for k in range(1, len(times)):
        if times[k] > 0:
            place = starts[times[k]]
            starts[times[k]] += 1
            left_u[place], left_v[place], entered[place] = u[k], v[k], times[k]
    numbers = np.empty(arrival.shape, np.int32)
    _fill(left_u, left_v, numbers, 0, NEVER, NEVER)
    first, neighbours = _adjacency(left_u, left_v, len(numbers))
    return (numbers, left_u, left_v, first, neighbours), entered


@compiled
def _fill(u: Ends, v: Ends, out: Times, bits: int, diagonal: int, never: Time) -> None:
    out[:] = never
    for x in range(len(out)):
        out[x, x] = diagonal
    for k in range(1, len(u)):
        out[u[k], v[k]] = k << bits
        out[v[k], u[k]] = k << bits


@compiled
def _adjacency(u: Ends, v: Ends, n_vertices: int) -> tuple[NDArray[np.int64], Ends]:
    starts = np.zeros(n_vertices + 2, np.int64)
    for e in range(1, len(u)):
        starts[u[e] + 2] += 1
        starts[v[e] + 2] += 1
    for x in range(n_vertices):
        starts[x + 2] += starts[x + 1]
    neighbours = np.empty(2 * (len(u) - 1), np.int32)
    for e in range(1, len(u)):
        neighbours[starts[u[e] + 1]] = v[e]
        starts[u[e] + 1] += 1
        neighbours[starts[v[e] + 1]] = u[e]
        starts[v[e] + 1] += 1
    return starts, neighbours


@compiled
def _later_times(
    arrival: Times, u: Ends, v: Ends, bits: int, never: Time, cancel: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """New time of each edge, not shifted, -1 if it never arrives; one pass from the last edge to the first."""
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
            times[k] = -1 if later == never else later >> bits
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
