"""Parameters of mci-homology's own stages, with the card's defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from medtools.core.params import Integers, Names, Params
from medtools.systems.mci_homology.cohort import FOLDS, PER_GROUP, PERMUTATIONS, REPEATS
from medtools.training.settings import FitSettings


class DemoParams(Params):
    """The synthetic cohort of the card."""

    rois: int = Field(34, description="ROIs: a network's size (18, 21, 22, 32, 33, 34), or 160 for all six networks.")
    per_group: int = Field(PER_GROUP, ge=1, le=5000, description="Subjects in each of HC, EMCI and LMCI.")
    samples: int = Field(187, ge=8, le=100_000, description="Samples per series.")
    effect: bool = Field(True, description="Plant the group differences; without them the groups are alike.")
    bold: bool = Field(
        False, description="Write the series as 4-D runs of moving heads (BIDS), for `medtools preprocess fmri`."
    )


class StatsParams(Params):
    """Group comparison of PR matrices."""

    homology: Path = Field(Path("homology"), description="Folder that `medtools homology` wrote.")
    group: str = Field("group", description="Manifest column that names the group.")
    comparisons: Names = Field((), description="Pairs first:second, e.g. HC:EMCI,HC:LMCI; default: every two groups.")
    networks: Names = Field((), description="Networks to test; default: all that were computed.")
    alpha: float = Field(0.01, gt=0, lt=1, description="Significance level of each pair.")
    fdr: Literal["none", "bh"] = Field(
        "none", description="Correction over the pairs: none as in the paper, or Benjamini-Hochberg."
    )


class ClassifierParams(FitSettings):
    """Training of one classifier: one network, one homology dimension, one task."""

    homology: Path = Field(Path("homology"), description="Folder that `medtools homology` wrote.")
    group: str = Field("group", description="Manifest column that names the group.")
    network: str = Field("DMN", description="Network whose PR matrices are classified.")
    dim: int = Field(0, ge=0, le=2, description="Homology dimension.")
    task: str = Field("HC:EMCI", description="The two groups, first:second; the second is the positive class.")
    features: Literal["pr", "fc"] = Field("pr", description="PR matrices, or Pearson correlation of the series.")
    model: Literal["cnn", "densenet121", "random-forest", "logistic-regression", "majority"] = Field(
        "cnn", description="The paper's network, or a baseline."
    )
    head: Literal["paper", "authors"] = Field("paper", description="Layers after the branches (cnn).")
    branches: Literal["both", "1d", "2d"] = Field("both", description="Both branches, or one as an ablation (cnn).")
    batch: int = Field(64, ge=1, description="Samples per step.")
    learning_rate: float = Field(1e-3, gt=0, description="Learning rate of Adam.")
    prune_corr: float | None = Field(
        None, gt=0, le=1, description="Drop columns correlated above this to an earlier one (classical baselines)."
    )
    protocol: Literal["cv", "paper", "permutation"] = Field(
        "cv", description="Repeated stratified folds; one 80-20 split; or cv scores under permuted labels."
    )
    folds: int = Field(FOLDS, ge=2, description="Folds of each repeat.")
    repeats: int = Field(REPEATS, ge=1, description="Repeats with new folds (cv).")
    permutations: int = Field(PERMUTATIONS, ge=1, description="Label permutations (permutation).")
    inner_validation: float = Field(
        0.0, ge=0, lt=0.5, description="Share of each training part that chooses the epoch; 0: the last epoch."
    )


class InferParams(Params):
    """Application of a trained classifier."""

    homology: Path = Field(Path("homology"), description="Folder that `medtools homology` wrote for these subjects.")
    model: Path = Field(description="Run folder that `medtools train` wrote.")


class ScoreParams(Params):
    """Scores of a run, over all folds."""

    resamples: int = Field(2000, ge=0, description="Bootstrap resamples of each interval; 0 leaves them out.")
    published: Literal["none", "ADNI", "TLSA"] = Field("ADNI", description="Published row to set beside the scores.")


class ReproduceParams(Params):
    """The paper's tables for a cohort."""

    homology: Path = Field(Path("homology"), description="Folder that `medtools homology` and `ps` wrote.")
    group: str = Field("group", description="Manifest column that names the group.")
    models: Names = Field(("cnn", "densenet121", "random-forest"), description="Classifiers to compare.")
    tasks: Names = Field((), description="Pairs first:second; default: every two groups.")
    networks: Names = Field((), description="Networks; default: all that were computed.")
    dims: Integers = Field((0, 1, 2), description="Homology dimensions.")
    protocol: Literal["cv", "paper"] = Field("cv", description="Repeated folds, or the paper's single split.")
    folds: int = Field(5, ge=2, description="Folds of each repeat.")
    repeats: int = Field(5, ge=1, description="Repeats with new folds (cv).")
    epochs: int = Field(100, ge=1, description="Epochs of the networks.")
    published: Literal["none", "ADNI", "TLSA"] = Field("ADNI", description="Published columns to set beside.")
