"""The FSL backend: commands, conventions, and errors, with programs that stand in for FSL's."""

import os
import stat
from pathlib import Path

import numpy as np
import pytest
from fmri_samples import SMALL, as_float, simulated

from medtools.core.errors import InputError
from medtools.preprocess.fmri import fsl
from medtools.preprocess.fmri.normalise import brain_mask, fit_normalisation
from medtools.preprocess.fmri.pipeline import grid_points
from medtools.preprocess.fmri.rigid import rigid_matrix
from medtools.preprocess.fmri.template import load_template

RADIOLOGICAL = np.array([[-3.0, 0, 0, 90], [0, 3, 0, -100], [0, 0, 4, -60], [0, 0, 0, 1]])
NEUROLOGICAL = np.array([[3.0, 0, 0, -90], [0, 3, 0, -100], [0, 0, 4, -60], [0, 0, 0, 1]])
SHAPE = (61, 70, 40)


def program(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def path_with(tmp_path, monkeypatch):
    folder = tmp_path / "fsl bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/usr/bin{os.pathsep}/bin")
    return folder


def test_without_fsl_the_error_names_what_is_missing(path_with):
    program(path_with, "mcflirt", "exit 0")
    with pytest.raises(InputError, match="slicetimer, flirt not found on PATH; install FSL 6"):
        fsl.require_fsl()


def test_the_commands_are_those_of_fsl_6():
    run, out = Path("/d/run 1.nii.gz"), Path("/d/moved")
    assert fsl.mcflirt_command(run, out) == [
        "mcflirt", "-in", "/d/run 1.nii.gz", "-out", "/d/moved", "-meanvol", "-mats", "-plots",
    ]  # fmt: skip
    assert fsl.slicetimer_command(run, out, 3.0, Path("/d/t.txt"), 2) == [
        "slicetimer", "-i", "/d/run 1.nii.gz", "-o", "/d/moved", "-r", "3.000000", "-d", "3", "--tcustom=/d/t.txt",
    ]  # fmt: skip
    flirt = fsl.flirt_command(Path("m.nii.gz"), Path("t.nii.gz"), Path("o.mat"))
    assert flirt[:9] == ["flirt", "-in", "m.nii.gz", "-ref", "t.nii.gz", "-omat", "o.mat", "-dof", "12"]
    assert flirt[9:11] == ["-cost", "mutualinfo"]


def test_slice_fractions_undo_slicetimer_s_shift():
    # slicetimer reads slice k of volume t at sample t + fraction - 1/2; acquired at time s, that is
    # (t + fraction - 1/2) TR + s, which must be (t + 1/2) TR.
    times, tr = np.array([0.0, 1.5, 2.9]), 3.0
    fractions = fsl.slice_fractions(times, tr, 2, NEUROLOGICAL)
    np.testing.assert_allclose((fractions - 0.5) * tr + times, tr / 2)
    assert fsl.slice_fractions(times, tr, 0, NEUROLOGICAL).tolist() == fractions[::-1].tolist()
    assert fsl.slice_fractions(times, tr, 0, RADIOLOGICAL).tolist() == fractions.tolist()


@pytest.mark.parametrize("affine", [RADIOLOGICAL, NEUROLOGICAL])
def test_fsl_s_identity_is_ours(affine):
    np.testing.assert_allclose(fsl.world_matrix(np.eye(4), SHAPE, affine, SHAPE, affine), np.eye(4), atol=1e-9)


def test_fsl_s_first_axis_runs_from_right_to_left_in_either_storage():
    # One object, stored both ways: its FSL coordinates are the same.
    voxel = np.array([10.0, 20, 30, 1])
    mirrored = np.array([SHAPE[0] - 1 - 10.0, 20, 30, 1])
    np.testing.assert_allclose(
        fsl.fsl_coordinates(SHAPE, RADIOLOGICAL) @ voxel, fsl.fsl_coordinates(SHAPE, NEUROLOGICAL) @ mirrored
    )
    np.testing.assert_allclose(RADIOLOGICAL @ voxel, NEUROLOGICAL @ mirrored)


def to_fsl(world, source_shape, source_affine, reference_shape, reference_affine):
    """Write a matrix in mm, source to reference, in FSL's coordinates."""
    source = fsl.fsl_coordinates(source_shape, source_affine) @ np.linalg.inv(source_affine)
    reference = fsl.fsl_coordinates(reference_shape, reference_affine) @ np.linalg.inv(reference_affine)
    return reference @ world @ np.linalg.inv(source)


def test_estimates_of_fsl_take_the_place_of_ours(path_with, tmp_path):
    bold = simulated(10, 0, SMALL)
    template = load_template(4.0)
    true = np.array([rigid_matrix(pose, np.zeros(3)) for pose in bold.motion])
    shape, matrices = bold.data.shape, tmp_path / "matrices"
    matrices.mkdir()
    for index, pose in enumerate(true):
        np.savetxt(matrices / f"MAT_{index:04d}", to_fsl(np.linalg.inv(pose), shape, bold.affine, shape, bold.affine))
    normalise = to_fsl(bold.mni_from_head, shape, bold.affine, template.t1.shape, template.affine)
    np.savetxt(tmp_path / "normalise.mat", normalise)
    program(path_with, "mcflirt", f'mkdir "$4.mat" && cp "{matrices}"/* "$4.mat"\n')
    program(path_with, "flirt", f'cp "{tmp_path}/normalise.mat" "$6"\n')
    program(path_with, "slicetimer", f'cp "$2" "$4"; cp "${{9#--tcustom=}}" "{tmp_path}/timings.txt"\n')
    times = np.linspace(0, 2.9, shape[2])
    run = fsl.align_with_fsl(as_float(bold.data), bold.affine, 3000.0, template, slice_times_s=times)
    np.testing.assert_allclose(run.motion.matrices, true, atol=1e-6)
    expected = np.c_[grid_points(template), np.ones(len(run.points))] @ np.linalg.inv(bold.mni_from_head).T
    np.testing.assert_allclose(run.points, expected[:, :3], atol=1e-5)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "timings.txt"), 1 - times / 3.0, atol=1e-5)
    ours = fit_normalisation(run.motion.mean, brain_mask(run.motion.mean, bold.affine), bold.affine, template)
    inner = template.brain.ravel()
    assert np.linalg.norm(ours.apply(grid_points(template)[inner]) - run.points[inner], axis=1).mean() < 3.0


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("echo reading; echo 'no memory left' >&2; exit 3", "mcflirt ended with code 3: no memory left"),
        ("exit 0", "FSL wrote no usable matrix MAT_0000"),
    ],
)
def test_a_program_that_fails_is_named_with_its_last_words(path_with, body, cause):
    for name in fsl.TOOLS:
        program(path_with, name, body)
    bold = simulated(10, 0, SMALL)
    with pytest.raises(InputError) as caught:
        fsl.align_with_fsl(as_float(bold.data), bold.affine, 3000.0, load_template(4.0))
    assert cause in str(caught.value)
