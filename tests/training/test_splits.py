"""Splits keep subjects together and shares right, whatever the data look like."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedShuffleSplit

from medtools.core.errors import InputError
from medtools.training.splits import (
    SPLIT_COLUMNS,
    Split,
    check_split,
    given_split,
    holdout,
    leave_one_out,
    redrawn_holdout,
    split_rows,
    stratified_folds,
)


def cohort(classes: dict[str, int], samples_each: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Subjects and labels, shuffled, with a varying number of samples per subject."""
    rng = np.random.default_rng(0)
    labels = np.repeat(list(classes), list(classes.values()))
    subjects = np.array([f"sub-{i:03d}" for i in rng.permutation(len(labels))])
    times = rng.integers(1, samples_each + 1, len(labels))
    order = rng.permutation(times.sum())
    return np.repeat(subjects, times)[order], np.repeat(labels, times)[order]


def parts(split: Split) -> list[np.ndarray]:
    return [split.train, split.validation, split.test]


@settings(max_examples=25, deadline=None)
@given(st.integers(6, 30), st.integers(6, 30), st.integers(1, 4), st.integers(2, 5), st.sampled_from([0.0, 0.2]))
def test_folds_divide_subjects_evenly_and_completely(first, second, samples, folds, validation):
    subjects, labels = cohort({"HC": first, "MCI": second}, samples)

    splits = stratified_folds(subjects, labels, folds=folds, repeats=2, seed=1, validation=validation)

    assert [(split.repeat, split.fold) for split in splits] == [(r, f) for r in range(2) for f in range(folds)]
    for repeat in range(2):
        tested = np.concatenate([split.test for split in splits if split.repeat == repeat])
        assert sorted(tested) == list(range(len(subjects)))
    for split in splits:
        check_split(split, subjects)
        assert sorted(np.concatenate(parts(split))) == list(range(len(subjects)))
        tested = {(subject, label) for subject, label in zip(subjects[split.test], labels[split.test], strict=True)}
        counts = Counter(label for _, label in tested)
        assert abs(counts["HC"] - first / folds) < 1
        assert abs(counts["MCI"] - second / folds) < 1
        assert (len(split.validation) > 0) == (validation > 0)


def test_splits_depend_on_the_seed_and_on_nothing_else():
    subjects, labels = cohort({"HC": 20, "MCI": 20})

    first, again, other = (stratified_folds(subjects, labels, seed=seed, validation=0.1) for seed in (1, 1, 2))

    def same(one: list[Split], two: list[Split]) -> bool:
        return all(
            np.array_equal(a, b) for s, t in zip(one, two, strict=True) for a, b in zip(parts(s), parts(t), strict=True)
        )

    assert same(first, again)
    assert not same(first, other)


def test_repeats_shuffle_anew():
    subjects, labels = cohort({"HC": 20, "MCI": 20})

    splits = stratified_folds(subjects, labels, folds=5, repeats=2, seed=0)

    assert not np.array_equal(splits[0].test, splits[5].test)


def test_subjects_with_samples_of_several_classes_stay_together():
    subjects = np.repeat(np.arange(20), 6)
    labels = np.tile(["a", "a", "b", "c", "b", "a"], 20)

    for split in stratified_folds(subjects, labels, folds=4, seed=0, validation=0.2):
        check_split(split, subjects)


def test_card_01_holdout_has_the_papers_sizes():
    # Card 01, check 8: 6400 slices, StratifiedShuffleSplit(1, test_size=.2, random_state=43) twice.
    labels = np.repeat(["VeryMild", "Mild", "Moderate", "Non"], [2240, 896, 64, 3200])
    slices = np.arange(6400)

    split = holdout(slices, labels, test=0.2, validation=0.2, seed=43)

    assert [len(part) for part in parts(split)] == [4096, 1024, 1280]
    assert Counter(labels[split.test]) == {"VeryMild": 448, "Mild": 179, "Moderate": 13, "Non": 640}
    assert Counter(labels[split.train]) == {"VeryMild": 1433, "Mild": 574, "Moderate": 41, "Non": 2048}


def test_holdout_is_scikit_learns_split_of_that_random_state():
    labels = np.random.default_rng(1).integers(0, 3, 200)

    split = holdout(np.arange(200), labels, test=0.2, validation=0.2, seed=43)

    rest, test = next(StratifiedShuffleSplit(1, test_size=0.2, random_state=43).split(labels, labels))
    train, validation = next(StratifiedShuffleSplit(1, test_size=0.2, random_state=43).split(rest, labels[rest]))
    assert split.test.tolist() == sorted(test)
    assert split.train.tolist() == sorted(rest[train])
    assert split.validation.tolist() == sorted(rest[validation])


def test_card_04_redraws_keep_the_training_part():
    subjects, sites = cohort({"NYU": 175, "UM": 110, "UCLA": 60, "STANFORD": 39})

    splits = redrawn_holdout(subjects, sites, train=0.7, validation=0.1, test=0.2, redraws=5, seed=42)

    assert len({tuple(split.train) for split in splits}) == 1
    assert len({tuple(split.test) for split in splits}) == 5
    for split in splits:
        check_split(split, subjects)
        assert sorted(np.concatenate(parts(split))) == list(range(384))
        assert [len(part) / 384 for part in parts(split)] == pytest.approx([0.7, 0.1, 0.2], abs=0.005)


def test_shares_that_are_not_exact_in_binary_give_the_sizes_of_exact_ones():
    subjects, sites = cohort({"A": 48, "B": 48, "C": 48, "D": 48, "E": 48})

    for split in redrawn_holdout(subjects, sites, redraws=2, seed=0):
        assert [len(part) for part in parts(split)] == [168, 24, 48]


def test_leaving_out_sites_tests_each_site_once():
    subjects, labels = cohort({"HC": 15, "MCI": 15}, 3)
    site_of = {subject: f"site{i % 3}" for i, subject in enumerate(np.unique(subjects))}
    sites = np.array([site_of[subject] for subject in subjects])

    splits = leave_one_out(sites, subjects, labels, validation=0.2)

    assert [split.held_out for split in splits] == ["site0", "site1", "site2"]
    for split in splits:
        check_split(split, subjects)
        assert set(sites[split.test]) == {split.held_out}
        assert split.held_out not in sites[np.concatenate([split.train, split.validation])]


def test_leaving_out_subjects_tests_each_subject_once():
    subjects, labels = cohort({"HC": 4, "MCI": 4}, 3)

    splits = leave_one_out(subjects, subjects, labels)

    assert [split.held_out for split in splits] == sorted(set(subjects))
    assert all(set(subjects[split.test]) == {split.held_out} for split in splits)


def test_a_given_split_is_taken_as_it_is():
    split = given_split(["a", "a", "b", "c"], ["train", "train", "val", "test"])

    assert [part.tolist() for part in parts(split)] == [[0, 1], [2], [3]]


def test_rows_name_repeat_fold_sample_subject_and_part():
    split = Split(np.array([0, 2]), np.array([], int), np.array([1]), repeat=1, fold=4)

    rows = split_rows([split], ["x", "y", "z"], ["s1", "s2", "s1"])

    assert [tuple(row[column] for column in SPLIT_COLUMNS) for row in rows] == [
        (1, 4, "x", "s1", "train"), (1, 4, "y", "s2", "test"), (1, 4, "z", "s1", "train")]  # fmt: skip


def folds_of(subjects: str, labels: str) -> list[Split]:
    return stratified_folds(list(subjects), list(labels), folds=3, seed=0)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: folds_of("abcdef", "xxxxyy"), "class 'y' has 2 subjects, fewer than the 3 folds"),
        (lambda: folds_of("abcdef", "xxxxxx"), "all 6 subjects are of class 'x'"),
        (lambda: folds_of("aabb", "xyxy"), "2 subjects are fewer than the 3 folds"),
        (lambda: folds_of("abc", "xy"), "3 subjects but 2 labels"),
        (lambda: holdout(list("aab"), list("xxy"), seed=0), "fewer than the 2 parts"),
        (lambda: holdout(list("abcd"), list("xxyy"), test=0.1, seed=0), "cannot set aside 0.1 of 4 subjects"),
        (lambda: redrawn_holdout(list("abcd"), list("xxyy"), train=0.5, seed=0), "do not sum to 1"),
        (lambda: leave_one_out(list("sss"), list("abc"), list("xyx")), "at least 2 groups, found 1"),
        (lambda: leave_one_out(list("sts"), list("aab"), list("xxy")), "subject 'a' has more than one site"),
        (lambda: given_split(list("ab"), ["train", "dev"]), "unknown part 'dev'"),
        (lambda: given_split(list("ab"), ["test", "test"]), "no sample is in 'train'"),
        (lambda: given_split(list("aa"), ["train", "test"]), "subject 'a' is in train and in test"),
    ],
)  # fmt: skip
def test_what_cannot_be_split_is_refused(call, named):
    with pytest.raises(InputError, match=named):
        call()


def test_a_sample_on_two_sides_is_refused():
    with pytest.raises(InputError, match="subject 'b' is in train and in validation"):
        check_split(Split(np.array([0, 1]), np.array([1]), np.array([2])), ["a", "b", "c"])
