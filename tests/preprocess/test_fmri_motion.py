"""Rigid motion: parameters, displacement, and estimation of what was put in."""

import numpy as np
import pytest
from fmri_samples import blobs, poses, relative_errors
from hypothesis import given
from hypothesis import strategies as st

from medtools.core.errors import InputError
from medtools.preprocess.fmri.motion import estimate_motion
from medtools.preprocess.fmri.rigid import framewise_displacement, rigid_matrix, rigid_parameters

SHAPE = (32, 32, 24)
AFFINE = np.array([[-4.5, 0, 0, 70], [0, 4.5, 0, -70], [0, 0, 5.0, -57], [0, 0, 0, 1]])
small = st.floats(-1.2, 1.2)


@given(st.lists(small, min_size=6, max_size=6), st.lists(st.floats(-50, 50), min_size=3, max_size=3))
def test_parameters_and_matrix_are_inverse_to_each_other(parameters, centre):
    matrix = rigid_matrix(np.array(parameters), np.array(centre))
    np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rigid_parameters(matrix, np.array(centre)), parameters, atol=1e-9)


def test_a_rotation_leaves_its_centre_in_place():
    centre = np.array([10.0, -20.0, 5.0])
    matrix = rigid_matrix(np.array([0, 0, 0, 0.3, -0.2, 0.1]), centre)
    np.testing.assert_allclose(matrix @ [*centre, 1], [*centre, 1], atol=1e-12)


def test_framewise_displacement_adds_millimetres_and_arcs_on_50_mm():
    # Power 2012: 1 mm + 2 mm + 0.01 rad * 50 mm; the first volume has none.
    course = np.array([[0, 0, 0, 0, 0, 0], [1, -2, 0, 0.01, 0, 0], [1, -2, 0, 0.01, 0, 0]], dtype=float)
    np.testing.assert_allclose(framewise_displacement(course), [0, 3.5, 0])


def moved_series(parameters, gain=None):
    volumes = [blobs(SHAPE, AFFINE, pose) for pose in poses(parameters)]
    if gain is not None:
        volumes = [volume * g for volume, g in zip(volumes, gain, strict=True)]
    rng = np.random.default_rng(1)
    noisy = [volume + rng.normal(0, 10, SHAPE).astype(np.float32) for volume in volumes]
    return np.stack(noisy).transpose(0, 3, 2, 1).astype(np.float32).copy().transpose(3, 2, 1, 0)


def check(found, parameters, limit):
    errors = relative_errors(found.matrices, poses(parameters), found.centre, len(parameters) // 2)
    assert np.abs(errors[:, :3]).max() < limit
    assert np.rad2deg(np.abs(errors[:, 3:])).max() < limit


def test_small_motion_is_recovered_within_a_tenth_of_a_millimetre_and_degree():
    rng = np.random.default_rng(3)
    parameters = np.c_[rng.normal(0, 0.8, (8, 3)), np.deg2rad(rng.normal(0, 0.8, (8, 3)))]
    check(estimate_motion(moved_series(parameters), AFFINE), parameters, 0.1)


def test_large_motion_and_changes_of_gain_are_recovered_too():
    parameters = np.zeros((5, 6))
    parameters[1] = [8, -6, 7, *np.deg2rad([6, -5, 8])]
    parameters[3] = [-7, 5, -8, *np.deg2rad([-7, 6, -6])]
    found = estimate_motion(moved_series(parameters, gain=[1, 1.3, 1, 0.8, 1]), AFFINE)
    check(found, parameters, 0.15)


def test_the_mean_is_that_of_the_head_held_still():
    parameters = np.zeros((6, 6))
    parameters[::2, 0] = 6.0
    found = estimate_motion(moved_series(parameters), AFFINE)
    still = blobs(SHAPE, AFFINE, np.linalg.inv(found.matrices[1]))
    blurred = moved_series(parameters).mean(axis=-1)
    inner = (slice(4, -4),) * 3
    assert np.corrcoef(found.mean[inner].ravel(), still[inner].ravel())[0, 1] > 0.999
    assert np.corrcoef(blurred[inner].ravel(), still[inner].ravel())[0, 1] < 0.995


def test_the_number_of_threads_changes_no_bit():
    parameters = np.random.default_rng(5).normal(0, 0.01, (6, 6))
    data = moved_series(parameters)
    one, three = estimate_motion(data, AFFINE, threads=1), estimate_motion(data, AFFINE, threads=3)
    assert one.matrices.tobytes() == three.matrices.tobytes()
    assert one.mean.tobytes() == three.mean.tobytes()


def test_an_empty_image_has_nothing_to_align():
    with pytest.raises(InputError, match="no structure to align"):
        estimate_motion(np.zeros((16, 16, 10, 8), dtype=np.float32), AFFINE)
