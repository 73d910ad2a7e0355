"""dSPIC and its comparison networks (Lin et al. 2021, Tables 3 and 7), each built from one line of layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from medtools.core.errors import InputError, RefusedError
from medtools.core.limits import available_memory
from medtools.nn.cbam import Cbam
from medtools.nn.init import glorot_uniform

SMALLEST = 31
_BYTES_PER_WEIGHT = 16  # weight, gradient and Adam's two moments, float32

Added = Literal["attention", "residual", "none"]
Layer = tuple[int, int, int, int] | str  # kernel, filters, stride, padding; or p, AM, RM


@dataclass(frozen=True)
class Plan:
    """A network as its table prints it: layers up to the fully connected ones, and the width of those."""

    layers: tuple[Layer, ...]
    hidden: int
    own_pool: bool = False


_SI_START, _SI_END = (11, 64, 4, 2), ((5, 128, 1, 3), (3, 256, 1, 3), (3, 256, 1, 1))
_SI_7 = (7, 128, 1, 2)
COMPARATORS = {
    "si-clf": Plan((_SI_START, "p", _SI_7, "p", *_SI_END, "p"), 1024),
    "si-clf-am": Plan((_SI_START, "p", "AM", _SI_7, "p", *_SI_END, "AM", "p"), 1024),
    "si-clf-rm": Plan((_SI_START, "p", "RM", _SI_7, "p", *_SI_END, "p"), 1024),
    "si-clf-am-rm": Plan((_SI_START, "p", "RM", "AM", _SI_7, "p", *_SI_END, "AM", "p"), 1024),
    "alexnet": Plan((_SI_START, "p", (5, 256, 1, 2), "p", (3, 384, 1, 3), (3, 384, 1, 3)), 1024, own_pool=True),
}
"""Table 7. Without head pooling the last one has 645 million weights, so it is pooled as dSPIC is."""


def dspic_plan(added: Added = "attention", *, pools: bool = True, pad34: int = 3) -> Plan:
    """Return Table 3: AM or RM where it says added layer, with or without its two poolings (Table 9)."""
    layers: list[Layer] = [(11, 96, 4, 2), "p" if pools else ""]
    layers += [{"attention": "AM", "residual": "RM", "none": ""}[added], (5, 256, 1, 2), "p" if pools else ""]
    layers += [(3, 384, 1, pad34), (3, 384, 1, pad34), (3, 256, 1, 1)]
    return Plan(tuple(layer for layer in layers if layer), 4096, own_pool=True)


class Residual(nn.Module):
    """Two convolutions beside an identity, Eq. 9: ReLU(conv(ReLU(conv(F))) + F)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, features: Tensor) -> Tensor:
        """(n, width, h, w) to the same shape."""
        return torch.relu(self.second(torch.relu(self.first(features))) + features)


class Classifier(nn.Module):
    """Convolutions, two fully connected layers and three logits.

    Parameters
    ----------
    plan : Plan
    size : (height, width)
        Of the images.
    head_pool : (rows, columns) or None
        Average the last maps to so many cells before the fully connected layers; None is the network as printed.
    literal : bool
        Eq. 6 as printed, see `Cbam`.

    Raises
    ------
    InputError
        Images too small for the layers.
    """

    def __init__(
        self,
        plan: Plan,
        size: tuple[int, int],
        *,
        head_pool: tuple[int, int] | None = (12, 3),
        literal: bool = False,
        n_classes: int = 3,
    ) -> None:
        super().__init__()
        if min(size) < SMALLEST:
            found = f"{size[0]}×{size[1]} pixels: the shortest side must have {SMALLEST}"
            raise InputError("images", found, "use larger images")
        layers: list[nn.Module] = []
        width, rows, columns = 1, *size
        for layer in plan.layers:
            if isinstance(layer, str):
                layers.append(_module(layer, width, literal))
            else:
                kernel, after, stride, padding = layer
                layers += [nn.Conv2d(width, after, kernel, stride, padding), nn.ReLU()]
                width = after
            rows, columns = _after(layer, rows), _after(layer, columns)
            if min(rows, columns) < 1:
                raise InputError("images", f"{size[0]}×{size[1]} pixels are too few for this network")
        self.trunk = nn.Sequential(*layers)
        pool = head_pool if plan.own_pool else None
        self.pool = nn.AdaptiveAvgPool2d(pool) if pool else nn.Identity()
        cells = width * (pool[0] * pool[1] if pool else rows * columns)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(cells, plan.hidden), nn.ReLU(), nn.Linear(plan.hidden, plan.hidden), nn.ReLU(),
            nn.Linear(plan.hidden, n_classes),
        )  # fmt: skip

    def maps(self, images: Tensor) -> Tensor:
        """(n, 1, height, width) in [0, 1] to the last feature maps."""
        return self.trunk(images)

    def classify(self, maps: Tensor) -> Tensor:
        """Feature maps to logits."""
        return self.head(self.pool(maps))

    def forward(self, images: Tensor) -> Tensor:
        """(n, 1, height, width) in [0, 1] to (n, 3) logits of N, M and A."""
        return self.classify(self.maps(images))

    def attention(self, images: Tensor) -> tuple[Tensor, Tensor] | None:
        """Return f_C (n, c) and f_S (n, 1, h, w) of the first attention module; None without one."""
        features = images
        for layer in self.trunk:
            if isinstance(layer, Cbam):
                channels = layer.channel_attention(features)
                return channels, layer.spatial_attention(channels[:, :, None, None] * features)
            features = layer(features)
        return None


def build(
    plan: Plan, size: tuple[int, int], *, head_pool: tuple[int, int] | None = (12, 3), literal: bool = False
) -> Classifier:
    """Build a network with Keras' initial weights, refusing one that this machine cannot train.

    Raises
    ------
    RefusedError
        Weights, gradients and Adam's moments need more than the memory at hand.
    InputError
        As `Classifier`.
    """
    with torch.device("meta"):
        ghost = Classifier(plan, size, head_pool=head_pool, literal=literal)
    needed = sum(p.numel() for p in ghost.parameters()) * _BYTES_PER_WEIGHT
    available = available_memory()
    if available is not None and needed > available:
        raise RefusedError(
            f"the network as printed needs {needed / 2**30:.1f} GiB to train, this machine has "
            f"{available / 2**30:.1f} GiB; use --head-pool 12x3"
        )
    model = Classifier(plan, size, head_pool=head_pool, literal=literal)
    glorot_uniform(model)
    return model


def _module(name: str, width: int, literal: bool) -> nn.Module:
    if name == "p":
        return nn.MaxPool2d(3, 2)
    return Cbam(width, literal=literal) if name == "AM" else Residual(width)


def _after(layer: Layer, side: int) -> int:
    if layer == "p":
        return (side - 3) // 2 + 1
    if isinstance(layer, str):
        return side
    kernel, _, stride, padding = layer
    return (side + 2 * padding - kernel) // stride + 1
