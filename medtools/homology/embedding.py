"""Sliding-window (Takens) embedding of one time series into a point cloud."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medtools.core.errors import InputError


def sliding_window(
    series: ArrayLike, dimension: int = 2, lag: int = 1, *, compat_authors: bool = False
) -> NDArray[np.float64]:
    """Embed a series as the point cloud ``SW(t) = (v[t], v[t + lag], ..., v[t + dimension * lag])``.

    Parameters
    ----------
    series : array_like
        (n_samples,) finite values, any unit.
    dimension : int
        M of Eq. 1; a window holds M + 1 samples.
    lag : int
        Delay between the samples of a window, in samples (tau of Eq. 1).
    compat_authors : bool
        Leave out the last window, as the authors' published code does (184 points instead of 185 for 187 samples).

    Returns
    -------
    NDArray[np.float64]
        (n_points, M + 1) points in the unit of the series; n_points = n_samples - dimension * lag.

    Raises
    ------
    InputError
        If the series is not one-dimensional, not finite, or shorter than dimension * lag + 2 samples.

    Notes
    -----
    Aithal et al., "Leveraging Persistent Homology for Differential Diagnosis of Mild Cognitive Impairment",
    ICPR 2024, Eq. 1 and 2.
    """
    if dimension < 0 or lag < 1:
        raise InputError("embedding", f"dimension {dimension} and lag {lag}", "give dimension >= 0 and lag >= 1")
    values = np.asarray(series, dtype=np.float64)
    if values.ndim != 1:
        raise InputError("series", f"expected one dimension, found shape {values.shape}", "pass one series at a time")
    if not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError("series", f"sample {bad} is {values[bad]}", "remove or interpolate NaN and infinite samples")
    span = dimension * lag
    if len(values) < span + 2:
        raise InputError(
            "series",
            f"{len(values)} samples, at least {span + 2} needed for dimension {dimension} and lag {lag}",
            "record longer, or lower the lag or the dimension",
        )
    windows = np.lib.stride_tricks.sliding_window_view(values, span + 1)[:, ::lag]
    return np.array(windows[:-1] if compat_authors else windows)
