"""Brain mask, affine and deformation to MNI152, on heads whose place is known."""

import numpy as np
import pytest
from fmri_samples import SMALL, simulated, smooth_field
from scipy import ndimage

from medtools.core.errors import InputError
from medtools.io.atlas import load_atlas
from medtools.preprocess.fmri.normalise import Normalisation, brain_mask, fit_normalisation
from medtools.preprocess.fmri.rigid import rigid_matrix
from medtools.preprocess.fmri.simulate import Amplitudes, Scanner
from medtools.preprocess.fmri.template import load_template, template_on

STILL = Amplitudes(motion_mm=0.0, motion_degrees=0.0)
FINE = Scanner(shape=(52, 60, 44), voxel_mm=(4.0, 4.0, 4.0))


@pytest.fixture(scope="module")
def template():
    return load_template(4.0)


def true_places(bold, xyz):
    return (np.c_[xyz, np.ones(len(xyz))] @ np.linalg.inv(bold.mni_from_head).T)[:, :3]


def test_the_template_s_tissues_have_the_sizes_of_a_brain(template):
    litres = np.prod(np.diag(template.affine)[:3]) / 1e6
    assert 1.7 < template.brain.sum() * litres < 2.1  # MNI152 is larger than most brains
    assert 0.02 < template.white_core.sum() * litres < 0.15
    assert 0.003 < template.ventricles.sum() * litres < 0.03
    assert not (template.white_core & template.ventricles).any()
    assert template.grey[template.white_core].mean() < 0.05


def test_on_another_grid_the_template_stays_in_place(template):
    affine = np.diag([-4.0, 4, 4, 1])
    affine[:3, 3] = [90, -130, -72]
    flipped = template_on((46, 60, 46), affine)
    for point in ([0, -50, 30], [-40, -20, 10], [40, 20, -10]):
        seen = [
            one.brain[tuple(np.rint(np.linalg.inv(one.affine) @ [*point, 1])[:3].astype(int))]
            for one in (template, flipped)
        ]
        assert seen[0] == seen[1]
    assert abs(flipped.brain.sum() - template.brain.sum()) < 0.05 * template.brain.sum()


def test_the_brain_is_found_without_scalp_and_nothing_else_is_taken_for_one():
    bold = simulated(4, 1, FINE, STILL)
    mean = bold.data.mean(axis=-1)
    mask = brain_mask(mean, bold.affine)
    litres = mask.sum() * np.prod(FINE.voxel_mm) / 1e6
    assert 1.2 < litres < 1.9
    with pytest.raises(InputError, match="expected a brain"):
        brain_mask(np.pad(np.ones((6, 6, 6)), 10), np.diag([4.0, 4, 4, 1]))


@pytest.mark.parametrize("turned", [0.0, 25.0])
def test_regions_are_found_within_two_millimetres_from_any_pose(template, turned):
    bold, xyz = simulated(4, 2, FINE, STILL), load_atlas().xyz
    mean = bold.data.mean(axis=-1).astype(np.float32)
    pose = rigid_matrix(np.array([15, -20, 10, np.deg2rad(turned), 0, np.deg2rad(-turned / 2)]), np.zeros(3))
    affine = pose @ bold.affine
    found = fit_normalisation(mean, brain_mask(mean, affine), affine, template)
    expected = true_places(bold, xyz) @ pose[:3, :3].T + pose[:3, 3]
    assert np.linalg.norm(found.apply(xyz) - expected, axis=1).max() < 2.0


def test_a_header_that_turns_the_head_round_is_noticed_and_the_head_found_all_the_same(template):
    bold, xyz = simulated(4, 2, FINE, STILL), load_atlas().xyz
    mean = bold.data.mean(axis=-1).astype(np.float32)
    turn = np.diag([-1.0, -1, 1, 1])
    affine = turn @ bold.affine
    found = fit_normalisation(mean, brain_mask(mean, affine), affine, template)
    assert "faces backwards" in found.note
    places = true_places(bold, xyz) @ turn[:3, :3].T
    assert np.linalg.norm(found.apply(xyz) - places, axis=1).max() < 2.0


def test_storage_order_and_flips_change_nothing_in_millimetres(template):
    bold, xyz = simulated(4, 2, FINE, STILL), load_atlas().xyz
    mean = bold.data.mean(axis=-1).astype(np.float32)
    turned = np.flip(mean, 0).transpose(2, 1, 0)
    change = np.zeros((4, 4))
    change[[0, 1, 2, 3], [2, 1, 0, 3]] = [-1, 1, 1, 1]
    change[0, 3] = mean.shape[0] - 1
    affine = bold.affine @ change
    one = fit_normalisation(mean, brain_mask(mean, bold.affine), bold.affine, template).apply(xyz)
    other = fit_normalisation(turned, brain_mask(turned, affine), affine, template).apply(xyz)
    assert np.linalg.norm(one - other, axis=1).max() < 0.5


def test_a_deformation_brings_a_bent_head_nearer_and_leaves_a_straight_one(template):
    bold, xyz = simulated(4, 3, FINE, STILL), load_atlas().xyz
    mean = bold.data.mean(axis=-1).astype(np.float32)
    straight, inverse = true_places(bold, xyz), np.linalg.inv(bold.affine)
    errors = {}
    for largest in (0.0, 8.0):
        field = smooth_field(mean.shape, bold.affine, largest or 1.0, seed=1) * (largest > 0)
        bent = ndimage.map_coordinates(mean, np.indices(mean.shape) + field / 4.0, order=1)
        places = straight.copy()
        for _ in range(15):  # bent(y) = mean(y + field(y)): find the y of each region
            voxels = inverse[:3, :3] @ places.T + inverse[:3, 3:]
            places = straight - np.stack([ndimage.map_coordinates(part, voxels, order=1) for part in field], axis=1)
        mask = brain_mask(bent, bold.affine)
        deformed = fit_normalisation(bent, mask, bold.affine, template, deformable=True)
        for found in (Normalisation(deformed.matrix), deformed):
            error = np.linalg.norm(found.apply(xyz) - places, axis=1).mean()
            errors[largest, found.warp is not None] = error
    assert errors[8.0, True] < 0.8 * errors[8.0, False]
    assert errors[0.0, True] < errors[0.0, False] + 0.5


def test_the_same_input_gives_the_same_bits(template):
    bold = simulated(8, 0, SMALL)
    mean = bold.data.mean(axis=-1).astype(np.float32)
    mask = brain_mask(mean, bold.affine)
    one, other = (fit_normalisation(mean, mask, bold.affine, template).matrix for _ in range(2))
    assert one.tobytes() == other.tobytes()
