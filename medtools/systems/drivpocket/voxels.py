"""The voxel stream: a 3-D U-Net whose levels hold DRIA blocks, from 65 voxels down to 4 and back."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from medtools.core.errors import InputError
from medtools.systems.drivpocket.attention import Attention, DRIABlock

Halving = Literal["maxpool", "conv2"]


def check_grid(size: int) -> None:
    """Refuse an edge that four halvings and their inverses do not bring back to itself.

    Raises
    ------
    InputError
        `size` is not 16 m + 1.
    """
    if size < 17 or size % 16 != 1:
        near = max(17, 16 * round((size - 1) / 16) + 1)
        raise InputError("grid", f"{size} voxels cannot be halved four times and restored", f"use {near}")


def conv_block(before: int, after: int, second_kernel: int = 1) -> nn.Sequential:
    """Return convolution, GroupNorm, ReLU twice, with dropout between; the first kernel is 3x3x3."""
    return nn.Sequential(
        nn.Conv3d(before, after, 3, padding=1),
        nn.GroupNorm(1, after),
        nn.ReLU(),
        nn.Dropout3d(0.1),
        nn.Conv3d(after, after, second_kernel, padding=second_kernel // 2),
        nn.GroupNorm(1, after),
        nn.ReLU(),
    )


class ResidualBlock(nn.Module):
    """Two 3x3x3 convolutions without bias around an identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(1, channels),
            nn.LeakyReLU(0.01),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(1, channels),
        )

    def forward(self, volume: Tensor) -> Tensor:
        """Keep the shape."""
        return nn.functional.leaky_relu(volume + self.body(volume), 0.01)


class VoxelStream(nn.Module):
    """Cavity logits on the input's grid.

    Parameters
    ----------
    n_channels : int
        Atom-type channels of the input.
    width : int
        Channels after the first halving, doubled at each further one (64 in the paper); half of it before.
    heads : int
    attention : {"none", "spatial", "channel", "dual"}
    with_points : bool
        Whether the blocks read the point stream's cubes.
    halving : {"maxpool", "conv2"}
        3x3x3 maximum as in the code, or the text's non-overlapping convolution.
    """

    def __init__(
        self,
        n_channels: int = 14,
        width: int = 64,
        heads: int = 4,
        attention: Attention = "dual",
        with_points: bool = True,
        halving: Halving = "maxpool",
    ) -> None:
        super().__init__()
        widths = [width // 2, width, 2 * width, 4 * width, 8 * width]
        self.enter = conv_block(n_channels, widths[0], second_kernel=3)
        # 65 -> 32 needs no padding, 32 -> 16 -> 8 -> 4 need one voxel.
        self.halve = nn.ModuleList(
            nn.MaxPool3d(3, 2, padding=int(level > 0)) if halving == "maxpool" else nn.Conv3d(c, c, 2, 2)
            for level, c in enumerate(widths[:-1])
        )
        self.down = nn.ModuleList(conv_block(a, b) for a, b in pairwise(widths))
        self.down_dria = nn.ModuleList(DRIABlock(c, heads, attention, with_points) for c in widths[1:])
        rising = list(zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True))
        self.grow = nn.ModuleList(nn.ConvTranspose3d(a, b, 3, 2, padding=1, output_padding=1) for a, b in rising[:-1])
        self.grow.append(nn.ConvTranspose3d(*rising[-1], 3, 2))  # 32 -> 65
        self.up = nn.ModuleList(conv_block(a, b) for a, b in rising)
        self.up_dria = nn.ModuleList(DRIABlock(b, heads, attention, with_points) for _, b in rising[:-1])
        self.polish = ResidualBlock(widths[0])
        self.out = nn.Conv3d(widths[0], 1, 1)

    def forward(self, grid: Tensor, cubes: Sequence[Tensor] | None = None) -> Tensor:
        """Return logits.

        Parameters
        ----------
        grid : (batch, n_channels, n, n, n)
            n = 16 m + 1.
        cubes : seven tensors (batch, channels, r, r, r), optional
            The point stream's features at the sizes of the four descending and three rising levels.

        Returns
        -------
        (batch, n, n, n)
        """
        check_grid(grid.shape[-1])
        cubes = cubes or [None] * 7  # type: ignore[list-item]
        volume = self.enter(grid)
        skips = []
        for halve, down, dria, cube in zip(self.halve, self.down, self.down_dria, cubes[:4], strict=True):
            skips.append(volume)
            volume = dria(down(halve(volume)), cube)
        for level, (grow, up) in enumerate(zip(self.grow, self.up, strict=True)):
            volume = up(torch.cat([skips.pop(), grow(volume)], dim=1))
            volume = self.up_dria[level](volume, cubes[4 + level]) if level < 3 else self.polish(volume)
        return self.out(volume).squeeze(1)


def level_sizes(size: int) -> tuple[int, ...]:
    """Return the edges at which the point stream's cubes are read: 32, 16, 8, 4, 8, 16, 32 for 65 voxels."""
    first = (size - 1) // 2
    return tuple(first // divisor for divisor in (1, 2, 4, 8, 4, 2, 1))
