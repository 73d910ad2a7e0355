"""Regions of interest on a grid: spheres around coordinates or the labels of an image, and their mean signal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from medtools.core.errors import InputError


@dataclass(frozen=True)
class Regions:
    """Which voxels each region averages; regions may share voxels.

    Attributes
    ----------
    names : tuple of str
    centres : (n_rois, 3) float64
        MNI mm: the sphere's centre, or the label's centroid.
    voxels : tuple of (n_voxels,) int arrays
        Flat positions on the grid, in C order; empty for a region outside the grid.
    sizes : (n_rois,) int
        Voxels of each region if the grid had no edge.
    """

    names: tuple[str, ...]
    centres: np.ndarray
    voxels: tuple[np.ndarray, ...]
    sizes: np.ndarray

    @property
    def all_voxels(self) -> np.ndarray:
        """Every voxel that some region uses, once, ascending."""
        return np.unique(np.concatenate(self.voxels))


def spheres(
    names: tuple[str, ...], centres: np.ndarray, shape: tuple[int, ...], affine: np.ndarray, radius_mm: float = 5.0
) -> Regions:
    """Take the voxels whose centre lies within `radius_mm` of each coordinate, and always the nearest one.

    The same voxels as nilearn's `NiftiSpheresMasker(allow_overlap=True)`.

    Parameters
    ----------
    names : tuple of str
    centres : (n_rois, 3) array
        MNI mm.
    shape, affine
        Grid, and its voxel index to MNI mm.
    radius_mm : float
    """
    inverse = np.linalg.inv(affine)
    nearest = np.rint(centres @ inverse[:3, :3].T + inverse[:3, 3]).astype(int)
    voxels, sizes = [], []
    reach = np.ceil(radius_mm / np.linalg.norm(affine[:3, :3], axis=0)).astype(int) + 1
    box = np.indices(2 * reach + 1).reshape(3, -1).T - reach[:, None].T
    for centre, middle in zip(centres, nearest, strict=True):
        near = middle + box
        squared = ((near @ affine[:3, :3].T + affine[:3, 3] - centre) ** 2).sum(axis=1)
        near = near[(squared <= radius_mm**2) | (near == middle).all(axis=1)]
        sizes.append(len(near))
        near = near[((near >= 0) & (near < shape[:3])).all(axis=1)]
        voxels.append(np.sort(np.ravel_multi_index(tuple(near.T), shape[:3])))
    return Regions(names, np.asarray(centres, dtype=np.float64), tuple(voxels), np.array(sizes))


def labelled(
    labels: np.ndarray, label_affine: np.ndarray, names: dict[int, str], shape: tuple[int, ...], affine: np.ndarray
) -> Regions:
    """Take the voxels of each label of an image in MNI space, read at the nearest voxel.

    Parameters
    ----------
    labels : (x, y, z) int array
        0 is background.
    label_affine : (4, 4)
        Its voxel index to MNI mm.
    names : dict
        Names of labels; others are called `label-<number>`.
    shape, affine
        Grid on which the signal is given.

    Raises
    ------
    InputError
        No label, or one too small to hold a voxel of the grid.
    """
    to_label = np.linalg.inv(label_affine) @ affine
    grid = np.indices(shape[:3]).reshape(3, -1)
    where = np.rint(to_label[:3, :3] @ grid + to_label[:3, 3:]).astype(int)
    inside = ((where >= 0) & (where < np.array(labels.shape)[:, None])).all(axis=0)
    on_grid = np.zeros(grid.shape[1], dtype=np.int64)
    on_grid[inside] = labels[tuple(where[:, inside])]
    values = np.unique(labels[labels != 0])
    if values.size == 0:
        raise InputError("atlas", "label image without labels")
    voxels = tuple(np.flatnonzero(on_grid == value) for value in values)
    called = tuple(names.get(int(value), f"label-{int(value)}") for value in values)
    for name, found in zip(called, voxels, strict=True):
        if found.size == 0:
            raise InputError("atlas", f"region {name} has no voxel on the grid of the images", "use a finer grid")
    centres = [affine[:3, :3] @ grid[:, found].mean(axis=1) + affine[:3, 3] for found in voxels]
    return Regions(called, np.array(centres), voxels, np.array([found.size for found in voxels]))


def region_means(values: np.ndarray, index: np.ndarray, usable: np.ndarray, regions: Regions) -> tuple[np.ndarray, ...]:
    """Average each region over its usable voxels.

    Parameters
    ----------
    values : (n_volumes, n_points) float32
        Signal at the points `index`.
    index : (n_points,) int array
        Flat positions on the grid, ascending, holding every voxel of the regions.
    usable : (n_points,) bool array
        Points inside the field of view.

    Returns
    -------
    series : (n_rois, n_volumes) float64
        0 for a region without usable voxels.
    coverage : (n_rois,) float64
        Share of each region's voxels that are usable.
    """
    members = [np.searchsorted(index, voxels) for voxels in regions.voxels]
    kept = [positions[usable[positions]] for positions in members]
    counts = np.array([len(positions) for positions in kept])
    series = np.zeros((len(kept), values.shape[0]))
    seen = np.flatnonzero(counts)
    if seen.size:
        gathered = values[:, np.concatenate([kept[region] for region in seen])].astype(np.float64)
        starts = np.concatenate([[0], np.cumsum(counts[seen])[:-1]])
        series[seen] = (np.add.reduceat(gathered, starts, axis=1) / counts[seen]).T
    return series, counts / regions.sizes
