"""The density is libmolgrid's, on the card's grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtools.preprocess.protein.atom_types import RADII
from medtools.preprocess.protein.gridder import density_grid, grid_origin, grid_size


def density_by_definition(xyz, channels, centre, size, spacing):
    """The card's formula, voxel by voxel."""
    grid = np.zeros((14, size, size, size))
    axes = [grid_origin(centre, size, spacing)[i] + spacing * np.arange(size) for i in range(3)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    for (ax, ay, az), channel in zip(xyz, channels, strict=True):
        ratio = np.sqrt((x - ax) ** 2 + (y - ay) ** 2 + (z - az) ** 2) / RADII[channel]
        tail = np.exp(-2) * (4 * ratio**2 - 12 * ratio + 9)
        grid[channel] += np.where(ratio <= 1, np.exp(-2 * ratio**2), np.where(ratio <= 1.5, tail, 0))
    return grid


@pytest.mark.parametrize(("dimension", "size"), [(32.0, 65), (23.5, 48)])
def test_grids_have_the_published_sizes(dimension, size):
    assert grid_size(dimension, 0.5) == size


def test_the_grid_is_centred_without_the_published_quarter_angstrom_shift():
    np.testing.assert_array_equal(grid_origin(np.array([1.0, 2.0, 3.0]), 65, 0.5), [-15.0, -14.0, -13.0])


@pytest.mark.parametrize(
    ("distance", "value", "tolerance"),
    [(0.0, 1.0, 1e-7), (1.9, 0.13534, 5e-6), (1.25 * 1.9, 0.03383, 5e-6), (1.5 * 1.9, 0.0, 0.0), (4.0, 0.0, 0.0)],
)
def test_a_carbon_has_the_known_density_at_known_distances(distance, value, tolerance):
    middle = np.array([0.3, -1.0, 2.0])
    grid = density_grid(middle[None] - [distance, 0, 0], np.array([0]), middle, size=65, spacing=0.5)
    assert grid.shape == (14, 65, 65, 65)
    assert abs(float(grid[0, 32, 32, 32]) - value) <= tolerance
    assert not grid[1:].any()


@given(seed=st.integers(0, 2**32 - 1), spacing=st.sampled_from([0.5, 1.0, 1.7]))
@settings(max_examples=20, deadline=None)
def test_random_atoms_give_the_density_of_the_definition_also_at_the_border(seed, spacing):
    rng = np.random.default_rng(seed)
    size = 17
    centre = rng.uniform(-5, 5, 3)
    reach = 0.5 * size * spacing + 4
    xyz = centre + rng.uniform(-reach, reach, (30, 3))
    channels = rng.integers(0, 14, 30)
    found = density_grid(xyz, channels, centre, size=size, spacing=spacing)
    np.testing.assert_allclose(found, density_by_definition(xyz, channels, centre, size, spacing), atol=2e-6)


def test_moving_protein_and_centre_together_changes_nothing():
    rng = np.random.default_rng(1)
    xyz, channels, shift = rng.uniform(-6, 6, (50, 3)), rng.integers(0, 10, 50), np.array([10.0, -4.0, 2.5])
    still = density_grid(xyz, channels, np.zeros(3), size=33, spacing=0.5)
    np.testing.assert_allclose(density_grid(xyz + shift, channels, shift, size=33, spacing=0.5), still, atol=1e-6)


def test_an_empty_neighbourhood_gives_an_empty_grid():
    grid = density_grid(np.array([[100.0, 0, 0]]), np.array([0]), np.zeros(3), size=17, spacing=1.0)
    assert not grid.any()
