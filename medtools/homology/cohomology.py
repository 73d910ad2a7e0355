"""Persistent cohomology (H1, H2; coefficients Z/2) of the flag complex of a filtered graph.

Simplices of the same dimension are ordered by the arrival of their edges: a triangle is the pair (its last edge, the
later of the two edges to its third vertex), a tetrahedron the triple (its last edge, the arrivals of its other two
vertices at that edge, earlier one first). Packed into one integer these keys sort like the filtration. The coboundary
matrix is reduced as in Ripser (Bauer 2021): columns that are known to be zero are cleared, coboundaries are listed from
the graph and never stored, and a simplex is paired without any work with its first cofacet if it is that cofacet's last
facet (an *apparent pair*). Here the first cofacet adds the vertex that comes nearest to the whole simplex, so that
almost every pair is apparent, in dense graphs too.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from medtools.homology.collapse import NEVER, Ends, Graph
from medtools.homology.kernels import compiled

Keys = NDArray[np.int64]
Key: TypeAlias = Any  # an entry of Keys: an int to the caller, int64 in a kernel
Row = NDArray[np.int32]
Store = tuple[Keys, Keys, Keys]

# A key holds up to three edge numbers of this many bits.
EDGE_BITS = 21
MAX_EDGES = (1 << EDGE_BITS) - 1

DONE, CANCELLED, OUT_OF_MEMORY = 0, 1, 2


@compiled
def persistence(graph: Graph, max_dim: int, max_mem: int, cancel: NDArray[np.uint8]) -> tuple[int, Keys]:
    """Bars as numbers of the edges whose arrival begins and ends them.

    Parameters
    ----------
    graph : Graph
        A filtered graph of at most `MAX_EDGES` edges, see `collapse`.
    max_dim : int
        Largest homology dimension, 0 to 2.
    max_mem : int
        Bytes that the growing arrays may take.
    cancel : NDArray[np.uint8]
        (1,) stop at once when not zero.

    Returns
    -------
    status : int
        `DONE`, `CANCELLED` or `OUT_OF_MEMORY`.
    bars : Keys
        (n_bars, 3) dimension, edge of birth (0: there from the start), edge of death (0: never dies), without bars of
        length zero and without H0 classes that never die.
    """
    arrival, u, v, _, _ = graph
    joins = _spanning_forest(u, v, len(arrival))
    first = np.empty(len(u), np.int64)
    columns = np.empty(len(arrival), np.int64)
    work, trail = np.empty(1024, np.int64), np.empty(1024, np.int64)
    store = _empty_store()
    deaths = store[0]
    bars, n_bars = np.zeros((2 * len(arrival), 3), np.int64), 0
    for e in range(1, len(u)):
        if joins[e]:
            bars[n_bars, 2] = e
            n_bars += 1

    for dim in range(1, max_dim + 1):
        n_owners: Key = np.int64(0)
        for e in range(len(u) - 1, 0, -1):
            if cancel[0]:
                return CANCELLED, bars
            if dim == 1:
                first[e] = _nearest(arrival[u[e]], arrival[v[e]])
                columns[0] = e
                n_columns = 0 if joins[e] or first[e] < e else 1
            else:
                n_columns = _triangles_to_reduce(graph, e, first[e], deaths, columns) if first[e] < e else 0
            for c in range(n_columns):
                status, pivot, n_trail, trail, work = _reduced(
                    graph, dim, e, columns[c], first, store, work, trail, max_mem, cancel
                )
                if status != DONE:
                    return status, bars
                death = 0 if pivot < 0 else pivot >> (dim * EDGE_BITS)
                if death != e:
                    bars = bars if n_bars < len(bars) else np.concatenate((bars, bars))
                    bars[n_bars, 0], bars[n_bars, 1], bars[n_bars, 2] = dim, e, death
                    n_bars += 1
                if pivot >= 0:
                    store = _stored(store, pivot, n_owners, trail, n_trail)
                    n_owners += 1
        deaths, store = store[0], _empty_store()
    return DONE, bars[:n_bars]


@compiled
def _spanning_forest(u: Ends, v: Ends, n_vertices: int) -> NDArray[np.bool_]:
    """Which edges join two components when they arrive (Kruskal)."""
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


@compiled
def _reduced(
    graph: Graph,
    dim: int,
    e: int,
    column: Key,
    first: Keys,
    store: Store,
    work: Keys,
    trail: Keys,
    max_mem: int,
    cancel: NDArray[np.uint8],
) -> tuple[int, Key, Key, Keys, Keys]:
    """Add columns to the coboundary of the simplex `column` (last edge e) until no other column owns its pivot.

    Returns status, pivot (-1 if the column became zero), size of the heap of added simplices, that heap, work space.
    """
    owners, bounds, kept = store
    none: Key = np.int64(-1)
    n_trail: Key = np.int64(1)
    trail[0] = column
    pivot = _emergent(graph, e, column, owners) if dim == 2 else none
    if pivot >= 0:
        return DONE, pivot, n_trail, trail, work
    room = len(graph[0])
    work = _room(work, room)
    size = _coboundary(graph, dim, column, work, none + 1)
    while True:
        size = _cancelled(work, size)
        pivot = work[0] if size else none
        partner = _apparent(graph, dim, pivot, first) if size else none
        owner = _lookup(owners, pivot) if size and partner < 0 else none
        if partner < 0 and owner < 0:
            return DONE, pivot, n_trail, trail, work
        if cancel[0]:
            return CANCELLED, pivot, n_trail, trail, work
        low, high = (none + 1, none + 2) if partner >= 0 else (bounds[owner], bounds[owner + 1])
        if 8 * (size + (high - low) * room + n_trail + len(kept)) + 16 * len(owners) > max_mem:
            return OUT_OF_MEMORY, pivot, n_trail, trail, work
        work = _room(work, size + (high - low) * room)
        trail = _room(trail, n_trail + high - low)
        for i in range(low, high):
            added = partner if partner >= 0 else kept[i]
            size = _coboundary(graph, dim, added, work, size)
            n_trail = _push(trail, n_trail, added)


@compiled
def _nearest(row_u: Row, row_v: Row) -> Key:
    """First arrival of a common neighbour of u and v."""
    first: Any = np.int32(NEVER)
    for x in range(len(row_u)):
        first = min(first, max(row_u[x], row_v[x]))
    return first


@compiled
def _nearest_adjacent(row_u: Row, row_v: Row, row_x: Row, e: Key) -> Key:
    """First arrival at the edge e = uv of a vertex that is adjacent to x before e."""
    before = np.int32(e)
    first: Any = np.int32(NEVER)
    for y in range(len(row_u)):
        first = min(first, max(row_u[y], row_v[y]) if row_x[y] < before else np.int32(NEVER))
    return first


@compiled
def _apex(graph: Graph, e: Key, m: Key) -> Any:
    """Vertex that edge m joins to the edge e."""
    u, v = graph[1], graph[2]
    return v[m] if u[m] == u[e] or u[m] == v[e] else u[m]


@compiled
def _triangles_to_reduce(graph: Graph, e: int, first: Key, deaths: Keys, out: Keys) -> int:
    """Triangles with last edge e that are neither cleared nor apparent, youngest first."""
    arrival, u, v, starts, neighbours = graph
    row_u, row_v = arrival[u[e]], arrival[v[e]]
    n = 0
    for i in range(starts[u[e]], starts[u[e] + 1]):
        x = neighbours[i]
        m: Key = max(row_u[x], row_v[x])
        if m >= e or m == first or _nearest_adjacent(row_u, row_v, arrival[x], e) < m:
            continue
        key = (e << EDGE_BITS) | m
        if _lookup(deaths, key) >= 0:
            continue
        j = n
        while j > 0 and out[j - 1] < key:
            out[j] = out[j - 1]
            j -= 1
        out[j] = key
        n += 1
    return n


@compiled
def _emergent(graph: Graph, e: int, triangle: Key, owners: Keys) -> Key:
    """First cofacet of a triangle if it arrives with the same edge and has no owner yet, else -1."""
    arrival, u, v = graph[0], graph[1], graph[2]
    m = triangle & MAX_EDGES
    row_u, row_v = arrival[u[e]], arrival[v[e]]
    second = _nearest_adjacent(row_u, row_v, arrival[_apex(graph, e, m)], e)
    if second >= e or _nearest_adjacent(row_u, row_v, arrival[_apex(graph, e, second)], e) == m:
        return -1
    pivot = (triangle << EDGE_BITS) | second
    return -1 if _lookup(owners, pivot) >= 0 else pivot


@compiled
def _apparent(graph: Graph, dim: int, pivot: Key, first: Keys) -> Key:
    """Simplex that forms an apparent pair with its cofacet `pivot`, or -1."""
    e = pivot >> (dim * EDGE_BITS)
    if dim == 1:
        return e if first[e] == pivot & MAX_EDGES else -1
    arrival, u, v = graph[0], graph[1], graph[2]
    m = pivot & MAX_EDGES
    nearest = _nearest_adjacent(arrival[u[e]], arrival[v[e]], arrival[_apex(graph, e, m)], e)
    return (e << EDGE_BITS) | m if nearest == (pivot >> EDGE_BITS) & MAX_EDGES else -1


@compiled
def _coboundary(graph: Graph, dim: int, simplex: Key, heap: Keys, size: Key) -> Key:
    """Push the keys of all cofacets; returns the new size of the heap."""
    return _triangles_on(graph, simplex, heap, size) if dim == 1 else _tetrahedra_on(graph, simplex, heap, size)


@compiled
def _triangles_on(graph: Graph, e: Key, heap: Keys, size: Key) -> Key:
    arrival, u, v, starts, neighbours = graph
    row_u, row_v = arrival[u[e]], arrival[v[e]]
    for i in range(starts[u[e]], starts[u[e] + 1]):
        x = neighbours[i]
        p: Key = np.int64(row_u[x])
        q: Key = np.int64(row_v[x])
        last = max(p, q)
        if last < NEVER:
            key = (e << EDGE_BITS) | last if last < e else (last << EDGE_BITS) | max(e, min(p, q))
            size = _push(heap, size, key)
    return size


@compiled
def _tetrahedra_on(graph: Graph, triangle: Key, heap: Keys, size: Key) -> Key:
    arrival, u, v, starts, neighbours = graph
    e, m = triangle >> EDGE_BITS, triangle & MAX_EDGES
    x = _apex(graph, e, m)
    row_u, row_v, row_x = arrival[u[e]], arrival[v[e]], arrival[x]
    ux: Key = np.int64(row_u[x])
    vx: Key = np.int64(row_v[x])
    for i in range(starts[x], starts[x + 1]):
        z = neighbours[i]
        p: Key = np.int64(row_u[z])
        q: Key = np.int64(row_v[z])
        s: Key = np.int64(row_x[z])
        last = max(p, q, s)
        if last == NEVER:
            continue
        # f and g are the arrivals, at the edge that comes last, of the two vertices that are not on it.
        if last < e:
            f, g, last = m, max(p, q), e
        elif last == p:
            f, g = max(e, q), max(ux, s)
        elif last == q:
            f, g = max(e, p), max(vx, s)
        else:
            f, g = max(ux, p), max(vx, q)
        size = _push(heap, size, (((last << EDGE_BITS) | min(f, g)) << EDGE_BITS) | max(f, g))
    return size


@compiled
def _empty_store() -> Store:
    """Reduced columns: table from pivot to column number, where each column starts, the simplices of all columns."""
    return _table(64), np.zeros(64, np.int64), np.empty(256, np.int64)


@compiled
def _stored(store: Store, pivot: Key, n_owners: Key, trail: Keys, n_trail: Key) -> Store:
    """The store with column number `n_owners` added."""
    owners, bounds, kept = store
    if 2 * n_owners + 2 >= len(owners):
        owners = _rehashed(owners)
    i = _slot(owners, pivot)
    owners[i, 0], owners[i, 1] = pivot, n_owners
    end = bounds[n_owners]
    kept = _room(kept, end + n_trail)
    bounds = _room(bounds, n_owners + 2)
    n_trail = _cancelled(trail, n_trail)
    while n_trail:
        kept[end] = trail[0]
        end += 1
        n_trail = _cancelled(trail, _pop(trail, n_trail))
    bounds[n_owners + 1] = end
    return owners, bounds, kept


@compiled
def _room(array: Keys, size: Key) -> Keys:
    """The array itself, or a copy that is at least twice as long if `size` does not fit."""
    if size <= len(array):
        return array
    longer = np.empty(max(size, 2 * len(array)), np.int64)
    for i in range(len(array)):  # slices would take ten times longer to compile
        longer[i] = array[i]
    return longer


@compiled
def _push(heap: Keys, size: Key, key: Key) -> Key:
    i = size
    while i > 0:
        parent = (i - 1) >> 1
        if heap[parent] <= key:
            break
        heap[i] = heap[parent]
        i = parent
    heap[i] = key
    return size + 1


@compiled
def _pop(heap: Keys, size: Key) -> Key:
    """Remove the smallest key, which is ``heap[0]``."""
    size -= 1
    key = heap[size]
    i, child = 0, 1
    while child < size:
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[i] = heap[child]
        i, child = child, 2 * child + 1
    heap[i] = key
    return size


@compiled
def _cancelled(heap: Keys, size: Key) -> Key:
    """Remove equal pairs (their sum is 0 in Z/2) until the smallest key is single."""
    while size > 1 and (heap[1] == heap[0] or (size > 2 and heap[2] == heap[0])):
        size = _pop(heap, _pop(heap, size))
    return size


@compiled
def _table(length: Key) -> Keys:
    """Empty hash table from keys to integers, with open addressing; `length` is a power of 2."""
    table = np.empty((length, 2), np.int64)
    table[:] = -1
    return table


@compiled
def _slot(table: Keys, key: Key) -> Key:
    i = ((key * -7046029254386353131) >> 24) & (len(table) - 1)
    while table[i, 0] != key and table[i, 0] != -1:
        i = (i + 1) & (len(table) - 1)
    return i


@compiled
def _lookup(table: Keys, key: Key) -> Key:
    return table[_slot(table, key), 1]


@compiled
def _rehashed(table: Keys) -> Keys:
    larger = _table(2 * len(table))
    for i in range(len(table)):
        if table[i, 0] != -1:
            j = _slot(larger, table[i, 0])
            larger[j, 0], larger[j, 1] = table[i, 0], table[i, 1]
    return larger
