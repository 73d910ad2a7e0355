"""The full report agrees with scikit-learn, and its intervals mean what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from medtools.core.errors import InputError
from medtools.metrics.intervals import wilson
from medtools.metrics.report import classification_scores
from medtools.metrics.table import Score


def by_key(scores: list[Score]) -> dict[tuple[str, str], Score]:
    return {(score.metric, score.level): score for score in scores}


def predictions(samples: int, classes: list[str], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, len(classes), samples)
    table = rng.dirichlet(np.ones(len(classes)), samples) + 0.4 * (np.arange(len(classes)) == truth[:, None])
    return np.array(classes)[truth], table / table.sum(axis=1, keepdims=True)


def test_two_classes_are_scored_for_the_positive_one():
    truth, table = predictions(80, ["HC", "MCI"])
    called = np.array(["HC", "MCI"])[table.argmax(axis=1)]

    found = by_key(classification_scores(truth, table, ["HC", "MCI"], positive="HC", resamples=50))

    tp, fn = np.sum((truth == "HC") & (called == "HC")), np.sum((truth == "HC") & (called == "MCI"))
    assert found["sensitivity", "test"].value == pytest.approx(tp / (tp + fn))
    assert found["specificity", "test"].value == pytest.approx(sk.recall_score(truth, called, pos_label="MCI"))
    assert found["precision", "test"].value == pytest.approx(sk.precision_score(truth, called, pos_label="HC"))
    assert found["f1", "test"].value == pytest.approx(sk.f1_score(truth, called, pos_label="HC"))
    assert found["auroc", "test"].value == pytest.approx(sk.roc_auc_score(truth == "HC", table[:, 0]))
    assert found["auprc", "test"].value == pytest.approx(sk.average_precision_score(truth == "HC", table[:, 0]))
    assert found["kappa", "test"].value == pytest.approx(sk.cohen_kappa_score(truth, called))
    assert found["HC called MCI", "test"].value == fn


def test_the_positive_class_changes_sides_and_nothing_else():
    truth, table = predictions(60, ["HC", "MCI"])

    one = by_key(classification_scores(truth, table, ["HC", "MCI"], positive="MCI", resamples=40))
    other = by_key(classification_scores(truth, table[:, ::-1], ["MCI", "HC"], positive="MCI", resamples=40))
    default = by_key(classification_scores(truth, table, ["HC", "MCI"], resamples=40))

    assert one == other == default


def test_more_classes_are_scored_overall_and_one_by_one():
    names = ["A", "M", "N"]
    truth, table = predictions(90, names)
    called = np.array(names)[table.argmax(axis=1)]

    found = by_key(classification_scores(truth, table, names, level="fold 2", resamples=20))

    assert found["f1_macro", "fold 2"].value == pytest.approx(sk.f1_score(truth, called, average="macro"))
    assert found["precision_weighted", "fold 2"].value == pytest.approx(
        sk.precision_score(truth, called, average="weighted")
    )
    assert found["auroc_macro", "fold 2"].value == pytest.approx(sk.roc_auc_score(truth, table, multi_class="ovr"))
    per_class = sk.recall_score(truth, called, average=None)
    assert [found["sensitivity", f"fold 2, class {name}"].value for name in names] == pytest.approx(per_class)
    assert found["auroc", "fold 2, class M"].value == pytest.approx(sk.roc_auc_score(truth == "M", table[:, 1]))


def test_proportions_have_wilsons_interval_over_their_own_trials():
    truth, table = predictions(70, ["HC", "MCI"])
    called = table.argmax(axis=1)
    positives = int(np.sum(truth == "MCI"))

    found = by_key(classification_scores(truth, table, ["HC", "MCI"], resamples=20))

    right = int(np.sum(called == (truth == "MCI")))
    assert (found["accuracy", "test"].ci_low, found["accuracy", "test"].ci_high) == wilson(right, 70)
    hits = int(np.sum((called == 1) & (truth == "MCI")))
    sensitivity = found["sensitivity", "test"]
    assert (sensitivity.ci_low, sensitivity.ci_high, sensitivity.n) == (*wilson(hits, positives), positives)
    for score in found.values():
        if score.ci_low is not None:
            assert score.ci_low <= score.value <= score.ci_high, score


def test_samples_of_one_subject_widen_the_interval():
    truth, table = predictions(30, ["HC", "MCI"])
    many = (np.repeat(truth, 10), np.repeat(table, 10, axis=0), ["HC", "MCI"])

    naive = by_key(classification_scores(*many, resamples=400))
    honest = by_key(classification_scores(*many, subjects=np.repeat(np.arange(30), 10), resamples=400))

    for metric in ("accuracy", "auroc", "sensitivity"):
        one, two = naive[metric, "test"], honest[metric, "test"]
        assert one.value == two.value
        assert two.ci_high - two.ci_low > 2 * (one.ci_high - one.ci_low)


def test_one_class_and_no_resamples_leave_holes_and_not_errors():
    found = by_key(classification_scores(["HC"] * 4, np.tile([0.9, 0.1], (4, 1)), ["HC", "MCI"], resamples=0))

    assert found["accuracy", "test"].value == 1
    assert math.isnan(found["auroc", "test"].value)
    assert math.isnan(found["sensitivity", "test"].value)
    assert found["specificity", "test"].value == 1


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (np.ones((3, 2)), "expected 2 rows of 2 classes, found"),
        (np.ones((2, 3)), "expected 2 rows of 2 classes, found"),
        (np.array([[0.1, 0.9], [np.nan, 1]]), "sample 1 has no finite score"),
    ],
)
def test_faulty_predictions_are_refused(table, named):
    with pytest.raises(InputError, match=named):
        classification_scores(["HC", "MCI"], table, ["HC", "MCI"])
