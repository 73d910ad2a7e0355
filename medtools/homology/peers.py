"""The same persistence from other libraries: GUDHI (edge collapse, simplex tree) and Ripser, for comparison.

Both get ranks of distances instead of distances: persistence only depends on their order, and small integers survive
Ripser's single precision, so every engine returns the same bars.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bars = NDArray[np.int64]


def gudhi_bars(ranks: NDArray[np.int32], threshold: int, max_dim: int) -> list[Bars]:
    """Bars of the flag complex of all edges with rank <= threshold; -1 stands for a death at infinity."""
    import gudhi

    n = len(ranks)
    matrix = np.where(ranks <= threshold, ranks, np.inf).astype(np.float64)
    np.fill_diagonal(matrix, 0.0)
    tree = gudhi.SimplexTree.create_from_array(matrix, max_filtration=float(threshold))
    if n > 1:
        tree.collapse_edges(nb_iterations=5)
    tree.expansion(max_dim + 1)
    tree.compute_persistence(homology_coeff_field=2, min_persistence=0.0, persistence_dim_max=True)
    return [_as_ranks(tree.persistence_intervals_in_dimension(k)) for k in range(max_dim + 1)]


def ripser_bars(ranks: NDArray[np.int32], threshold: int, max_dim: int) -> list[Bars]:
    """Bars of the flag complex of all edges with rank <= threshold; -1 stands for a death at infinity."""
    from ripser import ripser

    diagrams = ripser(ranks.astype(np.float32), maxdim=max_dim, thresh=float(threshold), distance_matrix=True)["dgms"]
    return [_as_ranks(diagram) for diagram in diagrams]


def _as_ranks(intervals: NDArray[np.floating]) -> Bars:
    bars = np.asarray(intervals, dtype=np.float64).reshape(-1, 2)
    return np.where(np.isfinite(bars), bars, -1.0).astype(np.int64)
