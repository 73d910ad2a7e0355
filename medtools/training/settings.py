"""How a run is carried out. Imports no PyTorch, so that a stage's help stays fast."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from medtools.core.params import Params


class FitSettings(Params):
    """Settings of `medtools.training.fit.fit`; a train stage inherits them and so offers each as an option."""

    epochs: int = Field(100, ge=1, description="passes over the training data")
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = Field("32-true", description="arithmetic of the network")
    devices: int = Field(1, ge=1, description="processes that share each step, one GPU each")
    gradient_clip: float | None = Field(None, gt=0, description="largest norm of a step's gradient")
    monitor: str = Field("loss", description="quantity that selection, early stopping and plateau schedules look at")
    mode: Literal["min", "max"] = Field("min", description="whether the monitored quantity should fall or rise")
    keep: Literal["last", "best"] = Field("last", description="epoch whose weights become the model")
    patience: int | None = Field(None, ge=1, description="stop after so many validations without improvement")
    min_delta: float = Field(0.0, ge=0, description="smallest change that counts as an improvement")
    validate_every: int = Field(1, ge=1, description="epochs from one validation to the next")
    workers: int = Field(0, ge=0, description="processes that load data; 0 loads in the training process")
    compute_threads: int = Field(1, ge=1, description="CPU threads inside one operation; the last bits depend on it")
    deterministic: bool = Field(True, description="on a GPU, prefer algorithms that give the same bits each time")
    checkpoint_seconds: float = Field(30.0, ge=0, description="time between states to resume from; 0: every epoch")
    curves: bool = Field(True, description="draw the training curves")
    tensorboard: bool = Field(False, description="also write TensorBoard event files")

    @model_validator(mode="after")
    def _loss_falls(self) -> FitSettings:
        if self.monitor == "loss" and self.mode == "max":
            raise ValueError("mode max would keep the worst loss; set monitor to a score, or mode to min")
        return self


# What may change between a run and its continuation without changing the result.
WITHOUT_EFFECT = frozenset({"workers", "checkpoint_seconds", "curves", "tensorboard"})
