"""Splits into training, validation and test parts: by subject, always.

Indices number samples. All samples of a subject fall on one side, whatever the scheme; a caller who wants the leak of
splitting single slices has to say so, by passing each slice as a subject of its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, StratifiedShuffleSplit

from medtools.core.errors import InputError
from medtools.core.seeds import child_seed

Indices = NDArray[np.int64]
PARTS = ("train", "validation", "test")
SPLIT_COLUMNS = ("repeat", "fold", "id", "subject", "split")


@dataclass(frozen=True)
class Split:
    """One division of the samples.

    Attributes
    ----------
    train, validation, test : (n,) int64
        Sample numbers, ascending.
    repeat, fold : int
        Its place in the scheme, from 0.
    held_out : str
        Name of the site or subject that is left out, where the scheme leaves one out.
    """

    train: Indices
    validation: Indices
    test: Indices
    repeat: int = 0
    fold: int = 0
    held_out: str = field(default="")


def everyone(samples: int) -> Split:
    """Return the division of a final network: all samples train, none are left to test it."""
    rows = np.arange(samples)
    return Split(train=rows, validation=rows[:0], test=rows[:0])


def stratified_folds(
    subjects: ArrayLike, labels: ArrayLike, *, folds: int = 5, repeats: int = 1, seed: int, validation: float = 0.0
) -> list[Split]:
    """Repeated k-fold cross-validation, class shares kept, each repeat with a shuffle of its own.

    Parameters
    ----------
    subjects : (samples,) array
        Subject of each sample.
    labels : (samples,) array
        Class of each sample.
    folds, repeats : int
        Test folds per repeat, and repeats.
    seed : int
        Of the shuffles.
    validation : float
        Share of the training subjects set aside for choices (inner validation), class shares kept.

    Raises
    ------
    InputError
        A class with fewer subjects than folds, or one class only.
    """
    units = _Units.of(subjects, labels)
    units.require(folds, "folds")
    splits = []
    for repeat in range(repeats):
        state = child_seed(seed, "folds", repeat, bits=32)
        for fold, (rest, test) in enumerate(units.folds(folds, state)):
            splits.append(units.split(rest, test, validation, child_seed(state, fold, bits=32), repeat, fold))
    return splits


def holdout(subjects: ArrayLike, labels: ArrayLike, *, test: float = 0.2, validation: float = 0.0, seed: int) -> Split:
    """Divide once, as most papers do, class shares kept.

    The seed goes to scikit-learn's StratifiedShuffleSplit as it is, for the test part and again for the validation
    part (a share of what remains): a paper's `random_state` gives the paper's split.

    Raises
    ------
    InputError
        A class with fewer than two subjects, or a part too small to hold every class.
    """
    units = _Units.of(subjects, labels)
    units.require(2, "parts")
    rest, chosen = units.shuffle_split(np.arange(len(units.names)), test, seed)
    return units.split(rest, chosen, validation, seed, 0, 0)


def redrawn_holdout(
    subjects: ArrayLike,
    strata: ArrayLike,
    *,
    train: float = 0.7,
    validation: float = 0.1,
    test: float = 0.2,
    redraws: int = 5,
    seed: int,
) -> list[Split]:
    """One fixed training part; validation and test drawn anew from the rest each time.

    Parameters
    ----------
    subjects, strata : (samples,) array
        Subject of each sample, and what to keep the shares of (site, class).
    train, validation, test : float
        Shares of the subjects; they sum to 1.
    redraws : int
        How many splits to return.
    seed : int
        The training part takes it as it is, the redraws take derived seeds.
    """
    if not np.isclose(train + validation + test, 1.0):
        raise InputError("split", f"shares {train}, {validation} and {test} do not sum to 1")
    units = _Units.of(subjects, strata)
    fixed, rest = units.shuffle_split(np.arange(len(units.names)), validation + test, seed)
    share = test / (validation + test)
    splits = []
    for repeat in range(redraws):
        inner, chosen = units.shuffle_split(rest, share, child_seed(seed, "redraw", repeat, bits=32))
        splits.append(Split(units.samples(fixed), units.samples(inner), units.samples(chosen), repeat))
    return splits


def leave_one_out(
    groups: ArrayLike, subjects: ArrayLike, labels: ArrayLike, *, seed: int = 0, validation: float = 0.0
) -> list[Split]:
    """Leave out one group (site, or subject) after another.

    Parameters
    ----------
    groups : (samples,) array
        Site of each sample, or `subjects` again for leave-one-subject-out.
    subjects, labels : (samples,) array
        Subject and class of each sample.
    seed, validation
        As for `stratified_folds`.

    Raises
    ------
    InputError
        Fewer than two groups, or a subject in two groups.
    """
    units = _Units.of(subjects, labels)
    of_unit = units.common(np.asarray(groups), "site")
    names = np.unique(of_unit)
    if len(names) < 2:
        raise InputError("split", f"leaving one out needs at least 2 groups, found {len(names)}")
    return [
        units.split(
            np.flatnonzero(of_unit != name), np.flatnonzero(of_unit == name), validation,
            child_seed(seed, "left out", fold, bits=32), 0, fold, str(name),
        )
        for fold, name in enumerate(names)
    ]  # fmt: skip


def given_split(subjects: ArrayLike, parts: Sequence[str]) -> Split:
    """Use the division that a manifest's `split` column gives.

    Raises
    ------
    InputError
        Another word than train, validation (or val) and test, no training sample, or a subject in two parts.
    """
    words = np.asarray(["validation" if part == "val" else part for part in parts])
    unknown = sorted(set(words.tolist()) - set(PARTS))
    if unknown:
        raise InputError("column 'split'", f"unknown part {unknown[0]!r}", f"known: {', '.join(PARTS)}")
    train, validation, test = (np.flatnonzero(words == part) for part in PARTS)
    if not len(train):
        raise InputError("column 'split'", "no sample is in 'train'")
    split = Split(train, validation, test)
    check_split(split, subjects)
    return split


def check_split(split: Split, subjects: ArrayLike) -> None:
    """Refuse a split in which a sample or a subject is on two sides.

    Raises
    ------
    InputError
        Naming the subject and the parts.
    """
    names = np.asarray(subjects).astype(str)
    seen: dict[str, str] = {}
    for part in PARTS:
        here = set(names[getattr(split, part)].tolist())
        crossing = sorted(here & seen.keys())
        if crossing:
            raise InputError("split", f"subject {crossing[0]!r} is in {seen[crossing[0]]} and in {part}")
        seen |= dict.fromkeys(here, part)


def split_rows(splits: Sequence[Split], ids: Sequence[str], subjects: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of `splits.tsv` (columns SPLIT_COLUMNS): one per split and sample, in sample order."""
    rows = []
    for split in splits:
        part = {int(index): name for name in PARTS for index in getattr(split, name)}
        rows += [
            {"repeat": split.repeat, "fold": split.fold, "id": ids[i], "subject": subjects[i], "split": part[i]}
            for i in sorted(part)
        ]
    return rows


@dataclass(frozen=True)
class _Units:
    """Subjects, numbered in order of first appearance, each with a class and its samples."""

    names: NDArray[Any]
    number: Indices
    labels: NDArray[Any]
    sample_labels: NDArray[Any]

    @classmethod
    def of(cls, subjects: ArrayLike, labels: ArrayLike) -> _Units:
        subject, label = np.asarray(subjects), np.asarray(labels)
        if subject.shape != label.shape or subject.ndim != 1:
            raise InputError("split", f"{subject.shape[0]} subjects but {label.shape[0]} labels")
        names, first, inverse = np.unique(subject, return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        return cls(names[order], rank[inverse], label[np.sort(first)], label)

    @property
    def uniform(self) -> bool:
        """Whether all samples of each subject share a class."""
        return bool((self.labels[self.number] == self.sample_labels).all())

    def common(self, values: NDArray[Any], what: str) -> NDArray[Any]:
        """Return one value per subject, refusing subjects with two."""
        of_unit = np.empty(len(self.names), dtype=values.dtype)
        of_unit[self.number] = values
        differing = np.flatnonzero(of_unit[self.number] != values)
        if len(differing):
            subject = self.names[self.number[differing[0]]]
            raise InputError("split", f"subject {str(subject)!r} has more than one {what}")
        return of_unit

    def require(self, least: int, what: str) -> None:
        """Refuse data of one class, and classes with fewer subjects than parts."""
        classes, counts = np.unique(self.labels, return_counts=True)
        if self.uniform and len(classes) < 2:
            raise InputError("split", f"all {len(self.names)} subjects are of class {str(classes[0])!r}")
        if len(self.names) < least:
            raise InputError("split", f"{len(self.names)} subjects are fewer than the {least} {what}")
        rare = int(np.argmin(counts))
        if self.uniform and counts[rare] < least:
            held = f"{counts[rare]} subject{'' if counts[rare] == 1 else 's'}"
            few = f"class {str(classes[rare])!r} has {held}, fewer than the {least} {what}"
            raise InputError(
                "split", few, "add subjects, or ask for fewer folds" if what == "folds" else "add subjects"
            )

    def folds(self, count: int, state: int) -> list[tuple[Indices, Indices]]:
        """Divide subjects into folds; where a subject's samples differ in class, by the samples' classes."""
        if self.uniform:
            chooser = StratifiedKFold(count, shuffle=True, random_state=state)
            return list(chooser.split(self.names, self.labels))
        grouped = StratifiedGroupKFold(count, shuffle=True, random_state=state)
        parts = grouped.split(self.sample_labels, self.sample_labels, self.number)
        return [(np.unique(self.number[rest]), np.unique(self.number[test])) for rest, test in parts]

    def shuffle_split(self, among: Indices, share: float, state: int) -> tuple[Indices, Indices]:
        """Divide some subjects in two; the second part is about `share` of them."""
        # Sizes are rounded up, but not because 0.1 + 0.2 is a little over 0.3 in binary.
        size = math.ceil(round(share * len(among), 9))
        try:
            chooser = StratifiedShuffleSplit(1, test_size=size, random_state=state)
            first, second = next(chooser.split(among, self.labels[among]))
        except ValueError as error:
            raise InputError("split", f"cannot set aside {share:g} of {len(among)} subjects: {error}") from error
        return among[first], among[second]

    def split(
        self, rest: Indices, test: Indices, validation: float, state: int, repeat: int, fold: int, held_out: str = ""
    ) -> Split:
        """Turn subjects into samples, after setting inner validation subjects aside."""
        inner: Indices = np.empty(0, dtype=np.int64)
        if validation:
            rest, inner = self.shuffle_split(rest, validation, state)
        return Split(self.samples(rest), self.samples(inner), self.samples(test), repeat, fold, held_out)

    def samples(self, units: Indices) -> Indices:
        """Return the samples of some subjects, ascending."""
        return np.flatnonzero(np.isin(self.number, units))
