"""Baselines see their training part only and give the same bits every time."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from medtools.core.errors import InputError
from medtools.core.seeds import child_seed
from medtools.training.classical import PruneCorrelated, fit_predict, make_baseline
from medtools.training.splits import Split, stratified_folds

RNG = np.random.default_rng(0)
LABELS = np.repeat(["HC", "MCI"], 30)
FEATURES = RNG.normal(size=(60, 12)) + 1.5 * (LABELS == "MCI")[:, None] * (np.arange(12) < 3)
SPLITS = stratified_folds(np.arange(60), LABELS, folds=3, seed=0)


def test_logistic_regression_equals_scikit_learn_by_hand():
    split = SPLITS[0]
    scaler = StandardScaler().fit(FEATURES[split.train])
    by_hand = LogisticRegression(max_iter=5000).fit(scaler.transform(FEATURES[split.train]), LABELS[split.train])

    found = fit_predict(make_baseline("logistic-regression", seed=0), FEATURES, LABELS, split, ["HC", "MCI"])

    assert found == pytest.approx(by_hand.predict_proba(scaler.transform(FEATURES[split.test])), abs=1e-12)


def test_the_forest_equals_scikit_learn_with_that_state():
    split = SPLITS[1]
    by_hand = RandomForestClassifier(500, random_state=child_seed(4, "random-forest", bits=32))
    by_hand.fit(StandardScaler().fit_transform(FEATURES[split.train]), LABELS[split.train])

    found = fit_predict(make_baseline("random-forest", seed=4), FEATURES, LABELS, split, ["HC", "MCI"])

    test = StandardScaler().fit(FEATURES[split.train]).transform(FEATURES[split.test])
    assert found == pytest.approx(by_hand.predict_proba(test), abs=1e-12)


@pytest.mark.parametrize("name", ["majority", "logistic-regression"])
def test_test_samples_never_influence_what_is_learnt(name):
    split = SPLITS[0]
    changed = FEATURES.copy()
    changed[split.test[1:]] += 100

    def first(table):
        return fit_predict(make_baseline(name, seed=0, prune=0.9), table, LABELS, split, ["HC", "MCI"])[0]

    assert np.array_equal(first(FEATURES), first(changed))


def test_majority_gives_the_shares_of_the_training_part():
    split = Split(np.arange(10, 60), np.array([], int), np.arange(10))

    found = fit_predict(make_baseline("majority", seed=0), FEATURES, LABELS, split, ["HC", "MCI"])

    assert found == pytest.approx(np.tile([0.4, 0.6], (10, 1)))


def test_columns_follow_the_given_classes_and_absent_ones_get_zero():
    found = fit_predict(make_baseline("majority", seed=0), FEATURES, LABELS, SPLITS[0], ["MCI", "AD", "HC"])

    assert found[0].tolist() == [0.5, 0.0, 0.5]


def test_pruning_drops_what_an_earlier_column_says():
    a, b = RNG.normal(size=(2, 200))
    table = np.stack([a, -2 * a + 1, b, a + 0.1 * b, np.ones(200)], axis=1)

    assert PruneCorrelated(0.9).fit(table).kept_.tolist() == [True, False, True, False, True]
    correlation = np.corrcoef(table[:, :4].T)
    expected = [not (np.abs(correlation[:j, j]) > 0.05).any() for j in range(4)]
    assert PruneCorrelated(0.05).fit(table).kept_[:4].tolist() == expected


def test_faulty_tables_are_refused():
    holed = FEATURES.copy()
    holed[7, 3] = np.nan
    one_class = Split(np.arange(10), np.array([], int), np.arange(30, 40))

    with pytest.raises(InputError, match="sample 7, column 3 is nan"):
        fit_predict(make_baseline("majority", seed=0), holed, LABELS, SPLITS[0], ["HC", "MCI"])
    with pytest.raises(InputError, match="holds one class only"):
        fit_predict(make_baseline("majority", seed=0), FEATURES, LABELS, one_class, ["HC", "MCI"])
    with pytest.raises(InputError, match="unknown baseline 'xgboost'"):
        make_baseline("xgboost", seed=0)
