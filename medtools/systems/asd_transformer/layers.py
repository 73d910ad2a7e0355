"""Blocks of the brain-network transformers: an encoder that shows its attention, and the orthonormal readout."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Multi-head scaled dot-product self-attention (Eq. 3-4) that returns its weights, before dropout.

    PyTorch's own layer takes a fast path in evaluation that records no weights, and mixes dropout into them in
    training.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.project = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        nn.init.xavier_uniform_(self.project.weight)
        nn.init.zeros_(self.project.bias)
        nn.init.zeros_(self.out.bias)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, n, width) to the same shape and weights (B, heads, n, n), each row summing to 1."""
        batch, count, width = tokens.shape
        split = self.project(tokens).reshape(batch, count, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        weights = (query @ key.transpose(-1, -2) / (width // self.heads) ** 0.5).softmax(dim=-1)
        mixed = self.dropout(weights) @ value
        return self.out(mixed.transpose(1, 2).reshape(batch, count, width)), weights


class EncoderLayer(nn.Module):
    """Post-norm transformer layer: attention, residual, norm; feed-forward, residual, norm."""

    def __init__(self, width: int, heads: int, hidden: int = 1024, dropout: float = 0.3) -> None:
        super().__init__()
        self.attention = SelfAttention(width, heads, dropout)
        self.norm_attention = nn.LayerNorm(width)
        self.feed = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )  # fmt: skip
        self.norm_feed = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, n, width) to the same shape and attention weights (B, heads, n, n)."""
        mixed, weights = self.attention(tokens)
        tokens = self.norm_attention(tokens + self.dropout(mixed))
        return self.norm_feed(tokens + self.dropout(self.feed(tokens))), weights


class Ocread(nn.Module):
    """Orthonormal clustering readout (Kan et al. 2022): nodes are softly assigned to frozen orthonormal centres.

    Parameters
    ----------
    nodes, width : int
        Nodes and features of each.
    clusters : int
        Centres, at most `width`.
    mlp : bool
        As in the base code: the flattened nodes pass through `nodes * width -> 32 -> 32 -> nodes * width` first, and
        scores are squared. Without it Eq. 9-10 literally.
    """

    centres: Tensor

    def __init__(self, nodes: int, width: int, clusters: int, *, mlp: bool = False) -> None:
        super().__init__()
        self.register_buffer("centres", orthonormal(clusters, width))
        self.mlp = None
        if mlp:
            size = nodes * width
            self.mlp = nn.Sequential(
                nn.Linear(size, 32), nn.LeakyReLU(), nn.Linear(32, 32), nn.LeakyReLU(), nn.Linear(32, size)
            )

    def forward(self, nodes: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, nodes, width) to Z_G (B, clusters, width) and P (B, nodes, clusters), rows of P summing to 1."""
        if self.mlp is not None:
            nodes = self.mlp(nodes.flatten(1)).reshape(nodes.shape)
        scores = nodes @ self.centres.T
        if self.mlp is not None:
            scores = scores**2 / self.centres.norm(dim=1)
        assignment = scores.softmax(dim=-1)  # Eq. 9
        return assignment.transpose(1, 2) @ nodes, assignment  # Eq. 10


def orthonormal(count: int, width: int) -> Tensor:
    """Draw `count` orthonormal rows: Xavier-uniform, then Gram-Schmidt in double precision."""
    rows = nn.init.xavier_uniform_(torch.empty(count, width)).double()
    for i in range(count):
        for j in range(i):
            rows[i] -= (rows[i] @ rows[j]) * rows[j]
        rows[i] /= rows[i].norm()
    return rows.float()


def graph_head(width: int, clusters: int, classes: int = 2) -> nn.Sequential:
    """Map Z_G (B, clusters, width) to logits: width -> 8 each, flattened -> 256 -> 32 -> classes."""
    return nn.Sequential(
        nn.Linear(width, 8), nn.LeakyReLU(), nn.Flatten(),
        nn.Linear(8 * clusters, 256), nn.LeakyReLU(),
        nn.Linear(256, 32), nn.LeakyReLU(), nn.Linear(32, classes),
    )  # fmt: skip
