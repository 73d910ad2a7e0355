"""A smooth deformation on top of the affine: cubic B-splines fitted by Gauss-Newton under a Gaussian prior.

Free-form deformation of Rueckert et al. 1999 (IEEE TMI 18:712). The template is first given the run's own contrast by
regression on its tissue maps, which turns matching into least squares (Ashburner & Friston 1999, Hum Brain Mapp
7:254). Each coefficient has a prior standard deviation, and voxels count once per resolution element, so a head that
needs no deformation gets next to none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from medtools.preprocess.fmri.template import Template

_SPACING_MM = 50.0
_PRIOR_MM = 4.0
_SMOOTHING_FWHM_MM = 8.0
_FWHM_PER_SIGMA = 2.3548200450309493
_MAX_POINTS = 10_000
_ITERATIONS = 8


@dataclass(frozen=True)
class Deformation:
    """Displacement of MNI points, as cubic B-splines on a straight grid.

    Attributes
    ----------
    origin, spacing : (3,) float64
        First knot and distance of the knots in mm.
    coefficients : (nx, ny, nz, 3) float64
        Control displacements in mm.
    """

    origin: np.ndarray
    spacing: np.ndarray
    coefficients: np.ndarray

    def displacement(self, points: np.ndarray) -> np.ndarray:
        """Return the displacement in mm at MNI points `(n, 3)`."""
        knots = ((points - self.origin) / self.spacing).T
        return np.stack(
            [
                ndimage.map_coordinates(self.coefficients[..., axis], knots, order=3, prefilter=False, mode="nearest")
                for axis in range(3)
            ],
            axis=1,
        )


def fit_deformation(
    mean: np.ndarray, mask: np.ndarray, affine: np.ndarray, template: Template, matrix: np.ndarray
) -> Deformation:
    """Fit the displacement of template points, before `matrix`, that makes the template look like the run.

    Parameters
    ----------
    mean, mask : (x, y, z) arrays
        Mean volume of the run and its brain.
    affine : (4, 4)
        Voxel index to the run's mm.
    template : Template
    matrix : (4, 4)
        MNI mm to the run's mm.
    """
    run, run_mask, view = _on_template(mean, mask, affine, template, matrix)
    fitted = _in_contrast(run, template.brain & run_mask, template)
    images = _smooth(np.where(run_mask, run, 0), template), _smooth(np.where(template.brain, fitted, 0), template)
    used = (template.brain | run_mask) & view
    voxels = np.argwhere(used)
    voxels = voxels[:: max(1, -(-len(voxels) // _MAX_POINTS))]
    points = voxels @ template.affine[:3, :3].T + template.affine[:3, 3]
    grid = _empty_grid(points)
    basis = _basis(points, grid)
    share = used.sum() * abs(np.linalg.det(template.affine[:3, :3])) / _SMOOTHING_FWHM_MM**3 / len(voxels)
    coefficients = _gauss_newton(*images, template.affine, points, basis, min(share, 1.0))
    return Deformation(grid.origin, grid.spacing, coefficients.T.reshape(grid.coefficients.shape))


def _gauss_newton(
    run: np.ndarray, fixed: np.ndarray, affine: np.ndarray, points: np.ndarray, basis: np.ndarray, share: float
) -> np.ndarray:
    """Return control displacements (3, n_knots); `share` is the number of resolution elements per point."""
    inverse = np.linalg.inv(affine)
    gradient = np.stack(np.gradient(run)).astype(np.float64)
    target = _sampled(fixed, points, inverse)
    coefficients = np.zeros((3, basis.shape[1]))
    for _ in range(_ITERATIONS):
        moved = points + (basis @ coefficients.T)
        residual = target - _sampled(run, moved, inverse)
        slope = np.stack([_sampled(part, moved, inverse) for part in gradient], axis=1) @ inverse[:3, :3]
        weight = share / np.mean(residual**2)
        n_knots = basis.shape[1]
        normal = np.eye(3 * n_knots) / _PRIOR_MM**2
        pull = -coefficients.ravel() / _PRIOR_MM**2
        for one in range(3):
            rows = slice(one * n_knots, (one + 1) * n_knots)
            pull[rows] += weight * (basis.T @ (slope[:, one] * residual))
            for other in range(one, 3):
                block = weight * (basis.T @ (basis * (slope[:, one] * slope[:, other])[:, None]))
                columns = slice(other * n_knots, (other + 1) * n_knots)
                normal[rows, columns] += block
                if other != one:
                    normal[columns, rows] += block.T
        step = np.linalg.solve(normal, pull).reshape(3, n_knots)
        coefficients = coefficients + step
        if np.abs(step).max() < 0.05:
            break
    return coefficients


def _on_template(
    mean: np.ndarray, mask: np.ndarray, affine: np.ndarray, template: Template, matrix: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bring mean and brain to the template's grid, with the field of view less a margin that smoothing blurs."""
    to_voxel = np.linalg.inv(affine) @ matrix @ template.affine
    run, inside, view = (
        ndimage.affine_transform(
            part.astype(np.float32), to_voxel[:3, :3], to_voxel[:3, 3], output_shape=template.t1.shape, order=1
        )
        for part in (mean, mask, np.ones(mean.shape))
    )
    margin = ndimage.distance_transform_edt(view > 0.5, sampling=np.linalg.norm(template.affine[:3, :3], axis=0))
    return run, inside > 0.5, margin > _SMOOTHING_FWHM_MM


def _in_contrast(run: np.ndarray, used: np.ndarray, template: Template) -> np.ndarray:
    """Regress the run on the tissue maps, each with a smooth coil field, and return the fitted template."""
    fluid = np.clip(template.brain - template.grey - template.white, 0, 1)
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in run.shape), indexing="ij")
    fields = [np.ones(run.shape), *axes, *(axis**2 for axis in axes)]
    columns = [tissue * field for tissue in (template.grey, template.white, fluid) for field in fields]
    weights = np.linalg.lstsq(np.stack([column[used] for column in columns], axis=1), run[used], rcond=None)[0]
    return np.asarray(sum(weight * column for weight, column in zip(weights, columns, strict=True)))


def _smooth(volume: np.ndarray, template: Template) -> np.ndarray:
    zooms = np.linalg.norm(template.affine[:3, :3], axis=0)
    return ndimage.gaussian_filter(volume.astype(np.float32), _SMOOTHING_FWHM_MM / _FWHM_PER_SIGMA / zooms)


def _sampled(volume: np.ndarray, points: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    voxels = inverse[:3, :3] @ points.T + inverse[:3, 3:]
    return ndimage.map_coordinates(volume, voxels, order=1, mode="nearest", output=np.float64)


def _empty_grid(points: np.ndarray) -> Deformation:
    """Knots from one beyond the brain's box on either side."""
    low, high = points.min(axis=0), points.max(axis=0)
    intervals = np.maximum(1, np.round((high - low) / _SPACING_MM)).astype(int)
    spacing = (high - low) / intervals
    return Deformation(low - spacing, spacing, np.zeros((*(intervals + 3), 3)))


def _basis(points: np.ndarray, grid: Deformation) -> np.ndarray:
    """Value of every tensor-product cubic B-spline at every point: (n_points, n_knots)."""
    factors = []
    for axis in range(3):
        distance = (points[:, axis] - grid.origin[axis])[:, None] / grid.spacing[axis]
        distance = np.abs(distance - np.arange(grid.coefficients.shape[axis]))
        near = 2 / 3 - distance**2 * (1 - distance / 2)
        factors.append(np.where(distance < 1, near, np.where(distance < 2, (2 - distance) ** 3 / 6, 0.0)))
    x, y, z = factors
    return np.einsum("pi,pj,pk->pijk", x, y, z).reshape(len(points), -1)
