"""Parameters of asd-transformer's stages, with the card's defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from medtools.core.params import Names, Params
from medtools.systems.asd_transformer.cohort import FOLDS, REDRAWS, SITES, SUBJECTS
from medtools.training.settings import FitSettings

_RAW = {"harmonise": "none", "weighting": "none", "interaction": "add", "readout": "softmax"}
_BY_MODEL: dict[str, dict[str, str]] = {
    "ours": {**_RAW, "harmonise": "train", "weighting": "efficiency"},
    "comtf": {**_RAW, "interaction": "global", "readout": "mlp"},
}


class DemoParams(Params):
    """The synthetic multi-site cohort of the card."""

    subjects: int = Field(SUBJECTS, ge=8, le=20_000, description="Subjects, half of them with ASD.")
    sites: int = Field(SITES, ge=1, le=50, description="Sites.")
    rois: int = Field(200, ge=16, le=400, description="ROIs, over eight communities in Craddock-200's proportions.")
    samples: int = Field(100, ge=3, le=10_000, description="Time points per ROI.")
    confounded: bool = Field(False, description="Share of ASD from 0.25 at the first site to 0.75 at the last.")
    effect: bool = Field(True, description="Plant the group difference; without it the groups are alike.")


class ConnectivityParams(Params):
    """From time series, or matrices of any format, to checked correlation matrices."""

    group: str = Field("group", description="Manifest column that names the group.")
    site: str = Field("site", description="Manifest column that names the site.")
    communities: Path | None = Field(
        None, description="Table with columns roi and community; default: communities.tsv beside the manifest."
    )
    series: Path | None = Field(None, description="Folder of the .1D files, where INPUT is ABIDE's phenotype table.")
    layout: Literal["auto", "tsv", "authors"] = Field("auto", description="Which axis is time, as for homology.")


class CommunitiesParams(Params):
    """Which functional network each ROI of an atlas lies in."""

    networks: Path = Field(description="Label image of the networks (NIfTI), in the same space, e.g. Yeo's seven.")


class ClassifierParams(FitSettings):
    """Training of one classifier."""

    group: str = Field("group", description="Manifest column that names the group.")
    site: str = Field("site", description="Manifest column that names the site.")
    task: str = Field("NC:ASD", description="The two groups, first:second; the second is the positive class.")
    communities: Path | None = Field(
        None, description="Table with columns roi and community; default: communities.tsv beside the manifest."
    )
    model: Literal[
        "ours", "comtf", "bnt", "brainnetcnn", "fbnetgen", "logistic-regression", "mean-fc", "site-only", "majority"
    ] = Field("ours", description="The paper's network, a row of its Table 1, or a simpler baseline.")
    harmonise: Literal["train", "all", "none"] | None = Field(
        None, description="ComBat fitted on the training part, on everyone (paper), or none; default: train for ours."
    )
    unseen: Literal["error", "pooled"] = Field(
        "error", description="Sites without training subjects: refuse, or leave their matrices as they are."
    )
    fisher_z: bool = Field(False, description="Fisher z of the correlations, before harmonisation.")
    weighting: Literal["efficiency", "none"] | None = Field(
        None, description="Multiply each row by its ROI's local efficiency; default: efficiency for ours."
    )
    density: float = Field(0.20, gt=0, le=1, description="Share of ROI pairs that are edges of the graph.")
    weighted_graph: bool = Field(False, description="Edges of length 1/r instead of 1.")
    interaction: Literal["add", "concat", "none", "global"] | None = Field(
        None, description="How prompts meet nodes between the encoders (ours, comtf); default: add, global for comtf."
    )
    readout: Literal["softmax", "mlp"] | None = Field(
        None, description="OCREAD by Eq. 9-10, or as in the base code (ours, comtf); default: softmax, mlp for comtf."
    )
    heads: int = Field(8, ge=1, description="Attention heads (ours, comtf); a divisor of the number of ROIs.")
    clusters: int = Field(8, ge=1, description="Cluster centres of OCREAD (ours, comtf).")
    dropout: float = Field(0.3, ge=0, lt=1, description="Dropout of the encoders (ours, comtf).")
    series_samples: int = Field(100, ge=4, description="Samples of each series that fbnetgen reads, from the first.")
    batch: int = Field(64, ge=1, description="Samples per step.")
    learning_rate: float = Field(1e-4, gt=0, description="Learning rate of Adam at the first step.")
    final_learning_rate: float = Field(1e-5, ge=0, description="Learning rate at the last step, by a cosine.")
    weight_decay: float = Field(1e-4, ge=0, description="Weight decay of Adam.")
    epochs: int = Field(50, ge=1, description="passes over the training data")
    monitor: str = Field("val_auroc", description="quantity that selection and early stopping look at")
    mode: Literal["min", "max"] = Field("max", description="whether the monitored quantity should fall or rise")
    keep: Literal["last", "best"] = Field("best", description="epoch whose weights become the model")
    protocol: Literal["paper", "cv", "site"] = Field(
        "paper",
        description="One training part, validation and test redrawn; repeated stratified folds; one site left out.",
    )
    stratify: Literal["site", "class", "site-class"] = Field(
        "site", description="What the parts of the paper's protocol keep the shares of."
    )
    repeats: int = Field(REDRAWS, ge=1, description="Redraws (paper), or repeats with new folds (cv).")
    folds: int = Field(FOLDS, ge=2, description="Folds of each repeat (cv).")
    inner_validation: float = Field(
        0.125, gt=0, lt=0.5, description="Share of each training part that chooses the epoch (cv, site, final model)."
    )

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_model(cls, values: Any) -> Any:
        """Fill in what depends on the model, so that the run folder says what was used."""
        given = {key: value for key, value in values.items() if not (key in _RAW and value is None)}
        return {**_BY_MODEL.get(values.get("model", "ours"), _RAW), **given}


class InferParams(Params):
    """Application of a trained classifier."""

    model: Path = Field(description="Run folder that `medtools train` wrote.")
    communities: Path | None = Field(
        None, description="Table with columns roi and community; default: communities.tsv beside the manifest."
    )


class ScoreParams(Params):
    """Scores of a run, over all folds."""

    resamples: int = Field(2000, ge=0, description="Bootstrap resamples of each interval; 0 leaves them out.")
    against: Path | None = Field(None, description="Run folder of another model on the same folds, to compare with.")
    published: Literal["auto", "none", "nle-only", "interaction-only"] = Field(
        "auto", description="Row of the paper's tables to set beside; auto: the row of the model."
    )


class ExplainParams(Params):
    """What a trained classifier, its harmonisation and its weighting rest on."""

    model: Path = Field(description="Run folder that `medtools train` wrote.")
    communities: Path | None = Field(
        None, description="Table with columns roi and community; default: communities.tsv beside the manifest."
    )
    against: Path | None = Field(None, description="Second run to draw the attention of, e.g. without weighting.")
    fold: str = Field("r1f1", description="Fold whose test subjects are looked at.")
    alpha: float = Field(0.05, gt=0, lt=1, description="Significance level of the node tests.")
    fdr: Literal["none", "bh"] = Field("none", description="Correction over the nodes: none (paper) or BH.")
    show_sites: Names = Field((), description="Sites to draw; default: the largest, the median and the smallest.")
