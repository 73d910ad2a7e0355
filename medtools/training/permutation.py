"""Label-permutation test: how often chance does as well as the method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from medtools.core.errors import InputError
from medtools.core.seeds import generator
from medtools.training.folds import map_folds


@dataclass(frozen=True)
class PermutationTest:
    """Result of a permutation test.

    Attributes
    ----------
    observed : float
        Score with the true labels.
    null : (permutations,) float64
        Scores with permuted labels.
    p : float
        (b + 1) / (n + 1), b of n permutations scoring at least as high (Phipson and Smyth 2010): never 0.
    """

    observed: float
    null: NDArray[np.float64]
    p: float


def permutation_test(
    score: Callable[[NDArray[np.generic]], float],
    labels: ArrayLike,
    *,
    seed: int,
    permutations: int = 200,
    subjects: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    threads: int = 1,
) -> PermutationTest:
    """Test whether a score could have come about with labels that mean nothing.

    Parameters
    ----------
    score : callable
        `score(labels)` runs the whole procedure, model selection included, and returns a number that is better when
        higher.
    labels : (samples,) array
        True labels.
    seed : int
        Of the permutations.
    permutations : int
        How many; the smallest p that n of them can give is 1 / (n + 1).
    subjects : (samples,) array, optional
        Labels move between subjects, all samples of a subject together.
    strata : (samples,) array, optional
        Labels move within strata only (site), which keeps their confounding with the label.
    threads : int
        Permutations scored side by side; the result does not depend on it.

    Raises
    ------
    InputError
        A subject with two labels or in two strata, one label only, or a score that is not a number.
    """
    truth = np.asarray(labels)
    if permutations < 1:
        raise InputError("permutations", f"expected at least 1, found {permutations}")
    if len(np.unique(truth)) < 2:
        raise InputError("labels", "all samples have the same label: nothing to permute")
    permuted = [
        _permute(truth, subjects, strata, generator(seed, "permutation", number)) for number in range(permutations)
    ]
    scores = np.array(map_folds(score, [truth, *permuted], threads=threads), dtype=np.float64)
    if not np.isfinite(scores).all():
        raise InputError("permutation test", f"score is {scores[~np.isfinite(scores)][0]} for some labels")
    observed, null = float(scores[0]), scores[1:]
    return PermutationTest(observed, null, float((np.sum(null >= observed) + 1) / (permutations + 1)))


def _permute(
    labels: NDArray[np.generic], subjects: ArrayLike | None, strata: ArrayLike | None, rng: np.random.Generator
) -> NDArray[np.generic]:
    """Exchange labels between the subjects of each stratum."""
    names = np.arange(len(labels)) if subjects is None else np.asarray(subjects)
    _, first, unit = np.unique(names, return_index=True, return_inverse=True)
    layer = (
        np.zeros(len(labels), dtype=int) if strata is None else np.unique(np.asarray(strata), return_inverse=True)[1]
    )
    for values, what in ((labels, "label"), (layer, "stratum")):
        mixed = np.flatnonzero(values[first][unit] != values)
        if len(mixed):
            raise InputError("subjects", f"subject {str(names[mixed[0]])!r} has more than one {what}")
    of_unit, layer_of_unit = labels[first].copy(), layer[first]
    for value in np.unique(layer_of_unit):
        members = np.flatnonzero(layer_of_unit == value)
        of_unit[members] = of_unit[rng.permutation(members)]
    return of_unit[unit]
