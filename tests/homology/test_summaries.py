"""Betti curves and summary numbers against gudhi and persim, and against diagrams known by hand."""

import gudhi.representations as representations
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from persim.persistent_entropy import persistent_entropy
from ripser import ripser

from medtools.core.errors import InputError
from medtools.homology.summaries import betti_curve, filtration_grid, summarise

BARS = st.lists(st.tuples(st.floats(0, 5), st.floats(0.01, 5)), min_size=1, max_size=30).map(
    lambda pairs: np.array([(birth, birth + length) for birth, length in pairs])
)


@given(diagram=BARS)
@settings(max_examples=50, deadline=None)
def test_the_betti_curve_equals_gudhi(diagram):
    grid = np.linspace(0, 10, 57)

    curve = betti_curve(diagram, grid)

    peer = representations.BettiCurve(predefined_grid=grid).fit_transform([diagram])[0]
    np.testing.assert_array_equal(curve, peer)


def test_a_bar_is_alive_from_its_birth_to_just_before_its_death():
    assert betti_curve([(1, 2), (1, np.inf)], [0.5, 1, 1.5, 2, 9]).tolist() == [0, 2, 2, 1, 1]


def test_the_octahedron_has_six_points_one_component_and_one_void():
    # Card, check 3: five H0 bars and the essential class die or live past sqrt 2, one H2 bar (sqrt 2, 2).
    octahedron = np.concatenate([np.eye(3), -np.eye(3)])

    h0, h1, h2 = (betti_curve(diagram, [0.0, 1.0, 1.5, 2.5]) for diagram in ripser(octahedron, maxdim=2)["dgms"])

    assert (h0.tolist(), h1.tolist(), h2.tolist()) == ([6, 6, 1, 1], [0, 0, 0, 0], [0, 0, 1, 0])


@given(diagram=BARS)
@settings(max_examples=50, deadline=None)
def test_entropy_equals_persim_and_lies_between_zero_and_log_count(diagram):
    summary = summarise(diagram)

    assert summary.entropy == pytest.approx(persistent_entropy(diagram)[0], abs=1e-9)
    assert 0 <= summary.entropy <= np.log(len(diagram)) + 1e-12


@given(diagram=BARS, scale=st.floats(0.1, 10))
@settings(max_examples=30, deadline=None)
def test_scaling_a_diagram_scales_its_persistence_and_keeps_its_entropy(diagram, scale):
    before, after = summarise(diagram), summarise(scale * diagram)

    assert after.total_persistence == pytest.approx(scale * before.total_persistence)
    assert after.max_persistence == pytest.approx(scale * before.max_persistence)
    assert after.entropy == pytest.approx(before.entropy, abs=1e-9)


def test_the_period_four_series_has_three_equal_components_and_one_loop():
    # Card, check 2: v = sin(pi t / 2), 40 samples: three H0 bars at sqrt 3, one H1 bar (sqrt 3, 2).
    series = np.round(np.sin(np.pi * np.arange(40) / 2))
    cloud = np.unique(np.stack([series[:-2], series[1:-1], series[2:]], axis=1), axis=0)

    h0, h1 = (summarise(diagram) for diagram in ripser(cloud, maxdim=1)["dgms"])

    assert (h0.count, h1.count) == (3, 1)
    assert h0.total_persistence == pytest.approx(3 * np.sqrt(3))
    assert h0.entropy == pytest.approx(np.log(3))
    assert h1.max_persistence == pytest.approx(2 - np.sqrt(3), rel=1e-6)


@pytest.mark.parametrize("diagram", [np.empty((0, 2)), [], [(0.0, np.inf)]])
def test_a_diagram_without_finite_bars_has_zero_everything(diagram):
    summary = summarise(diagram)

    assert (summary.count, summary.total_persistence, summary.max_persistence, summary.entropy) == (0, 0, 0, 0)


def test_the_grid_starts_at_zero_and_passes_the_last_finite_death():
    grid = filtration_grid([np.array([(0, 1.0), (0, np.inf)]), np.array([(2, 4.0)]), []], size=11)

    assert (len(grid), grid[0]) == (11, 0)
    assert grid[-1] > 4
    assert filtration_grid([[]])[-1] == 1


@pytest.mark.parametrize("diagram", [[(1.0, 0.5)], [(np.nan, 1.0)], [(0.0, np.nan)], [1.0, 2.0, 3.0]])
def test_arrays_that_are_not_diagrams_are_refused(diagram):
    with pytest.raises(InputError, match="persistence diagram: expected"):
        betti_curve(diagram, [0.0])
