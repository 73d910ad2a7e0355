"""Pooling-based vision transformer, tiny (Heo et al. 2021): tokens on a grid, pooled between three stages."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

WIDTH = 256
_WIDTHS, _DEPTHS, _HEADS = (64, 128, 256), (2, 6, 4), (2, 4, 8)
_PATCH, _STRIDE, _MLP = 16, 8, 4


class PitTiny(nn.Module):
    """The trunk: (n, 3, size, size) to the class token, (n, 256).

    Parameters
    ----------
    size : int
        Side of the images; position embeddings belong to it.
    """

    def __init__(self, size: int = 224) -> None:
        super().__init__()
        grid = (size - _PATCH) // _STRIDE + 1
        self.patches = nn.Conv2d(3, _WIDTHS[0], _PATCH, _STRIDE)
        self.positions = nn.Parameter(torch.empty(1, _WIDTHS[0], grid, grid))
        self.token = nn.Parameter(torch.empty(1, 1, _WIDTHS[0]))
        for parameter in (self.positions, self.token):
            nn.init.trunc_normal_(parameter, std=0.02)
        stages = zip(_WIDTHS, _DEPTHS, _HEADS, strict=True)
        self.stages = nn.ModuleList(
            nn.ModuleList(TransformerBlock(width, heads) for _ in range(depth)) for width, depth, heads in stages
        )
        self.pools = nn.ModuleList(TokenPool(a, b) for a, b in pairwise(_WIDTHS))
        self.norm = nn.LayerNorm(WIDTH, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        """Return the class token of the last stage, normalised."""
        grid = self.patches(images) + self.positions
        token = self.token.expand(len(images), -1, -1)
        for number, blocks in enumerate(self.stages):
            if number:
                grid, token = self.pools[number - 1](grid, token)
            side = grid.shape[-2:]
            tokens = torch.cat([token, grid.flatten(2).transpose(1, 2)], dim=1)
            for block in blocks:  # type: ignore[attr-defined]
                tokens = block(tokens)
            token = tokens[:, :1]
            grid = tokens[:, 1:].transpose(1, 2).unflatten(2, side)
        return self.norm(token[:, 0])


class TransformerBlock(nn.Module):
    """Attention and a two-layer perceptron, each after a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, _MLP * width), nn.GELU(), nn.Linear(_MLP * width, width))

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, tokens, width) to the same shape."""
        n, count, width = tokens.shape
        split = self.qkv(self.norm1(tokens)).reshape(n, count, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(n, count, width)
        tokens = tokens + self.out(mixed)
        return tokens + self.mlp(self.norm2(tokens))


class TokenPool(nn.Module):
    """Halve the grid by a strided depthwise convolution; widen the class token by a linear layer."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.grid = nn.Conv2d(before, after, 3, 2, padding=1, groups=before)
        self.token = nn.Linear(before, after)

    def forward(self, grid: Tensor, token: Tensor) -> tuple[Tensor, Tensor]:
        """Return grid and token of the next stage."""
        return self.grid(grid), self.token(token)
