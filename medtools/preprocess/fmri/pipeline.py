"""From a run to regional series: the steps in order, arrays in and arrays out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from threadpoolctl import threadpool_limits

from medtools.core.errors import InputError
from medtools.preprocess.fmri import qc
from medtools.preprocess.fmri.confounds import GLOBAL_SIGNAL, TISSUES, Table, motion_table, regress
from medtools.preprocess.fmri.motion import Motion, estimate_motion
from medtools.preprocess.fmri.normalise import brain_mask, fit_normalisation
from medtools.preprocess.fmri.resample import gather_run, sample_run
from medtools.preprocess.fmri.rigid import framewise_displacement
from medtools.preprocess.fmri.slice_timing import correct_slice_timing
from medtools.preprocess.fmri.spheres import Regions, region_means
from medtools.preprocess.fmri.template import Template

MIN_VOLUMES = 8  # the card: any N >= 8 must work


@dataclass(frozen=True)
class Aligned:
    """A run whose motion is known and whose slices are in time, and where the template's points lie in it.

    Attributes
    ----------
    data : (x, y, z, n_volumes) float32
    affine : (4, 4)
        Voxel index to the run's mm.
    motion : Motion
    brain : (x, y, z) bool
        Brain of the mean volume.
    points : (n_template_voxels, 3) float64
        For every voxel of the template's grid in C order, its place in mm of the mean volume.
    note : str
        What is suspicious about the orientation.
    """

    data: np.ndarray
    affine: np.ndarray
    motion: Motion
    brain: np.ndarray
    points: np.ndarray
    note: str = ""


@dataclass(frozen=True)
class Sampled:
    """A run on the template's grid, at the voxels that matter: the brain's and the regions'.

    Attributes
    ----------
    template : Template
        The grid and its tissues.
    index : (n_points,) int
        Flat positions on the grid, ascending, C order.
    values : (n_volumes, n_points) float32
    inside : (n_points,) bool
        Within the field of view.
    mean : (x, y, z) float32
        Mean volume on the whole grid.
    brain : (x, y, z) bool or None
        The run's own brain on the grid, where it was segmented.
    motion : (n_volumes, 6) float64 or None
        Head motion in mm and radians, where it is known.
    """

    template: Template
    index: np.ndarray
    values: np.ndarray
    inside: np.ndarray
    mean: np.ndarray
    brain: np.ndarray | None = None
    motion: np.ndarray | None = None

    def at(self, mask: np.ndarray) -> np.ndarray:
        """Say which sampled points lie in a mask of the grid and in the field of view: (n_points,) bool."""
        return mask.ravel()[self.index] & self.inside


@dataclass(frozen=True)
class Extracted:
    """Regional series and what was regressed out.

    Attributes
    ----------
    raw, clean : (n_rois, n_volumes) float64
        Before and after nuisance regression; 0 for a region outside the field of view.
    coverage : (n_rois,) float64
        Share of each region's voxels in the field of view.
    confounds : dict of (n_volumes,) arrays
    """

    raw: np.ndarray
    clean: np.ndarray
    coverage: np.ndarray
    confounds: Table


@dataclass(frozen=True)
class Cleaning:
    """How regional series are cleaned; see `confounds.regress`."""

    standardize: bool = True
    global_signal: bool = False
    low_pass_hz: float | None = None
    high_pass_hz: float | None = None


def align_run(
    data: np.ndarray,
    affine: np.ndarray,
    tr_ms: float,
    template: Template,
    *,
    slice_times_s: np.ndarray | None = None,
    slice_axis: int = 2,
    deformable: bool = False,
    threads: int = 1,
) -> Aligned:
    """Estimate motion on the run as acquired, bring slices into time, and find the template in the mean volume.

    Parameters
    ----------
    data : (x, y, z, n_volumes) float32
        Changed in place by slice timing.
    affine : (4, 4)
        Voxel index to the run's mm.
    tr_ms : float
        Repetition time.
    template : Template
    slice_times_s : (n_slices,) array, optional
        Left out, slices stay as they are.
    slice_axis : {0, 1, 2}
    deformable : bool
        Add a smooth deformation to the affine.
    threads : int
        The result does not depend on it.
    """
    check_length(data.shape[3])
    with threadpool_limits(1):
        motion = estimate_motion(data, affine, threads)
        if slice_times_s is not None:
            correct_slice_timing(data, slice_times_s, tr_ms / 1e3, slice_axis, threads)
        brain = brain_mask(motion.mean, affine)
        found = fit_normalisation(motion.mean, brain, affine, template, deformable)
    return Aligned(data, affine, motion, brain, found.apply(grid_points(template)), found.note)


def sample_aligned(
    run: Aligned, template: Template, regions: Regions, *, fwhm_mm: float = 0.0, threads: int = 1
) -> Sampled:
    """Interpolate an aligned run, once, at the template's brain and the regions."""
    index = _points_needed(template, regions)
    with threadpool_limits(1):
        values, inside = sample_run(
            run.data, run.affine, run.motion.matrices, run.points[index], fwhm_mm=fwhm_mm, threads=threads
        )
    inside &= values.any(axis=0)
    to_voxel = np.linalg.inv(run.affine)
    voxels = to_voxel[:3, :3] @ run.points.T + to_voxel[:3, 3:]
    shape = template.brain.shape
    mean = ndimage.map_coordinates(run.motion.mean, voxels, order=1, mode="constant", output=np.float32).reshape(shape)
    brain = ndimage.map_coordinates(run.brain.astype(np.float32), voxels, order=1).reshape(shape) > 0.5
    return Sampled(template, index, values, inside, mean, brain, run.motion.parameters)


def gather_normalised(
    volumes: Iterable[np.ndarray], n_volumes: int, template: Template, regions: Regions, *, fwhm_mm: float = 0.0
) -> Sampled:
    """Take the same voxels from a run that is already in MNI space, volume by volume."""
    check_length(n_volumes)
    index = _points_needed(template, regions)
    zooms = np.linalg.norm(template.affine[:3, :3], axis=0)
    values, inside, mean = gather_run(volumes, n_volumes, index, fwhm_mm / zooms if fwhm_mm > 0 else None)
    return Sampled(template, index, values, inside, mean)


def extract(run: Sampled, regions: Regions, tr_ms: float, cleaning: Cleaning, confounds: Table) -> Extracted:
    """Average the regions and regress the confounds out.

    Parameters
    ----------
    run : Sampled
    regions : Regions
    tr_ms : float
        Repetition time.
    cleaning : Cleaning
    confounds : dict of (n_volumes,) arrays
        What to regress out besides constant and linear trend; see `own_confounds`.

    Raises
    ------
    InputError
        No region in the field of view, or more confounds than volumes.
    """
    raw, coverage = region_means(run.values, run.index, run.inside, regions)
    if not coverage.any():
        raise InputError("regions", "none lies in the field of view", "is the image in MNI space?")
    if cleaning.global_signal and GLOBAL_SIGNAL not in confounds:
        confounds = confounds | {GLOBAL_SIGNAL: _mean_over(run, run.template.brain)}
    with threadpool_limits(1):
        clean = regress(
            raw,
            confounds,
            tr_ms,
            standardize=cleaning.standardize,
            low_pass_hz=cleaning.low_pass_hz,
            high_pass_hz=cleaning.high_pass_hz,
        )
    return Extracted(raw, clean, coverage, confounds)


def own_confounds(run: Sampled) -> tuple[Table, list[str]]:
    """Compute motion with derivatives, and the mean signal of deep white matter and ventricles.

    Returns
    -------
    table : dict of (n_volumes,) arrays
        Named as in fMRIPrep.
    missing : list of str
        What this run cannot give.
    """
    table = {} if run.motion is None else motion_table(run.motion)
    missing = [] if run.motion is not None else ["no motion parameters to regress out"]
    for name, mask in zip(TISSUES, (run.template.white_core, run.template.ventricles), strict=True):
        if run.at(mask).any():
            table[name] = _mean_over(run, mask)
        else:
            missing.append(f"no {name} in the field of view to regress out")
    return table, missing


def quality(run: Sampled, found: Extracted, tr_ms: float, limits: qc.Thresholds) -> dict[str, float | None]:
    """Compute the measures of `qc.measures`; None where the run cannot tell."""
    brain = run.values[:, run.at(run.template.brain)]
    motion = run.motion
    moved = framewise_displacement(motion) if motion is not None else None
    return {
        "n_volumes": run.values.shape[0],
        "tr_ms": tr_ms,
        "mean_fd_mm": None if moved is None else float(moved[1:].mean()),
        "max_fd_mm": None if moved is None else float(moved.max()),
        "fd_share": None if moved is None else float(np.mean(moved[1:] > limits.fd_mm)),
        "max_displacement_mm": None if motion is None else qc.spread_mm(motion),
        "mean_dvars_percent": float(qc.dvars_percent(brain)[1:].mean()) if brain.size else None,
        "tsnr": qc.temporal_snr(brain) if brain.size else None,
        "brain_overlap": _overlap(run),
        "n_rois_absent": int(np.sum(found.coverage == 0)),
        "n_rois_partial": int(np.sum((found.coverage > 0) & (found.coverage < limits.roi_coverage))),
    }


def check_length(n_volumes: int) -> None:
    """Refuse runs of fewer than eight volumes."""
    if n_volumes < MIN_VOLUMES:
        raise InputError("run", f"{n_volumes} volumes left, expected at least {MIN_VOLUMES}")


def grid_points(template: Template) -> np.ndarray:
    """List every voxel of the template's grid in MNI mm, in C order: (n_voxels, 3)."""
    voxels = np.indices(template.brain.shape).reshape(3, -1)
    return (template.affine[:3, :3] @ voxels).T + template.affine[:3, 3]


def _mean_over(run: Sampled, mask: np.ndarray) -> np.ndarray:
    return run.values[:, run.at(mask)].mean(axis=1, dtype=np.float64)


def _overlap(run: Sampled) -> float | None:
    """Dice of the run's brain and the template's where both could be seen."""
    if run.brain is None:
        return None
    seen = np.zeros(run.mean.size, dtype=bool)
    seen[run.index[run.inside]] = True
    seen = seen.reshape(run.mean.shape) | (run.brain & ~run.template.brain)
    return qc.dice(run.brain & seen, run.template.brain & seen)


def _points_needed(template: Template, regions: Regions) -> np.ndarray:
    return np.union1d(np.flatnonzero(template.brain), regions.all_voxels)
