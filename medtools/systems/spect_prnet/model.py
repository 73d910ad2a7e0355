"""PRNet-2D: a patch to an anatomical coordinate and to its own reconstruction (Lei et al. 2023, in 2-D)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from medtools.core.errors import InputError

_LEVELS = 4


class PrNet(nn.Module):
    """Encoder, position head and decoder with skip connections.

    1,900,451 parameters for patches of 64 pixels, 1,507,235 for 32, at width 16.

    Parameters
    ----------
    patch : int
        Pixels along each side of a patch: a multiple of 16, at least 32.
    width : int
        Channels of the first level.
    skips : bool
        Whether the decoder sees the encoder's levels; without them it reconstructs from the bottleneck alone.

    Raises
    ------
    InputError
        A patch that four halvings do not leave at least 2 pixels wide.
    """

    def __init__(self, patch: int = 64, *, width: int = 16, skips: bool = True) -> None:
        super().__init__()
        check_patch(patch)
        b, self.skips = width, skips
        self.encoder = nn.ModuleList(
            [_pair(1, b, b), _pair(b, b, 2 * b), _pair(2 * b, 2 * b, 4 * b), _pair(4 * b, 4 * b, 8 * b)]
        )
        self.bottleneck = _pair(8 * b, 8 * b, 16 * b)
        self.position = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * b * (patch // 16) ** 2, 8 * b),
            nn.Linear(8 * b, 4 * b),
            nn.Linear(4 * b, 2),
        )
        below, beside = (16 * b, 8 * b, 4 * b, b), (8 * b, 4 * b, 2 * b, b)
        middle, out = (8 * b, 4 * b, 2 * b, b), (8 * b, 4 * b, b, b)
        extra = beside if skips else (0,) * _LEVELS
        self.decoder = nn.ModuleList(
            [_pair(d + e, m, o) for d, e, m, o in zip(below, extra, middle, out, strict=True)]
        )
        self.out = nn.Conv2d(b, 1, 1)

    def encode(self, patches: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(batch, 1, patch, patch) to the bottleneck (batch, 16 width, patch / 16, patch / 16) and the levels."""
        levels, x = [], patches
        for number, block in enumerate(self.encoder):
            x = block(functional.max_pool2d(x, 2) if number else x)
            levels.append(x)
        return self.bottleneck(functional.max_pool2d(x, 2)), levels

    def coordinates(self, patches: Tensor) -> Tensor:
        """(batch, 1, patch, patch) to anatomical coordinates a, (batch, 2)."""
        found: Tensor = self.position(self.encode(patches)[0])
        return found

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, 1, patch, patch) to coordinates (batch, 2) and logits of the reconstruction, of the patches' shape."""
        x, levels = self.encode(patches)
        coordinates = self.position(x)
        for block, level in zip(self.decoder, reversed(levels), strict=True):
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, level], dim=1) if self.skips else x)
        return coordinates, self.out(x)


def check_patch(patch: int) -> None:
    """Refuse patches that instance normalisation cannot work on.

    Raises
    ------
    InputError
        Smaller than 32, or no multiple of 16.
    """
    if patch < 32 or patch % 16:
        raise InputError("patch", f"patch must be at least 32 and a multiple of 16, found {patch}")


def predicted_offset(first: Tensor, second: Tensor, reach: Tensor) -> Tensor:
    """d' = r tanh(a_i - a_j): from the second point to the first, (batch, 2), less than `reach` on each axis."""
    return reach * torch.tanh(first - second)


def prnet_loss(
    network: PrNet,
    first: Tensor,
    second: Tensor,
    offset: Tensor,
    reach: Tensor,
    *,
    targets: tuple[Tensor, Tensor] | None = None,
    distance: float = 1.0,
    reconstruction: float = 1.0,
    normalise: bool = False,
) -> dict[str, Tensor]:
    """L_ssl = L_dis + L_rec (Eq. 3).

    Parameters
    ----------
    first, second : (batch, 1, patch, patch)
        Patches around c_i and c_j, in [0, 1].
    offset : (batch, 2)
        c_i - c_j along rows and columns, in the unit of `reach`.
    reach : (2,) or (batch, 2)
        Largest offset of each axis.
    targets : pair of (batch, 1, patch, patch), optional
        What is to be reconstructed, where parts of the patches were masked; by default the patches.
    distance, reconstruction : float
        Weights of the two parts; the paper has 1 and 1.
    normalise : bool
        Divide offsets by `reach`.
    """
    coordinates, logits = network(torch.cat([first, second]))
    one, other = coordinates.chunk(2)
    scale = reach if normalise else torch.ones_like(reach)
    of_distance = functional.mse_loss(predicted_offset(one, other, reach) / scale, offset / scale)
    wanted = targets if targets is not None else (first, second)
    rebuilt = [functional.mse_loss(torch.sigmoid(l), t) for l, t in zip(logits.chunk(2), wanted, strict=True)]
    of_reconstruction = rebuilt[0] + rebuilt[1]
    total = distance * of_distance + reconstruction * of_reconstruction
    return {"loss": total, "distance": of_distance, "reconstruction": of_reconstruction}


def _pair(channels: int, middle: int, out: int) -> nn.Sequential:
    """Two 3x3 convolutions, each with instance normalisation (without scale) and ReLU."""
    layers: list[nn.Module] = []
    for before, after in ((channels, middle), (middle, out)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.InstanceNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
