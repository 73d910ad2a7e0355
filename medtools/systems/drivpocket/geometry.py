"""Rotation-invariant point geometry: neighbours, farthest points, local reference axes and IRIF (paper, section 3.2).

Everything here is computed in float64 from coordinates alone; a rigid motion changes the results by rounding only, a
mirror image changes them truly. IRIF follows RIConv++ (Zhang et al. 2022).
"""

from __future__ import annotations

import torch
from torch import Tensor

LRA_NEIGHBOURS = 64
_CLAMP = 1.0 - 1e-5
_TINY = 1e-300


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Take rows of each cloud.

    Parameters
    ----------
    values : (batch, n, channels)
    index : (batch, m) or (batch, m, k) int64

    Returns
    -------
    (batch, m, channels) or (batch, m, k, channels)
    """
    batch = torch.arange(len(values), device=values.device).view(-1, *[1] * (index.dim() - 1))
    return values[batch, index]


def nearest(points: Tensor, centres: Tensor, k: int, *, exclude_self: bool = False) -> Tensor:
    """Return the `k` points nearest to each centre, nearest first.

    Parameters
    ----------
    points : (batch, n, 3) float64
    centres : (batch, m, 3) float64
    k : int
        All other points where the cloud has fewer.
    exclude_self : bool
        Leave out the point that lies on the centre.

    Returns
    -------
    (batch, m, min(k, n or n - 1)) int64
    """
    distances = torch.cdist(centres, points, compute_mode="donot_use_mm_for_euclid_dist")
    skip = int(exclude_self)
    k = min(k, points.shape[1] - skip)
    return distances.topk(k + skip, dim=-1, largest=False).indices[..., skip:]


def farthest_points(points: Tensor, n_samples: int) -> Tensor:
    """Return the order of farthest-point sampling from the first point (the atom nearest to the centre).

    The first m samples of this order are what sampling m points gives, and also what sampling m points out of the first
    n > m gives: one call serves all levels.

    Parameters
    ----------
    points : (batch, n, 3) float64
    n_samples : int
        At most n.

    Returns
    -------
    (batch, n_samples) int64
    """
    batch = torch.arange(len(points), device=points.device)
    chosen = torch.zeros(len(points), n_samples, dtype=torch.int64, device=points.device)
    gap = torch.full(points.shape[:2], torch.inf, dtype=points.dtype, device=points.device)
    for step in range(1, n_samples):
        last = points[batch, chosen[:, step - 1]].unsqueeze(1)
        gap = torch.minimum(gap, (points - last).square().sum(-1))
        chosen[:, step] = gap.argmax(-1)
    return chosen


def reference_axes(points: Tensor, neighbours: int = LRA_NEIGHBOURS) -> Tensor:
    """Return the local reference axis of every point (Eq. 1-3).

    The eigenvector of the smallest eigenvalue of the weighted covariance, its sign fixed so that the weighted sum of
    the neighbours' offsets has a component along it that is not negative.

    Parameters
    ----------
    points : (batch, n, 3) float64
    neighbours : int

    Returns
    -------
    (batch, n, 3) float64
        Unit vectors.
    """
    index = nearest(points, points, neighbours, exclude_self=True)
    offsets = gather(points, index) - points.unsqueeze(2)
    lengths = offsets.norm(dim=-1)
    weights = lengths.amax(-1, keepdim=True) - lengths  # Eq. 2 and 3
    total = weights.sum(-1, keepdim=True)
    weights = torch.where(total > 0, weights / total.clamp_min(_TINY), torch.full_like(weights, 1.0 / index.shape[-1]))
    covariance = torch.einsum("bnk,bnki,bnkj->bnij", weights, offsets, offsets)  # Eq. 1
    axis = torch.linalg.eigh(covariance).eigenvectors[..., 0]
    side = (torch.einsum("bnk,bnki->bni", weights, offsets) * axis).sum(-1, keepdim=True)
    return torch.where(side < 0, -axis, axis)


def invariant_features(
    points: Tensor, axes: Tensor, centres: Tensor, centre_axes: Tensor, index: Tensor
) -> tuple[Tensor, Tensor]:
    """Return IRIF, eight rotation-invariant numbers per neighbour, and the neighbours in clockwise order.

    Parameters
    ----------
    points, axes : (batch, n, 3) float64
        Cloud and its reference axes.
    centres, centre_axes : (batch, m, 3) float64
        Reference atoms and their axes.
    index : (batch, m, k) int64
        Neighbours of each centre in the cloud.

    Returns
    -------
    features : (batch, m, k, 8) float64
        Distance, azimuth step, and six angles.
    index : (batch, m, k) int64
        Ordered clockwise around the centre's axis, as the features are.
    """
    azimuth, order = _clockwise(gather(points, index) - centres.unsqueeze(2), centre_axes)
    index = index.gather(-1, order)
    offsets = gather(points, index) - centres.unsqueeze(2)
    n_i = gather(axes, index)
    n = centre_axes.unsqueeze(2)
    before = n_i.roll(1, dims=2)
    u = _unit(offsets)
    v = _unit(offsets - offsets.roll(1, dims=2))
    step = azimuth - azimuth.roll(1, dims=-1)
    step[..., 0] = -3.0 - azimuth[..., -1]
    to_centre, to_own = _dot(u, n), _dot(u, n_i)
    to_next, to_before = _dot(v, n_i), _dot(v, before)
    features = (
        offsets.norm(dim=-1),
        step,
        to_centre,
        to_own,
        _signed_angle(to_centre < to_own, _dot(n, n_i)),
        to_next,
        to_before,
        _signed_angle(to_next < to_before, _dot(before, n_i)),
    )
    return torch.stack(features, dim=-1), index


def _clockwise(offsets: Tensor, axis: Tensor) -> tuple[Tensor, Tensor]:
    """Return azimuth codes, falling from 1 to -3, and the order that sorts them.

    The reference is the neighbour whose projection on the plane across `axis` is longest.
    """
    normal = axis.unsqueeze(2)
    planar = offsets - _dot(offsets, normal).unsqueeze(-1) * normal
    longest = planar.norm(dim=-1).argmax(-1, keepdim=True)
    planar = _unit(planar)
    reference = planar.gather(2, longest.unsqueeze(-1).expand(-1, -1, -1, 3))
    cosine = _dot(planar, reference)
    ahead = _dot(torch.linalg.cross(planar, reference.expand_as(planar), dim=-1), normal) >= 0
    code = torch.where(ahead, cosine, -cosine - 2.0)
    # Without this, rounding decides whether the reference itself comes first or last.
    code = code.scatter(-1, longest, 1.0)
    return code.sort(dim=-1, descending=True, stable=True)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(_TINY)


def _signed_angle(positive: Tensor, cosine: Tensor) -> Tensor:
    angle = torch.acos(cosine.clamp(-_CLAMP, _CLAMP))
    return torch.where(positive, angle, -angle)
