"""What a persistence diagram says in a few numbers: Betti curve, bar count, persistence, entropy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medtools.core.errors import InputError


@dataclass(frozen=True)
class DiagramSummary:
    """Numbers that describe the finite bars of one diagram.

    Attributes
    ----------
    count : int
        Finite bars.
    total_persistence, max_persistence : float
        Sum and maximum of death - birth, in units of the signal; 0 for an empty diagram.
    entropy : float
        Persistent entropy -sum(p log p) in nats, p = persistence / total persistence; between 0 and log(count).
    """

    count: int
    total_persistence: float
    max_persistence: float
    entropy: float


def summarise(diagram: ArrayLike) -> DiagramSummary:
    """Count the finite bars of a diagram and weigh them.

    Parameters
    ----------
    diagram : (n_bars, 2) float
        Births and deaths; bars that never die are left out.

    Returns
    -------
    DiagramSummary
        See its attributes. Entropy: Chintakunta et al., Pattern Recognition 48 (2015), natural logarithm.

    Raises
    ------
    InputError
        If the array is not a diagram.
    """
    births, deaths = births_and_deaths(diagram)
    lifetimes = (deaths - births)[np.isfinite(deaths)]
    total = float(lifetimes.sum())
    if total == 0:
        return DiagramSummary(lifetimes.size, 0.0, 0.0, 0.0)
    shares = lifetimes[lifetimes > 0] / total
    # A single bar would give -0.0, which prints oddly in tables.
    entropy = max(0.0, float(-(shares * np.log(shares)).sum()))
    return DiagramSummary(lifetimes.size, total, float(lifetimes.max()), entropy)


def betti_curve(diagram: ArrayLike, grid: ArrayLike) -> NDArray[np.int64]:
    """Count the bars alive at each filtration value: birth <= value < death.

    Parameters
    ----------
    diagram : (n_bars, 2) float
        Births and deaths; a death of infinity is a bar that stays alive. With the essential class of H0
        removed, the curve of H0 ends at 0 instead of 1.
    grid : (n_values,) float
        Filtration values (edge lengths), in units of the signal, in any order.

    Returns
    -------
    (n_values,) int64
        The Betti number at each value.

    Raises
    ------
    InputError
        If the array is not a diagram.
    """
    births, deaths = births_and_deaths(diagram)
    values = np.asarray(grid, dtype=float)
    born = np.searchsorted(np.sort(births), values, side="right")
    died = np.searchsorted(np.sort(deaths), values, side="right")
    return (born - died).astype(np.int64)


def filtration_grid(diagrams: Iterable[ArrayLike], size: int = 256) -> NDArray[np.float64]:
    """Return evenly spaced filtration values from 0 to just past the last finite death of any diagram.

    Parameters
    ----------
    diagrams : iterable of (n_bars, 2) float
        All diagrams whose curves are to be compared.
    size : int
        Number of values.

    Returns
    -------
    (size,) float64
        In units of the signal; from 0 to 1 when there is no finite bar at all.
    """
    ends = [deaths[np.isfinite(deaths)].max(initial=0.0) for _, deaths in map(births_and_deaths, diagrams)]
    return np.linspace(0.0, 1.02 * max(ends, default=0.0) or 1.0, size)


def births_and_deaths(diagram: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Split a diagram into its births and deaths.

    Parameters
    ----------
    diagram : (n_bars, 2) float
        Births and deaths; only deaths may be infinite. Any empty array is the empty diagram.

    Returns
    -------
    births, deaths : (n_bars,) float64
        In the order of the diagram.

    Raises
    ------
    InputError
        If the shape is another, a birth is not finite, or a death is NaN or before its birth.
    """
    bars = np.asarray(diagram, dtype=float)
    if bars.size == 0:
        return np.empty(0), np.empty(0)
    if bars.ndim != 2 or bars.shape[1] != 2:
        raise InputError("persistence diagram", f"expected an array of shape (bars, 2), found {bars.shape}")
    if not np.isfinite(bars[:, 0]).all() or not (bars[:, 1] >= bars[:, 0]).all():
        raise InputError("persistence diagram", "expected finite births and deaths not before births")
    return bars[:, 0], bars[:, 1]
