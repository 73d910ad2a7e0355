"""What a network weighs: parameters, batch-norm statistics and multiply-accumulates, counted without running it."""

from __future__ import annotations

import copy
import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

_CONVOLUTIONS = nn.Conv1d | nn.Conv2d | nn.Conv3d
_TRANSPOSED = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


@dataclass(frozen=True)
class Size:
    """Size of a network.

    Attributes
    ----------
    trainable : int
        Parameters.
    statistics : int
        Running means and variances of batch norms.
    macs : int
        Multiply-accumulates of convolutions and linear layers for one input.
    """

    trainable: int
    statistics: int
    macs: int

    @property
    def total(self) -> int:
        """Parameters and statistics, as Keras counts."""
        return self.trainable + self.statistics

    def record(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return asdict(self) | {"total": self.total, "megabytes_float32": round(self.total * 4 / 1e6, 3)}


def parameters(model: nn.Module) -> int:
    """Count trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def statistics(model: nn.Module) -> int:
    """Count running means and variances."""
    return sum(b.numel() for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var")))


def size_of(model: nn.Module, shape: tuple[int, ...]) -> Size:
    """Count a network for one input of `shape` (without the batch dimension); nothing is allocated or computed."""
    ghost = copy.deepcopy(model).to("meta").eval()
    counted: list[int] = []
    for layer in ghost.modules():
        if isinstance(layer, _CONVOLUTIONS | _TRANSPOSED | nn.Linear):
            layer.register_forward_hook(lambda own, given, made: counted.append(_macs(own, given[0], made)))
    with torch.no_grad():
        ghost(torch.empty((1, *shape), device="meta"))
    return Size(parameters(model), statistics(model), sum(counted))


def _macs(layer: nn.Module, given: Tensor, made: Tensor) -> int:
    if isinstance(layer, _TRANSPOSED):
        return given.numel() * layer.weight[0].numel()
    if isinstance(layer, _CONVOLUTIONS):
        return made.numel() * layer.weight[0].numel()
    return made.numel() * int(layer.in_features) if isinstance(layer, nn.Linear) else math.prod(made.shape)
