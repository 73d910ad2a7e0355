"""AD-Lite Net (Roy et al. 2024, Fig. 1, Eq. 1-5): seven convolutions, two depthwise ones, and a parallel block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from medtools.core.errors import InputError
from medtools.nn.init import KERAS_BN_EPS, KERAS_BN_MOMENTUM, glorot_uniform

Tx = Literal["negate", "invert", "none"]

SMALLEST = 32
_STEM = (3, 16, 32, 64)
_MAIN = (96, 128)
_M = 0.8
_WHITE = 255.0


def transform(features: Tensor, kind: Tx = "negate", m: float = _M) -> Tensor:
    """The Tx layer.

    `invert` is Eq. 5 to the letter, m (255 - I). `negate` is what the authors' layer computes on the normalised
    features, -m I: a convolution that follows absorbs it exactly (W to -mW), so it only moves the starting point.
    """
    if kind == "invert":
        return m * (_WHITE - features)
    return -m * features if kind == "negate" else features


class AdLiteNet(nn.Module):
    """The network of Fig. 1.

    Parameters
    ----------
    n_classes : int
        Logits; softmax is applied at inference only.
    parallel : bool
        With the parallel concatenation block (pcb), or the paper's ablation without.
    depthwise : int
        Depthwise layers at the end of the main branch: 2 in the paper.
    separable : bool
        A 1 x 1 convolution after each depthwise one, as the paper's words have it; Eq. 3 and the printed number of
        parameters have none.
    tx : {"negate", "invert", "none"}
        See `transform`.
    filters : pair of int
        Filters of the pcb's two convolutions.
    dense : int
        Units of a hidden layer before the output; 0 for none (paper).
    bn_momentum : float
        In PyTorch's sense; Keras' default .99 is .01 here.
    """

    def __init__(
        self,
        n_classes: int,
        *,
        parallel: bool = True,
        depthwise: int = 2,
        separable: bool = False,
        tx: Tx = "negate",
        filters: Sequence[int] = (32, 64),
        dense: int = 0,
        bn_momentum: float = KERAS_BN_MOMENTUM,
    ) -> None:
        super().__init__()
        self.tx: Tx = tx

        def norm(width: int) -> nn.BatchNorm2d:
            return nn.BatchNorm2d(width, eps=KERAS_BN_EPS, momentum=bn_momentum)

        def pooled(before: int, after: int, kernel: int) -> list[nn.Module]:
            # Stem and main branch pool before normalising, the pcb after: so the authors' code.
            return [nn.Conv2d(before, after, kernel, padding="same"), nn.ReLU(), nn.MaxPool2d(2), norm(after)]

        self.stem = nn.Sequential(
            norm(_STEM[0]), *pooled(3, _STEM[1], 5), *pooled(_STEM[1], _STEM[2], 3), *pooled(_STEM[2], _STEM[3], 3)
        )
        width = _MAIN[1]
        blocks = [*pooled(_STEM[3], _MAIN[0], 3), *pooled(_MAIN[0], width, 3)]
        for _ in range(depthwise):
            blocks.append(nn.Conv2d(width, width, 3, padding="same", groups=width))  # Eq. 3: 10 p parameters
            blocks += [nn.Conv2d(width, width, 1)] if separable else []
            blocks += [nn.ReLU(), norm(width)]
        self.main = nn.Sequential(*blocks)
        first, second = filters
        self.pcb = (
            nn.Sequential(
                nn.Conv2d(_STEM[3], first, 3, padding="same"), nn.ReLU(), norm(first), nn.MaxPool2d(2),
                nn.Conv2d(first, second, 3, padding="same"), nn.ReLU(), norm(second), nn.MaxPool2d(2),
            )
            if parallel
            else None
        )  # fmt: skip
        joined = width + (second if parallel else 0)
        hidden: list[nn.Module] = [nn.Linear(joined, dense), nn.ReLU()] if dense else []
        self.head = nn.Sequential(*hidden, nn.Linear(dense or joined, n_classes))
        glorot_uniform(self)

    def maps(self, images: Tensor) -> Tensor:
        """Map (n, 3, height, width), raw levels 0 to 255, to the joined feature maps (n, 192, h / 32, w / 32).

        Raises
        ------
        InputError
            An image smaller than 32 pixels: five poolings leave nothing of it.
        """
        if min(images.shape[-2:]) < SMALLEST:
            found = f"{images.shape[-2]}×{images.shape[-1]} pixels: an image smaller than {SMALLEST}"
            raise InputError("images", found, f"five poolings need {SMALLEST}; resize them")
        c1 = self.stem(images)
        c2 = self.main(c1)
        return c2 if self.pcb is None else torch.cat([c2, self.pcb(transform(c1, self.tx))], dim=1)

    def classify(self, maps: Tensor) -> Tensor:
        """Map joined feature maps to logits: global average pooling, then the output layer."""
        return self.head(maps.mean(dim=(2, 3)))

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, 3, height, width) raw levels to (n, n_classes) logits."""
        return self.classify(self.maps(images))
