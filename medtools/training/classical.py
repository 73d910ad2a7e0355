"""Baselines from scikit-learn, fitted within the training part of the same splits as the networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from medtools.core.errors import InputError
from medtools.core.seeds import child_seed
from medtools.training.splits import Split

Baseline = Literal["majority", "logistic-regression", "random-forest"]
BASELINES: tuple[Baseline, ...] = ("majority", "logistic-regression", "random-forest")


class PruneCorrelated(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Drop every column whose |Pearson r| with an earlier, kept or dropped, column exceeds `limit`.

    Parameters
    ----------
    limit : float
        In (0, 1].
    """

    def __init__(self, limit: float = 0.9) -> None:
        self.limit = limit

    def fit(self, features: NDArray[np.floating], labels: Any = None) -> PruneCorrelated:
        """Choose the columns from the training samples, (samples, columns); constant columns are kept."""
        centred = features - features.mean(axis=0)
        norms = np.linalg.norm(centred, axis=0)
        unit = centred / np.where(norms > 0, norms, 1.0)
        self.kept_ = np.array(
            [not (np.abs(unit[:, :column].T @ unit[:, column]) > self.limit).any() for column in range(unit.shape[1])]
        )
        return self

    def transform(self, features: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the kept columns."""
        return features[:, self.kept_]


def make_baseline(name: Baseline, *, seed: int, prune: float | None = None) -> Pipeline:
    """Return an unfitted baseline; scaling and pruning are part of it, so a fold fits them on its training part.

    Parameters
    ----------
    name : str
        `majority` (class shares of the training part), `logistic-regression` (L2, C=1) or `random-forest` (500 trees).
    seed : int
        Of the forest's draws.
    prune : float, optional
        Limit of `PruneCorrelated`.

    Raises
    ------
    InputError
        Unknown name.
    """
    state = child_seed(seed, name, bits=32)
    models = {
        "majority": DummyClassifier(strategy="prior"),
        "logistic-regression": LogisticRegression(max_iter=5000),
        # One job: with several, the sum over trees takes another order each time.
        "random-forest": RandomForestClassifier(500, random_state=state, n_jobs=1),
    }
    if name not in models:
        raise InputError("baseline", f"unknown baseline {name!r}", f"known: {', '.join(models)}")
    steps = [] if prune is None else [PruneCorrelated(prune)]
    return make_pipeline(*steps, StandardScaler(), models[name])


def fit_predict(
    estimator: Pipeline, features: ArrayLike, labels: ArrayLike, split: Split, classes: Sequence[Any]
) -> NDArray[np.float64]:
    """Fit on a split's training and validation samples and return class probabilities of its test samples.

    Parameters
    ----------
    estimator : Pipeline
        As made by `make_baseline`; fitted in place.
    features : (samples, columns) array
        Finite numbers.
    labels : (samples,) array
        Class of each sample.
    split : Split
        A baseline has nothing to choose, so validation samples serve for training too.
    classes : sequence
        Order of the returned columns; a class without training samples has probability 0.

    Returns
    -------
    (test samples, classes) float64

    Raises
    ------
    InputError
        A feature that is not a number, or a training part of one class.
    """
    table, truth = np.asarray(features, dtype=np.float64), np.asarray(labels)
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        raise InputError("features", f"sample {row}, column {column} is {table[row, column]}")
    rows = np.concatenate([split.train, split.validation])
    if len(np.unique(truth[rows])) < 2:
        raise InputError("split", f"the training part of fold {split.fold} holds one class only")
    # Threads of a linear-algebra library change the order of sums.
    with threadpool_limits(1):
        estimator.fit(table[rows], truth[rows])
        found = estimator.predict_proba(table[split.test])
    columns = list(classes)
    probabilities = np.zeros((len(split.test), len(columns)))
    probabilities[:, [columns.index(name) for name in estimator.classes_]] = found
    return probabilities
