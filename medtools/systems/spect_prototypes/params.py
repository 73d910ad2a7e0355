"""Parameters of spect-prototypes' stages, with the card's defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from medtools.core.params import Integers, Names, Params
from medtools.systems.spect_prototypes.cohort import SUBJECTS

Distance = Literal["euclidean", "sqeuclidean", "cosine"]
DISTANCES = ("euclidean", "sqeuclidean", "cosine")


class DemoParams(Params):
    """The made hearts of the card."""

    subjects: int = Field(SUBJECTS, ge=1, le=99, description="Subjects to make.")
    size: int = Field(64, ge=32, le=256, description="Pixels along each side of a slice.")


class PreprocessParams(Params):
    """From SPECT and label maps to tissue crops."""

    crop: int = Field(64, ge=16, le=512, description="Pixels along each side of the square around the heart.")
    tissues: Names = Field(
        ("1=ventricle", "2=myocardium", "3=liver"),
        description="value=name of each tissue in the label maps; 1 and 2 are the heart.",
    )
    mode: Literal["plain", "easy", "hard"] = Field(
        "plain",
        description="Crops as they are; moved at random (easy); or turned, rescaled, moved, dimmed and made noisy "
        "until shape and texture alone are left (hard). The last two are for tests and demonstrations.",
    )
    copies: int = Field(3, ge=1, le=100, description="Crops of each tissue of a study (easy and hard).")
    shift: int = Field(10, ge=0, le=64, description="Largest shift in pixels, in either direction (easy).")


class EpisodeParams(Params):
    """What an episode is, and who judges."""

    way: int = Field(3, ge=2, description="Classes of an episode.")
    query: int = Field(6, ge=1, description="Crops of each class to classify in an episode.")
    val_subjects: int | None = Field(
        None, ge=1, description="Subjects for validation; default: a quarter (paper's 12: 3), or column split."
    )
    val_episodes: int = Field(10, ge=1, description="Episodes of the validation.")
    val_support: Literal["validation", "train"] = Field(
        "validation", description="Where validation takes its support from: its own subjects, or those of training."
    )
    repeat_ok: bool = Field(
        False, description="Where a class has too few crops, let one be asked more than once in an episode."
    )


class NetworkParams(Params):
    """What builds and starts the network."""

    encoder: Literal["resnet18", "efficientnet-lite0"] = Field(
        "resnet18", description="The paper's trunk, or one whose ImageNet weights a package has."
    )
    weights: Path | None = Field(
        None,
        description="ImageNet weights: torchvision's of ResNet-18, or the published ones of EfficientNet-Lite0 (.pt, "
        ".safetensors); default: random start.",
    )
    size: int | None = Field(
        None, ge=32, le=512, description="Pixels to which crops are resampled; default 64, with --weights 224."
    )
    width: float = Field(1.0, gt=0, le=2, description="Scale of ResNet's widths.")
    learning_rate: float = Field(1e-3, gt=0, description="Learning rate of Adam.")
    compute_threads: int = Field(1, ge=1, description="CPU threads inside an operation; the last bits depend on it.")
    checkpoint_seconds: float = Field(30.0, ge=0, description="Time between states to resume from; 0: every episode.")

    @property
    def pixels(self) -> int:
        """Pixels along each side of the network's input."""
        return self.size or (64 if self.weights is None else 224)


class TrainParams(EpisodeParams, NetworkParams):
    """Training of the prototypical network."""

    shot: int = Field(3, ge=1, description="Support crops of each class in an episode.")
    episodes: int = Field(10, ge=1, description="Training episodes, one step each; 10 in the paper, 60 converge.")
    distance: Distance = Field("euclidean", description="Between embedding and prototype; the paper's is euclidean.")
    bn_recalibrate: bool | None = Field(
        None, description="Re-estimate batch-norm statistics on the training crops; default: without --weights."
    )
    loso: bool = Field(False, description="Leave each subject out in turn; its support is from training subjects.")
    curves: bool = Field(True, description="Draw the training curves.")

    @property
    def recalibrates(self) -> bool:
        """Whether the batch-norm statistics are estimated again after training."""
        return self.weights is None if self.bn_recalibrate is None else self.bn_recalibrate


class InferParams(Params):
    """Classification of crops by the support's prototypes."""

    model: Path = Field(description="Run folder that `medtools train` wrote, or one of its folds.")
    support: Path | None = Field(
        None, description="Manifest of labelled crops, any classes; default: those of the training."
    )
    distance: Distance | None = Field(None, description="As in training; default: as trained.")


class ScoreParams(Params):
    """Scores of a run."""

    resamples: int = Field(2000, ge=100, le=100_000, description="Bootstrap resamples of subjects.")
    against: Path | None = Field(None, description="Run on the same episodes, for a paired comparison.")
    published: bool = Field(False, description="Set the paper's numbers beside the scores; they are of its own data.")


class ReproduceParams(EpisodeParams, NetworkParams):
    """The rows that the paper leaves out."""

    distances: Names = Field(DISTANCES, description="Distances, each trained and judged by itself.")
    shots: Integers = Field((1, 3, 5), description="Support crops of each class.")
    episodes: Integers = Field((0, 10, 100), description="Training episodes; 0 leaves the network as it starts.")
    repeat_ok: bool = Field(True, description="Let queries repeat: 3 validation subjects have too few for 5 shots.")

    @field_validator("distances")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in value if name not in DISTANCES]
        if unknown or not value:
            raise ValueError(f"expected some of {', '.join(DISTANCES)}")
        return value

    @field_validator("shots", "episodes")
    @classmethod
    def _counts(cls, value: tuple[int, ...], info: object) -> tuple[int, ...]:
        least = 1 if getattr(info, "field_name", "") == "shots" else 0
        if not value or min(value) < least:
            raise ValueError(f"expected whole numbers from {least}")
        return value


class ExplainParams(Params):
    """One episode and the space of embeddings."""

    model: Path = Field(description="Run folder that `medtools train` wrote.")
    fold: str = Field("r1f1", description="Fold to look at.")
    episode: int = Field(1, ge=1, description="Validation episode to draw, from 1.")
    embedding: Literal["pca", "umap"] = Field("pca", description="How embeddings are laid out in the plane.")
