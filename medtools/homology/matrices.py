"""Distance matrices over persistence diagrams: ROI by ROI in a subject (PR), subject by subject for an ROI (PS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medtools.core.errors import InputError
from medtools.homology import wasserstein


def by_dimension(items: Sequence[Sequence[ArrayLike]], **options: Any) -> list[NDArray[np.float64]]:
    """Distance matrices between items, one per homology dimension.

    Parameters
    ----------
    items : sequence of sequences of array_like
        ``items[i][k]`` is the H_k diagram of item i. The ROIs of one subject give PR (Eq. 6), the subjects of one ROI
        give PS (Eq. 5).
    **options :
        As in `wasserstein.matrix`.

    Returns
    -------
    list of NDArray[np.float64]
        One (n, n) matrix for each homology dimension.

    Raises
    ------
    InputError
        If the items do not have the same dimensions.
    """
    counts = {len(item) for item in items}
    if len(counts) > 1:
        raise InputError("diagrams", f"items have {sorted(counts)} homology dimensions", "compute all with one max_dim")
    return [wasserstein.matrix([item[k] for item in items], **options) for k in range(counts.pop() if counts else 0)]
