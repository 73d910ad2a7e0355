"""Comparisons of two models against definitions written out in full."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from medtools.core.errors import InputError
from medtools.metrics.classification import auroc
from medtools.metrics.comparison import delong, delong_interval, mcnemar, paired_bootstrap


def draw(seed: int, m: int, n: int, strength: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.arange(m + n) < m
    shared = rng.normal(size=m + n)
    first, second = (np.round(shared + rng.normal(size=m + n) + strength * truth, 1) for _ in range(2))
    return truth, first, second


def pairwise(truth: np.ndarray, score: np.ndarray) -> np.ndarray:
    """Who beats whom, (cases, controls): 1, 0.5 for a tie, 0."""
    return (np.sign(score[truth][:, None] - score[~truth]) + 1) / 2


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 25), st.integers(2, 25))
def test_delong_equals_its_definition_by_all_pairs(seed, m, n):
    truth, first, second = draw(seed, m, n)
    wins = [pairwise(truth, first), pairwise(truth, second)]
    by_case, by_control = [w.mean(axis=1) for w in wins], [w.mean(axis=0) for w in wins]
    covariance = np.cov(by_case) / m + np.cov(by_control) / n
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]

    found = delong(truth, first, second)

    assert (found.first, found.second) == pytest.approx((roc_auc_score(truth, first), roc_auc_score(truth, second)))
    half = 1.959964 * np.sqrt(max(variance, 0))
    assert found.interval == pytest.approx((found.difference - half, found.difference + half), abs=1e-6)
    if variance > 1e-12 and found.difference:
        assert found.z == pytest.approx(found.difference / np.sqrt(variance))
        assert found.p == pytest.approx(2 * stats.norm.sf(abs(found.z)))


def test_delong_holds_its_level_where_the_models_are_equal():
    p = [delong(*draw(seed, 30, 40)).p for seed in range(400)]

    # 5 % of 400 has standard error 1.1 points.
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.035)


def test_delong_interval_covers_the_true_area():
    true_area = stats.norm.cdf(1 / 2)  # a shift of 1 against a spread of 2: Phi(1 / sqrt(2 * 2))
    bounds = [delong_interval(truth, first) for truth, first, _ in (draw(seed, 40, 40) for seed in range(300))]

    assert np.mean([low <= true_area <= high for low, high in bounds]) == pytest.approx(0.95, abs=0.05)


def test_a_model_does_not_differ_from_itself_or_its_monotone_image():
    truth, first, _ = draw(0, 12, 9)

    found = delong(truth, first, 3 * first + 1)

    assert (found.difference, found.z, found.p) == (0, 0, 1)


def test_perfect_against_reversed_ranking():
    truth = np.array([True, True, False, False])

    found = delong(truth, [3, 4, 1, 2], [1, 2, 3, 4])

    assert (found.first, found.second, found.p) == (1, 0, 0)
    assert delong_interval(truth, [3, 4, 1, 2]) == (1, 1)


def test_delong_needs_two_of_each():
    with pytest.raises(InputError, match="found 1 and 3"):
        delong([True, False, False, False], [1, 2, 3, 4], [1, 2, 3, 4])


@pytest.mark.parametrize(("b", "c"), list(itertools.product([0, 1, 4, 9], [0, 2, 6])))
def test_mcnemar_is_the_exact_binomial_test_on_discordant_samples(b, c):
    truth = np.ones(b + c + 7, dtype=int)
    first = np.r_[np.ones(b), np.zeros(c), np.ones(4), np.zeros(3)]
    second = np.r_[np.zeros(b), np.ones(c), np.ones(4), np.zeros(3)]

    found = mcnemar(truth, first, second)

    tail = sum(stats.binom.pmf(k, b + c, 0.5) for k in range(min(b, c) + 1))
    assert (found.only_first, found.only_second) == (b, c)
    assert found.p == pytest.approx(min(1.0, 2 * tail))


def test_mcnemar_counts_different_errors_as_agreement():
    assert mcnemar(["a", "a"], ["b", "a"], ["c", "a"]) == mcnemar([1], [1], [1])


def test_a_paired_bootstrap_judges_both_models_on_the_same_samples():
    truth, first, _ = draw(1, 40, 40)
    second = first + 0.0

    def area(t, s) -> float:
        return float(auroc(t, s))

    difference, interval = paired_bootstrap(area, truth, first, second, subjects=np.arange(80), seed=0, resamples=50)

    assert (difference, interval) == (0.0, (0.0, 0.0))


def test_a_paired_bootstrap_agrees_with_delong():
    truth, first, second = draw(2, 60, 60)

    difference, interval = paired_bootstrap(
        lambda t, s: float(auroc(t, s)), truth, first, second, subjects=np.arange(120), seed=0, resamples=1000
    )

    exact = delong(truth, first, second)
    assert difference == pytest.approx(exact.difference)
    assert interval == pytest.approx(exact.interval, abs=0.02)
