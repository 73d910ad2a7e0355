"""A 4-D BOLD run with known answers: a head of MNI anatomy that moves, drifts and carries planted regional series.

What is modelled: echo-planar contrast from the tissue maps of the MNI152 template, a rim of scalp, the uneven
sensitivity of a coil that stays still while the head moves, one rigid pose per volume, scanner drift, a physiological
course shared by all tissue, Rician noise, and slices acquired one after another. What is not: distortion and
drop-out near air, motion within a volume, spin history. Recovery is therefore easier than on a patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import ndimage, signal

from medtools.preprocess.fmri.rigid import rigid_matrix
from medtools.preprocess.fmri.template import load_template

_GREY_LEVEL = 1000.0
_CONTRAST = {"grey": 1.0, "white": 0.8, "fluid": 1.3, "scalp": 0.25}
_SCALP_MM = (9.0, 15.0)
_BLOB_SIGMA_MM = 4.0
_BLOB_REACH_MM = 12.0
_MOTION_MARGIN_MM = 6.0
_DRIFT_HZ = 1 / 600
_JERKS_PER_VOLUME = 1 / 40


@dataclass(frozen=True)
class Scanner:
    """How the run is acquired.

    Attributes
    ----------
    shape : tuple of int
        Grid.
    voxel_mm : tuple of float
        Voxel size along each axis.
    tr_ms : float
        Repetition time.
    interleaved : bool
        Slices one after another, odd ones first, instead of all in the middle of the volume.
    """

    shape: tuple[int, int, int] = (64, 64, 36)
    voxel_mm: tuple[float, float, float] = (3.4375, 3.4375, 4.2)
    tr_ms: float = 3000.0
    interleaved: bool = False

    @property
    def affine(self) -> np.ndarray:
        """Voxel index to scanner mm: the grid's middle at the origin, no rotation."""
        affine = np.diag([*self.voxel_mm, 1.0])
        affine[:3, 3] = -(np.array(self.shape) - 1) / 2 * self.voxel_mm
        return affine

    @property
    def slice_times(self) -> np.ndarray:
        """Seconds from the start of a volume at which each slice is acquired."""
        count, tr = self.shape[2], self.tr_ms / 1e3
        if not self.interleaved:
            return np.full(count, tr / 2)
        times = np.empty(count)
        times[np.r_[0:count:2, 1:count:2]] = np.arange(count) * tr / count
        return times


@dataclass(frozen=True)
class Amplitudes:
    """Sizes of the planted effects; percentages are of the local or grey-matter signal, standard deviations."""

    signal_percent: float = 3.0
    noise_percent: float = 1.0
    drift_percent: float = 1.0
    physiology_percent: float = 0.4
    motion_mm: float = 0.5
    motion_degrees: float = 0.5
    coil_percent: float = 15.0


@dataclass(frozen=True)
class SimulatedBold:
    """A run and what was put in.

    Attributes
    ----------
    data : (x, y, z, n_volumes) int16
    affine : (4, 4) float64
        Voxel index to scanner mm.
    scanner : Scanner
    motion : (n_volumes, 6) float64
        Pose of the head in mm and radians about the scanner's origin, as in `rigid.rigid_matrix`.
    mni_from_head : (4, 4) float64
        A point of the resting head in scanner mm to MNI mm.
    series : (n_rois, n_volumes) float64
        Planted series as they were at the middle of each volume.
    """

    data: np.ndarray
    affine: np.ndarray
    scanner: Scanner
    motion: np.ndarray
    mni_from_head: np.ndarray
    series: np.ndarray


def simulate_bold(
    series: np.ndarray,
    coordinates: np.ndarray,
    seed: int,
    scanner: Scanner | None = None,
    amplitudes: Amplitudes | None = None,
) -> SimulatedBold:
    """Write planted regional series into a moving head.

    Each series is standardised and modulates the signal around its coordinate by a Gaussian of 4 mm standard deviation.

    Parameters
    ----------
    series : (n_rois, n_volumes) array
        One value per volume, at the middle of its acquisition.
    coordinates : (n_rois, 3) array
        MNI mm.
    seed : int
    scanner, amplitudes : optional
        Grid and timing; sizes of the effects.
    """
    scanner, amplitudes = scanner or Scanner(), amplitudes or Amplitudes()
    rng = np.random.default_rng(seed)
    series = np.asarray(series, dtype=np.float64)
    planted = (series - series.mean(axis=1, keepdims=True)) / series.std(axis=1, keepdims=True)
    n_volumes = series.shape[1]
    mni_from_head = _random_anatomy(rng)
    motion = _random_motion(rng, n_volumes, amplitudes)
    course = _shared_course(rng, n_volumes, scanner, amplitudes)
    anatomy = _Anatomy(np.asarray(coordinates, dtype=np.float64), scanner, mni_from_head)
    coil = _coil(rng, scanner.shape, amplitudes.coil_percent)
    by_slice = _at_slice_times(planted, scanner)
    data = np.empty((n_volumes, *reversed(scanner.shape)), dtype=np.int16)
    for index, pose in enumerate(motion):
        clean, change = anatomy.volume(rigid_matrix(pose, np.zeros(3)), by_slice[:, index])
        clean = clean * coil * (1 + course[index] + amplitudes.signal_percent / 100 * change)
        data[index] = _rician(rng, clean, amplitudes.noise_percent / 100 * _GREY_LEVEL).T
    return SimulatedBold(data.transpose(3, 2, 1, 0), scanner.affine, scanner, motion, mni_from_head, planted)


class _Anatomy:
    """The head at rest: contrast by MNI position, and which voxels each planted region can reach."""

    def __init__(self, coordinates: np.ndarray, scanner: Scanner, mni_from_head: np.ndarray) -> None:
        self.coordinates, self.shape, self.mni_from_head = coordinates, scanner.shape, mni_from_head
        self.contrast, mni_affine = _contrast()
        self.voxel_from_mni = np.linalg.inv(mni_affine)
        voxels = np.indices(scanner.shape).reshape(3, -1)
        self.points = scanner.affine[:3, :3] @ voxels + scanner.affine[:3, 3:]
        self.slices = voxels[2]
        at_rest = (mni_from_head[:3, :3] @ self.points + mni_from_head[:3, 3:]).T
        reach = _BLOB_REACH_MM + _MOTION_MARGIN_MM
        near = [np.flatnonzero(np.linalg.norm(at_rest - centre, axis=1) < reach) for centre in coordinates]
        self.voxel = np.concatenate(near) if near else np.empty(0, dtype=int)
        self.region = np.repeat(np.arange(len(near)), [len(found) for found in near])

    def volume(self, pose: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return signal without noise, and the planted change in units of its standard deviation.

        Parameters
        ----------
        pose : (4, 4) array
            Head at rest to head now, in mm.
        values : (n_rois, n_slices) array
            Planted series when each slice is acquired.
        """
        to_mni = self.mni_from_head @ np.linalg.inv(pose)
        mni = to_mni[:3, :3] @ self.points + to_mni[:3, 3:]
        inside = self.voxel_from_mni[:3, :3] @ mni + self.voxel_from_mni[:3, 3:]
        clean = ndimage.map_coordinates(self.contrast, inside, order=1, mode="constant", output=np.float64)
        squared = ((mni[:, self.voxel] - self.coordinates[self.region].T) ** 2).sum(axis=0)
        weight = np.exp(-squared / (2 * _BLOB_SIGMA_MM**2)) * (squared < _BLOB_REACH_MM**2)
        change = np.bincount(
            self.voxel, weight * values[self.region, self.slices[self.voxel]], minlength=self.points.shape[1]
        )
        return clean.reshape(self.shape), change.reshape(self.shape)


@cache
def _contrast() -> tuple[np.ndarray, np.ndarray]:
    """Echo-planar signal of each point of MNI space, at the resolution of a 4-mm voxel, and its affine."""
    template = load_template(2.0)
    pad = 10
    grey, white, brain = (np.pad(part, pad) for part in (template.grey, template.white, template.brain))
    fluid = np.clip(brain - grey - white, 0, 1)
    outside = ndimage.distance_transform_edt(~brain, sampling=2.0)
    scalp = (outside > _SCALP_MM[0]) & (outside < _SCALP_MM[1])
    signal_level = sum(
        _CONTRAST[name] * part for name, part in {"grey": grey, "white": white, "fluid": fluid, "scalp": scalp}.items()
    )
    affine = template.affine.copy()
    affine[:3, 3] -= pad * affine[:3, :3].sum(axis=1)
    return ndimage.gaussian_filter(_GREY_LEVEL * signal_level, 0.85).astype(np.float32), affine


def _random_anatomy(rng: np.random.Generator) -> np.ndarray:
    """A head smaller than the template, tilted and off centre: `mni_from_head`."""
    head_from_mni = rigid_matrix(np.r_[rng.normal([0, 15, -10], 3), np.deg2rad(rng.normal(0, 4, 3))], np.zeros(3))
    scale = np.eye(4)
    scale[:3, :3] = np.diag(rng.uniform(0.90, 0.97, 3)) + np.triu(rng.normal(0, 0.01, (3, 3)), 1)
    return np.linalg.inv(head_from_mni @ scale)


def _random_motion(rng: np.random.Generator, n_volumes: int, amplitudes: Amplitudes) -> np.ndarray:
    """Slow wander, a jerk every minute or three, a little jitter; the standard deviation over the run is as asked."""
    walk = np.cumsum(rng.normal(0, 1, (n_volumes, 6)), axis=0)
    wander = ndimage.gaussian_filter1d(walk, 4.0, axis=0, mode="nearest")
    jerks = np.cumsum(rng.normal(0, 3, (n_volumes, 6)) * (rng.random((n_volumes, 1)) < _JERKS_PER_VOLUME), axis=0)
    course = wander + jerks
    course = (course - course.mean(axis=0)) / max(np.sqrt(np.mean(course.var(axis=0))), 1e-12)
    scale = np.r_[[amplitudes.motion_mm] * 3, [np.deg2rad(amplitudes.motion_degrees)] * 3]
    return (course + rng.normal(0, 0.04, (n_volumes, 6))) * scale


def _shared_course(rng: np.random.Generator, n_volumes: int, scanner: Scanner, amplitudes: Amplitudes) -> np.ndarray:
    """Drift (a line and a slow wave) and physiology, as relative change of the signal."""
    seconds = np.arange(n_volumes) * scanner.tr_ms / 1e3
    wave = np.sin(2 * np.pi * (_DRIFT_HZ * seconds + rng.uniform()))
    drift = _standard(np.linspace(-1, 1, n_volumes) * rng.choice([-1, 1]) + 0.3 * wave)
    breath = _standard(signal.lfilter([1.0], [1.0, -0.5], rng.normal(size=n_volumes)))
    return amplitudes.drift_percent / 100 * drift + amplitudes.physiology_percent / 100 * breath


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / max(values.std(), 1e-12)


def _coil(rng: np.random.Generator, shape: tuple[int, int, int], percent: float) -> np.ndarray:
    """Smooth sensitivity of the coil around 1."""
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    terms = [*axes, *(axis**2 for axis in axes)]
    field = sum(weight * term for weight, term in zip(rng.normal(size=6), terms, strict=True))
    return 1 + percent / 100 * _standard(np.asarray(field))


def _at_slice_times(planted: np.ndarray, scanner: Scanner) -> np.ndarray:
    """Evaluate the series when each slice is acquired, as band-limited functions: (n_rois, n_volumes, n_slices)."""
    shifts = scanner.slice_times / (scanner.tr_ms / 1e3) - 0.5
    mirrored = np.concatenate([planted, planted[:, ::-1]], axis=1)
    spectrum = np.fft.rfft(mirrored, axis=1)
    frequency = np.fft.rfftfreq(mirrored.shape[1])
    turned = spectrum[:, None] * np.exp(2j * np.pi * shifts[:, None] * frequency)
    return np.fft.irfft(turned, mirrored.shape[1], axis=2)[:, :, : planted.shape[1]].transpose(0, 2, 1)


def _rician(rng: np.random.Generator, clean: np.ndarray, sigma: float) -> np.ndarray:
    """Magnitude of the complex signal with equal Gaussian noise on both parts, as stored by a scanner."""
    real = clean + rng.normal(0, sigma, clean.shape)
    return np.rint(np.hypot(real, rng.normal(0, sigma, clean.shape))).astype(np.int16)
