"""Parameters of ad-lite-net's stages, with the card's defaults."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from medtools.core.params import Integers, Names, Params
from medtools.systems.ad_lite_net.cohort import CLASSICAL, FOLDS, PRESETS, SLICES
from medtools.training.settings import FitSettings

ModelName = Literal[
    "ad-lite", "2d-m2ic", "msc-net-se", "densenet-121", "vgg-16", "xception", "mobilenet", "pit-ti",
    "efficientnet-lite0", "logistic-regression", "majority",
]  # fmt: skip
Preset = Literal["ad", "adni", "oasis", "ten-fold"]


def _class_weights(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        name, separator, number = text.partition("=")
        try:
            fine = bool(name and separator) and 0 < float(number) < math.inf
        except ValueError:
            fine = False
        if not fine:
            raise ValueError("expected NAME=WEIGHT, a positive number")
    return value


ClassWeights = Annotated[Names, AfterValidator(_class_weights)]


class DemoParams(Params):
    """The synthetic cohort of the card: heads with more or less atrophy."""

    scale: int = Field(1, ge=1, le=1000, description="Multiples of 24, 17, 10 and 5 subjects per class.")
    slices: int = Field(SLICES, ge=1, le=100, description="Slices per subject.")
    size: int = Field(64, ge=32, le=1024, description="Side of the images, in pixels.")
    atrophy_sd: float = Field(
        0.05, ge=0, le=1, description="Spread of atrophy within a class: 0.05 separable, 0.2 overlapping."
    )
    texture: float = Field(
        0.06, ge=0, le=1, description="Strength of each subject's texture, by which slices of one subject can be told."
    )


class NetworkParams(Params):
    """What builds the network."""

    model: ModelName = Field(
        "ad-lite", description="The paper's network, a row of its Table 1, EfficientNet-Lite0, or a baseline."
    )
    pcb: bool = Field(True, description="Parallel concatenation block (ad-lite); without it, Table 2's ablation.")
    depthwise: int = Field(2, ge=0, le=4, description="Depthwise layers (ad-lite): 2, or 0 as in the ADNI notebook.")
    separable: bool = Field(False, description="1x1 convolution after each depthwise one (ad-lite).")
    tx: Literal["negate", "invert", "none"] = Field(
        "negate", description="Transformation layer (ad-lite): -0.8 x as in the code, 0.8 (255 - x) as in Eq. 5, none."
    )
    filters: Integers = Field((32, 64), description="Filters of the parallel block's convolutions (ad-lite).")
    dense: int = Field(0, ge=0, le=4096, description="Units of a hidden layer before the output (ad-lite); 0: none.")
    bn_momentum: float = Field(
        0.01, gt=0, le=1, description="Batch-norm momentum: 0.01 is Keras' 0.99; 0.1 suits small sets."
    )

    @field_validator("filters")
    @classmethod
    def _two_filters(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(value) != 2 or min(value) < 1:
            raise ValueError("expected two positive numbers")
        return value


class TrainParams(FitSettings, NetworkParams):
    """Training of one classifier."""

    label: str = Field("label", description="Manifest column that names the class.")
    classes: Names = Field((), description="Classes, in the order of the output; default: sorted.")
    preset: Preset = Field(
        "ad", description="Data set whose epochs, decay and protocol are the defaults: 18, 15, 7 or 15 epochs."
    )
    weights: Path | None = Field(
        None,
        description="Pretrained trunk: densenet-121 and vgg-16 by torchvision's names; efficientnet-lite0 as "
        "published; xception, mobilenet and pit-ti by the names of this package only. Default: scratch.",
    )
    size: int = Field(224, ge=32, le=1024, description="Side to which images are resampled, in pixels.")
    split: Literal["subject", "slice"] = Field(
        "subject",
        description="Keep a subject's images in one part; or split images, as the paper, which inflates scores.",
    )
    protocol: Literal["holdout", "cv"] = Field("holdout", description="One 80/20 division, or cross-validation.")
    folds: int = Field(FOLDS, ge=2, description="Folds (cv).")
    test: float = Field(0.2, gt=0, lt=0.9, description="Share of the test part (holdout).")
    inner_validation: float = Field(0.2, ge=0, lt=0.9, description="Share of the rest that validates; 0 for none.")
    split_seed: int = Field(43, ge=0, lt=2**32, description="Seed of the division (paper); --seed is for weights.")
    class_weights: ClassWeights = Field((), description="Weights of the loss, e.g. Mild=0.26,Non=0.24; default: none.")
    batch: int = Field(64, ge=1, description="Images per step.")
    learning_rate: float = Field(9.5e-4, gt=0, description="Learning rate of Adam.")
    decay: float = Field(0.95, gt=0, le=1, description="Factor of the learning rate per epoch, once decay begins.")
    decay_from: int | None = Field(8, ge=0, description="Epoch, from 0, at which decay begins; null: never.")
    epochs: int = Field(18, ge=1, description="passes over the training data")
    final: bool = Field(True, description="Also train on everyone the model that `medtools infer` applies.")

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_preset(cls, values: Any) -> Any:
        return {**PRESETS.get(values.get("preset", "ad"), {}), **values}

    @model_validator(mode="after")
    def _weights_are_of_a_network(self) -> Self:
        if self.model in CLASSICAL and self.class_weights:
            raise ValueError(f"class_weights are for networks, {self.model} has no loss to weight")
        return self


class InferParams(Params):
    """Application of a trained classifier."""

    model: Path = Field(description="Run folder that `medtools train` wrote, or one of its folds.")
    batch: int = Field(64, ge=1, description="Images per step.")


class ScoreParams(Params):
    """Scores of a run over all folds, or of predictions for labelled images."""

    resamples: int = Field(2000, ge=0, description="Bootstrap resamples of each interval; 0 leaves them out.")
    published: Literal["none", "ad", "adni", "oasis", "ten-fold"] = Field(
        "none", description="Data set whose published row to set beside, if it is the one at hand."
    )


class ExplainParams(Params):
    """What a trained classifier looks at."""

    model: Path = Field(description="Run folder that `medtools train` wrote.")
    fold: str = Field("r1f1", description="Fold whose test images are looked at.")
    images: int = Field(3, ge=1, le=20, description="Images drawn per class.")
    embedding: Literal["pca", "umap"] = Field("pca", description="How features are laid out in the plane.")


class ReproduceParams(Params):
    """The paper's tables for a cohort."""

    label: str = Field("label", description="Manifest column that names the class.")
    preset: Preset = Field("ad", description="Data set whose settings and published rows are used.")
    rows: Names = Field(
        ("ad-lite", "no-pcb", "2d-m2ic", "msc-net-se", "densenet-121", "logistic-regression", "majority"),
        description="Rows: models of Table 1, pit-ti-50 (50 epochs), no-pcb (Table 2), efficientnet-lite0, or an "
        "ablation: tx-none, tx-invert, depthwise-0, depthwise-1, filters-16-32, filters-16-64, filters-48-64, "
        "dense-16, separable.",
    )
    weights: Names = Field((), description="Pretrained trunks, e.g. vgg-16=vgg16.pt; rows without start from scratch.")
    class_weights: ClassWeights = Field((), description="Weights of every network's loss, as for `medtools train`.")
    split: Literal["subject", "slice"] = Field("subject", description="As for `medtools train`.")
    folds: int = Field(FOLDS, ge=2, description="Folds (preset ten-fold).")
    size: int = Field(224, ge=32, le=1024, description="Side to which images are resampled, in pixels.")
    batch: int = Field(64, ge=1, description="Images per step.")
    epochs: int | None = Field(
        None, ge=1, description="Passes over the training data; default: the preset's, 20 for 2d-m2ic."
    )
    bn_momentum: float = Field(0.01, gt=0, le=1, description="Batch-norm momentum of every network.")
