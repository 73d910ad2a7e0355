"""Grad-CAM (Selvaraju et al. 2017, Eq. 1-2) on feature maps that a network hands out."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from medtools.core.devices import compute_threads

Maps = Callable[[Tensor], Tensor]


def grad_cam(maps_of: Maps, logits_of: Maps, images: Tensor, classes: Tensor) -> Tensor:
    """Weight feature maps by the mean gradient of one logit, add them, and keep what speaks for the class.

    Parameters
    ----------
    maps_of : callable
        (n, ...) images to (n, channels, h, w) feature maps.
    logits_of : callable
        Those maps to (n, n_classes) logits.
    images : (n, ...) Tensor
    classes : (n,) int64 Tensor
        The class to explain, per image.

    Returns
    -------
    (n, h, w) float32 Tensor
        Not negative, in the logit's unit; not scaled, so that maps of several images can be compared.
    """
    with torch.enable_grad(), compute_threads(1):
        maps = maps_of(images).detach().requires_grad_()
        chosen = logits_of(maps).gather(1, classes[:, None]).sum()
        (gradient,) = torch.autograd.grad(chosen, maps)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return torch.relu((weights * maps.detach()).sum(dim=1))


def to_image(cams: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample (n, h, w) maps to (n, *size), bilinear, and scale each to a maximum of 1; empty maps stay zero."""
    large = nn.functional.interpolate(cams[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    most = large.amax(dim=(1, 2), keepdim=True)
    return large / torch.where(most > 0, most, torch.ones_like(most))
