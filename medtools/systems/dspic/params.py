"""Parameters of dspic's stages, with the card's defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from medtools.core.params import Integers, Names, Params
from medtools.systems.dspic.cohort import FOLDS
from medtools.training.settings import FitSettings

ModelName = Literal[
    "dspic-am", "dspic-rm", "dspic", "si-clf", "si-clf-am", "si-clf-rm", "si-clf-am-rm", "alexnet",
    "logistic-regression", "majority",
]  # fmt: skip


class DemoParams(Params):
    """The synthetic bone scans of the card."""

    patients: float = Field(1.0, gt=0, le=100, description="Multiples of 40 N, 40 M, 40 A and 8 MA patients.")
    scale: int = Field(4, ge=1, le=8, description="Pixels of 1024 by 256 that become one.")


class SizeParams(Params):
    """What the network's images are."""

    height: int = Field(1024, ge=31, le=4096, description="Rows of the images, to which they are resampled.")
    width: int = Field(256, ge=31, le=4096, description="Columns of the images.")


class GeometryParams(Params):
    """How augmentation moves images."""

    shifts: Integers = Field((4, 8), description="Shifts of geometric copies, in pixels of an image 1024 high.")
    degrees: Integers = Field((3, 5), description="Turns of geometric copies, in degrees.")
    gan_epochs: int = Field(200, ge=1, description="Passes over a class's images in training its DCGAN.")

    @field_validator("shifts", "degrees")
    @classmethod
    def _positive(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1:
            raise ValueError("expected positive whole numbers")
        return value


class AugmentParams(SizeParams, GeometryParams):
    """A data set as large as the paper's D_2 or D_3."""

    mode: Literal["geometry", "dcgan"] = Field("geometry", description="D_2 by geometry, D_3 by a DCGAN per class.")
    label: str = Field("label", description="Manifest column with N, M, A or MA.")


class NetworkParams(Params):
    """What builds the network."""

    model: ModelName = Field("dspic-am", description="dSPIC with attention, residual or no module; a row of Table 7.")
    pools: bool = Field(True, description="The two poolings (dspic); without them, Table 9's ablation.")
    pad34: int = Field(3, ge=0, le=3, description="Padding of the third and fourth convolution (dspic), as printed.")
    head_pool: str = Field(
        "12x3",
        description="Cells to which maps are averaged before the dense layers (dspic, alexnet); none as printed.",
    )
    eq6: Literal["cbam", "literal"] = Field(
        "cbam", description="Spatial attention on refined features, or on the raw ones as Eq. 6 prints."
    )

    @field_validator("head_pool")
    @classmethod
    def _is_grid(cls, value: str) -> str:
        rows, _, columns = value.partition("x")
        if value != "none" and not (rows.isdigit() and columns.isdigit() and int(rows) and int(columns)):
            raise ValueError("expected ROWSxCOLUMNS or none")
        return value

    @property
    def grid(self) -> tuple[int, int] | None:
        """Cells of the head pooling."""
        rows, _, columns = self.head_pool.partition("x")
        return None if self.head_pool == "none" else (int(rows), int(columns))


class TrainParams(FitSettings, SizeParams, GeometryParams, NetworkParams):
    """Training of one classifier."""

    label: str = Field("label", description="Manifest column with N, M, A or MA.")
    augment: Literal["none", "geometry", "dcgan"] = Field(
        "none", description="Add copies or made images to the diseased classes: D_1, D_2, D_3."
    )
    split: Literal["patient", "paper"] = Field(
        "patient",
        description="Divide patients and augment the training part only; or augment, then divide images, as the "
        "paper, which puts copies of test images into training.",
    )
    protocol: Literal["holdout", "cv"] = Field("holdout", description="One 70/30 division, or cross-validation.")
    folds: int = Field(FOLDS, ge=2, description="Folds (cv).")
    test: float = Field(0.3, gt=0, lt=0.9, description="Share of the test part (holdout).")
    inner_validation: float = Field(
        0.0,
        ge=0,
        lt=0.9,
        description="Share of the rest on which the threshold of `called both` is chosen; 0 as paper.",
    )
    batch: int = Field(8, ge=1, description="Images per step.")
    learning_rate: float = Field(1e-4, gt=0, description="Learning rate of Adam.")
    epochs: int = Field(300, ge=1, description="passes over the training data")
    final: bool = Field(True, description="Also train on everyone the model that `medtools infer` applies.")


class ReproduceParams(SizeParams, GeometryParams):
    """The paper's tables for a cohort."""

    rows: Names = Field(
        ("am-d1", "am-d2", "rm-d1", "rm-d2", "none-d1", "none-d2", "logistic-regression", "majority"),
        description="Rows: am, rm or none with -d1, -d2 or -d3; am-no-pools-d2; si-clf-d2, si-clf-am-d2, si-clf-rm-d2, "
        "si-clf-am-rm-d2, alexnet-d2; majority, logistic-regression. McNemar's test compares with the first.",
    )
    splits: Names = Field(("patient", "paper"), description="Divisions under which each row is trained.")
    label: str = Field("label", description="Manifest column with N, M, A or MA.")
    batch: int = Field(8, ge=1, description="Images per step.")
    epochs: int = Field(300, ge=1, description="Passes over the training data.")
    head_pool: str = Field("12x3", description="As for `medtools train`.")
    resamples: int = Field(2000, ge=0, description="Bootstrap resamples of each interval; 0 leaves them out.")

    @field_validator("splits")
    @classmethod
    def _is_division(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or set(value) - {"patient", "paper"}:
            raise ValueError("expected patient, paper or both")
        return value


class InferParams(Params):
    """Application of a trained classifier."""

    model: Path = Field(description="Run folder that `medtools train` wrote, or one of its folds.")
    call: Literal["top1", "threshold"] = Field(
        "top1", description="Call the likeliest class; or both diseases where they are the two likeliest."
    )
    tau: float | None = Field(
        None,
        gt=0,
        lt=0.5,
        description="Least probability of the second disease to call both (threshold); default: the one with most "
        "right calls among the run's validation images.",
    )
    batch: int = Field(8, ge=1, description="Images per step.")


class ScoreParams(Params):
    """Scores of a run over all folds."""

    resamples: int = Field(2000, ge=0, description="Bootstrap resamples of each interval; 0 leaves them out.")
    against: Path | None = Field(None, description="Run of another model on the same folds, for McNemar's test.")
    published: bool = Field(False, description="Set the paper's row beside the scores; for its own data.")


class ExplainParams(Params):
    """What a trained classifier looks at."""

    model: Path = Field(description="Run folder that `medtools train` wrote.")
    fold: str = Field("r1f1", description="Fold whose test images are looked at.")
    images: int = Field(3, ge=1, le=10, description="Images drawn per label.")
    embedding: Literal["pca", "umap"] = Field("pca", description="How features are laid out in the plane.")
