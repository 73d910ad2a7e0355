"""Local prototypes and their votes (Eq. 1 and 3), computed at the resolution of the features, not of the image."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from medtools.core.errors import InputError
from medtools.systems.local_prototype.cells import Cells, upsampling_matrix

Vote = Literal["max", "mean", "last"]
_TINY = 1e-12


def with_background(foreground: Tensor) -> Tensor:
    """Put the background, 1 minus the union of the classes, before them: (..., n, h, w) to (..., n + 1, h, w)."""
    return torch.cat([1 - foreground.amax(dim=-3, keepdim=True), foreground], dim=-3)


def local_prototypes(features: Tensor, masks: Tensor, cells: Cells, *, min_pixels: float = 0) -> Tensor:
    """Masked average pooling inside every cell (Eq. 1), of features upsampled to the image.

    Pooling is linear in the features, so they stay small: the masks are brought down to them instead.

    Parameters
    ----------
    features : (batch, shots, channels, h, w)
    masks : (batch, shots, classes, height, width)
        1 inside a class, 0 outside; the background is a class.
    cells : Cells
        Of the image.
    min_pixels : float
        A class with so many pixels or fewer in a cell has the prototype 0 there.

    Returns
    -------
    (batch, classes, cells, channels)
        Mean over shots; a shot without the class in a cell counts as 0, which changes no cosine.

    Raises
    ------
    InputError
        Masks that do not have the image's size.
    """
    if masks.shape[-2:] != (cells.rows.size, cells.columns.size):
        found = f"mask of {tuple(masks.shape[-2:])} pixels for an image of {(cells.rows.size, cells.columns.size)}"
        raise InputError("mask", found, "give a mask on the image's grid")
    low = (features.shape[-2], features.shape[-1])
    weights = cells.lowered(masks, low)
    pixels = cells.cut(masks).sum(dim=(-1, -2)).flatten(-2)
    sums = torch.einsum("bknyxij,bkcyxij->bknyxc", weights, cells.windows(features)).flatten(-3, -2)
    known = (pixels > min_pixels)[..., None]
    means = torch.where(known, sums / pixels.clamp(min=1)[..., None], torch.zeros((), device=sums.device))
    return means.mean(dim=1)


def similarity(features: Tensor, prototypes: Tensor, cells: Cells, *, vote: Vote = "max") -> tuple[Tensor, Tensor]:
    """Cosine of every pixel's feature with the prototypes of the cells over it, put to the vote (Eq. 3).

    Parameters
    ----------
    features : (batch, channels, h, w)
        Of the query, upsampled to the image before the cosine.
    prototypes : (batch, classes, cells, channels)
    cells : Cells
    vote : {"max", "mean", "last"}
        The largest cosine (paper), their mean, or that of the last cell in row-major order.

    Returns
    -------
    similarity : (batch, classes, height, width)
        0 where the feature is 0. A class without a prototype in a cell has there the least cosine that there can be: 0
        among features that are nowhere negative (paper), else -1, or it would win where the other classes are unlike.
    winner : (batch, classes, height, width) int64
        The cell that decided; for the mean, the one with the largest cosine.
    """
    unit = functional.normalize(prototypes, dim=-1, eps=_TINY)
    shape = (len(cells.rows.starts), len(cells.columns.starts))
    products = torch.einsum("bcyxij,bnyxc->bnyxij", cells.windows(features), unit.unflatten(2, shape))
    low = (features.shape[-2], features.shape[-1])
    found, numbers, real = cells.over_pixels(cells.raised(products, low))
    norm = upsampled_norm(features, (cells.rows.size, cells.columns.size))
    if bool((features < 0).any()):
        absent = prototypes.eq(0).all(dim=-1)[..., numbers]
        found = torch.where(absent, -norm[:, None, ..., None], found)
    scale = torch.where(norm > _TINY, 1 / norm.clamp(min=_TINY), torch.zeros((), device=norm.device))[:, None]
    largest, slot = found.masked_fill(~real, -torch.inf).max(dim=-1)
    if vote == "last":
        slot = numbers.masked_fill(~real, -1).argmax(dim=-1).expand_as(slot)
        largest = found.gather(-1, slot[..., None])[..., 0]
    winner = numbers.expand(*slot.shape, -1).gather(-1, slot[..., None])[..., 0]
    voted = (found * real).sum(-1) / real.sum(-1) if vote == "mean" else largest
    return voted * scale, winner


def upsampled_norm(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the Euclidean norm of features upsampled to `size`, (batch, height, width).

    A pixel's feature is a mean of four neighbours, so its squared norm needs only their products with each other: five
    maps at low resolution. The upsampled features, 268 MB for 256 channels of 512x512, are never made.

    Parameters
    ----------
    features : (batch, channels, h, w)
    size : (height, width)
    """

    def products(one: Tensor, other: Tensor) -> Tensor:
        return (one * other).sum(dim=1)

    up, across = (upsampling_matrix(size[axis], features.shape[2 + axis], features) for axis in (0, 1))
    (up, up_pairs), (across, across_pairs) = ((m.square(), 2 * m[:, :-1] * m[:, 1:]) for m in (up, across))
    top, bottom = features[..., :-1, :], features[..., 1:, :]
    along = products(features[..., :-1], features[..., 1:])
    down = products(top, bottom)
    diagonal = products(top[..., :-1], bottom[..., 1:]) + products(top[..., 1:], bottom[..., :-1])
    rows = up @ products(features, features) + up_pairs @ down
    pairs = up @ along + up_pairs @ diagonal / 2
    total = rows @ across.T + pairs @ across_pairs.T
    # The square root has no gradient at 0.
    return torch.where(total > 0, total.clamp(min=_TINY**2).sqrt(), torch.zeros((), device=total.device))
