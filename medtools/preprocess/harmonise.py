"""ComBat: site effects estimated by empirical Bayes on some samples, removed from others (Johnson et al. 2007).

Fitting and applying are apart, so that test samples never enter the estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medtools.core.errors import InputError
from medtools.core.log import LOGGER

Array = NDArray[np.float64]
Unseen = Literal["error", "pooled"]

_TOLERANCE = 1e-4
_LEAST = 2  # samples of a site from which a spread can be estimated


@dataclass(frozen=True)
class Combat:
    """Estimated site effects; y = mean + scale (shift + spread * residual) for each feature.

    Attributes
    ----------
    sites : tuple of str
        Sites that were fitted, sorted.
    mean, scale : (n_features,) float64
        Grand mean over sites and pooled standard deviation, in the features' unit.
    shift, spread : (n_sites, n_features) float64
        Additive and multiplicative effect of each site, in units of `scale`; 0 and 1 are none.
    """

    sites: tuple[str, ...]
    mean: Array
    scale: Array
    shift: Array
    spread: Array


def fit_combat(values: ArrayLike, sites: Sequence[str] | NDArray[np.str_]) -> Combat:
    """Estimate the effect of each site on each feature, without covariates.

    Parametric empirical Bayes as in Johnson et al. 2007 (Biostatistics 8:118) and Fortin et al. 2017 (NeuroImage
    161:149), with the stopping rule of their published code. One site alone has no effect to remove. A site with a
    single sample gets a shift only. Features that do not vary, over all samples or within a site, are left alone.

    Parameters
    ----------
    values : (n_samples, n_features) float
        Training samples.
    sites : (n_samples,) sequence of str
        Site of each sample.

    Returns
    -------
    Combat

    Raises
    ------
    InputError
        Shapes that do not fit, no samples, or a value that is not finite.
    """
    table, labels = _checked(values, sites)
    names, number = np.unique(labels, return_inverse=True)
    counts = np.bincount(number)
    means = np.stack([table[number == i].mean(axis=0) for i in range(len(names))])
    mean = counts @ means / len(table)
    shift, spread = np.zeros_like(means), np.ones_like(means)
    scale = np.sqrt(((table - means[number]) ** 2).mean(axis=0))
    if len(names) == 1:
        LOGGER.info("ComBat: all samples are of site %s, nothing to harmonise", names[0])
        return Combat((str(names[0]),), mean, _no_zero(scale), shift, spread)
    variable = scale > 0
    for site in np.flatnonzero(counts >= _LEAST):
        variable &= np.ptp(table[number == site], axis=0) > 0
    if variable.any():
        scaled = (table[:, variable] - mean[variable]) / scale[variable]
        for i, name in enumerate(names):
            shift[i, variable], spread[i, variable] = _site_effect(scaled[number == i], str(name))
    return Combat(tuple(map(str, names)), mean, _no_zero(scale), shift, spread)


def apply_combat(
    combat: Combat, values: ArrayLike, sites: Sequence[str] | NDArray[np.str_], *, unseen: Unseen = "error"
) -> Array:
    """Remove the fitted site effects.

    Parameters
    ----------
    combat : Combat
        What `fit_combat` returned.
    values : (n_samples, n_features) float
        Samples of any part, same features.
    sites : (n_samples,) sequence of str
        Site of each sample.
    unseen : {"error", "pooled"}
        Samples of a site that was not fitted: refused, or taken as of an average site, which leaves them as they are.

    Returns
    -------
    (n_samples, n_features) float64

    Raises
    ------
    InputError
        As `fit_combat`, another number of features, or a site that was not fitted.
    """
    table, labels = _checked(values, sites)
    if table.shape[1] != len(combat.mean):
        raise InputError("ComBat", f"was fitted on {len(combat.mean)} features, these samples have {table.shape[1]}")
    harmonised = table.copy()
    for name in np.unique(labels):
        rows = labels == name
        if name not in combat.sites:
            if unseen == "error":
                known = ", ".join(combat.sites)
                raise InputError("ComBat", f"site {name!s} was not in the training part ({known})", "--unseen pooled")
            LOGGER.warning("ComBat: site %s was not in the training part; its samples stay as they are", name)
            continue
        i = combat.sites.index(str(name))
        scaled = (table[rows] - combat.mean) / combat.scale
        changed = (combat.shift[i] != 0) | (combat.spread[i] != 1)
        moved = combat.scale * (scaled - combat.shift[i]) / combat.spread[i] + combat.mean
        harmonised[rows] = np.where(changed, moved, table[rows])
    return harmonised


def _site_effect(scaled: Array, name: str) -> tuple[Array, Array]:
    """Return shift and spread of one site from its standardised samples, shrunk towards their means over features."""
    n = len(scaled)
    found = scaled.mean(axis=0)
    centre, width = found.mean(), found.var(ddof=1)
    if n < _LEAST:
        LOGGER.warning("ComBat: site %s has one training sample; its mean is adjusted, its spread is not", name)
        return _posterior_mean(found, centre, width, n, np.ones_like(found)), np.ones_like(found)
    variances = scaled.var(axis=0, ddof=1)
    m, s2 = variances.mean(), variances.var(ddof=1)
    if width == 0 or s2 == 0:  # one feature, or features alike: nothing to shrink towards
        return found, np.sqrt(variances)
    shape, rate = (2 * s2 + m**2) / s2, (m * s2 + m**3) / s2
    shift, variance = found, variances
    while True:
        new_shift = _posterior_mean(found, centre, width, n, variance)
        squares = ((scaled - new_shift) ** 2).sum(axis=0)
        new_variance = (0.5 * squares + rate) / (n / 2 + shape - 1)
        # As in the published code the change is relative to the signed shift, so negative shifts do not count.
        with np.errstate(divide="ignore", invalid="ignore"):
            change = max(
                np.nanmax(np.abs(new_shift - shift) / shift), np.nanmax(np.abs(new_variance - variance) / variance)
            )
        shift, variance = new_shift, new_variance
        if not change > _TOLERANCE:
            return shift, np.sqrt(variance)


def _posterior_mean(found: Array, centre: float, width: float, n: int, variance: Array) -> Array:
    return (width * n * found + variance * centre) / (width * n + variance)


def _no_zero(scale: Array) -> Array:
    return np.where(scale > 0, scale, 1.0)


def _checked(values: ArrayLike, sites: Sequence[str] | NDArray[np.str_]) -> tuple[Array, NDArray[np.str_]]:
    table, labels = np.asarray(values, dtype=np.float64), np.asarray(sites).astype(str)
    if table.ndim != 2 or labels.shape != table.shape[:1] or not table.size:
        raise InputError(
            "ComBat", f"expected samples by features and one site each, found {table.shape}, {labels.shape}"
        )
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        raise InputError("ComBat", f"sample {row + 1}, feature {column + 1} is {table[row, column]}")
    return table, labels
