"""Features laid out in the plane."""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError


def in_the_plane(
    features: NDArray[np.floating], how: Literal["pca", "umap"] = "pca", *, seed: int = 0
) -> NDArray[np.float64]:
    """Lay samples out in two dimensions.

    Parameters
    ----------
    features : (n, width) float
        At least three samples.
    how : {"pca", "umap"}
        Principal components (signs fixed: the largest loading is positive), or UMAP (McInnes et al. 2018).
    seed : int
        Of UMAP.

    Returns
    -------
    (n, 2) float64

    Raises
    ------
    InputError
        Fewer than three samples, or UMAP is not installed.
    """
    table = np.asarray(features, dtype=np.float64)
    if len(table) < 3:
        raise InputError("embedding", f"{len(table)} samples, at least 3 are needed")
    if how == "umap":
        return _umap(table, seed)
    centred = table - table.mean(axis=0)
    left, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    signs = np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])
    points = left * sizes * np.where(signs == 0, 1.0, signs)
    return np.ascontiguousarray(np.pad(points, ((0, 0), (0, max(0, 2 - points.shape[1]))))[:, :2])


def _umap(table: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    try:
        from umap import UMAP
    except ImportError as error:
        raise InputError("--embedding umap", "umap-learn is not installed", "install it, or take pca") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        layout = UMAP(random_state=seed % 2**32, n_neighbors=min(15, len(table) - 1), n_jobs=1)
        return np.asarray(layout.fit_transform(table), dtype=np.float64)
