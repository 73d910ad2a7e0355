"""Parameters of the drivpocket stages, with the card's defaults; imports no PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from medtools.core.params import Names, Params
from medtools.preprocess.protein.params import StructureParams
from medtools.systems.drivpocket.cohort import PROTEINS
from medtools.training.settings import FitSettings

Preset = Literal["paper", "cpu"]
PRESETS: dict[str, dict[str, float]] = {
    "paper": {"grid": 65, "spacing": 0.5, "points": 400, "width": 64},
    "cpu": {"grid": 33, "spacing": 1.0, "points": 128, "width": 8},
}
RANKING_PRESETS: dict[str, dict[str, float]] = {
    "paper": {"grid": 48, "spacing": 0.5, "width": 32},
    "cpu": {"grid": 24, "spacing": 1.0, "width": 8},
}
_PRESET_HELP = "paper: the published size; cpu: a small one for machines without a GPU."


class DemoParams(Params):
    """Synthetic globules."""

    proteins: int = Field(PROTEINS, ge=1, le=10_000, description="Globules, each with one true and two decoy pockets.")


class TrainParams(FitSettings):
    """What both trained parts share."""

    preset: Preset = Field("paper", description=_PRESET_HELP)
    validation: float = Field(
        0.1, ge=0, lt=1, description="Share of proteins held out, where the manifest has no column split."
    )
    batch_size: int = Field(8, ge=1, description="Candidates per step.")
    augment: bool = Field(True, description="Rotate each candidate at random and shift it by at most 1 angstrom.")


class SegmentParams(TrainParams):
    """Parameters of `medtools train drivpocket segment`."""

    network: Literal["drivpocket", "deeppocket-unet"] = Field(
        "drivpocket", description="The paper's network, or DeepPocket's U-Net as baseline."
    )
    attention: Literal["dual", "spatial", "channel", "none"] = Field(
        "dual", description="Attention in the DRIA blocks."
    )
    point_stream: bool = Field(True, description="The rotation-invariant point stream and its fusion.")
    heads: int = Field(4, ge=1, description="Attention heads.")
    halving: Literal["maxpool", "conv2"] = Field("maxpool", description="As in the code, or as the text has it.")
    loss: Literal["paper", "authors"] = Field(
        "paper", description="Eq. 16, or the published code's 2 x voxels + points + 0.5 x Dice."
    )
    learning_rate: float = Field(1e-3, gt=0, description="Of SGD; times 0.9 every 5 epochs.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Of SGD.")
    weight_decay: float = Field(1e-3, ge=0, description="Of SGD.")
    gradient_clip: float | None = Field(10.0, gt=0, description="largest norm of a step's gradient")
    monitor: str = Field("val_iou", description="quantity that selection, early stopping and plateau schedules look at")
    mode: Literal["min", "max"] = Field("max", description="whether the monitored quantity should fall or rise")
    keep: Literal["last", "best"] = Field("best", description="epoch whose weights become the model")


class RankParams(TrainParams):
    """Parameters of `medtools train drivpocket rank`."""

    epochs: int = Field(20, ge=1, description="passes over the training data")
    batch_size: int = Field(16, ge=1, description="Candidates per step, half of them binding sites.")
    learning_rate: float = Field(1e-3, gt=0, description="Of Adam.")


class InferParams(StructureParams):
    """Parameters of `medtools infer drivpocket`."""

    segmenter: Path | None = Field(
        None, description="model.ckpt of `train drivpocket segment`; without it shapes are alpha spheres."
    )
    ranker: Path | None = Field(
        None, description="model.ckpt of `train drivpocket rank`; without it the finder's order stands."
    )
    sfm: Literal["eq15", "authors", "add", "none"] = Field("eq15", description="Fusion of cavity and binding atoms.")
    threshold: float = Field(0.5, gt=0, description="Fused value from which a voxel is pocket.")
    pockets: int = Field(0, ge=0, description="Best-ranked candidates to shape; 0 means all.")
    batch_size: int = Field(1, ge=1, description="Candidates per forward pass.")
    grids: Names = Field(("dx", "mrc"), description="Formats of the probability grids: dx, mrc, npz.")
    grid_pockets: int = Field(3, ge=0, description="Best pockets whose probability grid is written.")
    pictures: bool = Field(True, description="Draw pockets.png and pockets.html.")

    @field_validator("grids")
    @classmethod
    def _known_formats(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(names) - {"dx", "mrc", "npz"})
        if unknown:
            raise ValueError(f"no grid format {unknown[0]!r}, there are dx, mrc, npz")
        return names


class ScoreParams(Params):
    """Parameters of `medtools score drivpocket`."""

    predictions: Path | None = Field(
        None, description="Folder that `medtools infer drivpocket` wrote; default: the manifest's folder."
    )
    split: Literal["auto", "all", "train", "validation", "test"] = Field(
        "auto", description="Part of the manifest's column split that counts; auto: test where there is one, else all."
    )
    topn: Literal["all", "n", "n+2"] = Field("all", description="Candidates that count for DCC and DVO.")
