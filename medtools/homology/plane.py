"""Exact Wasserstein distances between diagrams of any dimension.

Points that stay unmatched pay for the diagonal, so only the n x m pairs of points matter, not (n + m) x (n + m), and of
these only pairs that cost less than leaving both points unmatched: a heaviest matching in a sparse graph.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medtools.homology.kernels import compiled, inlined

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

# Rows that outbid one another this often are left to the search for shortest paths.
_BIDS = 8


@compiled
def plane_pairs(
    bars: Floats,
    offsets: Integers,
    pairs: Integers,
    order: float,
    linf: bool,
    cancel: NDArray[np.uint8],
    out: Floats,
) -> None:
    """Fill `out` with W_q of many pairs of packed diagrams; stops early once `cancel` is set.

    Parameters
    ----------
    bars : Floats
        (total, 2) births and deaths of all diagrams one after another.
    offsets : Integers
        (n_diagrams + 1,) where each diagram starts in `bars`.
    pairs : Integers
        (n_pairs, 2) indices of diagrams.
    order, linf :
        q of W_q, and whether the ground metric is the maximum metric.
    cancel : NDArray[np.uint8]
        (1,) stop when not zero.
    out : Floats
        (n_pairs,) written in place.
    """
    for k in range(len(pairs)):
        if cancel[0]:
            return
        a = bars[offsets[pairs[k, 0]] : offsets[pairs[k, 0] + 1]]
        b = bars[offsets[pairs[k, 1]] : offsets[pairs[k, 1] + 1]]
        power = diagram_power(a, b, order, linf)
        out[k] = power if order == 1.0 else power ** (1.0 / order)


@compiled
def diagram_power(a: Floats, b: Floats, order: float, linf: bool) -> float:
    """W_q^q between two diagrams.

    ``W_q^q = sum_i D_i + sum_j D'_j - max over partial matchings of sum (D_i + D'_j - d_ij^q)``, where D and D' are the
    q-th powers of the distances to the diagonal. Only pairs that gain can take part. The matching found is within
    rounding of D of the best one; its cost is summed from its own terms, so that nothing cancels.

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
    starts = np.zeros(n + 1, np.int64)
    columns, gains = np.empty(n * m + 1, np.int64), np.empty(n * m + 1)
    row = np.empty(m)
    for i in range(n):
        for j in range(m):
            row[j] = to_a[i] + to_b[j] - _ground(births[j] - a[i, 0], deaths[j] - a[i, 1], linf)
        end = starts[i]
        for j in range(m):  # append without a branch: entries that do not gain are overwritten by the next
            columns[end], gains[end] = j, row[j]
            end += row[j] > 0.0
        if order != 1.0:
            end = _powers(starts[i], end, columns, gains, to_a[i], to_b, order)
        starts[i + 1] = end
    column_of = heaviest_matching(starts, columns, gains, m)
    total = 0.0
    for i in range(n):
        cost = to_a[i]
        if column_of[i] >= 0:
            j = column_of[i]
            cost = _ground(births[j] - a[i, 0], deaths[j] - a[i, 1], linf)
            to_b[j] = 0.0
        total += cost if order == 1.0 else cost**order
    for j in range(m):
        total += to_b[j] if order == 1.0 else to_b[j] ** order
    return total


@compiled
def _ground(x: float, y: float, linf: bool) -> float:
    return max(abs(x), abs(y)) if linf else np.sqrt(x * x + y * y)


@compiled
def _to_diagonal(bars: Floats, linf: bool) -> Floats:
    kappa = 0.5 if linf else np.sqrt(0.5)
    out = np.empty(len(bars))
    for i in range(len(bars)):
        out[i] = kappa * (bars[i, 1] - bars[i, 0])
    return out


@compiled
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


@compiled
def heaviest_matching(starts: Integers, columns: Integers, gains: Floats, n_columns: int) -> Integers:
    """Matching of a bipartite graph with the largest sum of gains, by shortest augmenting paths on the dual.

    Row prices p and column prices r keep ``p_i + r_j >= gain_ij`` with equality on matched pairs, p = 0 on rows left
    unmatched for good and r = 0 on free columns (Jonker and Volgenant 1987, with the diagonal as every row's way out).

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

    Returns
    -------
    Integers
        (n_rows,) column of each row, -1 where it stays unmatched.
    """
    n_rows = len(starts) - 1
    price_row, price_column = np.empty(n_rows), np.zeros(n_columns)
    column_of, row_of = np.full(n_rows, -1), np.full(n_columns, -1)
    free, n_free = np.empty(n_rows, np.int64), 0
    for i in range(n_rows):
        bidder = i
        for _ in range(_BIDS):
            bidder = _bid(starts, columns, gains, price_row, price_column, column_of, row_of, bidder)
            if bidder < 0:
                break
        if bidder >= 0:
            free[n_free] = bidder
            n_free += 1
    distance, previous = np.full(n_columns, np.inf), np.empty(n_columns, np.int64)
    reached, paid = np.empty(n_columns, np.int64), np.empty(n_columns)
    for k in range(n_free):
        root = free[k]
        _augment(
            starts, columns, gains, price_row, price_column, column_of, row_of, root, distance, previous, reached, paid
        )
    return column_of


@inlined
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
    best, second, choice = 0.0, 0.0, -1
    for k in range(starts[i], starts[i + 1]):
        value = gains[k] - price_column[columns[k]]
        second = max(second, min(best, value))
        choice = columns[k] if value > best else choice
        best = max(best, value)
    price_row[i] = second
    ousted = -1
    if choice >= 0:
        price_column[choice] += best - second
        ousted = row_of[choice]
        row_of[choice], column_of[i] = i, choice
        if ousted >= 0:
            column_of[ousted] = -1
    return ousted


@inlined
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
    n_reached, n_settled, end = 0, 0, -1
    i, base = root, price_row[root]
    leaving, least = root, price_row[root]
    while True:
        for k in range(starts[i], starts[i + 1]):
            j = columns[k]
            length = base + price_column[j] - gains[k]
            if length < min(least, distance[j]):
                if distance[j] == np.inf:
                    reached[n_reached] = j
                    n_reached += 1
                distance[j] = length
                previous[j] = i
        nearest, position = least, -1
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
    if end < 0:
        end = column_of[leaving]
        column_of[leaving] = -1
    while end >= 0:
        i = previous[end]
        row_of[end] = i
        column_of[i], end = end, column_of[i]
