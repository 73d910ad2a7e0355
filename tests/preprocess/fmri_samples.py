"""Small functional runs with known answers, for the tests of this folder."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy import ndimage
from scipy.signal import lfilter

from medtools.io.atlas import load_atlas
from medtools.preprocess.fmri.rigid import rigid_matrix, rigid_parameters
from medtools.preprocess.fmri.simulate import Amplitudes, Scanner, SimulatedBold, simulate_bold

SMALL = Scanner(shape=(32, 32, 20), voxel_mm=(6.8, 6.8, 7.4))


def planted_series(n_volumes: int, seed: int, n_rois: int = 160) -> np.ndarray:
    """AR(1) series of coefficient 0.4, the card's healthy base."""
    noise = np.random.default_rng(seed).normal(size=(n_rois, n_volumes + 100))
    return np.array([lfilter([1.0], [1.0, -0.4], row)[100:] for row in noise])


@cache
def simulated(
    n_volumes: int, seed: int = 0, scanner: Scanner = SMALL, amplitudes: Amplitudes | None = None
) -> SimulatedBold:
    """The same run is made once for all tests that ask for it."""
    return simulate_bold(planted_series(n_volumes, seed), load_atlas().xyz, seed, scanner, amplitudes)


def as_float(data: np.ndarray) -> np.ndarray:
    """A fresh float32 copy in which each volume is contiguous, as `open_volume` gives it."""
    return np.ascontiguousarray(data.T.astype(np.float32)).T


def blobs(shape: tuple[int, int, int], affine: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """A smooth head-like object, moved by a rigid matrix, evaluated exactly: (x, y, z) float32."""
    voxels = np.indices(shape).reshape(3, -1)
    points = affine[:3, :3] @ voxels + affine[:3, 3:]
    back = np.linalg.inv(pose)
    points = back[:3, :3] @ points + back[:3, 3:]
    rng = np.random.default_rng(0)
    ball = 1 / (1 + np.exp((np.linalg.norm(points / [[50], [60], [45]], axis=0) - 1) * 8))
    texture = np.zeros(points.shape[1])
    for _ in range(25):
        centre = rng.uniform(-35, 35, 3)[:, None]
        texture += rng.normal() * np.exp(-((points - centre) ** 2).sum(axis=0) / (2 * 12.0**2))
    return (1000 * ball * (1 + 0.3 * texture)).reshape(shape).astype(np.float32)


def relative_errors(found: np.ndarray, true: np.ndarray, centre: np.ndarray, reference: int) -> np.ndarray:
    """Parameters of found motion minus true motion, both relative to one volume: (n_volumes, 6) mm and radians."""
    return np.array([
        rigid_parameters(a @ np.linalg.inv(found[reference]), centre)
        - rigid_parameters(b @ np.linalg.inv(true[reference]), centre)
        for a, b in zip(found, true, strict=True)
    ])  # fmt: skip


def poses(parameters: np.ndarray) -> np.ndarray:
    """Rigid matrices about the origin: (n_volumes, 4, 4)."""
    return np.array([rigid_matrix(row, np.zeros(3)) for row in parameters])


def smooth_field(shape: tuple[int, int, int], affine: np.ndarray, largest_mm: float, seed: int) -> np.ndarray:
    """A random smooth displacement, features of about 100 mm: (3, x, y, z) mm."""
    rng = np.random.default_rng(seed)
    zooms = np.linalg.norm(affine[:3, :3], axis=0)
    field = np.stack([ndimage.gaussian_filter(rng.normal(size=shape), 40 / zooms) for _ in range(3)])
    return field / np.abs(field).max() * largest_mm
