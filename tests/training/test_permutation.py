"""The permutation test has the level it claims and permutes what it may."""

from __future__ import annotations

import numpy as np
import pytest

from medtools.core.errors import InputError
from medtools.training.permutation import permutation_test

LABELS = np.repeat([0, 1], 20)


def difference(values):
    """A score that the labels alone decide, as a picklable object."""
    return MeanDifference(np.asarray(values, dtype=float))


class MeanDifference:
    def __init__(self, values):
        self.values = values

    def __call__(self, labels):
        return float(self.values[labels == 1].mean() - self.values[labels == 0].mean())


def test_p_counts_permutations_at_least_as_good():
    scores = iter([0.6, 0.5, 0.6, 0.7, 0.1])

    found = permutation_test(lambda _: next(scores), LABELS, seed=0, permutations=4)

    assert found.observed == 0.6
    assert found.null.tolist() == [0.5, 0.6, 0.7, 0.1]
    assert found.p == (2 + 1) / (4 + 1)


def test_a_real_difference_gets_the_smallest_p_there_is():
    assert permutation_test(difference(LABELS), LABELS, seed=0, permutations=199).p == 1 / 200


def test_under_the_null_p_is_uniform():
    rng = np.random.default_rng(1)
    found = [permutation_test(difference(rng.normal(size=40)), LABELS, seed=i, permutations=39).p for i in range(300)]

    # 300 draws: the share below q has standard error sqrt(q(1-q)/300) < 0.029.
    for level in (0.05, 0.25, 0.5, 0.75):
        assert abs(np.mean(np.array(found) <= level) - level) < 0.09


def test_labels_move_between_subjects_within_strata_only():
    subjects = np.repeat(np.arange(12), 3)
    strata = np.repeat(["a", "b"], 18)
    labels = np.repeat([0, 0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 1], 3)
    seen = []

    def score(permuted):
        seen.append(permuted)
        return 0.0

    permutation_test(score, labels, seed=0, permutations=30, subjects=subjects, strata=strata)

    assert np.array_equal(seen[0], labels)
    assert len({tuple(permuted) for permuted in seen}) > 15
    for permuted in seen:
        assert all(len(set(permuted[subjects == subject])) == 1 for subject in range(12))
        assert permuted[:18].sum() == 6
        assert permuted[18:].sum() == 15


def test_threads_and_repetition_change_nothing():
    values = np.random.default_rng(0).normal(size=40)

    found = [permutation_test(difference(values), LABELS, seed=3, permutations=20, threads=n) for n in (1, 2)]

    assert np.array_equal(found[0].null, found[1].null)
    assert not np.array_equal(found[0].null, permutation_test(difference(values), LABELS, seed=4, permutations=20).null)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"labels": np.zeros(5)}, "same label"),
        ({"labels": LABELS, "subjects": np.repeat(np.arange(8), 5)[::-1] // 7}, "more than one label"),
        ({"labels": LABELS, "subjects": np.arange(40) // 2, "strata": np.arange(40)}, "more than one stratum"),
        ({"labels": LABELS, "permutations": 0}, "at least 1"),
        ({"labels": LABELS, "score": lambda _: float("nan")}, "score is nan"),
    ],
)
def test_what_cannot_be_permuted_is_refused(arguments, named):
    options = {"score": lambda _: 0.0, "seed": 0, "permutations": 2} | arguments
    with pytest.raises(InputError, match=named):
        permutation_test(options.pop("score"), options.pop("labels"), **options)
