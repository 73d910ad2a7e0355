"""From connectivity to what a classifier takes: harmonised, weighted by local efficiency."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.progress import track
from medtools.io.arrays import read_npz
from medtools.io.grids import write_arrays
from medtools.preprocess.harmonise import Combat, apply_combat, fit_combat
from medtools.systems.asd_transformer.connectivity import efficiency_of, from_triangles, symmetric, upper_triangles
from medtools.systems.asd_transformer.data import Cohort
from medtools.systems.asd_transformer.params import ClassifierParams

HARMONISATION = "harmonisation.npz"
_LARGEST_R = 1 - 1e-7  # Fisher's z of 1 is infinite


@dataclass(frozen=True)
class Features:
    """Harmonised connectivity of a cohort.

    Attributes
    ----------
    connectivity : (n_subjects, n_rois, n_rois) float32
        Correlations (or Fisher's z), harmonised; 1 on the diagonal.
    efficiency : (n_subjects, n_rois) float64 or None
        Nodal local efficiency, where the rows are weighted by it.
    combat : Combat or None
        The estimated site effects.
    """

    connectivity: NDArray[np.float32]
    efficiency: NDArray[np.float64] | None
    combat: Combat | None

    @property
    def weighted(self) -> NDArray[np.float32]:
        """X' = diag(E) X, or X without weighting."""
        if self.efficiency is None:
            return self.connectivity
        return (self.efficiency[:, :, None] * self.connectivity).astype(np.float32)


def make_features(cohort: Cohort, params: ClassifierParams, train: NDArray[np.int64]) -> Features:
    """Harmonise and weight a cohort.

    Parameters
    ----------
    cohort : Cohort
    params : ClassifierParams
        `harmonise`, `weighting` and the graph's options.
    train : (n,) int64
        Rows on which ComBat is fitted under `harmonise: train`.
    """
    if params.harmonise == "none":
        return _finish(_values(cohort, params), params, None)
    values = upper_triangles(_values(cohort, params))
    sites = np.array(cohort.sites)
    rows = train if params.harmonise == "train" else np.arange(len(cohort))
    combat = fit_combat(values[rows], sites[rows])
    return harmonised(cohort, params, combat, values)


def harmonised(
    cohort: Cohort, params: ClassifierParams, combat: Combat, values: NDArray[np.float64] | None = None
) -> Features:
    """Apply site effects that were estimated before, then weight."""
    table = upper_triangles(_values(cohort, params)) if values is None else values
    removed = apply_combat(combat, table, cohort.sites, unseen=params.unseen)
    matrices = from_triangles(removed, len(cohort.rois))
    return _finish((matrices if params.fisher_z else symmetric(matrices)).astype(np.float32), params, combat)


def efficiencies(
    connectivity: NDArray[np.floating], params: ClassifierParams, *, progress: bool = True
) -> NDArray[np.float64]:
    """Return nodal local efficiency, (n_subjects, n_rois)."""
    matrices = np.tanh(connectivity) if params.fisher_z else connectivity
    subjects = track(matrices, "local efficiency") if progress else matrices
    return np.stack([efficiency_of(one, params.density, weighted=params.weighted_graph) for one in subjects])


def write_combat(path: Path, combat: Combat) -> None:
    """Write estimated site effects as arrays."""
    arrays = {"sites": np.array(combat.sites), "mean": combat.mean, "scale": combat.scale}
    write_arrays(path, {**arrays, "shift": combat.shift, "spread": combat.spread})


def read_combat(path: Path) -> Combat:
    """Read what `write_combat` wrote.

    Raises
    ------
    InputError
        Missing or damaged.
    """
    arrays = read_npz(path)
    absent = {"sites", "mean", "scale", "shift", "spread"} - arrays.keys()
    if absent:
        raise InputError(path, f"lacks {sorted(absent)[0]}", "train again")
    sites = tuple(map(str, arrays["sites"].tolist()))
    return Combat(sites, arrays["mean"], arrays["scale"], arrays["shift"], arrays["spread"])


def series_input(cohort: Cohort, samples: int) -> NDArray[np.float32]:
    """Return z-scored time series of equal length, (n_subjects, n_rois, samples) float32; constant ROIs are 0.

    Raises
    ------
    InputError
        A subject has no series, or too short ones.
    """
    stacked = []
    for identifier, series in zip(cohort.ids, cohort.series, strict=True):
        if series is None:
            raise InputError(identifier, "has no time series, which fbnetgen reads", "add the column 'series'")
        if series.shape[1] < samples:
            raise InputError(identifier, f"has {series.shape[1]} samples, fewer than {samples}", "--series-samples")
        stacked.append(series[:, :samples])
    values = np.stack(stacked).astype(np.float64)
    spread = values.std(axis=2, keepdims=True)
    scaled = (values - values.mean(axis=2, keepdims=True)) / np.where(spread > 0, spread, 1.0)
    return scaled.astype(np.float32)


def _values(cohort: Cohort, params: ClassifierParams) -> NDArray[np.float32]:
    if not params.fisher_z:
        return cohort.connectivity
    transformed = np.arctanh(np.clip(cohort.connectivity, -_LARGEST_R, _LARGEST_R))
    diagonal = np.arange(len(cohort.rois))
    transformed[:, diagonal, diagonal] = 1.0
    return transformed


def _finish(connectivity: NDArray[np.float32], params: ClassifierParams, combat: Combat | None) -> Features:
    found = Features(connectivity, None, combat)
    if params.weighting != "efficiency":
        return found
    with threadpool_limits(1):
        efficiency = efficiencies(connectivity, params)
    if not efficiency.any():
        LOGGER.warning("every local efficiency is 0: the graphs of density %g have no triangle", params.density)
    return replace(found, efficiency=efficiency)
