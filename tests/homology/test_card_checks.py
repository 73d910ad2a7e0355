"""The checks of card 02 that need no data set, with the card's numbers (checks 1 to 7)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtools.homology import matrices, rips, wasserstein
from medtools.homology.embedding import sliding_window

SQRT2, SQRT3 = np.sqrt(2.0), np.sqrt(3.0)
EMPTY = np.empty((0, 2))


def diagrams(series: np.ndarray, **options: object) -> list[np.ndarray]:
    return rips.diagrams(sliding_window(series), **options)


def noise(seed: int, n_samples: int = 40) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(n_samples)


@pytest.mark.parametrize("engine", ["auto", "gudhi", "ripser"])
def test_a_ramp_is_ten_points_on_a_line(engine):
    h0, h1, h2 = diagrams(2.0 * np.arange(12) + 5, engine=engine)
    assert h0.shape == (9, 2)
    assert np.allclose(h0, [0.0, 2 * SQRT3], rtol=1e-6)
    assert len(h1) == len(h2) == 0


def test_constant_series_have_no_bars_and_distance_zero():
    one, other = diagrams(np.full(20, 3.0)), diagrams(np.full(20, -7.5))
    assert [len(found) for found in one] == [0, 0, 0]
    assert all(wasserstein.distance(a, b) == 0 for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("engine", ["auto", "gudhi", "ripser"])
def test_a_sine_of_four_samples_a_period_is_a_square(engine):
    h0, h1, h2 = diagrams(np.round(np.sin(np.pi / 2 * np.arange(40))), engine=engine)
    assert np.allclose(h0, [[0, SQRT3]] * 3, rtol=1e-6)
    assert np.allclose(h1, [[SQRT3, 2.0]], rtol=1e-6)
    assert len(h2) == 0


@pytest.mark.parametrize("engine", ["auto", "gudhi", "ripser"])
def test_the_octahedron_has_one_hollow(engine):
    h0, h1, h2 = rips.diagrams(np.concatenate([np.eye(3), -np.eye(3)]), engine=engine)
    assert np.allclose(h0, [[0, SQRT2]] * 5, rtol=1e-6)
    assert len(h1) == 0
    assert np.allclose(h2, [[SQRT2, 2.0]], rtol=1e-6)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_h0_deaths_are_the_edges_of_a_minimum_spanning_tree(seed, n_points):
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial.distance import pdist, squareform

    cloud = np.random.default_rng(seed).standard_normal((n_points, 3))
    deaths = rips.diagrams(cloud, max_dim=0)[0][:, 1]
    tree = minimum_spanning_tree(squareform(pdist(cloud))).data
    assert len(deaths) == n_points - 1
    assert np.allclose(np.sort(deaths), np.sort(tree), rtol=1e-6)


@pytest.mark.parametrize(
    ("other", "ground", "expected"),
    [
        (EMPTY, "l2", 1 / SQRT2),
        ([[0, 2]], "l2", 1.0),
        ([[0, 10]], "l2", 11 / SQRT2),
        (EMPTY, "linf", 0.5),
        ([[0, 2]], "linf", 1.0),
        ([[0, 10]], "linf", 5.5),
    ],
)
def test_distances_of_single_bars_are_the_cards(other, ground, expected):
    found = wasserstein.distance(np.array([[0.0, 1.0]]), np.array(other, dtype=float), ground=ground)
    assert found == pytest.approx(expected, rel=1e-12)


def test_two_empty_diagrams_are_at_distance_zero():
    assert wasserstein.distance(EMPTY, EMPTY) == 0.0


def test_pr_is_a_metric_that_follows_permutation_and_scale():
    series = [noise(seed) for seed in range(6)]
    clouds = [sliding_window(s) for s in series]
    order = np.array([3, 0, 5, 1, 4, 2])
    for matrix, permuted, scaled in zip(
        matrices.by_dimension(rips.diagrams_batch(clouds)),
        matrices.by_dimension(rips.diagrams_batch([clouds[i] for i in order])),
        matrices.by_dimension(rips.diagrams_batch([2.5 * c for c in clouds])),
        strict=True,
    ):
        assert np.array_equal(matrix, matrix.T)
        assert np.all(np.diag(matrix) == 0)
        assert np.all(matrix >= 0)
        assert np.all(matrix[:, None, :] <= matrix[:, :, None] + matrix[None, :, :].transpose(0, 1, 2) + 1e-9)
        assert np.allclose(permuted, matrix[np.ix_(order, order)], rtol=1e-9)
        assert np.allclose(scaled, 2.5 * matrix, rtol=1e-9)


@pytest.mark.parametrize("change", [lambda v: v + 17.0, lambda v: -v, lambda v: v[::-1]])
def test_shift_negation_and_time_reversal_change_nothing(change):
    series = noise(1)
    before, after = diagrams(series), diagrams(change(series))
    assert all(wasserstein.distance(a, b) <= 1e-6 for a, b in zip(before, after, strict=True))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-4, 0.5))
def test_diagrams_are_stable_in_the_bottleneck_distance(seed, epsilon):
    rng = np.random.default_rng(seed)
    series = rng.standard_normal(36)
    nearby = series + rng.uniform(-epsilon, epsilon, series.shape)
    for a, b in zip(diagrams(series), diagrams(nearby), strict=True):
        assert wasserstein.distance(a, b, kind="bottleneck") <= 2 * SQRT3 * epsilon * (1 + 1e-9)


def test_the_embedding_has_the_points_of_equation_1_and_the_authors_one_less():
    assert sliding_window(noise(0, 187)).shape == (185, 3)
    assert sliding_window(noise(0, 187), compat_authors=True).shape == (184, 3)
