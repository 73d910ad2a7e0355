"""The point stream: four rotation-invariant down-samplings (RID), as many up-samplings (RIU), and the head."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from medtools.systems.drivpocket.geometry import (
    farthest_points,
    gather,
    invariant_features,
    nearest,
    reference_axes,
)

SAMPLES = (128, 64, 32, 16)
NEIGHBOURS = (4, 8, 16, 32)
N_IRIF = 8


class PointMLP(nn.Sequential):
    """Linear layers shared by all points, each with batch normalisation and ReLU; channels are the last axis."""

    def __init__(self, widths: Sequence[int]) -> None:
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
        super().__init__(*layers)

    def forward(self, values: Tensor) -> Tensor:
        """Map (..., widths[0]) to (..., widths[-1])."""
        return super().forward(values.flatten(0, -2)).unflatten(0, values.shape[:-1])


class Aggregation(nn.Module):
    """Lift each neighbour's IRIF (Eq. 4), join the previous level's features (Eq. 5), and take the maximum."""

    def __init__(self, n_inputs: int, width: int, previous: int, out: int) -> None:
        super().__init__()
        self.lift = PointMLP((n_inputs, width // 2, width))
        self.main = PointMLP((width + previous, out))

    def forward(self, irif: Tensor, previous: Tensor | None) -> Tensor:
        """Map (batch, m, k, n_inputs) and (batch, m, k, previous) to (batch, m, out)."""
        lifted = self.lift(irif)
        joined = lifted if previous is None else torch.cat([lifted, previous], dim=-1)
        return self.main(joined).amax(dim=2)


class PointStream(nn.Module):
    """Binding-atom probabilities from atoms, and the features that the voxel stream reads.

    Parameters
    ----------
    n_types : int
        Atom types.
    width : int
        Channels of the first level, doubled at each of the next three (64 in the paper).
    """

    def __init__(self, n_types: int = 14, width: int = 64) -> None:
        super().__init__()
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.down = nn.ModuleList(
            Aggregation(N_IRIF + n_types, width, previous, out)
            for previous, out in zip((0, *widths[:-1]), widths, strict=True)
        )
        # RIU3, 2, 1: neighbours' features in, as many out; then joined with the skip and brought to its width.
        self.up = nn.ModuleList(Aggregation(N_IRIF, width, coarse, coarse) for coarse in reversed(widths[1:]))
        self.join = nn.ModuleList(PointMLP((coarse + fine, fine)) for fine, coarse in reversed(list(pairwise(widths))))
        self.last = Aggregation(N_IRIF, width, width, width)
        self.head = PointMLP((width, width // 2))
        self.classify = nn.Sequential(nn.Dropout(0.4), nn.Linear(width // 2, 1))

    def forward(self, points: Tensor, types: Tensor) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """Return per-atom logits and the features of each level.

        Parameters
        ----------
        points : (batch, n, 3) floating
            Normalised coordinates, nearest to the candidate first, n >= 128.
        types : (batch, n, n_types) float
            One-hot atom types.

        Returns
        -------
        logits : (batch, n)
        levels : seven pairs of (batch, m, 3) and (batch, m, channels)
            RID0 to RID3, then RIU3 to RIU1.
        """
        points = points.double()
        axes = reference_axes(points)
        order = farthest_points(points, SAMPLES[0])
        clouds = [(points, axes)]
        features: list[Tensor] = []
        for level, (n_samples, k) in enumerate(zip(SAMPLES, NEIGHBOURS, strict=True)):
            chosen = order if level == 0 else torch.arange(n_samples, device=points.device).expand(len(points), -1)
            centres, centre_axes = (gather(values, chosen) for values in clouds[-1])
            irif, index = _irif(clouds[-1], (centres, centre_axes), k)
            inputs = torch.cat([irif.to(types.dtype), gather(types, index)], dim=-1)
            previous = gather(features[-1], index) if features else None
            features.append(self.down[level](inputs, previous))
            types = gather(types, chosen)
            clouds.append((centres, centre_axes))
        levels = [(cloud[0], value) for cloud, value in zip(clouds[1:], features, strict=True)]
        current = features[-1]
        for step, k in enumerate(NEIGHBOURS[:-1]):
            fine, coarse = clouds[3 - step], clouds[4 - step]
            irif, index = _irif(coarse, fine, k)
            risen = self.up[step](irif.to(current.dtype), gather(current, index))
            current = self.join[step](torch.cat([risen, features[2 - step]], dim=-1))
            levels.append((fine[0], current))
        irif, index = _irif(clouds[1], clouds[0], NEIGHBOURS[-1])
        atoms = self.last(irif.to(current.dtype), gather(current, index))
        return self.classify(self.head(atoms)).squeeze(-1), levels


def _irif(cloud: tuple[Tensor, Tensor], centres: tuple[Tensor, Tensor], k: int) -> tuple[Tensor, Tensor]:
    """Return IRIF of the `k` neighbours of each centre; a centre that is in the cloud is not its own neighbour."""
    index = _neighbours(cloud[0], centres[0], k)
    return invariant_features(*cloud, *centres, index)


def _neighbours(points: Tensor, centres: Tensor, k: int) -> Tensor:
    """Return k neighbours at a distance above zero."""
    index = nearest(points, centres, k + 1)
    own = (gather(points, index[..., :1]) - centres.unsqueeze(2)).abs().sum(-1) == 0
    return torch.where(own, index[..., 1:], index[..., :-1])


def features_to_cube(points: Tensor, features: Tensor, resolution: int) -> Tensor:
    """Average the features of the points in each cell of a cube over [-1, 1]; empty cells are 0.

    The published code first subtracts the mean of the points, which shifts this cube against the voxel stream's.

    Parameters
    ----------
    points : (batch, m, 3) float64
    features : (batch, m, channels)
    resolution : int
        Cells along each edge.

    Returns
    -------
    (batch, channels, resolution, resolution, resolution)
    """
    cell = ((points + 1.0) / 2.0 * resolution).clamp(0, resolution - 1).round().long()
    flat = (cell[..., 0] * resolution + cell[..., 1]) * resolution + cell[..., 2]
    batch, _, channels = features.shape
    total = features.new_zeros(batch, resolution**3, channels)
    total = total.scatter_add(1, flat.unsqueeze(-1).expand(-1, -1, channels), features)
    count = features.new_zeros(batch, resolution**3).scatter_add(1, flat, features.new_ones(flat.shape))
    mean = total / count.clamp_min(1.0).unsqueeze(-1)
    return mean.transpose(1, 2).unflatten(-1, (resolution,) * 3)
