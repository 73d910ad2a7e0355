"""DRIVPocket: a point stream and a voxel stream, joined in the voxel stream's attention (paper, Figure 2)."""

from __future__ import annotations

import dataclasses
from typing import Literal

from torch import Tensor, nn

from medtools.systems.drivpocket.attention import Attention
from medtools.systems.drivpocket.baselines import DeepPocketUNet
from medtools.systems.drivpocket.points import PointStream, features_to_cube
from medtools.systems.drivpocket.voxels import Halving, VoxelStream, check_grid, level_sizes

Network = Literal["drivpocket", "deeppocket-unet"]


@dataclasses.dataclass(frozen=True)
class Design:
    """What defines a network; the paper's ablation models are settings of it.

    Attributes
    ----------
    network : {"drivpocket", "deeppocket-unet"}
        The paper's network, or DeepPocket's U-Net.
    grid : int
        Voxels along an edge.
    width : int
        Channels after the first halving.
    heads : int
        Attention heads.
    attention : {"none", "spatial", "channel", "dual"}
    points : bool
        Whether there is a point stream.
    halving : {"maxpool", "conv2"}
    """

    network: Network = "drivpocket"
    grid: int = 65
    width: int = 64
    heads: int = 4
    attention: Attention = "dual"
    points: bool = True
    halving: Halving = "maxpool"


class DRIVPocket(nn.Module):
    """Cavity and binding-atom logits of candidates.

    Parameters
    ----------
    design : Design
    """

    def __init__(self, design: Design) -> None:
        super().__init__()
        check_grid(design.grid)
        self.design = design
        has_points = design.points and design.network == "drivpocket"
        self.point_stream = PointStream(width=design.width) if has_points else None
        self.voxel_stream: nn.Module
        if design.network == "deeppocket-unet":
            self.voxel_stream = DeepPocketUNet(width=design.width)
        else:
            self.voxel_stream = VoxelStream(
                width=design.width,
                heads=design.heads,
                attention=design.attention,
                with_points=has_points and design.attention != "none",
                halving=design.halving,
            )
        self.apply(_initialise)

    def forward(self, grid: Tensor, points: Tensor, types: Tensor) -> tuple[Tensor, Tensor | None]:
        """Return logits of cavity and binding atoms.

        Parameters
        ----------
        grid : (batch, 14, n, n, n) float
            Atom densities around each candidate.
        points : (batch, m, 3) floating
            The nearest atoms, nearest first, their offsets from the candidate divided by half the grid's edge.
        types : (batch, m, 14) float
            One-hot channels.

        Returns
        -------
        cavity : (batch, n, n, n)
        binding : (batch, m), or None without a point stream
        """
        if self.point_stream is None:
            return self.voxel_stream(grid), None
        binding, levels = self.point_stream(points, types)
        if self.design.attention == "none":
            return self.voxel_stream(grid), binding
        sizes = level_sizes(self.design.grid)
        cubes = [features_to_cube(xyz, value, size) for (xyz, value), size in zip(levels, sizes, strict=True)]
        return self.voxel_stream(grid, cubes), binding


def _initialise(module: nn.Module) -> None:
    """Draw 3-D convolutions as Kaiming et al.; all else keeps the framework's default."""
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.kaiming_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
