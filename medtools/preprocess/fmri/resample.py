"""One resampling: motion and normalisation composed, each volume interpolated once, only where it is needed."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy import ndimage

from medtools.core.errors import InputError

_FWHM_PER_SIGMA = 2.3548200450309493
_EDGE_VOXELS = 0.5


def sample_run(
    data: np.ndarray,
    affine: np.ndarray,
    motion: np.ndarray,
    points: np.ndarray,
    *,
    fwhm_mm: float = 0.0,
    threads: int = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate a run at points of its mean volume, following the head, by cubic splines.

    Parameters
    ----------
    data : (x, y, z, n_volumes) float32
    affine : (4, 4)
        Voxel index to the run's mm.
    motion : (n_volumes, 4, 4)
        A point of the mean volume to its place in volume t, in mm.
    points : (n_points, 3)
        Where to sample, in mm of the mean volume.
    fwhm_mm : float
        Gaussian smoothing of each volume first; 0 for none.
    threads : int
        Volumes at a time; the result does not depend on it.

    Returns
    -------
    values : (n_volumes, n_points) float32
    inside : (n_points,) bool
        Points within the field of view (up to half a voxel beyond the outer centres) in every volume.
    """
    inverse = np.linalg.inv(affine)
    sigma = fwhm_mm / _FWHM_PER_SIGMA / np.linalg.norm(affine[:3, :3], axis=0)
    last = np.array(data.shape[:3])[:, None] - 1
    values = np.empty((data.shape[3], len(points)), dtype=np.float32)

    def sample(index: int) -> np.ndarray:
        to_voxel = inverse @ motion[index]
        voxels = to_voxel[:3, :3] @ points.T + to_voxel[:3, 3:]
        inside = ((voxels >= -_EDGE_VOXELS) & (voxels <= last + _EDGE_VOXELS)).all(axis=0)
        volume = ndimage.gaussian_filter(data[..., index], sigma) if fwhm_mm > 0 else data[..., index]
        coefficients = ndimage.spline_filter(volume, order=3, mode="mirror", output=np.float32)
        ndimage.map_coordinates(
            coefficients, np.clip(voxels, 0, last), order=3, mode="mirror", prefilter=False, output=values[index]
        )
        return inside

    inside = np.ones(len(points), dtype=bool)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        for seen in pool.map(sample, range(data.shape[3])):
            inside &= seen
    return values, inside


def gather_run(
    volumes: Iterable[np.ndarray], n_volumes: int, index: np.ndarray, fwhm_voxels: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take voxels of volumes that already lie on the output grid, one volume in memory at a time.

    Parameters
    ----------
    volumes : iterable of (x, y, z) float32
        Values that are not finite mark voxels outside the field of view, the same in every volume.
    n_volumes : int
    index : (n_points,) int array
        Flat positions in C order.
    fwhm_voxels : (3,) array, optional
        Gaussian smoothing of each volume first.

    Returns
    -------
    values : (n_volumes, n_points) float32
        0 outside the field of view.
    inside : (n_points,) bool
        Voxels that are finite and not always 0.
    mean : (x, y, z) float32

    Raises
    ------
    InputError
        A voxel that is finite in some volumes only.
    """
    values = np.empty((n_volumes, len(index)), dtype=np.float32)
    inside = np.zeros(len(index), dtype=bool)
    total = missing = positions = None
    for number, volume in enumerate(volumes):
        if total is None or missing is None or positions is None:
            total, missing = np.zeros(volume.shape), ~np.isfinite(volume)
            positions = np.ravel_multi_index(np.unravel_index(index, volume.shape), volume.shape, order="F")
        volume = _without_missing(volume, missing, number)
        if fwhm_voxels is not None:
            volume = ndimage.gaussian_filter(volume, fwhm_voxels / _FWHM_PER_SIGMA)
        total += volume
        values[number] = volume.ravel(order="F")[positions]
        inside |= values[number] != 0
    return values, inside, (np.zeros((0, 0, 0)) if total is None else total / n_volumes).astype(np.float32)


def _without_missing(volume: np.ndarray, missing: np.ndarray, number: int) -> np.ndarray:
    """Put 0 where every volume has no value, and refuse gaps that come and go."""
    finite = np.isfinite(volume)
    if (finite == missing).any():
        where = tuple(int(position) for position in np.argwhere(finite == missing)[0])
        raise InputError("images", f"voxel {where} is finite in some volumes only (volume {number} differs from 0)")
    return np.where(missing, np.float32(0), volume) if missing.any() else volume
