"""The classifier of PR matrices: a convolutional and a fully connected branch, fused (Section 3.5, Figure 3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Head = Literal["paper", "authors"]
Branches = Literal["both", "1d", "2d"]

_CONV_WIDTH, _FLAT_WIDTH, _DROPOUT = 256, 256, 0.2


def _conv(n_in: int, n_out: int) -> nn.Sequential:
    # Padding 1 and no normalisation are the authors' code; the paper names neither.
    return nn.Sequential(nn.Conv2d(n_in, n_out, kernel_size=3, padding=1), nn.ReLU())


def convolutional_branch() -> nn.Sequential:
    """Return the 2-D branch: (B, 1, n, n) to (B, 256), 392,320 parameters."""
    return nn.Sequential(
        _conv(1, 16),
        _conv(16, 32),
        _conv(32, 64),
        nn.MaxPool2d(2),
        _conv(64, 128),
        _conv(128, _CONV_WIDTH),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def flat_branch(n_rois: int) -> nn.Sequential:
    """Return the 1-D branch: the flattened matrix to (B, 256). "ReLU throughout" is the text; the code has none."""
    return nn.Sequential(nn.Flatten(), nn.Linear(n_rois**2, _FLAT_WIDTH), nn.ReLU())


def _dense(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(_DROPOUT))


def fusion_head(n_in: int, head: Head = "paper", n_classes: int = 2) -> nn.Sequential:
    """Return the layers after concatenation: 128-64-32 as in the text, or the authors' single layer without ReLU."""
    if head == "authors":
        return nn.Sequential(nn.Linear(n_in, 128), nn.Dropout(_DROPOUT), nn.Linear(128, n_classes))
    return nn.Sequential(_dense(n_in, 128), _dense(128, 64), _dense(64, 32), nn.Linear(32, n_classes))


class PrClassifier(nn.Module):
    """Two-branch network over one PR matrix.

    Parameters
    ----------
    n_rois : int
        Rows of the matrix, at least 2.
    head : {"paper", "authors"}
        Layers after the branches are concatenated.
    branches : {"both", "1d", "2d"}
        The paper's network, or an ablation with one branch.
    n_classes : int
        Logits; softmax is applied at inference only, training takes cross-entropy of logits.
    """

    def __init__(self, n_rois: int, head: Head = "paper", branches: Branches = "both", n_classes: int = 2) -> None:
        super().__init__()
        self.conv = convolutional_branch() if branches != "1d" else None
        self.flat = flat_branch(n_rois) if branches != "2d" else None
        width = (self.conv is not None) * _CONV_WIDTH + (self.flat is not None) * _FLAT_WIDTH
        self.head = fusion_head(width, head, n_classes)

    def forward(self, matrices: Tensor) -> Tensor:
        """Map (B, 1, n_rois, n_rois) float32, standardised per matrix, to (B, n_classes) logits."""
        parts = [branch(matrices) for branch in (self.conv, self.flat) if branch is not None]
        return self.head(torch.cat(parts, dim=1))


def densenet(n_classes: int = 2) -> nn.Module:
    """Return the paper's comparison network, DenseNet-121 for (B, 1, 224, 224) grey images."""
    from monai.networks.nets import DenseNet121

    return DenseNet121(spatial_dims=2, in_channels=1, out_channels=n_classes)


def standardise(matrices: Tensor) -> Tensor:
    """Scale each matrix to mean 0 and, over all n^2 entries, unbiased standard deviation 1 (authors' code).

    Parameters
    ----------
    matrices : (B, n, n) float
    """
    mean = matrices.mean(dim=(1, 2), keepdim=True)
    spread = matrices.std(dim=(1, 2), keepdim=True, unbiased=True)
    return (matrices - mean) / torch.where(spread > 0, spread, torch.ones_like(spread))


def grey_images(matrices: Tensor, side: int = 224) -> Tensor:
    """Turn (B, n, n) matrices into (B, 1, side, side) images: min-max scaled, nearest neighbour.

    DenseNet-121 needs this size: 18 by 18 collapses to nothing in its third transition.
    """
    low = matrices.amin(dim=(1, 2), keepdim=True)
    span = matrices.amax(dim=(1, 2), keepdim=True) - low
    scaled = (matrices - low) / torch.where(span > 0, span, torch.ones_like(span))
    return nn.functional.interpolate(scaled.unsqueeze(1), size=(side, side), mode="nearest")
