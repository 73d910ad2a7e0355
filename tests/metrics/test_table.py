"""The scores table says what each number is, above all where it is too good."""

from __future__ import annotations

import math

from medtools.core.tables import as_tsv
from medtools.metrics.table import (
    COMPARISON_COLUMNS,
    OPTIMISTIC,
    SCORE_COLUMNS,
    Score,
    at_level,
    beside_published,
    best_epoch_on_test,
    over_folds,
    score_rows,
)


def test_the_table_is_long_form_with_the_designs_columns():
    text = as_tsv(SCORE_COLUMNS, score_rows([Score("auroc", "test", 0.5, None, math.nan, 12)]))

    assert text == "metric\tlevel\tvalue\tci_low\tci_high\tn\nauroc\ttest\t0.5\tn/a\tn/a\t12\n"


def test_the_best_epoch_on_test_is_marked_as_optimistic():
    history = [
        {"epoch": 1, "test_accuracy": 0.7},
        {"epoch": 2, "test_accuracy": 0.9},
        {"epoch": 3, "test_accuracy": 0.8},
    ]

    score = best_epoch_on_test(history, "test_accuracy", n=20)

    assert score == Score("accuracy", OPTIMISTIC, 0.9, n=20)
    assert "optimistic" in score.level
    assert best_epoch_on_test(history, "test_accuracy", n=20, mode="min").value == 0.7
    assert math.isnan(best_epoch_on_test([{"epoch": 1}], "test_accuracy", n=20).value)


def test_folds_are_summarised_by_mean_and_population_spread():
    folds = [[Score("auroc", "test", value)] for value in (0.5, 0.7, math.nan)]

    mean, spread = over_folds(folds)

    assert (mean.value, mean.n, mean.ci_low) == (0.6, 2, None)
    assert math.isclose(spread.value, 0.1)
    assert [score.level for score in (mean, spread)] == ["mean over folds", "standard deviation over folds"]
    assert math.isnan(over_folds([[Score("auroc", "test", math.nan)]])[0].value)


def test_a_level_is_put_in_front():
    assert [score.level for score in at_level([Score("x", "test", 1), Score("x", "", 1)], "H0")] == ["H0, test", "H0"]


def test_published_values_stand_beside_ours():
    scores = [Score("accuracy", "DMN", 0.8, 0.7, 0.9, 20), Score("accuracy", "CO", 0.6), Score("auroc", "DMN", 0.9)]

    rows = beside_published(scores, {("accuracy", "DMN"): 0.75, ("accuracy", "CO"): 0.95})

    assert [row["published_in_interval"] for row in rows] == [True, None]
    assert math.isclose(rows[0]["difference"], 0.05)
    assert set(rows[0]) == set(COMPARISON_COLUMNS)


def test_a_published_value_is_neither_inside_nor_outside_an_interval_that_is_not_known():
    (row,) = beside_published([Score("auroc", "test", 0.5, math.nan, math.nan, 12)], {("auroc", "test"): 0.9})

    assert row["published_in_interval"] is None
    assert (row["ci_low"], row["ci_high"]) == (None, None)
