"""Intervals against closed forms, scipy, and their own coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from medtools.metrics.intervals import bootstrap, percentile_interval, resampled_counts, wilson


@given(
    st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.9, 0.95, 0.99])
)
def test_wilson_equals_scipy_and_holds_the_share(pair, confidence):
    k, n = pair

    found = wilson(k, n, confidence=confidence)

    theirs = stats.binomtest(k, n).proportion_ci(confidence, method="wilson")
    assert found == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0 <= found[0] <= k / n <= found[1] <= 1


def test_wilson_gives_card_31s_interval():
    assert wilson(168, 180) == pytest.approx((0.887, 0.961), abs=5e-4)


def test_wilson_without_trials_is_undefined():
    assert all(math.isnan(bound) for bound in wilson(0, 0))


def test_resamples_draw_subjects_whole_and_as_many_as_there_are():
    subjects = np.array(["a", "a", "b", "c", "c", "c"])

    drawn = np.concatenate(list(resampled_counts(subjects, seed=0, resamples=600)))

    assert drawn.shape == (600, 6)
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, [0, 2, 3]].sum(axis=1) == 3).all()
    # Each subject is drawn once on average; the mean of 600 has standard error sqrt(2/3/600) = 0.033.
    assert np.abs(drawn.mean(axis=0) - 1).max() < 0.15


def test_a_single_subject_has_no_interval():
    values = np.array([0.2, 0.4, 0.9])

    assert np.isnan(bootstrap(lambda rows: values[rows].mean(), ["one"] * 3, seed=0, resamples=100)).all()
    assert np.isfinite(bootstrap(lambda rows: values[rows].mean(), ["one", "one", "two"], seed=0, resamples=100)).all()


def test_bootstrap_of_a_mean_is_close_to_its_normal_interval():
    values = np.random.default_rng(0).normal(size=400)

    low, high = bootstrap(lambda rows: float(values[rows].mean()), np.arange(400), seed=1)

    error = values.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - 1.96 * error, values.mean() + 1.96 * error), abs=0.012)


def test_repeated_samples_of_a_subject_do_not_narrow_the_interval():
    values = np.repeat(np.random.default_rng(0).normal(size=50), 20)
    subjects = np.repeat(np.arange(50), 20)

    def width(units) -> float:
        low, high = bootstrap(lambda rows: float(values[rows].mean()), units, seed=1, resamples=500)
        return high - low

    assert width(subjects) > 3.5 * width(np.arange(1000))  # sqrt(20) = 4.47


def test_the_same_seed_gives_the_same_interval():
    values = np.arange(30.0)

    found = [bootstrap(lambda rows: float(values[rows].mean()), values, seed=s, resamples=300) for s in (4, 4, 5)]

    assert found[0] == found[1] != found[2]


def test_undefined_resamples_are_left_out():
    assert percentile_interval([math.nan, 1.0, 2.0, 3.0], confidence=0.5) == (1.5, 2.5)
    assert all(math.isnan(bound) for bound in percentile_interval([math.nan]))
