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
Integers = NDArray[np.int64]

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


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
def diagram_power(a: Floats, b: Floats, order: float, linf: bool) -> float:
    """W_q^q between two diagrams of any dimension.

    ``W_q^q = sum_i D_i + sum_j D'_j - max over partial matchings of sum (D_i + D'_j - d_ij^q)``, where D and D' are the
    q-th powers of the distances to the diagonal. Only pairs that gain can take part.

    Parameters
    ----------
    a, b : Floats
        (n, 2) and (m, 2) bars.
    order : float
        q >= 1.
    linf : bool
        Maximum instead of Euclidean metric between points.
    """
    if len(a) > len(b):
        a, b = b, a
    n, m = len(a), len(b)
    births, deaths, to_a, to_b = b[:, 0].copy(), b[:, 1].copy(), _to_diagonal(a, linf), _to_diagonal(b, linf)
    total = 0.0
    for i in range(n):
        total += to_a[i] ** order
    for j in range(m):
        total += to_b[j] ** order
    starts = np.zeros(n + 1, np.int64)
    columns, gains = np.empty(n * m + 1, np.int64), np.empty(n * m + 1)
    row = np.empty(m)
    for i in range(n):
        for j in range(m):
            x, y = abs(births[j] - a[i, 0]), abs(deaths[j] - a[i, 1])
            row[j] = to_a[i] + to_b[j] - (max(x, y) if linf else np.sqrt(x * x + y * y))
        n_pairs = starts[i]
        for j in range(m):  # append without a branch: entries that do not gain are overwritten by the next
            columns[n_pairs], gains[n_pairs] = j, row[j]
            n_pairs += row[j] > 0.0
        if order != 1.0:
            n_pairs = _powers(starts[i], n_pairs, columns, gains, to_a[i], to_b, order)
        starts[i + 1] = n_pairs
    return max(total - heaviest_matching(starts, columns, gains, m), 0.0)


@_compiled
def _to_diagonal(bars: Floats, linf: bool) -> Floats:
    kappa = 0.5 if linf else np.sqrt(0.5)
    out = np.empty(len(bars))
    for i in range(len(bars)):
        out[i] = kappa * (bars[i, 1] - bars[i, 0])
    return out


@_compiled
def _powers(start: int, end: int, columns: Integers, gains: Floats, to_a: float, to_b: Floats, order: float) -> int:
    """Turn the gains of one row for q = 1 into those for `order`, dropping pairs that no longer gain; its new end."""
    kept = start
    for k in range(start, end):
        j = columns[k]
        gain = to_a**order + to_b[j] ** order - (to_a + to_b[j] - gains[k]) ** order
        if gain > 0.0:
            columns[kept], gains[kept] = j, gain
            kept += 1
    return kept


@_compiled
def heaviest_matching(starts: Integers, columns: Integers, gains: Floats, n_columns: int) -> float:
    """Largest sum of gains over matchings of a bipartite graph, by shortest augmenting paths on the dual.

    Row prices p and column prices r keep ``p_i + r_j >= gain_ij`` with equality on matched pairs, p = 0 on rows left
    unmatched for good and r = 0 on free columns (Jonker and Volgenant 1987, with the diagonal as a way out of each row).

    Parameters
    ----------
    starts : Integers
        (n_rows + 1,) the pairs of row i are ``starts[i]:starts[i + 1]``.
    columns : Integers
        (n_pairs,) column of each pair.
    gains : Floats
        (n_pairs,) positive gain of each pair.
    n_columns : int
        Number of columns.
    """
    n_rows = len(starts) - 1
    price_row, price_column = np.empty(n_rows), np.zeros(n_columns)
    column_of, row_of = np.full(n_rows, -1), np.full(n_columns, -1)
    free, n_free = np.arange(n_rows), np.int64(0)
    for i in range(n_rows):
        bidder, bids = np.int64(i), 0
        while bidder >= 0 and bids < 8:
            bidder = _bid(starts, columns, gains, price_row, price_column, column_of, row_of, bidder)
            bids += 1
        if bidder >= 0:
            free[n_free] = bidder
            n_free += 1
    distance, previous = np.full(n_columns, np.inf), np.empty(n_columns, np.int64)
    reached, paid = np.empty(n_columns, np.int64), np.empty(n_columns)
    for k in range(n_free):
        _augment(
            starts,
            columns,
            gains,
            price_row,
            price_column,
            column_of,
            row_of,
            free[k],
            distance,
            previous,
            reached,
            paid,
        )
    total = 0.0
    for i in range(n_rows):
        for k in range(starts[i], starts[i + 1]):
            if columns[k] == column_of[i]:
                total += gains[k]
    return total


@_compiled
def _bid(
    starts: Integers,
    columns: Integers,
    gains: Floats,
    price_row: Floats,
    price_column: Floats,
    column_of: Integers,
    row_of: Integers,
    i: int,
) -> int:
    """Give row i its best column at a price that leaves it indifferent to its second best; the row it ousts, or -1."""
    best, second, j = 0.0, 0.0, np.int64(-1)
    for k in range(starts[i], starts[i + 1]):
        value = gains[k] - price_column[columns[k]]
        if value > best:
            best, second, j = value, best, columns[k]
        elif value > second:
            second = value
    price_row[i] = second
    if j < 0:
        return np.int64(-1)
    price_column[j] += best - second
    ousted = row_of[j]
    row_of[j], column_of[i] = i, j
    if ousted >= 0:
        column_of[ousted] = -1
    return ousted


@_compiled
def _augment(
    starts: Integers,
    columns: Integers,
    gains: Floats,
    price_row: Floats,
    price_column: Floats,
    column_of: Integers,
    row_of: Integers,
    root: int,
    distance: Floats,
    previous: Integers,
    reached: Integers,
    paid: Floats,
) -> None:
    """Match the row `root`, or leave the row unmatched that loses least by it (Dijkstra on reduced costs).

    `distance` is all infinite before and after; the arrays after it are work space. A settled column is at minus
    infinity, so that rounding cannot reopen it.
    """
    n_reached = n_settled = np.int64(0)
    i, base, end = root, price_row[root], np.int64(-1)
    leaving, least = root, price_row[root]
    while True:
        for k in range(starts[i], starts[i + 1]):
            j = columns[k]
            length = base + price_column[j] - gains[k]
            if length < least and length < distance[j]:
                if distance[j] == np.inf:
                    reached[n_reached] = j
                    n_reached += 1
                distance[j] = length
                previous[j] = i
        nearest, position = least, np.int64(-1)
        for k in range(n_settled, n_reached):
            if distance[reached[k]] < nearest:
                nearest, position = distance[reached[k]], k
        if position < 0:
            break
        j = reached[position]
        reached[position], reached[n_settled] = reached[n_settled], j
        if row_of[j] < 0:
            end, least = j, nearest
            break
        paid[n_settled], distance[j] = nearest, -np.inf
        n_settled += 1
        i = row_of[j]
        base = nearest + price_row[i]
        if base < least:
            leaving, least = i, base
    price_row[root] -= least
    for k in range(n_settled):
        j = reached[k]
        price_column[j] += least - paid[k]
        price_row[row_of[j]] -= least - paid[k]
    for k in range(n_reached):
        distance[reached[k]] = np.inf
    j = end
    if end < 0:
        j = column_of[leaving]
        column_of[leaving] = -1
    while j >= 0:
        i = previous[j]
        row_of[j] = i
        column_of[i], j = j, column_of[i]


@_compiled
def bottleneck(a: Floats, b: Floats) -> float:
    """Exact bottleneck distance (maximum metric): the least cost at which all points far from the diagonal are matched.

    If the far points of a can be matched into b, and those of b into a, one matching covers both
    (Mendelsohn and Dulmage 1958), so each side is checked alone. The answer is a distance between points or to the
    diagonal; bisection narrows the interval (low, high] until it holds only one of these.
    """
    n, m = len(a), len(b)
    costs, back = np.empty((n + 1, m + 1)), np.empty((m, n))
    costs[n, m] = 0.0
    high = 0.0
    for i in range(n):
        costs[i, m] = 0.5 * (a[i, 1] - a[i, 0])
        high = max(high, costs[i, m])
    for j in range(m):
        costs[n, j] = 0.5 * (b[j, 1] - b[j, 0])
        high = max(high, costs[n, j])
    for i in range(n):
        for j in range(m):
            costs[i, j] = max(abs(a[i, 0] - b[j, 0]), abs(a[i, 1] - b[j, 1]))
            back[j, i] = costs[i, j]
    low = -1.0
    while True:
        middle = 0.5 * (low + high)
        below, above = low, high
        for i in range(n + 1):
            for j in range(m + 1):
                if low < costs[i, j] <= middle:
                    below = max(below, costs[i, j])
                elif middle < costs[i, j] < high:
                    above = min(above, costs[i, j])
        theta = below if below > low else above
        if theta == high:
            return high
        if _covers(costs[:n, :m], costs[:n, m], theta) and _covers(back, costs[n, :m], theta):
            high = theta
        else:
            low = theta


@_compiled
def _covers(costs: Floats, to_diagonal: Floats, theta: float) -> bool:
    """Whether every row farther than theta from the diagonal can have its own column within theta."""
    n, m = costs.shape
    row_of, seen = np.full(m, -1), np.full(m, -1)
    rows, entered, following = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n, np.int64)
    for root in range(n):
        if to_diagonal[root] <= theta:
            continue
        depth = 0
        rows[0], following[0] = root, 0
        while depth >= 0:
            i, j = rows[depth], following[depth]
            while j < m and (seen[j] == root or costs[i, j] > theta):
                j += 1
            following[depth] = j + 1
            if j == m:
                depth -= 1
                continue
            seen[j], entered[depth] = root, j
            if row_of[j] < 0:
                break
            depth += 1
            rows[depth], following[depth] = row_of[j], 0
        if depth < 0:
            return False
        for d in range(depth + 1):
            row_of[entered[d]] = rows[d]
    return True


@_compiled
def line_pairs(
    deaths: Floats,
    offsets: Integers,
    pairs: Integers,
    order: float,
    linf: bool,
    cancel: NDArray[np.uint8],
    out: Floats,
) -> None:
    """Fill `out` with W_q of many pairs of diagrams whose bars are all born at 0; stops early once `cancel` is set.

    Parameters
    ----------
    deaths : Floats
        (total,) deaths of all diagrams one after another, ascending in each.
    offsets : Integers
        (n_diagrams + 1,) where each diagram starts in `deaths`.
    pairs : Integers
        (n_pairs, 2) indices of diagrams.
    order, linf :
        q of W_q, and whether the ground metric is the maximum metric.
    out : Floats
        (n_pairs,) written in place.
    """
    kappa = 0.5 if linf else np.sqrt(0.5)
    for k in range(len(pairs)):
        if cancel[0]:
            return
        a = deaths[offsets[pairs[k, 0]] : offsets[pairs[k, 0] + 1]]
        b = deaths[offsets[pairs[k, 1]] : offsets[pairs[k, 1] + 1]]
        out[k] = line_w1(a, b, kappa) if order == 1.0 else line_power(a, b, kappa, order) ** (1.0 / order)


@_compiled
def plane_pairs(
    bars: Floats,
    offsets: Integers,
    pairs: Integers,
    order: float,
    linf: bool,
    cancel: NDArray[np.uint8],
    out: Floats,
) -> None:
    """As `line_pairs` for (total, 2) bars (birth, death) of any dimension."""
    for k in range(len(pairs)):
        if cancel[0]:
            return
        a = bars[offsets[pairs[k, 0]] : offsets[pairs[k, 0] + 1]]
        b = bars[offsets[pairs[k, 1]] : offsets[pairs[k, 1] + 1]]
        out[k] = diagram_power(a, b, order, linf) ** (1.0 / order)


@_compiled
def bottleneck_pairs(
    bars: Floats, offsets: Integers, pairs: Integers, cancel: NDArray[np.uint8], out: Floats
) -> None:
    """As `plane_pairs` for the bottleneck distance."""
    for k in range(len(pairs)):
        if cancel[0]:
            return
        a = bars[offsets[pairs[k, 0]] : offsets[pairs[k, 0] + 1]]
        b = bars[offsets[pairs[k, 1]] : offsets[pairs[k, 1] + 1]]
        out[k] = bottleneck(a, b)
