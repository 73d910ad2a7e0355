"""What is minimised, by which optimiser, on which schedule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class Step(NamedTuple):
    """Where training stands: 0-based epoch, 0-based step over the whole run, and steps in the whole run."""

    epoch: int
    number: int
    total: int


Loss = Callable[[nn.Module, Any, Step], Tensor | Mapping[str, Tensor]]


@dataclass(frozen=True)
class Objective:
    """A loss with its optimiser. A GAN has two, stepped in turn on every batch.

    Attributes
    ----------
    loss : callable
        `loss(model, batch, step)` gives a scalar tensor, or a dictionary whose entry `loss` is minimised and whose
        other entries are only recorded.
    optimiser : callable
        `optimiser(model)` makes the optimiser over the parameters that this objective moves.
    schedule : callable, optional
        `schedule(optimiser)` makes a learning-rate scheduler; a plateau scheduler is given the monitored quantity.
    per : str
        Whether the schedule advances after every `epoch` or every `step`.
    name : str
        Column of the loss in `metrics.csv`.
    """

    loss: Loss
    optimiser: Callable[[nn.Module], Optimizer]
    schedule: Callable[[Optimizer], LRScheduler] | None = None
    per: Literal["epoch", "step"] = "epoch"
    name: str = "loss"


def supervised(criterion: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    """Return the loss `criterion(model(inputs), targets)` for batches of (inputs, targets)."""

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor], _: Step) -> Tensor:
        inputs, targets = batch
        return criterion(model(inputs), targets)

    return loss
