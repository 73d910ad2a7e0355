"""The DRIA block: ProbSparse spatial and channel attention that share queries and keys (paper, Eq. 6-14)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor, nn

Attention = Literal["none", "spatial", "channel", "dual"]

SPARSITY = 5
"""The constant c in u = c ceil(ln L)."""

_SAMPLING_SEED = 20240807


def n_kept(n_tokens: int) -> int:
    """Return u, the queries that get full attention and the keys each query samples, at most all tokens."""
    return min(n_tokens, max(1, SPARSITY * math.ceil(math.log(n_tokens))))


@lru_cache(maxsize=8)
def sampled_keys(n_tokens: int) -> Tensor:
    """Return the keys each query is compared with, (u, n_tokens) int64: one seeded draw, so that inference repeats."""
    generator = torch.Generator().manual_seed(_SAMPLING_SEED + n_tokens)
    return torch.randint(n_tokens, (n_kept(n_tokens), n_tokens), generator=generator)


@torch.no_grad()
def sparsity_measure(queries: Tensor, keys: Tensor) -> Tensor:
    """Return the max-mean measure of every query over its sampled keys (Eq. 11).

    One sampled key of all queries is taken at a time: memory does not grow with the size of the sample.

    Parameters
    ----------
    queries, keys : (batch, heads, n_tokens, d)

    Returns
    -------
    (batch, heads, n_tokens)
    """
    batch, heads, n_tokens, d = queries.shape
    # Tokens first, so that one token's features of all heads and candidates are one block of memory.
    rows = queries.permute(2, 0, 1, 3).reshape(n_tokens, batch * heads, d)
    others = keys.permute(2, 0, 1, 3).reshape(n_tokens, batch * heads, d)
    sample = sampled_keys(n_tokens).to(queries.device)
    highest = rows.new_full((n_tokens, batch * heads), -torch.inf)
    total = rows.new_zeros(n_tokens, batch * heads)
    for chosen in sample:
        scores = (rows * others.index_select(0, chosen)).sum(-1)
        highest = torch.maximum(highest, scores)
        total += scores
    measure = (highest - total / len(sample)) / math.sqrt(d)
    return measure.view(n_tokens, batch, heads).permute(1, 2, 0)


def spatial_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return ProbSparse attention (Eq. 12): the top queries attend to all keys, all others get the mean of the values.

    Parameters
    ----------
    queries, keys, values : (batch, heads, n_tokens, d)

    Returns
    -------
    (batch, heads, n_tokens, d)
    """
    d = queries.shape[-1]
    top = sparsity_measure(queries, keys).topk(n_kept(queries.shape[2]), dim=-1).indices
    top = top.unsqueeze(-1).expand(-1, -1, -1, d)
    scores = queries.gather(2, top) @ keys.transpose(-2, -1) / math.sqrt(d)
    mean = values.mean(dim=2, keepdim=True).expand_as(values)
    return mean.scatter(2, top, scores.softmax(dim=-1) @ values)


def channel_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Return attention between the d channels of each head (Eq. 13); shapes as for `spatial_attention`."""
    scores = queries.transpose(-2, -1) @ keys / math.sqrt(queries.shape[-1])
    return values @ scores.softmax(dim=-1)


class DualAttention(nn.Module):
    """Shared queries and keys, one set of values per attention, outputs added (Eq. 6-8 and 14).

    Parameters
    ----------
    channels : int
    heads : int
    kind : {"spatial", "channel", "dual"}
    with_points : bool
        Multiply the queries by a linear map of the point stream's features (Eq. 6).
    """

    def __init__(self, channels: int, heads: int = 4, kind: Attention = "dual", with_points: bool = True) -> None:
        super().__init__()
        self.heads, self.kind = heads, kind
        self.n_values = 2 if kind == "dual" else 1
        self.project = nn.Linear(channels, (2 + self.n_values) * channels, bias=False)
        self.modulate = nn.Linear(channels, channels, bias=False) if with_points else None
        self.out_spatial = nn.Linear(channels, channels) if kind in ("spatial", "dual") else None
        self.out_channel = nn.Linear(channels, channels) if kind in ("channel", "dual") else None

    def forward(self, tokens: Tensor, point_tokens: Tensor | None = None) -> Tensor:
        """Map (batch, n_tokens, channels) to the same shape; `point_tokens` has it too."""
        queries, keys, *values = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.project(tokens).chunk(2 + self.n_values, dim=-1)
        )
        if self.modulate is not None and point_tokens is not None:
            queries = queries * self.modulate(point_tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        queries, keys = nn.functional.normalize(queries, dim=2), nn.functional.normalize(keys, dim=2)
        out = torch.zeros_like(tokens)
        if self.out_spatial is not None:
            out = out + self.out_spatial(_merge(spatial_attention(queries, keys, values[0])))
        if self.out_channel is not None:
            out = out + self.out_channel(_merge(channel_attention(queries, keys, values[-1])))
        return out


class DRIABlock(nn.Module):
    """Attention with a small learnt residual weight, then a normalised 3x3x3 convolution with a residual.

    Parameters
    ----------
    channels, heads : int
    kind : {"none", "spatial", "channel", "dual"}
        With "none" the convolution stays: the paper's models 1 to 3.
    with_points : bool
    """

    def __init__(self, channels: int, heads: int = 4, kind: Attention = "dual", with_points: bool = True) -> None:
        super().__init__()
        self.attention = None if kind == "none" else DualAttention(channels, heads, kind, with_points)
        self.gamma = None if kind == "none" else nn.Parameter(torch.full((channels,), 0.1))
        self.refine = nn.Sequential(
            nn.Dropout3d(0.1),
            nn.Conv3d(channels, channels, 3, padding=1, bias=False),
            nn.GroupNorm(1, channels),
        )

    def forward(self, volume: Tensor, point_cube: Tensor | None = None) -> Tensor:
        """Map (batch, channels, n, n, n) to the same shape."""
        if self.attention is not None:
            tokens = volume.flatten(2).transpose(1, 2)
            point_tokens = None if point_cube is None else point_cube.flatten(2).transpose(1, 2)
            tokens = tokens + self.gamma * self.attention(tokens, point_tokens)
            volume = tokens.transpose(1, 2).unflatten(-1, volume.shape[2:])
        return nn.functional.leaky_relu(volume + self.refine(volume), 0.01)


def _merge(heads: Tensor) -> Tensor:
    """Bring (batch, heads, n_tokens, d) back to (batch, n_tokens, heads d), tokens in their own order."""
    return heads.transpose(1, 2).flatten(2)
