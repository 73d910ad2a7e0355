"""Fusion, masks and scores: identities, borders, and the thresholds of the evaluation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtools.systems.drivpocket.fusion import Box, fuse, pocket_mask, project_atoms, touching
from medtools.systems.drivpocket.metrics import centre_distances, ligand_distances, volume_overlap

BOX = Box(np.zeros(3), 33, 1.0)
N_BINDING = np.ones(3, dtype=np.float32)


def ball(centre, radius, box=BOX) -> np.ndarray:
    voxels = np.stack(np.meshgrid(*[np.arange(box.size)] * 3, indexing="ij"), axis=-1)
    return np.linalg.norm(box.position(voxels) - centre, axis=-1) <= radius


def cube(low, edge, step=1.0) -> np.ndarray:
    axis = np.arange(0, edge, step)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3) + low


@given(seed=st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_equation_15_is_a_product_of_sums(seed):
    rng = np.random.default_rng(seed)
    cavity = rng.random((33, 33, 33), dtype=np.float32)
    atoms = rng.uniform(-8, 8, (3, 3))
    facing = project_atoms(cavity, atoms, BOX)
    fused = fuse(cavity, atoms, N_BINDING, BOX)
    np.testing.assert_allclose(fused, (1 + cavity) * (1 + facing) - 1, atol=1e-5)
    assert facing.min() >= 0
    assert facing.max() <= 1
    np.testing.assert_allclose(fuse(cavity, atoms, N_BINDING, BOX, "add"), cavity + facing, atol=1e-6)


def test_without_binding_atoms_the_cavity_stays_and_without_cavity_the_atoms():
    cavity = np.random.default_rng(0).random((33, 33, 33), dtype=np.float32)
    atoms = np.array([[3.0, 0, 0]])
    for mode in ("eq15", "add", "authors", "none"):
        np.testing.assert_array_equal(fuse(cavity, atoms, np.array([0.4], dtype=np.float32), BOX, mode), cavity)
        np.testing.assert_array_equal(fuse(cavity, atoms, None, BOX, mode), cavity)
    empty = np.zeros_like(cavity)
    np.testing.assert_array_equal(fuse(empty, atoms, N_BINDING[:1], BOX), project_atoms(empty, atoms, BOX))


def test_an_atom_fills_only_the_part_that_faces_the_cavity():
    cavity = ball([6.0, 0, 0], 2.0).astype(np.float32)
    atom = np.array([[0.0, 0, 0]])
    facing = project_atoms(cavity, atom, BOX)
    to_goal = np.linalg.norm(BOX.position(np.argwhere(facing > 0)) - [6.0, 0, 0], axis=1)
    assert len(to_goal) > 20
    assert to_goal.max() <= 6.0
    assert facing[16, 16, 16] == pytest.approx(1.0)
    # The blob is libmolgrid's density with a radius of 4: exp(-2 (2/4)^2) two angstrom towards the cavity.
    assert facing[18, 16, 16] == pytest.approx(np.exp(-0.5))
    assert facing[14, 16, 16] == 0.0


def test_without_a_sure_voxel_atoms_face_the_most_probable_one():
    cavity = np.full((33, 33, 33), 0.1, dtype=np.float32)
    cavity[26, 16, 16] = 0.3
    facing = project_atoms(cavity, np.array([[0.0, 0, 0]]), BOX)
    assert facing[19, 16, 16] > 0
    assert facing[13, 16, 16] == 0


def test_the_published_fusion_is_a_shell_weighted_by_the_cavity():
    cavity = ball([6.0, 0, 0], 3.0).astype(np.float32)
    atom = np.array([[0.0, 0, 0]])
    fused = fuse(cavity, atom, N_BINDING[:1], BOX, "authors")
    inside = cavity > 0
    assert fused[inside].min() >= 1.0
    assert fused[16, 16, 16] == pytest.approx(0.0, abs=1e-6)  # both blobs are 1 at the atom
    outer = np.exp(-2 * (3 / 4) ** 2)
    inner = np.exp(-2 * (3 / 3) ** 2)
    shell = outer - inner
    expected = 0.3 * shell + 1 + 1.5 * shell if inside[19, 16, 16] else 0.3 * shell
    assert fused[19, 16, 16] == pytest.approx(expected, abs=1e-5)


def test_the_mask_is_closed_and_only_its_largest_part_stays():
    fused = (ball([0, 0, 0], 4.0) | ball([10, 10, 10], 2.0)).astype(np.float32)
    fused[16, 16, 16] = 0.0
    mask = pocket_mask(fused)
    np.testing.assert_array_equal(mask, ball([0, 0, 0], 4.0))
    assert not pocket_mask(np.zeros((9, 9, 9), dtype=np.float32)).any()


def test_closing_does_not_eat_pockets_at_the_border_of_the_grid():
    fused = np.zeros((9, 9, 9), dtype=np.float32)
    fused[:3, :3, :3] = 1.0
    assert pocket_mask(fused).sum() == 27


def test_atoms_within_3_5_angstrom_of_the_pocket_touch_it():
    mask = np.zeros((33, 33, 33), dtype=bool)
    mask[16, 16, 16] = True
    np.testing.assert_array_equal(touching(mask, BOX, np.array([[3.49, 0, 0], [3.51, 0, 0]])), [True, False])
    assert not touching(np.zeros_like(mask), BOX, np.zeros((1, 3))).any()


@pytest.mark.parametrize(("distance", "hit"), [(3.9, True), (4.0, True), (4.1, False)])
def test_a_centre_counts_up_to_4_angstrom(distance, hit):
    cavity = cube([0.0, 0, 0], 6)
    (score,) = centre_distances([cavity], [cavity + np.array([distance, 0, 0])])
    assert score.hit == hit
    assert score.distance == pytest.approx(distance)
    assert (score.overlap > 0) == hit


def test_the_nearest_of_several_predictions_counts_and_no_prediction_is_a_miss():
    cavity = cube([0.0, 0, 0], 6)
    scores = centre_distances([cavity, cavity + 40], [cavity + 9, cavity + np.array([1, 0, 0])])
    assert [s.hit for s in scores] == [True, False]
    (missed,) = centre_distances([cavity], [])
    assert not missed.hit
    assert missed.distance == np.inf
    assert missed.overlap == 0


def test_identical_volumes_overlap_wholly():
    inner = cube([0.0, 0, 0], 8)
    # The label is dilated by one point on each side before it is compared.
    assert volume_overlap(inner, cube([-1.0, -1, -1], 10)) == 1.0


@given(cell=st.tuples(*[st.integers(-15, 15)] * 3), axis=st.integers(0, 2), step=st.sampled_from([1.0, 2.0, 4.0]))
@settings(max_examples=25, deadline=None)
def test_shifted_cubes_overlap_as_computed_within_the_error_of_cells(cell, axis, step):
    low = 2.0 * np.array(cell)
    shift = np.zeros(3)
    shift[axis] = step
    # Both cubes have an edge of 10 angstrom: the label's 8 points an axis are dilated by one on each side.
    found = volume_overlap(cube(low + 1.0, 8), cube(low + shift, 10, 0.5))
    assert found == pytest.approx((10 - step) / (10 + step), abs=0.02)


def test_cells_around_zero_are_not_merged():
    # int() puts coordinates from -2 to 2 into one cell; these two volumes share none.
    left, right = cube([-1.9, -1.9, -1.9], 0.5), cube([3.0, 3.0, 3.0], 4.0)
    assert volume_overlap(left, right + 2.0) == 0.0
    assert volume_overlap(np.array([[-3.0, -3, -3]]), np.array([[0.5, 0.5, 0.5]])) == 0.0


def test_dca_counts_the_best_ranked_centres_only():
    ligand = np.array([[0.0, 0, 0], [2.0, 0, 0]])
    centres = np.array([[20.0, 0, 0], [30.0, 0, 0], [5.5, 0, 0]])
    assert not ligand_distances([ligand], centres, 0)[0].hit
    assert ligand_distances([ligand], centres, 2)[0].distance == pytest.approx(3.5)
    assert ligand_distances([ligand], centres, 2)[0].hit
    assert ligand_distances([ligand], centres[:1], None)[0].distance == pytest.approx(18.0)


def test_a_protein_with_two_ligands_counts_two_centres_for_top_n():
    ligands = [np.zeros((1, 3)), np.full((1, 3), 50.0)]
    scores = ligand_distances(ligands, np.array([[1.0, 0, 0], [50.0, 50, 50]]), 0)
    assert [s.hit for s in scores] == [True, True]
    assert not any(s.hit for s in ligand_distances(ligands, np.empty((0, 3)), 0))
