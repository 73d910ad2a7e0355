"""DeepPocket (Aggarwal et al. 2021): the classifier that ranks candidates, and the U-Net that the paper starts from."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

RANKING_SIZE = 48


class RankingClassifier(nn.Sequential):
    """Pocket or not, from a 48-voxel grid (23.5 angstrom at 0.5) around a candidate.

    Parameters
    ----------
    n_channels : int
    width : int
        Channels of the first convolution (32 published).
    size : int
        Voxels along an edge.
    """

    def __init__(self, n_channels: int = 14, width: int = 32, size: int = RANKING_SIZE) -> None:
        edge = (((size - 2) // 2) // 2) // 2
        super().__init__(
            nn.Conv3d(n_channels, width, 3),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.Conv3d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.Conv3d(2 * width, 2 * width, 1),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.Conv3d(2 * width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.Conv3d(2 * width, 4 * width, 1),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.Conv3d(4 * width, 4 * width, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(4 * width * edge**3, 2),
        )


def _double(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(before, after, 3, padding=1),
        nn.BatchNorm3d(after),
        nn.ReLU(),
        nn.Conv3d(after, after, 3, padding=1),
        nn.BatchNorm3d(after),
        nn.ReLU(),
    )


class DeepPocketUNet(nn.Module):
    """The voxel-only baseline with batch normalisation, without attention; same sizes as the voxel stream."""

    def __init__(self, n_channels: int = 14, width: int = 64) -> None:
        super().__init__()
        widths = [width // 2, width, 2 * width, 4 * width, 8 * width]
        self.enter = _double(n_channels, widths[0])
        self.halve = nn.ModuleList(nn.MaxPool3d(3, 2, padding=int(level > 0)) for level in range(4))
        self.down = nn.ModuleList(_double(a, b) for a, b in pairwise(widths))
        rising = list(zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True))
        self.grow = nn.ModuleList(nn.ConvTranspose3d(a, b, 3, 2, padding=1, output_padding=1) for a, b in rising[:-1])
        self.grow.append(nn.ConvTranspose3d(*rising[-1], 3, 2))
        self.up = nn.ModuleList(_double(a, b) for a, b in rising)
        self.out = nn.Conv3d(widths[0], 1, 1)

    def forward(self, grid: Tensor) -> Tensor:
        """Map (batch, n_channels, n, n, n) to logits (batch, n, n, n)."""
        volume = self.enter(grid)
        skips = []
        for halve, down in zip(self.halve, self.down, strict=True):
            skips.append(volume)
            volume = down(halve(volume))
        for grow, up in zip(self.grow, self.up, strict=True):
            volume = up(torch.cat([skips.pop(), grow(volume)], dim=1))
        return self.out(volume).squeeze(1)
