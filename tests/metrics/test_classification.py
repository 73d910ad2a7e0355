"""Classification measures against scikit-learn, torchmetrics, closed forms and the cards' own numbers."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from torchmetrics.functional.classification import multiclass_specificity

from medtools.core.errors import InputError
from medtools.metrics import classification as ours


def draw(seed: int, samples: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Truth, calls that are better than chance, and scores with ties."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, samples)
    called = np.where(rng.random(samples) < 0.5, truth, rng.integers(0, classes, samples))
    scores = np.round(rng.random((samples, classes)) + 0.5 * (np.arange(classes) == truth[:, None]), 1)
    return truth, called, scores


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 5))
def test_measures_of_a_confusion_matrix_equal_scikit_learn(seed, samples, classes):
    truth, called, _ = draw(seed, samples, classes)
    c = ours.confusion_matrix(truth, called, classes)

    assert np.array_equal(c, sk.confusion_matrix(truth, called, labels=range(classes)))
    assert ours.accuracy(c) == pytest.approx(sk.accuracy_score(truth, called))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert ours.balanced_accuracy(c) == pytest.approx(sk.balanced_accuracy_score(truth, called))
        for how in ("macro", "weighted"):
            p, r, f, _ = sk.precision_recall_fscore_support(truth, called, average=how, zero_division=0)
            found = [float(ours.average(m(c), c, how)) for m in (ours.precision, ours.sensitivity, ours.f1)]
            assert found == pytest.approx([p, r, f])
        per_class = sk.precision_recall_fscore_support(truth, called, labels=range(classes), zero_division=np.nan)
        found = [m(c) for m in (ours.precision, ours.sensitivity, ours.f1)]
        np.testing.assert_allclose(found, per_class[:3], equal_nan=True)
    mcc = float(ours.matthews(c))
    assert (0.0 if math.isnan(mcc) else mcc) == pytest.approx(sk.matthews_corrcoef(truth, called))
    theirs = multiclass_specificity(torch.as_tensor(called), torch.as_tensor(truth), classes, average=None)
    np.testing.assert_allclose(np.nan_to_num(ours.specificity(c)), theirs.numpy(), rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 60))
def test_areas_under_curves_equal_scikit_learn_with_ties(seed, samples):
    truth, _, scores = draw(seed, samples, 2)
    if len(set(truth.tolist())) == 2:
        assert ours.auroc(truth == 1, scores[:, 1]) == pytest.approx(sk.roc_auc_score(truth, scores[:, 1]))
    if truth.any():
        assert ours.auprc(truth == 1, scores[:, 1]) == pytest.approx(sk.average_precision_score(truth, scores[:, 1]))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 4))
def test_areas_of_several_classes_equal_scikit_learn(seed, classes):
    truth, _, scores = draw(seed, 60, classes)
    if len(np.unique(truth)) < classes:
        return
    shares = scores / scores.sum(axis=1, keepdims=True)

    assert ours.auroc_macro(truth, shares) == pytest.approx(sk.roc_auc_score(truth, shares, multi_class="ovr"))
    assert ours.auroc_hand_till(truth, shares) == pytest.approx(sk.roc_auc_score(truth, shares, multi_class="ovo"))
    one_hot = np.eye(classes)[truth]
    assert ours.auroc_micro(truth, shares) == pytest.approx(sk.roc_auc_score(one_hot, shares, average="micro"))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_weights_count_samples_as_often_as_they_say(seed):
    truth, called, scores = draw(seed, 25, 3)
    weights = np.random.default_rng(seed).integers(0, 3, (4, 25))
    weights[:, :3] += 1

    matrices = ours.confusion_matrix(truth, called, 3, weights)
    areas = ours.auroc_per_class(truth, scores, weights)
    precisions = ours.auprc(truth == 1, scores[:, 1], weights)

    for row, matrix, area, precision in zip(weights, matrices, areas, precisions, strict=True):
        repeated = np.repeat(np.arange(25), row)
        t, s = truth[repeated], scores[repeated]
        assert np.array_equal(matrix, ours.confusion_matrix(t, called[repeated], 3))
        np.testing.assert_allclose(area, ours.auroc_per_class(t, s), equal_nan=True)
        np.testing.assert_allclose(precision, ours.auprc(t == 1, s[:, 1]), equal_nan=True)


def test_auroc_depends_on_the_order_of_scores_only():
    truth, _, scores = draw(3, 50, 2)
    score = scores[:, 1]

    area = ours.auroc(truth == 1, score)

    assert ours.auroc(truth == 1, np.exp(7 * score)) == area
    assert ours.auroc(truth == 1, -score) == pytest.approx(1 - area)
    assert ours.auroc(truth == 0, -score) == pytest.approx(area)


def test_card_01_check_13():
    c = ours.confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 2]), 3)

    assert ours.accuracy(c) == 0.75
    assert ours.average(ours.precision(c), c) == pytest.approx(0.8333, abs=5e-5)
    assert ours.average(ours.sensitivity(c), c) == pytest.approx(0.8333, abs=5e-5)
    assert ours.average(ours.f1(c), c) == pytest.approx(0.7778, abs=5e-5)
    assert ours.average(ours.f1(c), c, "weighted") == pytest.approx(0.75)
    assert ours.average(ours.sensitivity(c), c, "weighted") == ours.accuracy(c)


def test_card_33_check_10():
    c = np.array([[50, 5, 5], [4, 30, 6], [10, 8, 32]])

    assert ours.accuracy(c) == pytest.approx(0.7467, abs=5e-5)
    assert ours.average(ours.precision(c), c) == pytest.approx(0.7410, abs=5e-5)
    assert ours.average(ours.sensitivity(c), c) == pytest.approx(0.7411, abs=5e-5)
    assert ours.average(ours.specificity(c), c) == pytest.approx(0.8721, abs=5e-5)
    assert ours.average(ours.f1(c), c) == pytest.approx(0.7392, abs=5e-5)
    assert ours.f1_of_means(c) == pytest.approx(0.7411, abs=5e-5)


def test_card_04_check_11():
    truth, scores = np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.6, 0.1])
    c = ours.confusion_matrix(truth, (scores > 0.5).astype(int), 2)

    assert ours.accuracy(c) == 0.5
    assert ours.auroc(truth == 1, scores) == 0.75
    assert ours.sensitivity(c)[1] == 0.5
    assert ours.specificity(c)[1] == 0.5


def test_thresholded_micro_pools_entries_and_may_call_several_classes():
    truth = np.array([0, 1, 2])
    scores = np.array([[0.9, 0.6, 0.1], [0.4, 0.3, 0.3], [0.2, 0.1, 0.7]])

    # Called: (0,0) right, (0,1) wrong, none for the second, (2,2) right: P = 2/3, R = 2/3.
    assert ours.thresholded_micro(truth, scores) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    one_hot = np.eye(3)[truth]
    theirs = sk.precision_recall_fscore_support(one_hot, scores > 0.5, average="micro", zero_division=0)[:3]
    assert ours.thresholded_micro(truth, scores) == pytest.approx(theirs)


def test_one_class_gives_undefined_values_and_not_errors():
    truth = np.zeros(5, dtype=int)
    c = ours.confusion_matrix(truth, truth, 2)

    assert ours.accuracy(c) == 1
    assert ours.balanced_accuracy(c) == 1
    assert ours.sensitivity(c).tolist() == [1, pytest.approx(math.nan, nan_ok=True)]
    assert np.isnan(ours.specificity(c)[0])
    assert np.isnan(ours.precision(c)[1])
    assert np.isnan(ours.f1(c)[1])
    assert np.isnan(ours.matthews(c))
    assert np.isnan(ours.auroc(truth == 1, np.arange(5)))
    assert np.isnan(ours.auprc(truth == 1, np.arange(5)))
    assert math.isnan(ours.auroc_hand_till(truth, np.ones((5, 2))))
    assert np.isnan(ours.accuracy(np.zeros((2, 2))))


def test_unknown_classes_and_scores_that_are_no_numbers_are_refused():
    with pytest.raises(InputError, match="unknown class 'AD'; known: HC, MCI"):
        ours.class_numbers(["HC", "AD"], ["HC", "MCI"])
    with pytest.raises(InputError, match="sample 1 has no finite score"):
        ours.auroc([True, False], [0.1, np.nan])
