"""PRNet-2D: a patch to an anatomical coordinate and to its own reconstruction.

Khan et al. 2025, Sec. II-B; widths and heads are those of the 3-D network of Lei et al. 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from medtools.core.errors import InputError

_BELOW_ONE = 1.0 - 2.0**-24
"""The float32 next below 1: tanh of a large number rounds to 1, and an offset of r itself is never meant."""


class PrNet(nn.Module):
    """Encoder, position head, and decoder with skip connections.

    At width 16: 1,900,451 parameters for patches of 64 pixels, 1,507,235 for 32.

    Parameters
    ----------
    patch : int
        Pixels along each side of a patch: a multiple of 16, at least 32.
    width : int
        Channels of the first level, b.
    skips : bool
        Whether the decoder sees the encoder's levels; without them it rebuilds the patch from the bottleneck alone.

    Raises
    ------
    InputError
        As `check_patch`.
    """

    def __init__(self, patch: int = 64, *, width: int = 16, skips: bool = True) -> None:
        super().__init__()
        check_patch(patch)
        b, self.patch, self.skips = width, patch, skips
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
        self.decoder = nn.ModuleList(
            [_pair(d + skips * e, m, o) for d, e, m, o in zip(below, beside, middle, out, strict=True)]
        )
        self.out = nn.Conv2d(b, 1, 1)

    def encode(self, patches: Tensor) -> tuple[Tensor, list[Tensor]]:
        """(n, 1, patch, patch) to the bottleneck (n, 16 b, patch / 16, patch / 16) and the levels, finest first."""
        levels, x = [], patches
        for number, block in enumerate(self.encoder):
            x = block(functional.max_pool2d(x, 2) if number else x)
            levels.append(x)
        return self.bottleneck(functional.max_pool2d(x, 2)), levels

    def coordinates(self, patches: Tensor) -> Tensor:
        """(n, 1, patch, patch) to anatomical coordinates a, (n, 2); no decoding."""
        found: Tensor = self.position(self.encode(patches)[0])
        return found

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 1, patch, patch) to coordinates (n, 2) and logits of the reconstruction, of the patches' shape."""
        x, levels = self.encode(patches)
        coordinates = self.position(x)
        for block, level in zip(self.decoder, reversed(levels), strict=True):
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([x, level], dim=1) if self.skips else x)
        return coordinates, self.out(x)


def check_patch(patch: int) -> None:
    """Refuse patches that four halvings do not leave at least 2 pixels wide: instance normalisation needs them.

    Raises
    ------
    InputError
        Smaller than 32, or no multiple of 16.
    """
    if patch < 32 or patch % 16:
        raise InputError("--patch", f"patch must be >= 32 and a multiple of 16, found {patch}")


def predicted_offset(first: Tensor, second: Tensor, reach: Tensor) -> Tensor:
    """Offset d' = r tanh(a_i - a_j), from point j to point i along rows and columns; on each axis below r.

    Parameters
    ----------
    first, second : (..., 2)
        Coordinates a_i and a_j.
    reach : (2,)
        r, in mm or pixels.
    """
    return reach * torch.tanh(first - second).clamp(-_BELOW_ONE, _BELOW_ONE)


def distance_loss(predicted: Tensor, offset: Tensor, reach: Tensor, *, normalise: bool = False) -> Tensor:
    """L_dis: mean squared error of offsets (n, 2) over pairs and axes; `normalise` divides offsets by `reach`."""
    scale = reach if normalise else torch.ones_like(reach)
    return functional.mse_loss(predicted / scale, offset / scale)


def reconstruction_loss(logits: tuple[Tensor, Tensor], targets: tuple[Tensor, Tensor]) -> Tensor:
    """L_rec: mean squared errors of both patches (n, 1, patch, patch), summed; the logits pass a sigmoid."""
    return sum(
        (functional.mse_loss(torch.sigmoid(found), wanted) for found, wanted in zip(logits, targets, strict=True)),
        start=torch.zeros((), device=targets[0].device),
    )


def prnet_loss(
    network: nn.Module,
    patches: tuple[Tensor, Tensor],
    targets: tuple[Tensor, Tensor],
    offset: Tensor,
    reach: Tensor,
    *,
    distance: float = 1.0,
    reconstruction: float = 1.0,
    normalise: bool = False,
) -> dict[str, Tensor]:
    """L_ssl = L_dis + L_rec (Eq. 3), with its parts.

    Parameters
    ----------
    network : PrNet
    patches : pair of (n, 1, patch, patch)
        x(c_i) and x(c_j), in [0, 1]; parts may be masked.
    targets : pair of (n, 1, patch, patch)
        The same, not masked.
    offset : (n, 2)
        c_i - c_j along rows and columns, in the unit of `reach`.
    reach : (2,)
        r of each axis.
    distance, reconstruction : float
        Weights of the parts, 1 and 1 in the paper; 0 leaves one out.
    normalise : bool
        Divide offsets by `reach`.

    Returns
    -------
    dict
        `loss`, `L_dis` and `L_rec`; the parts as they are before they are weighted.
    """
    coordinates, logits = network(torch.cat(patches))
    first, second = coordinates.chunk(2)
    reach = reach.to(first)
    of_distance = distance_loss(predicted_offset(first, second, reach), offset, reach, normalise=normalise)
    of_reconstruction = reconstruction_loss(logits.chunk(2), targets)
    total = distance * of_distance + reconstruction * of_reconstruction
    return {"loss": total, "L_dis": of_distance, "L_rec": of_reconstruction}


def _pair(channels: int, middle: int, out: int) -> nn.Sequential:
    """Two 3x3 convolutions, each followed by instance normalisation (without scale) and ReLU."""
    layers: list[nn.Module] = []
    for before, after in ((channels, middle), (middle, out)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.InstanceNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
