"""The FSL backend: mcflirt, slicetimer and flirt estimate, medtools interpolates once.

FSL's matrices live in its own coordinates: voxel index times voxel size, with the first axis turned round where the
affine's determinant is positive. They are converted to millimetres of the NIfTI affine, so that both backends share
every later step.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from medtools.core.errors import InputError
from medtools.io.nifti import open_volume, write_volume
from medtools.preprocess.fmri.motion import Motion, aligned_mean, grid_centre
from medtools.preprocess.fmri.normalise import Normalisation, brain_mask
from medtools.preprocess.fmri.pipeline import Aligned, check_length, grid_points
from medtools.preprocess.fmri.rigid import rigid_parameters
from medtools.preprocess.fmri.template import Template

TOOLS = ("mcflirt", "slicetimer", "flirt")


def require_fsl(tools: Sequence[str] = TOOLS) -> None:
    """Check that FSL's programs can be run.

    Raises
    ------
    InputError
        One is not on PATH.
    """
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise InputError(
            "--backend fsl",
            f"{', '.join(missing)} not found on PATH",
            "install FSL 6 and source its fsl.sh, or use --backend python",
        )


def mcflirt_command(run: Path, prefix: Path) -> list[str]:
    """Align to the run's mean and save one matrix per volume in `<prefix>.mat/MAT_0000` and on."""
    return ["mcflirt", "-in", str(run), "-out", str(prefix), "-meanvol", "-mats", "-plots"]


def slicetimer_command(run: Path, out: Path, tr_s: float, timings: Path, axis: int) -> list[str]:
    """Shift slices by the fractions of a repetition time in `timings` (see `slice_fractions`)."""
    return [
        "slicetimer", "-i", str(run), "-o", str(out), "-r", f"{tr_s:.6f}", "-d", str(axis + 1), f"--tcustom={timings}",
    ]  # fmt: skip


def flirt_command(mean: Path, reference: Path, matrix: Path) -> list[str]:
    """Fit 12 degrees of freedom by mutual information and save the matrix from `mean` to `reference`."""
    return [
        "flirt", "-in", str(mean), "-ref", str(reference), "-omat", str(matrix), "-dof", "12", "-cost", "mutualinfo",
        "-searchrx", "-45", "45", "-searchry", "-45", "45", "-searchrz", "-45", "45",
    ]  # fmt: skip


def slice_fractions(times_s: np.ndarray, tr_s: float, axis: int, affine: np.ndarray) -> np.ndarray:
    """Express slice times as slicetimer's `--tcustom`: 0.5 is no shift, 1 a slice taken at the volume's start.

    slicetimer evaluates slice k of volume t at sample `t + fraction_k - 1/2`; the middle of the repetition time is at
    sample `t + 1/2 - time_k / TR`. FSL turns the first axis round where the affine's determinant is positive.
    """
    fractions = 1.0 - np.asarray(times_s) / tr_s
    return fractions[::-1] if axis == 0 and np.linalg.det(affine[:3, :3]) > 0 else fractions


def fsl_coordinates(shape: Sequence[int], affine: np.ndarray) -> np.ndarray:
    """Return the matrix from voxel index to FSL's coordinates."""
    matrix = np.diag([*np.linalg.norm(affine[:3, :3], axis=0), 1.0])
    if np.linalg.det(affine[:3, :3]) > 0:
        turned = np.diag([-1.0, 1.0, 1.0, 1.0])
        turned[0, 3] = shape[0] - 1
        matrix = matrix @ turned
    return matrix


def world_matrix(
    fsl_matrix: np.ndarray,
    source_shape: Sequence[int],
    source_affine: np.ndarray,
    reference_shape: Sequence[int],
    reference_affine: np.ndarray,
) -> np.ndarray:
    """Convert an FSL matrix, source to reference, to mm of the two affines, source to reference: (4, 4)."""
    to_fsl = fsl_coordinates(source_shape, source_affine) @ np.linalg.inv(source_affine)
    from_fsl = reference_affine @ np.linalg.inv(fsl_coordinates(reference_shape, reference_affine))
    return from_fsl @ fsl_matrix @ to_fsl


def align_with_fsl(
    data: np.ndarray,
    affine: np.ndarray,
    tr_ms: float,
    template: Template,
    *,
    slice_times_s: np.ndarray | None = None,
    slice_axis: int = 2,
) -> Aligned:
    """Do what `pipeline.align_run` does with FSL's estimates; see there for the arguments.

    Raises
    ------
    InputError
        FSL is absent, or one of its programs failed.
    """
    check_length(data.shape[3])
    require_fsl(TOOLS if slice_times_s is not None else ("mcflirt", "flirt"))
    with tempfile.TemporaryDirectory(prefix="medtools-fsl-") as name:
        work = Path(name)
        run = work / "run.nii.gz"
        write_volume(run, data, affine, tr_ms=tr_ms)
        _call(mcflirt_command(run, work / "moved"))
        matrices = _motion_matrices(work / "moved.mat", data.shape, affine)
        if slice_times_s is not None:
            fractions = slice_fractions(slice_times_s, tr_ms / 1e3, slice_axis, affine)
            timings = work / "timings.txt"
            timings.write_text("".join(f"{value:.6f}\n" for value in fractions), encoding="ascii")
            _call(slicetimer_command(run, work / "timed.nii.gz", tr_ms / 1e3, timings, slice_axis))
            data = open_volume(work / "timed.nii.gz", 4).data
        mean = aligned_mean(map, data, affine, matrices)
        brain = brain_mask(mean, affine)
        found = _fit_affine(work, np.where(brain, mean, 0).astype(np.float32), affine, template)
    centre = grid_centre(data.shape, affine)
    parameters = np.array([rigid_parameters(matrix, centre) for matrix in matrices])
    motion = Motion(parameters, np.array(matrices), centre, mean)
    return Aligned(data, affine, motion, brain, found.apply(grid_points(template)))


def _fit_affine(work: Path, brain: np.ndarray, affine: np.ndarray, template: Template) -> Normalisation:
    write_volume(work / "mean.nii.gz", brain, affine)
    write_volume(work / "template.nii.gz", template.t1, template.affine, template_space=True)
    _call(flirt_command(work / "mean.nii.gz", work / "template.nii.gz", work / "normalise.mat"))
    to_template = world_matrix(
        _read_matrix(work / "normalise.mat"), brain.shape, affine, template.t1.shape, template.affine
    )
    return Normalisation(np.linalg.inv(to_template))


def _motion_matrices(folder: Path, shape: Sequence[int], affine: np.ndarray) -> list[np.ndarray]:
    """Matrices from the mean volume to each volume, in mm."""
    matrices = []
    for index in range(shape[3]):
        to_mean = world_matrix(_read_matrix(folder / f"MAT_{index:04d}"), shape, affine, shape, affine)
        matrices.append(np.linalg.inv(to_mean))
    return matrices


def _read_matrix(path: Path) -> np.ndarray:
    try:
        matrix = np.loadtxt(path, dtype=np.float64)
    except (OSError, ValueError) as error:
        raise InputError("--backend fsl", f"FSL wrote no usable matrix {path.name} ({error})") from error
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-9:
        raise InputError("--backend fsl", f"matrix {path.name} is no invertible 4x4 matrix")
    return matrix


def _call(command: list[str]) -> None:
    environment = os.environ | {"FSLOUTPUTTYPE": "NIFTI_GZ"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode != 0:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no message"]
        raise InputError("--backend fsl", f"{command[0]} ended with code {done.returncode}: {last[0]}")
