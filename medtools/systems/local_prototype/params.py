"""Parameters of local-prototype's stages, with the card's defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from medtools.core.params import Names, Params
from medtools.systems.local_prototype.cohort import HELD_OUT, QUERIES, SUPPORT, TRAIN
from medtools.training.settings import FitSettings

Trunk = Literal["resnet50", "efficientnet-lite0"]
_TRUNK = "Trunk of the encoder: the paper's, or a lighter one whose ImageNet weights a package has."
_WEIGHTS = "ImageNet weights: torchvision's of ResNet-50, or the published ones of EfficientNet-Lite0"

PublishedRow = Literal[
    "none", "ours", "added-classes", "panet", "senet",
    "alpha-1/16", "alpha-1/8", "alpha-1/4", "alpha-1", "no-overlap",
]  # fmt: skip


class DemoParams(Params):
    """The made abdomens of the card."""

    train: int = Field(TRAIN, ge=1, le=500, description="Volumes to train on.")
    queries: int = Field(QUERIES, ge=1, le=500, description="Volumes to segment.")
    size: int = Field(128, ge=64, le=512, description="Pixels along each side of a slice.")
    slices: int = Field(24, ge=4, le=200, description="Slices of each volume.")
    shift: int = Field(
        12, ge=0, le=64, description="Pixels by which queries are moved: up, down, left and right in turn."
    )


class PreprocessParams(Params):
    """From volumes and label maps to 8-bit slices."""

    size: int = Field(512, ge=32, le=1024, description="Pixels along each side of the slices (paper 512).")
    organs: Names = Field(
        (),
        description="name=value pairs of the label maps, e.g. liver=5,right kidney=2/kidney; behind the slash, what "
        "it is held out with. Default: organs.tsv beside the manifest.",
    )
    support: str = Field(SUPPORT, description="Volume that supports, in a folder of VISCERAL's layout.")


class HeadParams(Params):
    """How pixels are compared with prototypes."""

    alpha: float = Field(0.125, gt=0, le=1, description="Side of a cell as a share of the image; 1: global prototypes.")
    overlap: bool = Field(True, description="Cells half a cell apart instead of side by side.")
    vote: Literal["max", "mean", "last"] = Field("max", description="What cells over the same pixel decide by.")
    min_pixels: int | None = Field(
        None,
        ge=0,
        description="Pixels in a cell (of a slice of 512x512) up to which a class has no prototype; authors' code 10.",
    )


class TrainParams(HeadParams, FitSettings):
    """Training, one fold per held-out class."""

    held_out: Names = Field(HELD_OUT, description="Classes (groups of organs.tsv) to hold out, each in a fold.")
    train_organs: Names = Field((), description="Organs to train on; default: those of the other folds.")
    added_classes: bool = Field(False, description="Train on every organ that is not held out (the paper's last row).")
    authors: bool = Field(
        False, description="2,500 steps, rate down at 800, 1,600 and 2,400, --min-pixels 10, as the authors' code."
    )
    encoder: Trunk = Field("resnet50", description=_TRUNK)
    weights: Path | None = Field(None, description=f"{_WEIGHTS} (.pt, .safetensors); default: random start.")
    width: float = Field(1.0, gt=0, le=2, description="Scale of ResNet's widths and of the fused features.")
    temperature: float = Field(20.0, gt=0, description="Factor of the cosine in the softmax.")
    alignment: float = Field(0.0, ge=0, description="Weight of PANet's alignment regulariser; PANet: 1, with alpha 1.")
    shots: int = Field(1, ge=1, le=10, description="Support slices of an episode.")
    batch: int = Field(4, ge=1, description="Episodes per step.")
    iterations: int | None = Field(
        None, ge=1, description="Steps in all, rounded up to fill --epochs; paper 10,000, authors' code 2,500."
    )
    epochs: int = Field(20, ge=1, description="Rows of metrics.csv among which the steps are divided.")
    learning_rate: float = Field(1e-3, gt=0, description="Learning rate of SGD; times 0.1 after each quarter.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of SGD.")
    weight_decay: float = Field(5e-4, ge=0, description="Weight decay of SGD.")
    augment: bool = Field(True, description="Random brightness, contrast and gamma.")
    select: Literal["last", "training", "test"] = Field(
        "last", description="Weights to keep: the last, the best on training classes, or (optimistic) on the test."
    )


class InferParams(Params):
    """Segmentation of query volumes by supports."""

    model: Path | None = Field(None, description="Run folder that `medtools train` wrote; needed by --method network.")
    method: Literal["network", "pretrained", "intensity", "copy-mask"] = Field(
        "network",
        description="The trained network; features of ImageNet weights as they are (--encoder, --weights); a fixed "
        "encoder of grey levels; or the support's mask as it is.",
    )
    encoder: Trunk = Field("resnet50", description="For --method pretrained. " + _TRUNK)
    weights: Path | None = Field(None, description=f"For --method pretrained. {_WEIGHTS}.")
    organs: Names = Field((), description="Organs to segment; default: the held-out classes of the run, or all.")
    support: Names = Field((), description="Volumes that support, several for several shots; default: split support.")
    range: Literal["truth", "full", "file"] = Field(
        "truth", description="Slices of a query to segment: those with the organ (the paper's oracle), all, --ranges."
    )
    ranges: Path | None = Field(None, description="Table with id, organ, first, last (slices from the head, from 0).")
    chunks: int = Field(12, ge=1, description="Parts into which the organ's slices are cut.")
    alpha: float | None = Field(None, gt=0, le=1, description="As in training; default: as trained, or 0.125.")
    overlap: bool | None = Field(None, description="As in training; default: as trained, or yes.")
    vote: Literal["max", "mean", "last"] | None = Field(None, description="As in training; default: as trained.")


class ScoreParams(Params):
    """Dice of segmentations."""

    predictions: Path = Field(description="Folder that `medtools infer` wrote.")
    against: Path | None = Field(None, description="Segmentations by another method, to compare with.")
    resamples: int = Field(2000, ge=100, le=100_000, description="Bootstrap resamples of the intervals.")
    published: PublishedRow = Field(
        "none", description="Row of the paper's Table 1 or of its ablation to set beside (VISCERAL only)."
    )


class ExplainParams(Params):
    """Which cell decided, and how sure it was."""

    model: Path | None = Field(None, description="Run folder that `medtools train` wrote; default: --weights alone.")
    encoder: Trunk = Field("resnet50", description="Without --model. " + _TRUNK)
    weights: Path | None = Field(None, description=f"Without --model. {_WEIGHTS}.")
    organ: str = Field(
        "", description="Organ; default: the first held-out one; without --model the first that both show."
    )
    query: str = Field("", description="Query volume; default: the first.")
    support: str = Field("", description="Support volume; default: split support.")


class ReproduceParams(Params):
    """The paper's rows for a cohort."""

    rows: Names = Field(
        ("ours", "added-classes", "panet", "copy-mask"),
        description="Rows: ours, added-classes, panet (Table 1); copy-mask, intensity, pretrained, "
        "pretrained-global (nothing trained; the last two need --weights); alpha-1/16, "
        "alpha-1/8, alpha-1/4, alpha-1, no-overlap (Figure 3, each trained so); vote-mean, vote-last, shots-5.",
    )
    held_out: Names = Field(HELD_OUT, description="As for `medtools train`.")
    encoder: Trunk = Field("resnet50", description="As for `medtools train`.")
    weights: Path | None = Field(None, description="As for `medtools train`.")
    width: float = Field(1.0, gt=0, le=2, description="As for `medtools train`.")
    temperature: float = Field(20.0, gt=0, description="As for `medtools train`.")
    batch: int = Field(4, ge=1, description="As for `medtools train`.")
    iterations: int | None = Field(None, ge=1, description="As for `medtools train`.")
    epochs: int = Field(20, ge=1, description="As for `medtools train`.")
    learning_rate: float = Field(1e-3, gt=0, description="As for `medtools train`.")
    augment: bool = Field(True, description="As for `medtools train`.")
    resamples: int = Field(2000, ge=100, le=100_000, description="Bootstrap resamples of the intervals.")
