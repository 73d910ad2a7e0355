"""The same persistence from other libraries: GUDHI (edge collapse, simplex tree) and Ripser, for comparison.

Both get the numbers of the edges in order of length instead of the lengths: persistence only depends on the order, and
whole numbers survive Ripser's single precision, so every engine returns the same bars.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import RefusedError

# Single precision holds all whole numbers up to this one.
_MAX_SINGLE = 2**24

Bars = NDArray[np.int64]


def gudhi_bars(numbers: NDArray[np.int32], max_dim: int) -> list[Bars]:
    """Finite bars, as edge numbers, of the filtration in which edge (i, j) enters at ``numbers[i, j]``.

    Parameters
    ----------
    numbers : NDArray[np.int32]
        (n, n) symmetric, zero diagonal.
    max_dim : int
        Largest homology dimension.
    """
    import gudhi

    cone = float(numbers.max(axis=1).min())
    tree = gudhi.SimplexTree.create_from_array(numbers.astype(np.float64), max_filtration=cone)
    tree.collapse_edges(nb_iterations=5)
    tree.expansion(max_dim + 1)
    tree.compute_persistence(homology_coeff_field=2, min_persistence=0.0, persistence_dim_max=True)
    return [_whole(tree.persistence_intervals_in_dimension(k)) for k in range(max_dim + 1)]


def ripser_bars(numbers: NDArray[np.int32], max_dim: int) -> list[Bars]:
    """As `gudhi_bars`; raises `RefusedError` for more edges than single precision can number."""
    if numbers.max() > _MAX_SINGLE:
        raise RefusedError(f"ripser: {numbers.max()} edges, at most {_MAX_SINGLE} can be told apart; use engine auto")
    from ripser import ripser

    found = ripser(numbers.astype(np.float32), maxdim=max_dim, distance_matrix=True)["dgms"]
    return [_whole(diagram) for diagram in found]


def _whole(intervals: NDArray[np.floating]) -> Bars:
    bars = np.asarray(intervals, dtype=np.float64).reshape(-1, 2)
    return bars[np.isfinite(bars[:, 1])].astype(np.int64)
