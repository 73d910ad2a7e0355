"""Parameters of spect-prnet's stages, with the card's defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from medtools.core.params import Names, Params
from medtools.systems.spect_prnet.cohort import SUBJECTS
from medtools.training.settings import FitSettings


class DemoParams(Params):
    """Made cardiac slices."""

    subjects: int = Field(SUBJECTS, ge=2, le=500, description="Subjects, each with one slice.")
    size: int = Field(64, ge=32, le=512, description="Pixels along each side of a slice.")


class TrainParams(FitSettings):
    """Self-supervised training on pairs of patches."""

    images: Names = Field(
        ("1",), description="Slices to train on: how many, from the first (paper 1), or their ids, or all."
    )
    crop: int | None = Field(
        None, ge=32, le=1024,
        description="Side of a square around the heart's centroid, in pixels (needs label maps, also later, where the "
        "network is used); default: whole slices.",
    )  # fmt: skip
    patch: int | None = Field(
        None, description="Side of a patch in pixels: a multiple of 16, 32 or more; default 32, or 64 from 128 pixels."
    )
    reach: float | None = Field(
        None, gt=0,
        description="r, the largest offset along each axis, in mm (pixels where the spacing is unknown); pairs lie "
        "within it. Small for a fine network, several times the image's extent to be exact over long offsets; "
        "default: the image's extent along each axis.",
    )  # fmt: skip
    unit: Literal["auto", "mm", "px"] = Field("auto", description="Unit of offsets; auto: mm where spacing is known.")
    normalize_offsets: bool = Field(False, description="Divide offsets by r in the loss.")
    distance: float = Field(1.0, ge=0, description="Weight of the loss of offsets, L_dis (paper 1); 0: without it.")
    reconstruction: float = Field(
        1.0, ge=0, description="Weight of the loss of reconstructed patches, L_rec (paper 1); 0: without it."
    )
    skips: bool = Field(True, description="Connections from encoder to decoder, past the bottleneck.")
    mask_rounds: int = Field(
        0, ge=0, le=15, description="Most boxes of a quarter patch to zero before reconstruction; paper 0, at most 15."
    )
    width: int = Field(16, ge=1, le=256, description="Channels of the first level.")
    epochs: int = Field(50, ge=1, description="Epochs (paper 50).")
    iterations: int = Field(10, ge=1, description="Steps of an epoch (paper 10).")
    pairs: int = Field(8, ge=1, le=1024, description="Pairs of patches in a step.")
    learning_rate: float = Field(1e-3, gt=0, description="Learning rate of Adam (paper 1e-3).")


class LocateParams(Params):
    """One-shot landmarks."""

    model: Path = Field(description="Run folder that `medtools train spect-prnet` wrote.")
    support: str = Field(
        "", description="Study whose landmarks are looked for in all others; default: the trained one."
    )
    draws: int = Field(10, ge=1, le=10_000, description="Random points of a query whose predictions are averaged, M.")
    refine: int = Field(1, ge=0, le=100, description="Further steps, each from the point found before, K.")
    fine: Path | None = Field(None, description="Run folder of a network with a small r, for the further steps.")


class ReconstructParams(Params):
    """Slices rebuilt patch by patch."""

    model: Path = Field(description="Run folder that `medtools train spect-prnet` wrote.")
    stride: int | None = Field(
        None, ge=1, description="Pixels between patches; those that overlap are averaged; default: side by side."
    )
    pictures: int = Field(4, ge=0, le=100, description="Slices to show in the figure.")


class ScoreParams(Params):
    """Offsets, reconstruction and landmarks against truth and baselines."""

    model: Path = Field(description="Run folder that `medtools train spect-prnet` wrote.")
    landmarks: Path | None = Field(
        None, description="Folder that `medtools infer spect-prnet locate` wrote; without it no landmarks are scored."
    )
    pairs: int = Field(500, ge=2, le=100_000, description="Fresh pairs of points to predict offsets of.")
    within: float = Field(10.0, gt=0, description="Landmarks found within so many pixels count as a success.")
    resamples: int = Field(2000, ge=100, le=100_000, description="Bootstrap resamples of the intervals.")


class ReproduceParams(Params):
    """The network, its ablations and the baselines in one table."""

    rows: Names = Field(
        ("full", "no-rec", "no-dis", "no-skip"), description="Networks: full, no-rec, no-dis, no-skip, normalized."
    )
    images: Names = Field(("1",), description="As `medtools train spect-prnet --images`.")
    support: str = Field("", description="As `medtools infer spect-prnet locate --support`.")
    unit: Literal["auto", "mm", "px"] = Field("auto", description="As `medtools train spect-prnet --unit`.")
    patch: int | None = Field(None, description="As `medtools train spect-prnet --patch`.")
    width: int = Field(16, ge=1, le=256, description="As `medtools train spect-prnet --width`.")
    epochs: int = Field(50, ge=1, description="Epochs of every network.")
    pairs: int = Field(500, ge=2, le=100_000, description="As `medtools score spect-prnet --pairs`.")
