"""The prototypical network: a trunk, mean embeddings of the support, a softmax over distances to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from medtools.nn import efficientnet
from medtools.nn.resnet import ResNet, load_torchvision

Encoder = Literal["resnet18", "efficientnet-lite0"]
Distance = Literal["euclidean", "sqeuclidean", "cosine"]

IMAGENET_MEAN, IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the colour channels that torchvision's weights were trained on."""


class PrototypeNetwork(nn.Module):
    """f_phi: a crop to the mean of the trunk's last feature maps: 512 numbers of ResNet-18, 1280 of EfficientNet-Lite0.

    Parameters
    ----------
    encoder : {"resnet18", "efficientnet-lite0"}
    size : int
        Pixels along each side to which crops are resampled, bilinearly.
    width : float
        Scale of ResNet's widths.
    standardise : bool
        Subtract a mean and divide by a deviation, channel by channel, as ImageNet weights of the trunk expect.
    """

    mean: Tensor
    sd: Tensor

    def __init__(
        self, size: int = 64, *, encoder: Encoder = "resnet18", width: float = 1.0, standardise: bool = False
    ) -> None:
        super().__init__()
        self.size, self.standardise = size, standardise
        self.trunk: ResNet | efficientnet.EfficientNetLite0
        if encoder == "resnet18":
            self.trunk, mean, sd = ResNet("basic", (2, 2, 2, 2), width=width), IMAGENET_MEAN, IMAGENET_SD
        else:
            self.trunk, mean, sd = efficientnet.EfficientNetLite0(), efficientnet.MEAN, efficientnet.SD
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("sd", torch.tensor(sd)[:, None, None], persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """(n, h, w) in [0, 1] to (n, width)."""
        x = crops[:, None]
        if x.shape[-2:] != (self.size, self.size):
            x = nn.functional.interpolate(x, size=(self.size, self.size), mode="bilinear", align_corners=False)
        x = x.expand(-1, 3, -1, -1)
        found = self.trunk((x - self.mean) / self.sd if self.standardise else x)
        return found if found.ndim == 2 else found.mean(dim=(2, 3))

    def load(self, path: str | Path) -> None:
        """Fill the trunk with ImageNet weights.

        Raises
        ------
        InputError
            They cannot be read, or are not those of the trunk.
        """
        if isinstance(self.trunk, ResNet):
            load_torchvision(self.trunk, path)
        else:
            efficientnet.load_published(self.trunk, path)


def prototypes(support: Tensor) -> Tensor:
    """c_k, the mean embedding of each class: (way, shot, width) to (way, width)."""
    return support.mean(dim=1)


def distances(queries: Tensor, centres: Tensor, how: Distance = "euclidean") -> Tensor:
    """d(f(x), c_k): (n, width) and (way, width) to (n, way).

    `euclidean` is the root of the summed squares, as the paper writes; `sqeuclidean` the sum (Snell et al. 2017);
    `cosine` is 1 minus the cosine.
    """
    if how == "cosine":
        return 1 - nn.functional.cosine_similarity(queries[:, None], centres[None], dim=2)
    difference = queries[:, None] - centres[None]
    # The norm's gradient is 0 where a query lies on a prototype; that of a written-out root would be NaN.
    return torch.linalg.vector_norm(difference, dim=2) if how == "euclidean" else difference.square().sum(dim=2)


def log_posterior(found: Tensor) -> Tensor:
    """Log p(y = k | x) = -d_k - log sum_k' exp(-d_k'): (n, way) to (n, way)."""
    return nn.functional.log_softmax(-found, dim=1)


def episode_loss(
    network: nn.Module, support: Tensor, queries: Tensor, how: Distance = "euclidean"
) -> tuple[Tensor, Tensor]:
    """J = -log p(y = k | x), its mean over the queries, and the share of queries that are called right.

    Support and queries go through the network in one batch, so that batch normalisation sees all of them.

    Parameters
    ----------
    network : nn.Module
        (n, h, w) to (n, width).
    support : (way, shot, h, w) Tensor
    queries : (way, query, h, w) Tensor
    how : Distance
    """
    way, shot = support.shape[:2]
    crops = torch.cat([support.flatten(0, 1), queries.flatten(0, 1)])
    embedded = network(crops)
    centres = prototypes(embedded[: way * shot].unflatten(0, (way, shot)))
    logs = log_posterior(distances(embedded[way * shot :], centres, how))
    target = torch.arange(way, device=logs.device).repeat_interleave(queries.shape[1])
    right = (logs.argmax(dim=1) == target).float().mean()
    return nn.functional.nll_loss(logs, target), right


def reestimate_batch_norm(network: nn.Module, batches: Sequence[Tensor]) -> None:
    """Set the running statistics of every batch normalisation to their mean over some batches.

    Ten steps from a random start have brought them only 65 % of the way (1 - 0.9^10), and the network in evaluation
    mode is another one than was trained.

    Parameters
    ----------
    network : nn.Module
        Changed in place; its mode stays.
    batches : sequence of (n, h, w) Tensor
        Crops, about as many in each as in a training step.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [layer.momentum for layer in layers]
    was_training = network.training
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over batches
    network.train()
    with torch.no_grad():
        for batch in batches:
            network(batch)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    network.train(was_training)
