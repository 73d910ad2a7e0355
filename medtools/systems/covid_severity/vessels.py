"""Vesselness of CT slices: ITK's multi-scale Hessian objectness in 2-D, equal to rounding.

The paper (section 2.4) uses ITK's `MultiScaleHessianBasedMeasureImageFilter` (Antiga, Insight Journal 2007), whose
derivatives come from recursive Gaussian filters (Deriche 1993, coefficients of Farnebäck and Westin, "Improving
Deriche-style recursive Gaussian filters", J. Math. Imaging Vis. 2006). With the Hessian's eigenvalues |λ1| ≤ |λ2| and
dark objects wanted, alpha plays no part in 2-D and

    M = exp(-(λ1/λ2)² / (2β²)) · (1 - exp(-(λ1² + λ2²) / (2γ²)))   where λ2 > 0, otherwise 0.

Two facts make the mask cheap. |λ1| ≤ |λ2| means that λ2 > 0 exactly where the Laplacian is positive; and the first
factor lies between exp(-1/(2β²)) and 1, so λ1² + λ2² = Hxx² + Hyy² + 2Hxy² alone settles all but a sliver of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

BETA = 1.0
GAMMA = 5.0
_compiled: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
    cache=True, nogil=True, fastmath={"contract"}
)
# Scales in pixels: ITK's logarithmic steps with its default bounds and count.
SIGMAS = tuple(float(sigma) for sigma in np.exp(np.linspace(math.log(0.2), math.log(2.0), 10)))

# Two damped cosines per derivative order approximate the Gaussian and its derivatives (Farnebäck and Westin, table 1):
# amplitudes of cosine (A) and sine (B), frequencies W and decays L.
_A1, _B1 = (1.3530, -0.6724, -1.3563), (1.8151, -3.4327, 5.2318)
_A2, _B2 = (-0.3531, 0.6724, 0.3446), (0.0902, 0.6100, -2.2355)
_W1, _W2, _L1, _L2 = 0.6681, 2.0787, -1.3932, -1.3732


def objectness(image: NDArray[Any]) -> NDArray[np.float64]:
    """Return how strongly each pixel looks like a dark line, the largest value over all scales.

    Parameters
    ----------
    image : (height, width) array
        One slice, HU; at least 4 pixels along both axes.

    Returns
    -------
    (height, width) float64
        In 0..1.
    """
    largest = np.zeros(image.shape)
    for xx, xy, yy in _hessians(image.astype(np.float64)):
        _settle(xx, xy, yy, math.inf, largest)
    return largest


def bright_everywhere(image: NDArray[Any], lung: NDArray[np.bool_], threshold: float) -> NDArray[np.bool_]:
    """Return the lung pixels whose `objectness` stays at or below `threshold`: bright ridges and blobs at every scale.

    Equal to `lung & (objectness(image) <= threshold)` for an image that is 0 outside the lung.

    Parameters
    ----------
    image : (height, width) array
        One slice, HU; what lies outside the lung is taken as 0.
    lung : (height, width) bool
        The lung left by the earlier stages.
    threshold : float
        Largest objectness of a vessel, in 0..1.

    Returns
    -------
    (height, width) bool
    """
    vessels = np.zeros(lung.shape, dtype=np.bool_)
    # The filters start from constant borders. Outside the lung everything is 0, so starting them one zero pixel beside
    # the lung, instead of at the border of the slice, leaves every number as it is.
    box = _box(lung, 1)
    largest = np.zeros(lung[box].shape)
    for xx, xy, yy in _hessians(np.where(lung[box], image[box], 0).astype(np.float64)):
        _settle(xx, xy, yy, _settled_above(threshold), largest)
    vessels[box] = lung[box] & (largest <= threshold)
    return vessels


def bright_by_grey_level(image: NDArray[Any], lung: NDArray[np.bool_], grey_level: int) -> NDArray[np.bool_]:
    """Do as `bright_everywhere`, with objectness stretched to 0..255 by its largest value in the slice.

    Parameters
    ----------
    image, lung
        As in `bright_everywhere`.
    grey_level : int
        Largest whole grey level of a vessel, of 255.

    Returns
    -------
    (height, width) bool
    """
    vessels = np.zeros(lung.shape, dtype=np.bool_)
    box = _box(lung, 16)  # eight of the largest scales: nothing farther out can be the slice's largest value
    largest, peak = np.zeros(lung[box].shape), 0.0
    for xx, xy, yy in _hessians(np.where(lung[box], image[box], 0).astype(np.float64)):
        peak = _peak(xx, xy, yy, peak)
        _settle(xx, xy, yy, _settled_above((grey_level + 1) / 255), largest)
    vessels[box] = lung[box] & (largest * (255 / peak if peak > 0 else 1.0) < grey_level + 1)
    return vessels


def _settled_above(threshold: float) -> float:
    """Return the λ1² + λ2² from which a positive Laplacian means an objectness above `threshold`, whatever λ1/λ2."""
    least = threshold * math.exp(0.5 / BETA**2)
    return -2.0 * GAMMA**2 * math.log1p(-least) * (1.0 + 1e-9) if least < 1.0 else math.inf


def _hessians(image: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Yield Hxx, Hxy, Hyy (3, height, width) per scale, times the squared scale; the array is used again."""
    turned = np.ascontiguousarray(image.T)
    filtered, causal_turned, causal = np.empty_like(turned), np.empty_like(turned), np.empty_like(image)
    hessian = np.empty((3, *image.shape))
    for sigma in SIGMAS:
        kernels = [_recursion(sigma, order) for order in range(3)]
        for order_x in range(3):
            _filter_rows(turned, kernels[order_x], causal_turned, filtered)
            _filter_rows(np.ascontiguousarray(filtered.T), kernels[2 - order_x], causal, hessian[2 - order_x])
        yield hessian


def _box(lung: NDArray[np.bool_], margin: int) -> tuple[slice, slice]:
    """Return the lung's box with a margin inside the slice, at least as long as the recursion (4 pixels)."""
    return _span(np.flatnonzero(lung.any(axis=1)), lung.shape[0], margin), _span(
        np.flatnonzero(lung.any(axis=0)), lung.shape[1], margin
    )


def _span(occupied: NDArray[np.intp], length: int, margin: int) -> slice:
    first, last = (int(occupied[0]), int(occupied[-1])) if occupied.size else (0, 0)
    start = max(min(first - margin, length - 4), 0)
    return slice(start, min(max(last + margin + 1, start + 4), length))


def _recursion(sigma: float, order: int) -> NDArray[np.float64]:
    """Return the recursion's coefficients for one derivative order, scaled by sigma**order.

    N0..N3 and D1..D4 (causal), M1..M4 (anticausal), then D times the response to a constant of either pass (4 + 4).
    """
    denominator = _denominator(sigma)
    k = np.arange(5)
    SD, DD, ED = denominator.sum(), (k * denominator).sum(), (k**2 * denominator).sum()
    numerator = _numerator(sigma, order)
    if order == 2:  # no response to a constant: mix in the smoothing kernel
        smoothing = _numerator(sigma, 0)
        numerator = numerator - smoothing * (2 * numerator.sum() - SD * numerator[0]) / (
            2 * smoothing.sum() - SD * smoothing[0]
        )
    k = k[:4]
    SN, DN, EN = numerator.sum(), (k * numerator).sum(), (k**2 * numerator).sum()
    if order == 0:
        scale = 2 * SN / SD - numerator[0]
    elif order == 1:
        scale = 2 * (SN * DD - DN * SD) / SD**2
    else:
        scale = (EN * SD**2 - ED * SN * SD - 2 * DN * DD * SD + 2 * DD**2 * SN) / SD**3
    N = numerator * sigma**order / scale  # sigma**order: derivatives normalised across scales
    D = denominator[1:]
    M = np.append(N[1:], 0.0) - D * N[0]
    if order == 1:
        M = -M
    return np.concatenate([N, D, M, D * N.sum() / SD, D * M.sum() / SD])


def _damped(sigma: float) -> tuple[float, float, float, float, float, float]:
    return (
        *(math.cos(_W1 / sigma), math.sin(_W1 / sigma), math.exp(_L1 / sigma)),
        *(math.cos(_W2 / sigma), math.sin(_W2 / sigma), math.exp(_L2 / sigma)),
    )


def _denominator(sigma: float) -> NDArray[np.float64]:
    """Return 1, D1..D4: the product of the two conjugate pole pairs."""
    cos1, _, exp1, cos2, _, exp2 = _damped(sigma)
    return np.convolve([1.0, -2 * exp1 * cos1, exp1**2], [1.0, -2 * exp2 * cos2, exp2**2])


def _numerator(sigma: float, order: int) -> NDArray[np.float64]:
    """Return N0..N3: each damped cosine's numerator times the other's poles."""
    cos1, sin1, exp1, cos2, sin2, exp2 = _damped(sigma)
    first = [_A1[order], exp1 * (_B1[order] * sin1 - _A1[order] * cos1)]
    second = [_A2[order], exp2 * (_B2[order] * sin2 - _A2[order] * cos2)]
    poles1, poles2 = [1.0, -2 * exp1 * cos1, exp1**2], [1.0, -2 * exp2 * cos2, exp2**2]
    return np.convolve(first, poles2) + np.convolve(second, poles1)


@_compiled
def _filter_rows(x, c, causal, out):  # type: ignore[no-untyped-def]
    """Filter `x` along its first axis into `out`; `causal` is scratch of the same shape."""
    length, width = x.shape
    N0, N1, N2, N3, D1, D2, D3, D4 = c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]
    M1, M2, M3, M4 = c[8], c[9], c[10], c[11]
    for i in range(4):  # before its first row the image goes on with that row for ever
        for j in range(width):
            value = 0.0
            for tap in range(4):
                value += c[tap] * x[max(i - tap, 0), j]
            for tap in range(1, 5):
                value -= c[3 + tap] * causal[i - tap, j] if tap <= i else c[11 + tap] * x[0, j]
            causal[i, j] = value
    for i in range(4, length):
        for j in range(width):
            causal[i, j] = (
                N0 * x[i, j] + N1 * x[i - 1, j] + N2 * x[i - 2, j] + N3 * x[i - 3, j]
                - (D1 * causal[i - 1, j] + D2 * causal[i - 2, j] + D3 * causal[i - 3, j] + D4 * causal[i - 4, j])
            )  # fmt: skip
    last = length - 1
    for i in range(4):
        for j in range(width):
            value = 0.0
            for tap in range(1, 5):
                value += c[7 + tap] * x[min(last - i + tap, last), j]
            for tap in range(1, 5):
                value -= c[3 + tap] * out[last - i + tap, j] if tap <= i else c[15 + tap] * x[last, j]
            out[last - i, j] = value
    for i in range(last - 4, -1, -1):
        for j in range(width):
            out[i, j] = (
                M1 * x[i + 1, j] + M2 * x[i + 2, j] + M3 * x[i + 3, j] + M4 * x[i + 4, j]
                - (D1 * out[i + 1, j] + D2 * out[i + 2, j] + D3 * out[i + 3, j] + D4 * out[i + 4, j])
            )  # fmt: skip
    for i in range(length):
        for j in range(width):
            out[i, j] += causal[i, j]


@_compiled
def _measure(xx, xy, yy):  # type: ignore[no-untyped-def]
    """Return M of one pixel's Hessian."""
    mean = 0.5 * (xx + yy)
    if mean <= 0.0:
        return 0.0
    difference = 0.5 * (xx - yy)
    root = math.sqrt(difference * difference + xy * xy)
    ratio = (mean - root) / (mean + root)
    structure = xx * xx + yy * yy + 2.0 * xy * xy
    return math.exp(-0.5 * ratio * ratio / (BETA * BETA)) * (1.0 - math.exp(-0.5 * structure / (GAMMA * GAMMA)))


@_compiled
def _settle(xx, xy, yy, surely, largest):  # type: ignore[no-untyped-def]
    """Raise `largest` to this scale's measure, or straight to 1 where the structure reaches `surely`."""
    for i in range(largest.shape[0]):
        for j in range(largest.shape[1]):
            if largest[i, j] < 1.0 and xx[i, j] + yy[i, j] > 0.0:
                if xx[i, j] * xx[i, j] + yy[i, j] * yy[i, j] + 2.0 * xy[i, j] * xy[i, j] >= surely:
                    largest[i, j] = 1.0
                else:
                    largest[i, j] = max(largest[i, j], _measure(xx[i, j], xy[i, j], yy[i, j]))


@_compiled
def _peak(xx, xy, yy, peak):  # type: ignore[no-untyped-def]
    """Return the larger of `peak` and this scale's largest measure; only ratios that could beat it are looked at."""
    bound = -2.0 * BETA * BETA * math.log(peak) if peak > 0.0 else np.inf
    for i in range(xx.shape[0]):
        for j in range(xx.shape[1]):
            mean = 0.5 * (xx[i, j] + yy[i, j])
            if mean > 0.0:
                difference = 0.5 * (xx[i, j] - yy[i, j])
                root = math.sqrt(difference * difference + xy[i, j] * xy[i, j])
                if abs(mean - root) <= math.sqrt(bound) * (mean + root) * (1.0 + 1e-9):
                    measure = _measure(xx[i, j], xy[i, j], yy[i, j])
                    if measure > peak:
                        peak = measure
                        bound = -2.0 * BETA * BETA * math.log(peak)
    return peak
