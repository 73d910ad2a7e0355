"""Slice timing: every slice of a volume as if acquired at the middle of the repetition time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import ndimage

from medtools.core.errors import InputError

MIN_VOLUMES = 4


def check_slice_times(times_s: Sequence[float], n_slices: int, tr_s: float, where: str) -> np.ndarray:
    """Check a side-car's `SliceTiming` against the image.

    Parameters
    ----------
    times_s : sequence of float
        Acquisition time of each slice in seconds; values that fit only as milliseconds are taken so.
    n_slices : int
        Slices of the image.
    tr_s : float
        Repetition time in seconds.
    where : str
        Named in errors.

    Returns
    -------
    (n_slices,) float64 array
        Seconds.

    Raises
    ------
    InputError
        Another number of times than slices, or times outside the repetition time.
    """
    try:
        times = np.asarray(times_s, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(where, f"SliceTiming is no list of numbers ({error})") from error
    if times.shape != (n_slices,):
        raise InputError(
            where,
            f"SliceTiming has {times.size} times, the image has {n_slices} slices",
            "slices are missing, or the side-car belongs to another image",
        )
    if not np.isfinite(times).all() or times.min() < 0:
        raise InputError(where, "SliceTiming has values that are negative or not finite")
    if times.max() > tr_s * 1.001 and times.max() <= tr_s * 1001 and times.max() > 20:
        times = times / 1e3
    if times.max() > tr_s * 1.001:
        raise InputError(where, f"SliceTiming goes up to {times.max():g} s, beyond the repetition time of {tr_s:g} s")
    return times


def correct_slice_timing(data: np.ndarray, times_s: np.ndarray, tr_s: float, axis: int = 2, threads: int = 1) -> None:
    """Shift each slice's course to the middle of the repetition time, in place.

    The value at time `(t + 1/2) TR` comes from a cubic spline through the slice's samples, which were taken at
    `t TR + times_s[slice]`; beyond the ends the course is mirrored.

    Parameters
    ----------
    data : (x, y, z, n_volumes) float32
        Changed in place.
    times_s : (n_slices,) array
        Acquisition time of each slice in seconds.
    tr_s : float
        Repetition time in seconds.
    axis : {0, 1, 2}
        Array axis along which slices were acquired.
    threads : int
        Slices worked on at a time; the result does not depend on it.

    Raises
    ------
    InputError
        Fewer than four volumes.
    """
    if data.shape[3] < MIN_VOLUMES:
        raise InputError("slice timing", f"{data.shape[3]} volumes, expected at least {MIN_VOLUMES}")
    by_slice = np.moveaxis(data, axis, 0)
    shifts = 0.5 - np.asarray(times_s, dtype=np.float64) / tr_s

    def correct(index: int) -> None:
        if abs(shifts[index]) > 1e-6:
            coefficients = ndimage.spline_filter1d(by_slice[index], order=3, axis=-1, mode="mirror", output=np.float32)
            kernel = _cubic_spline(shifts[index] - np.arange(-2, 3))
            by_slice[index] = ndimage.correlate1d(coefficients, kernel, axis=-1, mode="mirror")

    with ThreadPoolExecutor(max_workers=threads) as pool:
        list(pool.map(correct, range(len(shifts))))


def _cubic_spline(distance: np.ndarray) -> np.ndarray:
    distance = np.abs(distance)
    near = 2 / 3 - distance**2 * (1 - distance / 2)
    return np.where(distance < 1, near, np.where(distance < 2, (2 - distance) ** 3 / 6, 0.0))
