"""Convolutional block attention (Woo et al. 2018, CBAM): which channels, then where."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_KERNEL = 7


class Cbam(nn.Module):
    """Channel attention followed by spatial attention.

    Parameters
    ----------
    channels : int
    reduction : int
        Narrowing of the shared perceptron.
    literal : bool
        Multiply the spatial map by the input itself, as Eq. 6 of the dSPIC paper prints, and not by the refined
        features.

    Notes
    -----
    f_C(F) = sigmoid(MLP(AvgPool F) + MLP(MaxPool F)); F' = f_C(F) F;
    f_S(F') = sigmoid(conv7x7([mean_c F'; max_c F'])), without bias or norm; output f_S(F') F'.
    """

    def __init__(self, channels: int, reduction: int = 16, *, literal: bool = False) -> None:
        super().__init__()
        hidden = max(1, channels // reduction)
        self.literal = literal
        self.mlp = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))
        self.spatial = nn.Conv2d(2, 1, _KERNEL, padding=_KERNEL // 2, bias=False)

    def channel_attention(self, features: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c) in (0, 1)."""
        return torch.sigmoid(self.mlp(features.mean(dim=(2, 3))) + self.mlp(features.amax(dim=(2, 3))))

    def spatial_attention(self, refined: Tensor) -> Tensor:
        """(n, c, h, w) to (n, 1, h, w) in (0, 1)."""
        pooled = torch.cat([refined.mean(dim=1, keepdim=True), refined.amax(dim=1, keepdim=True)], dim=1)
        return torch.sigmoid(self.spatial(pooled))

    def forward(self, features: Tensor) -> Tensor:
        """(n, c, h, w) to the same shape."""
        refined = self.channel_attention(features)[:, :, None, None] * features
        where = self.spatial_attention(refined)
        return where * (features if self.literal else refined)
