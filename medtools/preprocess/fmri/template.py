"""The MNI152 template and its tissue masks at a chosen voxel size, from the maps that nilearn ships."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from nilearn.datasets import load_mni152_gm_template, load_mni152_template, load_mni152_wm_template
from scipy import ndimage

_FWHM_PER_SIGMA = 2.3548200450309493
_BRAIN_INTENSITY = 0.1
_PURE_TISSUE = 0.95
_WHITE_MARGIN_MM = 3.0
_VENTRICLE_DEPTH_MM = 20.0
_VENTRICLE_TISSUE = 0.2
_VENTRICLE_PIECE_MM3 = 500.0
_VOXEL_RANGE_MM = (1.0, 6.0)


@dataclass(frozen=True)
class Template:
    """MNI152 (ICBM 2009a, symmetric) on a straight grid.

    Attributes
    ----------
    affine : (4, 4) float64
        Voxel index to mm in MNI space.
    t1, grey, white : (x, y, z) float32
        T1-weighted brain, and tissue probabilities.
    brain, white_core, ventricles : (x, y, z) bool
        Brain; white matter at least 3 mm inside; cerebrospinal fluid at least 20 mm below the brain's surface.
    """

    affine: np.ndarray
    t1: np.ndarray
    grey: np.ndarray
    white: np.ndarray
    brain: np.ndarray
    white_core: np.ndarray
    ventricles: np.ndarray


@lru_cache(maxsize=2)
def load_template(voxel_mm: float = 3.0) -> Template:
    """Sample the shipped 1-mm maps on a grid of `voxel_mm`, smoothed to that size first.

    Parameters
    ----------
    voxel_mm : float
        Edge of a voxel, 1 to 6 mm.

    Raises
    ------
    ValueError
        A voxel size outside that range.
    """
    if not _VOXEL_RANGE_MM[0] <= voxel_mm <= _VOXEL_RANGE_MM[1]:
        raise ValueError(f"voxel size {voxel_mm} mm, expected {_VOXEL_RANGE_MM[0]} to {_VOXEL_RANGE_MM[1]}")
    image = load_mni152_template(resolution=1)
    step = voxel_mm / float(image.affine[0, 0])
    affine = image.affine @ np.diag([step, step, step, 1.0])
    images = (image, load_mni152_gm_template(resolution=1), load_mni152_wm_template(resolution=1))
    t1, grey, white = (_sampled(np.asarray(one.dataobj, dtype=np.float32), step) for one in images)
    brain = ndimage.binary_fill_holes(t1 > _BRAIN_INTENSITY)
    white_core = ndimage.distance_transform_edt(white > _PURE_TISSUE, sampling=voxel_mm) > _WHITE_MARGIN_MM
    return Template(affine, t1, grey, white, brain, white_core, _ventricles(grey + white, brain, voxel_mm))


def template_on(shape: tuple[int, int, int], affine: np.ndarray) -> Template:
    """Place the template on the grid of images that are already in MNI space.

    Parameters
    ----------
    shape : tuple of int
    affine : (4, 4)
        Voxel index to MNI mm.
    """
    zoom = float(np.clip(np.linalg.norm(affine[:3, :3], axis=0).min(), *_VOXEL_RANGE_MM))
    source = load_template(zoom)
    to_source = np.linalg.inv(source.affine) @ affine

    def moved(volume: np.ndarray) -> np.ndarray:
        return ndimage.affine_transform(
            volume.astype(np.float32), to_source[:3, :3], to_source[:3, 3], output_shape=shape, order=1
        )

    maps = (moved(volume) for volume in (source.t1, source.grey, source.white))
    masks = (moved(mask) > 0.5 for mask in (source.brain, source.white_core, source.ventricles))
    return Template(affine, *maps, *masks)


def _ventricles(tissue: np.ndarray, brain: np.ndarray, voxel_mm: float) -> np.ndarray:
    """Keep fluid far from the surface, in pieces of more than half a millilitre."""
    depth = ndimage.distance_transform_edt(brain, sampling=voxel_mm)
    labels, count = ndimage.label((tissue < _VENTRICLE_TISSUE) & (depth > _VENTRICLE_DEPTH_MM))
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * voxel_mm**3
    sizes[0] = 0
    return sizes[labels] > _VENTRICLE_PIECE_MM3


def _sampled(volume: np.ndarray, step: float) -> np.ndarray:
    """Smooth to a resolution of `step` voxels and take every `step`-th point, axis by axis, the first in place."""
    for axis in range(3):
        if step > 1:
            volume = ndimage.gaussian_filter1d(volume, step / _FWHM_PER_SIGMA, axis=axis, output=np.float32)
        positions = np.arange(int((volume.shape[axis] - 1) // step) + 1) * step
        lower = np.minimum(positions.astype(int), volume.shape[axis] - 2)
        weight = np.expand_dims((positions - lower).astype(np.float32), tuple(a for a in range(3) if a != axis))
        volume = volume.take(lower, axis) * (1 - weight) + volume.take(lower + 1, axis) * weight
    return volume
