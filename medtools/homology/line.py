"""Exact Wasserstein distances between diagrams whose bars are all born at 0, as finite H0 bars of a filtration are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medtools.homology.kernels import compiled

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@compiled
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


@compiled
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


@compiled
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
