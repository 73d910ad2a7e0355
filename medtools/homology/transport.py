"""Compiled kernels for exact matching of two persistence diagrams.

Three facts keep every kernel small. Unmatched points pay for the diagonal, so only the n x m matrix of pairs matters,
never the (n + m) x (n + m) one. Finite H0 bars of a Vietoris-Rips filtration are all born at 0, hence lie on one line
where optimal transport is a sweep. A pair that costs more than leaving both its points unmatched is never used.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_compiled = numba.njit(cache=True, nogil=True)


@_compiled
def line_w1(a: Floats, b: Floats, kappa: float) -> float:
    """Exact W1 between points on the half-line [0, inf) with a reservoir that x reaches at cost ``kappa * x``.

    The dual problem maximises sum f(a_i) - sum f(b_j) over functions f with |f'| <= 1 and |f(x)| <= kappa * x. Sweeping
    x upwards, the best value given f(x) = y is concave and piecewise linear in y: moving by dx spreads the breakpoints
    left of its maximum by -dx and those right of it by +dx, and a point turns the innermost breakpoint (or the wall at
    +-kappa * x) to the other side. New breakpoints are always innermost, so two stacks hold them: O(n + m) in all.

    Parameters
    ----------
    a, b : Floats
        (n,) and (m,) positions >= 0 in ascending order.
    kappa : float
        Cost of the diagonal per unit of position, < 1.
    """
    left = np.empty(len(a) + len(b))
    right = np.empty(len(a) + len(b))
    n_left = n_right = i = j = 0
    best = 0.0
    while i < len(a) or j < len(b):
        if i < len(a) and j < len(b) and a[i] == b[j]:
            i += 1  # a shared point is matched to itself: the triangle inequality makes that optimal for W1
            j += 1
            continue
        take_a = j == len(b) or (i < len(a) and a[i] < b[j])
        x = a[i] if take_a else b[j]
        wall = kappa * x
        # Breakpoints move at speed 1, walls at speed kappa < 1: once the innermost is over the wall, all are.
        if n_left and left[n_left - 1] - x <= -wall:
            n_left = 0
        if n_right and right[n_right - 1] + x >= wall:
            n_right = 0
        if take_a:
            y = wall
            if n_right:
                n_right -= 1
                y = right[n_right] + x
            best += y
            left[n_left] = y + x
            n_left += 1
            i += 1
        else:
            y = -wall
            if n_left:
                n_left -= 1
                y = left[n_left] - x
            best -= y
            right[n_right] = y - x
            n_right += 1
            j += 1
    return best


@_compiled
def line_power(a: Floats, b: Floats, kappa: float, order: float) -> float:
    """W_q^q between points on the half-line for q > 1, by an order-preserving edit distance (convex costs never cross).

    Parameters are those of `line_w1`; `order` is q.
    """
    row = np.empty(len(b) + 1)
    row[0] = 0.0
    for j in range(len(b)):
        row[j + 1] = row[j] + (kappa * b[j]) ** order
    for i in range(len(a)):
        drop_a = (kappa * a[i]) ** order
        diagonal = row[0]
        row[0] += drop_a
        for j in range(len(b)):
            matched = diagonal + abs(a[i] - b[j]) ** order
            diagonal = row[j + 1]
            row[j + 1] = min(matched, diagonal + drop_a, row[j] + (kappa * b[j]) ** order)
    return row[len(b)]


@_compiled
def pair_distance(a: Floats, b: Floats, i: int, j: int, linf: bool) -> float:
    """Ground distance between point i of diagram a and point j of diagram b."""
    birth = abs(a[i, 0] - b[j, 0])
    death = abs(a[i, 1] - b[j, 1])
    if linf:
        return max(birth, death)
    return np.sqrt(birth * birth + death * death)


@_compiled
def diagram_power(a: Floats, b: Floats, order: float, linf: bool) -> float:
    """W_q^q between two diagrams of any dimension.

    ``W_q^q = sum_i D_i + sum_j D'_j + min over partial matchings of sum (d_ij^q - D_i - D'_j)``, where D and D' are the
    q-th powers of the distances to the diagonal and only pairs with a negative term can take part.
    """
    if len(a) > len(b):
        a, b = b, a
    n, m = len(a), len(b)
    kappa = 0.5 if linf else np.sqrt(0.5)
    total = 0.0
    to_a = np.empty(n)
    to_b = np.empty(m)
    for i in range(n):
        to_a[i] = (kappa * (a[i, 1] - a[i, 0])) ** order
        total += to_a[i]
    for j in range(m):
        to_b[j] = (kappa * (b[j, 1] - b[j, 0])) ** order
        total += to_b[j]
    cost = np.zeros((n, m))
    for i in range(n):
        for j in range(m):
            gain = pair_distance(a, b, i, j, linf) ** order - to_a[i] - to_b[j]
            if gain < 0.0:
                cost[i, j] = gain
    return max(total + assignment(cost), 0.0)


@_compiled
def assignment(cost: Floats) -> float:
    """Smallest sum of an assignment of every row to its own column, by shortest augmenting paths (n <= m)."""
    n, m = cost.shape
    u = np.zeros(n)
    v = np.zeros(m)
    row_of = np.full(m, -1)
    column_of = np.full(n, -1)
    previous = np.empty(m, np.int64)
    shortest = np.empty(m)
    done = np.empty(m, np.bool_)
    for start in range(n):
        shortest[:] = np.inf
        done[:] = False
        i, reached, sink = start, 0.0, -1
        while sink < 0:
            nearest, best = -1, np.inf
            for j in range(m):
                if done[j]:
                    continue
                length = reached + cost[i, j] - u[i] - v[j]
                if length < shortest[j]:
                    shortest[j] = length
                    previous[j] = i
                if shortest[j] < best:
                    best = shortest[j]
                    nearest = j
            reached = best
            done[nearest] = True
            if row_of[nearest] < 0:
                sink = nearest
            else:
                i = row_of[nearest]
        u[start] += reached
        for j in range(m):
            if done[j]:
                v[j] -= reached - shortest[j]
                if row_of[j] >= 0:
                    u[row_of[j]] += reached - shortest[j]
        j = sink
        while j >= 0:
            i = previous[j]
            row_of[j] = i
            column_of[i], j = j, column_of[i]
    total = 0.0
    for i in range(n):
        total += cost[i, column_of[i]]
    return total


@_compiled
def _extends(graph: NDArray[np.bool_], i: int, seen: NDArray[np.bool_], row_of: NDArray[np.int64]) -> bool:
    """Give row i a column, moving earlier rows along an alternating path where needed (depth first)."""
    n, m = graph.shape
    stack = np.empty(n + 1, np.int64)
    entered = np.empty(n + 1, np.int64)
    column = np.zeros(n + 1, np.int64)
    depth = 0
    stack[0] = i
    while depth >= 0:
        j = column[depth]
        while j < m and (seen[j] or not graph[stack[depth], j]):
            j += 1
        if j == m:
            depth -= 1
            continue
        seen[j] = True
        column[depth] = j + 1
        entered[depth] = j
        if row_of[j] < 0:
            for d in range(depth + 1):
                row_of[entered[d]] = stack[d]
            return True
        depth += 1
        stack[depth] = row_of[j]
        column[depth] = 0
    return False


@_compiled
def _covers(distance: Floats, to_diagonal: Floats, theta: float) -> bool:
    """Whether every row farther than theta from the diagonal can have its own column within theta."""
    graph = distance <= theta
    row_of = np.full(distance.shape[1], -1)
    seen = np.empty(distance.shape[1], np.bool_)
    for i in range(distance.shape[0]):
        if to_diagonal[i] > theta:
            seen[:] = False
            if not _extends(graph, i, seen, row_of):
                return False
    return True


@_compiled
def bottleneck(a: Floats, b: Floats, linf: bool) -> float:
    """Exact bottleneck distance: the smallest candidate cost at which all points far from the diagonal are matched.

    If the far points of a can be matched into b, and those of b into a, one matching covers both
    (Mendelsohn and Dulmage 1958), so each side is checked alone.
    """
    n, m = len(a), len(b)
    kappa = 0.5 if linf else np.sqrt(0.5)
    to_a = kappa * (a[:, 1] - a[:, 0])
    to_b = kappa * (b[:, 1] - b[:, 0])
    distance = np.empty((n, m))
    candidates = np.zeros(1 + n + m + n * m)
    candidates[1 : n + 1] = to_a
    candidates[n + 1 : n + m + 1] = to_b
    for i in range(n):
        for j in range(m):
            distance[i, j] = pair_distance(a, b, i, j, linf)
            candidates[1 + n + m + i * m + j] = distance[i, j]
    transposed = np.ascontiguousarray(distance.T)
    candidates = np.sort(candidates)
    low, high = 0, len(candidates) - 1
    while low < high:
        middle = (low + high) // 2
        theta = candidates[middle]
        if _covers(distance, to_a, theta) and _covers(transposed, to_b, theta):
            high = middle
        else:
            low = middle + 1
    return float(candidates[low])


LINE, POINTS, BOTTLENECK = 0, 1, 2


@_compiled
def many(
    flat: Floats,
    offsets: NDArray[np.int64],
    pairs: NDArray[np.int64],
    method: int,
    order: float,
    linf: bool,
    cancel: NDArray[np.uint8],
    out: Floats,
) -> None:
    """Fill `out` with the distances of many pairs of packed diagrams; stops early once `cancel` is set.

    Parameters
    ----------
    flat : Floats
        (total, 2) all diagrams one after another, each sorted by (birth, death).
    offsets : NDArray[np.int64]
        (n_diagrams + 1,) where each diagram starts in `flat`.
    pairs : NDArray[np.int64]
        (n_pairs, 2) indices of diagrams.
    method : int
        `LINE` (all births are 0), `POINTS` or `BOTTLENECK`.
    order, linf :
        q of W_q, and the ground metric.
    out : Floats
        (n_pairs,) written in place.
    """
    kappa = 0.5 if linf else np.sqrt(0.5)
    deaths = flat[:, 1].copy()
    for k in range(len(pairs)):
        if cancel[0]:
            return
        a0, a1 = offsets[pairs[k, 0]], offsets[pairs[k, 0] + 1]
        b0, b1 = offsets[pairs[k, 1]], offsets[pairs[k, 1] + 1]
        if method == BOTTLENECK:
            out[k] = bottleneck(flat[a0:a1], flat[b0:b1], linf)
        elif method == LINE and order == 1.0:
            out[k] = line_w1(deaths[a0:a1], deaths[b0:b1], kappa)
        elif method == LINE:
            out[k] = line_power(deaths[a0:a1], deaths[b0:b1], kappa, order) ** (1.0 / order)
        else:
            out[k] = diagram_power(flat[a0:a1], flat[b0:b1], order, linf) ** (1.0 / order)
