"""Normalisation: a run's mean volume to MNI152 by mutual information.

Mattes et al. 2003 (IEEE TMI 22:120) as in SimpleITK. The transform maps template points to the run's points, the way
it is used: each output voxel asks where it comes from. One thread sums the metric, so that equal input gives equal
bits whatever the machine offers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813 (its own name for itself)
from scipy import ndimage

from medtools.core.errors import InputError
from medtools.preprocess.fmri.deform import Deformation, fit_deformation
from medtools.preprocess.fmri.template import Template

_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_HISTOGRAM_BINS = 32
_WRONG_HEADER = "according to its header; check its orientation, left and right may be swapped"
_TRIED_POSES = (
    ((0, 0, 0), ""),
    ((20, 0, 0), ""),
    ((-20, 0, 0), ""),
    ((0, 0, 180), f"the head faces backwards {_WRONG_HEADER}"),
    ((0, 180, 0), f"the head stands upside down {_WRONG_HEADER}"),
    ((180, 0, 0), f"the head lies upside down and faces backwards {_WRONG_HEADER}"),
)  # degrees about x, y, z
_MIN_BRAIN_ML = 200.0


@dataclass(frozen=True)
class Normalisation:
    """Where each template point lies in the run's mean volume.

    Attributes
    ----------
    matrix : (4, 4) float64
        MNI mm to the run's mm.
    warp : Deformation or None
        Deformation of MNI points before `matrix`, where one was fitted.
    note : str
        What is suspicious about the run's orientation.
    """

    matrix: np.ndarray
    warp: Deformation | None = None
    note: str = ""

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Map MNI points `(n, 3)` in mm to the run's space."""
        if self.warp is not None:
            points = points + self.warp.displacement(points)
        return points @ self.matrix[:3, :3].T + self.matrix[:3, 3]


def brain_mask(mean: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Segment the brain in a mean echo-planar volume.

    The largest bright piece after erosion by 4 mm, grown back, holes filled; the threshold is Otsu's between
    background and head.

    Parameters
    ----------
    mean : (x, y, z) array
    affine : (4, 4)
        Voxel index to mm.

    Returns
    -------
    (x, y, z) bool array

    Raises
    ------
    InputError
        Less than 200 ml stand out: this is no brain.
    """
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    smooth = ndimage.gaussian_filter(mean.astype(np.float32), 1.7 / zooms)
    bright = smooth > _otsu(smooth[smooth > 0] if (smooth > 0).any() else smooth)
    padded = np.pad(bright, 3, mode="edge")
    inner = ndimage.distance_transform_edt(padded, sampling=zooms) > 4.0
    labels, count = ndimage.label(inner)
    if count == 0:
        raise InputError("brain mask", "no brain found in the mean volume")
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    core = labels == sizes.argmax()
    grown = (ndimage.distance_transform_edt(~core, sampling=zooms) < 5.0) & padded
    mask = ndimage.binary_fill_holes(grown)[3:-3, 3:-3, 3:-3]
    volume_ml = mask.sum() * np.prod(zooms) / 1e3
    if volume_ml < _MIN_BRAIN_ML:
        raise InputError("brain mask", f"only {volume_ml:.0f} ml stand out in the mean volume, expected a brain")
    return mask


def fit_normalisation(
    mean: np.ndarray, mask: np.ndarray, affine: np.ndarray, template: Template, deformable: bool = False
) -> Normalisation:
    """Register a mean volume to the template.

    Parameters
    ----------
    mean : (x, y, z) array
        Mean of the motion-corrected run.
    mask : (x, y, z) bool array
        Its brain.
    affine : (4, 4)
        Voxel index to the run's mm.
    template : Template
        What to match; its T1-weighted brain is the fixed image.
    deformable : bool
        Add a smooth deformation, see `deform`.
    """
    fixed = _image(template.t1, template.affine)
    fixed_mask = _image(_grown(template.brain, template.affine, 8.0).astype(np.uint8), template.affine)
    ceiling = np.percentile(mean[mask], 99)
    moving = _image(np.where(mask, np.clip(mean, 0, ceiling), 0).astype(np.float32), affine)
    shift = _centroid(mask, affine) - _centroid(template.brain, template.affine)
    with _one_thread():
        start, note = _best_start(fixed, fixed_mask, moving, _centroid(template.brain, template.affine), shift)
        found = _fit_affine(fixed, fixed_mask, moving, start)
        matrix = _TO_LPS @ _as_matrix(found) @ _TO_LPS
    warp = fit_deformation(mean, mask, affine, template, matrix) if deformable else None
    return Normalisation(matrix, warp, note)


def _fit_affine(
    fixed: sitk.Image, mask: sitk.Image, moving: sitk.Image, start: sitk.Euler3DTransform
) -> sitk.AffineTransform:
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(start.GetMatrix())
    affine.SetTranslation(start.GetTranslation())
    affine.SetCenter(start.GetCenter())
    method = _method(mask, levels=((3, 6.0), (2, 3.0), (1, 1.5)), sampling=0.5)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 200, relaxationFactor=0.6)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(affine, inPlace=True)
    method.Execute(fixed, moving)
    return affine


def _best_start(
    fixed: sitk.Image, mask: sitk.Image, moving: sitk.Image, centre: np.ndarray, shift: np.ndarray
) -> tuple[sitk.Euler3DTransform, str]:
    """Align rigidly from several poses at low resolution; return the best match and what it says of the header."""
    tried = []
    for rank, (angles, note) in enumerate(_TRIED_POSES):
        rigid = sitk.Euler3DTransform()
        rigid.SetCenter((_TO_LPS[:3, :3] @ centre).tolist())
        rigid.SetTranslation((_TO_LPS[:3, :3] @ shift).tolist())
        rigid.SetRotation(*np.deg2rad(angles).tolist())
        method = _method(mask, levels=((4, 8.0),), sampling=1.0)
        method.SetOptimizerAsRegularStepGradientDescent(4.0, 1e-2, 60, relaxationFactor=0.6)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(rigid, inPlace=True)
        method.Execute(fixed, moving)
        tried.append((method.GetMetricValue(), rank, rigid, note))
    return min(tried, key=lambda entry: entry[:2])[2:]


def _method(mask: sitk.Image, levels: tuple[tuple[int, float], ...], sampling: float) -> sitk.ImageRegistrationMethod:
    """Mutual information over the mask; `levels` are (shrink factor, smoothing in mm)."""
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_HISTOGRAM_BINS)
    method.SetMetricFixedMask(mask)
    strategy = method.NONE if sampling >= 1 else method.REGULAR
    method.SetMetricSamplingStrategy(strategy)
    method.SetMetricSamplingPercentage(sampling, seed=1)
    method.SetShrinkFactorsPerLevel([shrink for shrink, _ in levels])
    method.SetSmoothingSigmasPerLevel([sigma for _, sigma in levels])
    method.SetSmoothingSigmasAreSpecifiedInPhysicalUnits(True)
    method.SetInterpolator(sitk.sitkLinear)
    return method


def _image(values: np.ndarray, affine: np.ndarray) -> sitk.Image:
    """Make a SimpleITK image whose geometry is that of a NIfTI affine."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
    placed = _TO_LPS @ affine
    zooms = _zooms(affine)
    image.SetSpacing(zooms.tolist())
    image.SetDirection((placed[:3, :3] / zooms).ravel().tolist())
    image.SetOrigin(placed[:3, 3].tolist())
    return image


def _as_matrix(transform: sitk.AffineTransform) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    matrix[:3, 3] = np.array(transform.GetTranslation()) + centre - matrix[:3, :3] @ centre
    return matrix


def _zooms(affine: np.ndarray) -> np.ndarray:
    return np.linalg.norm(affine[:3, :3], axis=0)


def _grown(mask: np.ndarray, affine: np.ndarray, millimetres: float) -> np.ndarray:
    return ndimage.distance_transform_edt(~mask, sampling=_zooms(affine)) < millimetres


def _centroid(mask: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return affine[:3, :3] @ np.argwhere(mask).mean(axis=0) + affine[:3, 3]


def _otsu(values: np.ndarray) -> float:
    """Threshold that best splits a histogram in two (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    mean_below = np.cumsum(counts * centres) / np.maximum(below, 1)
    mean_above = (np.cumsum((counts * centres)[::-1]) / np.maximum(above[::-1], 1))[::-1]
    between = below[:-1] * above[1:] * (mean_below[:-1] - mean_above[1:]) ** 2
    return float(edges[1:-1][np.argmax(between)])


@contextmanager
def _one_thread() -> Iterator[None]:
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
