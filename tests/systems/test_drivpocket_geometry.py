"""Point geometry does not feel rigid motions, feels mirror images, and is what its definition says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medtools.systems.drivpocket.data import random_rotation
from medtools.systems.drivpocket.geometry import (
    farthest_points,
    gather,
    invariant_features,
    nearest,
    reference_axes,
)
from medtools.systems.drivpocket.points import NEIGHBOURS, SAMPLES, PointStream, _irif, features_to_cube

MIRROR = np.diag([1.0, 1.0, -1.0])


def cloud(seed: int, n: int = 200) -> torch.Tensor:
    """Atoms 0 to 1 from the candidate, nearest first, some 0.1 apart as 400 atoms of a protein are."""
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-0.6, 0.6, (n, 3))
    return torch.from_numpy(xyz[np.argsort(np.linalg.norm(xyz, axis=1))])[None]


def moved(points: torch.Tensor, seed: int, mirror: bool = False) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    turn = random_rotation(rng) @ (MIRROR if mirror else np.eye(3))
    return points @ torch.from_numpy(turn).T + torch.from_numpy(rng.uniform(-5, 5, 3))


def all_features(points: torch.Tensor) -> list[torch.Tensor]:
    """IRIF at every down-sampling level."""
    axes = reference_axes(points)
    order = farthest_points(points, SAMPLES[0])
    levels, features = [(points, axes)], []
    for n_samples, k in zip(SAMPLES, NEIGHBOURS, strict=True):
        chosen = order if len(levels) == 1 else torch.arange(n_samples)[None]
        centres = tuple(gather(values, chosen) for values in levels[-1])
        features.append(_irif(levels[-1], centres, k)[0])
        levels.append(centres)
    features += [_irif(levels[i + 1], levels[i], NEIGHBOURS[3 - i])[0] for i in (3, 2, 1, 0)]
    return features


@given(seed=st.integers(0, 2**31))
@settings(max_examples=8, deadline=None)
def test_a_rigid_motion_changes_every_feature_by_less_than_1e_9(seed):
    points = cloud(seed)
    for before, after in zip(all_features(points), all_features(moved(points, seed + 1)), strict=True):
        assert (before - after).abs().max() < 1e-9


def test_a_mirror_image_changes_the_features():
    points = cloud(3)
    for before, after in zip(all_features(points), all_features(moved(points, 4, mirror=True)), strict=True):
        assert (before - after).abs().max() > 0.1


def test_binding_probabilities_do_not_feel_rigid_motions_and_feel_mirror_images():
    torch.manual_seed(0)
    stream = PointStream(width=16).double().eval()
    points = cloud(5, 400)
    types = torch.eye(14, dtype=torch.float64)[torch.from_numpy(np.random.default_rng(0).integers(0, 10, (1, 400)))]
    with torch.no_grad():
        still, turned, mirrored = (
            torch.sigmoid(stream(p, types)[0]) for p in (points, moved(points, 6), moved(points, 6, mirror=True))
        )
    assert (still - turned).abs().max() < 1e-4
    assert (still - mirrored).abs().max() > 1e-4


def test_the_reference_axis_of_a_plane_is_its_normal():
    rng = np.random.default_rng(0)
    flat = np.column_stack([rng.uniform(-1, 1, (100, 2)), np.zeros(100)])
    turn = random_rotation(rng)
    axes = reference_axes(torch.from_numpy(flat @ turn.T)[None])[0].numpy()
    np.testing.assert_allclose(np.abs(axes @ turn[:, 2]), 1.0, atol=1e-12)


@pytest.mark.parametrize("points", [np.outer(np.arange(70.0), [1, 2, 2]), np.zeros((70, 3))])
def test_collinear_and_coinciding_points_still_have_a_finite_unit_axis(points):
    axes = reference_axes(torch.from_numpy(points)[None])
    assert torch.isfinite(axes).all()
    np.testing.assert_allclose(axes.norm(dim=-1).numpy(), 1.0, atol=1e-12)


def test_neighbours_never_lie_behind_the_reference_axis_on_average():
    points = cloud(7)
    axes = reference_axes(points)
    index = nearest(points, points, 64, exclude_self=True)
    offsets = gather(points, index) - points.unsqueeze(2)
    lengths = offsets.norm(dim=-1)
    weights = lengths.amax(-1, keepdim=True) - lengths
    assert (torch.einsum("bnk,bnki,bni->bn", weights, offsets, axes) >= 0).all()


def test_the_weighted_covariance_is_that_of_equations_1_to_3():
    points = cloud(8, 80)
    x = points[0, 17].numpy()
    others = np.delete(points[0].numpy(), 17, axis=0)
    others = others[np.argsort(np.linalg.norm(others - x, axis=1))[:64]]
    lengths = np.linalg.norm(others - x, axis=1)
    weights = (lengths.max() - lengths) / (lengths.max() - lengths).sum()
    covariance = sum(w * np.outer(p - x, p - x) for w, p in zip(weights, others, strict=True))
    smallest = np.linalg.eigh(covariance)[1][:, 0]
    axis = reference_axes(points)[0, 17].numpy()
    assert abs(abs(smallest @ axis) - 1) < 1e-12


def test_nearest_neighbours_agree_with_a_k_d_tree():
    from scipy.spatial import cKDTree

    points = cloud(9, 150)
    expected = cKDTree(points[0].numpy()).query(points[0].numpy(), 9)[1]
    np.testing.assert_array_equal(nearest(points, points, 8, exclude_self=True)[0].numpy(), expected[:, 1:])


def test_farthest_point_sampling_agrees_with_its_definition_and_serves_all_levels_at_once():
    points = cloud(10, 160)
    xyz = points[0].numpy()
    chosen = [0]
    while len(chosen) < 40:
        gaps = np.min(np.linalg.norm(xyz[:, None] - xyz[chosen], axis=-1), axis=1)
        chosen.append(int(gaps.argmax()))
    order = farthest_points(points, 40)
    np.testing.assert_array_equal(order[0].numpy(), chosen)
    subset = gather(points, order)
    np.testing.assert_array_equal(farthest_points(subset, 20)[0].numpy(), np.arange(20))


def test_irif_is_what_the_card_says_neighbour_by_neighbour():
    rng = np.random.default_rng(11)
    points = torch.from_numpy(rng.normal(0, 0.3, (1, 30, 3)))
    axes = reference_axes(points)
    index = nearest(points, points[:, :1], 6, exclude_self=True)
    features, ordered = invariant_features(points, axes, points[:, :1], axes[:, :1], index)
    np.testing.assert_allclose(
        features[0, 0].numpy(),
        irif_by_definition(points[0].numpy(), axes[0].numpy(), ordered[0, 0].tolist()),
        atol=1e-12,
    )
    assert sorted(ordered[0, 0].tolist()) == sorted(index[0, 0].tolist())


def irif_by_definition(xyz: np.ndarray, axes: np.ndarray, ordered: list[int]) -> np.ndarray:
    x, n = xyz[0], axes[0]
    planar = [(xyz[i] - x) - ((xyz[i] - x) @ n) * n for i in ordered]
    longest = int(np.argmax([np.linalg.norm(v) for v in planar]))
    reference = planar[longest] / np.linalg.norm(planar[longest])
    codes = []
    for place, v in enumerate(planar):
        cosine = v @ reference / np.linalg.norm(v)
        ahead = np.cross(v, reference) @ n >= 0
        codes.append(1.0 if place == longest else cosine if ahead else -cosine - 2)
    assert codes == sorted(codes, reverse=True)
    rows = []
    for place, i in enumerate(ordered):
        previous = ordered[place - 1]
        u = (xyz[i] - x) / np.linalg.norm(xyz[i] - x)
        v = (xyz[i] - xyz[previous]) / np.linalg.norm(xyz[i] - xyz[previous])
        angles = [np.arccos(np.clip(a @ axes[i], -1 + 1e-5, 1 - 1e-5)) for a in (n, axes[previous])]
        rows.append([
            np.linalg.norm(xyz[i] - x),
            codes[place] - codes[place - 1] if place else -3 - codes[-1],
            u @ n,
            u @ axes[i],
            angles[0] * (1 if u @ n < u @ axes[i] else -1),
            v @ axes[i],
            v @ axes[previous],
            angles[1] * (1 if v @ axes[i] < v @ axes[previous] else -1),
        ])  # fmt: skip
    return np.array(rows)


def test_cubes_hold_the_mean_of_each_cell_and_zero_elsewhere():
    points = torch.tensor([[[-1.0, -1.0, -1.0], [-0.99, -1.0, -1.0], [1.0, 1.0, 1.0]]], dtype=torch.float64)
    cube = features_to_cube(points, torch.tensor([[[1.0], [3.0], [5.0]]]), 4)
    assert cube.shape == (1, 1, 4, 4, 4)
    assert cube[0, 0, 0, 0, 0] == 2.0
    assert cube[0, 0, 3, 3, 3] == 5.0
    assert cube.sum() == 7.0


def test_cubes_are_not_shifted_by_the_mean_of_the_points():
    points = torch.full((1, 5, 3), 0.5, dtype=torch.float64)
    cube = features_to_cube(points, torch.ones(1, 5, 1), 8)
    assert cube[0, 0, 6, 6, 6] == 1.0
