"""A trained network applied to data, in the data's order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor, nn

from medtools.core.devices import compute_threads
from medtools.training.batches import Batches
from medtools.training.objective import Loss, Step

Forward = Callable[[nn.Module, Any], Any]


def predict(
    model: nn.Module, data: Batches, forward: Forward | None = None, *, device: torch.device | None = None
) -> Any:
    """Return a network's outputs for all samples.

    Parameters
    ----------
    model : nn.Module
        Applied in evaluation mode without gradients, then put back into the mode it was in.
    data : Batches
        Without a seed, so that the outputs keep the samples' order.
    forward : callable, optional
        `forward(model, batch)` gives a tensor or a tuple of tensors, samples first; by default the model applied to
        the first tensor of the batch.
    device : torch.device, optional
        Where to compute; by default where the model is.

    Returns
    -------
    Tensor or tuple of Tensor
        (samples, ...) on the CPU.
    """
    apply = forward or (lambda network, batch: network(batch[0]))
    with _evaluating(model, device) as where:
        outputs = [_to_cpu(apply(model, batch)) for batch in _batches(data, where)]
    if isinstance(outputs[0], tuple):
        return tuple(torch.cat(parts) for parts in zip(*outputs, strict=True))
    return torch.cat(outputs)


def mean_loss(model: nn.Module, data: Batches, loss: Loss) -> dict[str, float]:
    """Return the mean of a loss over batches, each part under `val_` and its name: for `validate` of `fit`."""
    sums: dict[str, float] = {}
    with _evaluating(model, None) as where:
        for number, batch in enumerate(_batches(data, where)):
            value = loss(model, batch, Step(0, number, len(data)))
            for name, part in ({"loss": value} if isinstance(value, Tensor) else value).items():
                sums[f"val_{name}"] = sums.get(f"val_{name}", 0.0) + float(part)
    return {name: total / len(data) for name, total in sums.items()}


@contextmanager
def _evaluating(model: nn.Module, device: torch.device | None) -> Iterator[torch.device]:
    tensors = [*model.parameters(), *model.buffers()]
    where = device or (tensors[0].device if tensors else torch.device("cpu"))
    was_training = model.training
    model.to(where).eval()
    try:
        with torch.no_grad(), compute_threads(1):
            yield where
    finally:
        model.train(was_training)


def _batches(data: Batches, device: torch.device) -> Iterator[Any]:
    for index in range(len(data)):
        batch = data.batch(0, index)
        yield batch if device.type == "cpu" else move_data_to_device(batch, device)


def _to_cpu(output: Any) -> Any:
    return tuple(part.cpu() for part in output) if isinstance(output, tuple) else output.cpu()
