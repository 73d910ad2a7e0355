"""Sliding-window embedding (Eq. 1)."""

import numpy as np
import pytest

from medtools.core.errors import InputError
from medtools.homology.embedding import sliding_window


def test_each_point_holds_samples_one_lag_apart():
    found = sliding_window(np.arange(10.0), dimension=2, lag=3)
    assert np.array_equal(found, [[0, 3, 6], [1, 4, 7], [2, 5, 8], [3, 6, 9]])


@pytest.mark.parametrize(("dimension", "lag"), [(0, 1), (1, 4), (2, 1), (5, 2)])
def test_the_number_of_points_is_samples_less_the_span_of_a_window(dimension, lag):
    assert sliding_window(np.arange(30.0), dimension, lag).shape == (30 - dimension * lag, dimension + 1)


def test_compat_authors_leaves_out_the_last_window_only():
    series = np.random.default_rng(0).standard_normal(187)
    ours, theirs = sliding_window(series), sliding_window(series, compat_authors=True)
    assert len(ours) == 185
    assert np.array_equal(theirs, ours[:184])


def test_the_points_do_not_share_memory_with_the_series():
    series = np.arange(8.0)
    cloud = sliding_window(series)
    cloud[0, 0] = 99.0
    assert series[0] == 0.0


def test_the_shortest_usable_series_gives_two_points():
    assert sliding_window([1.0, 2.0, 3.0, 4.0]).shape == (2, 3)


@pytest.mark.parametrize(
    ("series", "options", "says"),
    [
        ([1.0, 2.0, 3.0], {}, "3 samples, at least 4"),
        (np.arange(9.0), {"dimension": 4, "lag": 2}, "9 samples, at least 10"),
        ([1.0, np.nan, 2.0, 3.0, 4.0], {}, "sample 1 is nan"),
        ([1.0, 2.0, 3.0, np.inf, 4.0], {}, "sample 3 is inf"),
        (np.zeros((4, 9)), {}, "one dimension"),
        (np.arange(9.0), {"lag": 0}, "lag >= 1"),
        (np.arange(9.0), {"dimension": -1}, "dimension >= 0"),
    ],
)
def test_a_series_that_cannot_be_embedded_is_refused(series, options, says):
    with pytest.raises(InputError, match=says):
        sliding_window(series, **options)
