"""Exact bottleneck distances between persistence diagrams."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medtools.homology.kernels import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@compiled
def bottleneck_pairs(bars: Floats, offsets: Integers, pairs: Integers, cancel: NDArray[np.uint8], out: Floats) -> None:
    """As `plane_pairs` for the bottleneck distance."""
    for k in range(len(pairs)):
        if cancel[0]:
            return
        a = bars[offsets[pairs[k, 0]] : offsets[pairs[k, 0] + 1]]
        b = bars[offsets[pairs[k, 1]] : offsets[pairs[k, 1] + 1]]
        out[k] = bottleneck(a, b)


@compiled
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


@compiled
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
