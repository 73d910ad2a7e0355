"""Scaling of scintigrams (Lin et al. 2021, Eq. 1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVELS = 65535
"""Steps between 0 and 1 in a 16-bit image."""


def min_max(counts: ArrayLike) -> NDArray[np.float64]:
    """Scale to [0, 1]: x_N = (x - x_min) / (x_max - x_min), Eq. 1. A constant image becomes zeros.

    Parameters
    ----------
    counts : array of any real type
        Finite; converted before anything is subtracted, so that unsigned counts cannot wrap round.
    """
    values = np.asarray(counts, dtype=np.float64)
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def to_levels(normalised: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Turn [0, 1] into the levels of a 16-bit image."""
    return np.rint(np.clip(normalised, 0, 1) * LEVELS).astype(np.uint16)
