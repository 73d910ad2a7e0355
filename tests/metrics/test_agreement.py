"""Kappa against scikit-learn and card 05's numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from medtools.core.errors import InputError
from medtools.metrics.agreement import coverage, kappa, quadratic_kappa
from medtools.metrics.classification import confusion_matrix


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 40), st.integers(2, 6), st.sampled_from(["none", "linear", "quadratic"]))
def test_kappa_equals_scikit_learn(seed, samples, categories, weighting):
    rng = np.random.default_rng(seed)
    one = rng.integers(0, categories, samples)
    two = np.clip(one + rng.integers(-1, 2, samples), 0, categories - 1)
    if len(set(one.tolist()) | set(two.tolist())) < 2:
        return

    theirs = cohen_kappa_score(one, two, labels=range(categories), weights=None if weighting == "none" else weighting)

    assert kappa(confusion_matrix(one, two, categories), weighting) == pytest.approx(theirs)


def test_card_05_check_3_fixed_and_observed_categories_differ():
    assert quadratic_kappa([3, 7, 7, 0], [3, 7, 7, 0], range(26)) == 1
    assert quadratic_kappa([0, 1, 20], [1, 0, 20], range(26)) == pytest.approx(0.99606, abs=5e-6)
    assert quadratic_kappa([0, 1, 20], [1, 0, 20]) == pytest.approx(0.5)
    assert quadratic_kappa([0, 10, 20], [0, 20, 10], range(26)) == pytest.approx(0.5)
    assert quadratic_kappa([0, 10, 20], [0, 20, 10]) == pytest.approx(0.5)
    theirs = cohen_kappa_score([0, 1, 20], [1, 0, 20], weights="quadratic")
    assert quadratic_kappa([0, 1, 20], [1, 0, 20]) == pytest.approx(theirs)


def test_fixed_categories_do_not_change_with_their_number():
    # Only differences count: the factor (K - 1)^2 cancels.
    assert quadratic_kappa([0, 3, 5], [1, 3, 4], range(6)) == pytest.approx(
        quadratic_kappa([0, 3, 5], [1, 3, 4], range(26))
    )


def test_kappa_of_a_single_category_is_undefined():
    assert math.isnan(quadratic_kappa([4, 4, 4], [4, 4, 4], range(26)))
    assert np.isnan(kappa(np.zeros((3, 3))))


def test_a_rating_outside_the_categories_is_refused():
    with pytest.raises(InputError, match="unknown class 26"):
        quadratic_kappa([0, 26], [0, 1], range(26))


def test_card_05_check_4_coverage():
    truth, predicted = np.zeros(6), np.array([0, 1, -2, 3, 5, 9])

    assert [coverage(truth, predicted, a) * 6 for a in range(6)] == pytest.approx([1, 2, 3, 4, 4, 5])
