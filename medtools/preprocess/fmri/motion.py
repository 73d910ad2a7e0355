"""Motion correction: each volume rigidly aligned to the run's mean by Gauss-Newton on their correlation.

Baker & Matthews 2004 (Int J Comput Vis 56:221), inverse compositional: the gradient is that of the reference, so the
normal equations are set up once per reference and an iteration costs one interpolation of the moving volume.
Both images are standardised over the sampled points, which makes least squares equal to maximum correlation.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medtools.core.errors import InputError
from medtools.preprocess.fmri.rigid import rigid_matrix, rigid_parameters

_FWHM_PER_SIGMA = 2.3548200450309493
_MAX_POINTS = 12_000


@dataclass(frozen=True)
class _Level:
    """One step of the pyramid: smoothing, interpolation, and when to stop."""

    fwhm_mm: float
    spline_order: int
    stride: int
    max_iterations: int
    tolerance_mm: float


_COARSE = _Level(fwhm_mm=12.0, spline_order=1, stride=4, max_iterations=30, tolerance_mm=0.02)
_FINE = _Level(fwhm_mm=5.0, spline_order=3, stride=1, max_iterations=15, tolerance_mm=0.001)


@dataclass(frozen=True)
class Motion:
    """Estimated head motion.

    Attributes
    ----------
    parameters : (n_volumes, 6) float64
        Position of the head in each volume relative to the mean volume: mm, then radians, about `centre`.
    matrices : (n_volumes, 4, 4) float64
        The same as matrices: a point of the mean volume to its place in volume t, in mm.
    centre : (3,) float64
        Middle of the grid in mm.
    mean : (x, y, z) float32
        Mean of the aligned volumes.
    """

    parameters: np.ndarray
    matrices: np.ndarray
    centre: np.ndarray
    mean: np.ndarray


def estimate_motion(data: np.ndarray, affine: np.ndarray, threads: int = 1) -> Motion:
    """Estimate six rigid parameters per volume, first against the middle volume, then against the mean.

    Parameters
    ----------
    data : (x, y, z, n_volumes) float32
    affine : (4, 4)
        Voxel index to mm.
    threads : int
        Volumes aligned at a time; the result does not depend on it.

    Raises
    ------
    InputError
        An image without structure to align.
    """
    centre = grid_centre(data.shape[:3], affine)
    middle = data[..., data.shape[3] // 2]
    with ThreadPoolExecutor(max_workers=threads) as pool:
        start = [np.eye(4)] * data.shape[3]
        first = _align_all(pool, data, affine, centre, middle, (_COARSE, _FINE), start)
        mean = aligned_mean(pool.map, data, affine, first)
        matrices = _align_all(pool, data, affine, centre, mean, (_FINE,), first)
        mean = aligned_mean(pool.map, data, affine, matrices)
    parameters = np.array([rigid_parameters(matrix, centre) for matrix in matrices])
    return Motion(parameters, np.array(matrices), centre, mean)


def grid_centre(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """Return the middle of a grid in mm."""
    return (affine @ [*((np.array(shape[:3]) - 1) / 2), 1.0])[:3]


def aligned_mean(
    mapper: Callable[..., Iterable[np.ndarray]], data: np.ndarray, affine: np.ndarray, matrices: list[np.ndarray]
) -> np.ndarray:
    """Average the volumes after linear resampling to the reference; edge voxels repeat outside the grid.

    Returns
    -------
    (x, y, z) float32 array
    """
    inverse = np.linalg.inv(affine)

    def resampled(index: int) -> np.ndarray:
        to_voxel = inverse @ matrices[index] @ affine
        return ndimage.affine_transform(
            data[..., index], to_voxel[:3, :3], to_voxel[:3, 3], order=1, mode="nearest", output=np.float32
        )

    total = np.zeros(data.shape[:3], dtype=np.float64)
    for volume in mapper(resampled, range(data.shape[3])):
        total += volume
    return (total / data.shape[3]).astype(np.float32)


class _Reference:
    """The fixed image of one level: sampled points, standardised values and the Jacobian's pieces."""

    def __init__(self, image: np.ndarray, affine: np.ndarray, centre: np.ndarray, level: _Level) -> None:
        self.affine, self.centre, self.level = affine, centre, level
        self.inverse = np.linalg.inv(affine)
        self.sigma = level.fwhm_mm / _FWHM_PER_SIGMA / np.linalg.norm(affine[:3, :3], axis=0)
        smooth = ndimage.gaussian_filter(image.astype(np.float32), self.sigma, mode="nearest")
        voxels = _sample_points(smooth, level.stride)
        self.points = voxels @ affine[:3, :3].T + affine[:3, 3]
        self.values = smooth[tuple(voxels.T)].astype(np.float64)
        gradient = np.stack([axis[tuple(voxels.T)] for axis in np.gradient(smooth)], axis=1).astype(np.float64)
        gradient = gradient @ self.inverse[:3, :3]
        self.jacobian = np.hstack([gradient, np.cross(self.points - centre, gradient)])
        self.shape = np.array(image.shape)

    def align(self, moving: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Return the matrix from reference points to their place in `moving`, starting from `matrix`."""
        order = self.level.spline_order
        smooth = ndimage.gaussian_filter(moving, self.sigma, mode="nearest", output=np.float32)
        if order > 1:
            smooth = ndimage.spline_filter(smooth, order=order, mode="mirror", output=np.float32)
        for _ in range(self.level.max_iterations):
            step = self._step(smooth, matrix, order)
            matrix = matrix @ np.linalg.inv(rigid_matrix(step, self.centre))
            if np.abs(step * [1, 1, 1, 50, 50, 50]).max() < self.level.tolerance_mm:
                break
        return matrix

    def _step(self, smooth: np.ndarray, matrix: np.ndarray, order: int) -> np.ndarray:
        to_voxel = self.inverse @ matrix
        voxels = to_voxel[:3, :3] @ self.points.T + to_voxel[:3, 3:]
        inside = ((voxels >= 0) & (voxels <= self.shape[:, None] - 1)).all(axis=0)
        if inside.sum() < 200:
            return np.zeros(6)
        chosen = slice(None) if inside.all() else inside
        sampled = ndimage.map_coordinates(
            smooth, voxels[:, chosen], order=order, mode="mirror", prefilter=False, output=np.float64
        )
        fixed, jacobian = self.values[chosen], self.jacobian[chosen]
        fixed, spread = _standardised(fixed)
        jacobian = (jacobian - jacobian.mean(axis=0)) / spread
        jacobian = jacobian - np.outer(fixed, fixed @ jacobian)
        return np.linalg.lstsq(jacobian.T @ jacobian, jacobian.T @ (_standardised(sampled)[0] - fixed), rcond=None)[0]


def _align_all(
    pool: ThreadPoolExecutor,
    data: np.ndarray,
    affine: np.ndarray,
    centre: np.ndarray,
    reference: np.ndarray,
    levels: tuple[_Level, ...],
    start: list[np.ndarray],
) -> list[np.ndarray]:
    references = [_Reference(reference, affine, centre, level) for level in levels]

    def align(index: int, matrix: np.ndarray) -> np.ndarray:
        for fixed in references:
            matrix = fixed.align(data[..., index], matrix)
        return matrix

    return list(pool.map(align, itertools.count(), start))


def _sample_points(smooth: np.ndarray, stride: int) -> np.ndarray:
    """Choose voxels of the head, evenly thinned, as indices (n, 3)."""
    bright = smooth > 0.2 * np.percentile(smooth, 98)
    voxels = np.argwhere(ndimage.binary_dilation(bright))
    stride = max(stride, -(-len(voxels) // _MAX_POINTS))
    voxels = voxels[::stride]
    if len(voxels) < 200 or np.ptp(smooth) <= 0:
        raise InputError("motion correction", "the reference volume has no structure to align")
    return voxels


def _standardised(values: np.ndarray) -> tuple[np.ndarray, float]:
    centred = values - values.mean()
    spread = float(np.linalg.norm(centred)) or 1.0
    return centred / spread, spread
