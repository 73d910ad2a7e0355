"""How much of a map lies within outlined lesions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.metrics.intervals import percentile_interval, resampled_counts


def share_inside(maps: NDArray[np.floating], masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the share of each map that lies within its mask; NaN where a map is zero everywhere.

    Parameters
    ----------
    maps : (n, height, width) float
        Not negative.
    masks : (n, height, width) bool
    """
    values = maps.astype(np.float64)
    total = values.sum(axis=(1, 2))
    inside = (values * masks).sum(axis=(1, 2))
    return np.divide(inside, total, out=np.full(len(values), np.nan), where=total > 0)


def gain_over_area(
    shares: Sequence[float], areas: Sequence[float], subjects: Sequence[str], *, seed: int, resamples: int = 2000
) -> dict[str, Any]:
    """Return mean share, mean area and their ratio: 1 where a map knows nothing of the lesions.

    Parameters
    ----------
    shares, areas : sequences of float
        Share of each image's map, and of its pixels, within lesions; images without a share are left out.
    subjects : sequence of str
        Whose images they are; the ratio's interval resamples them.
    seed, resamples
        Of the interval.
    """
    share, area = np.array(shares), np.array(areas)
    known = np.isfinite(share)
    share, area = share[known], area[known]
    if not len(share):
        return {}
    units = np.array(subjects)[known]
    parts = [(w @ share) / (w @ area) for w in resampled_counts(units, seed=seed, resamples=resamples)]
    low, high = percentile_interval(parts)
    means = {"share": float(share.mean()), "area": float(area.mean()), "ratio": float(share.sum() / area.sum())}
    return means | {"ci_low": low, "ci_high": high, "n": len(share)}


def summary_rows(
    columns: Mapping[str, Sequence[float]], areas: Sequence[float], subjects: Sequence[str], *, seed: int
) -> list[dict[str, Any]]:
    """Return one row per map, as `gain_over_area`."""
    found = {name: gain_over_area(shares, areas, subjects, seed=seed) for name, shares in columns.items()}
    return [{"map": name, **values} for name, values in found.items() if values]
