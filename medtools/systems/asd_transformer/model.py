"""The community-interaction transformer (Section 3.2, Figure 1), and Com-BrainTF, which it extends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from medtools.core.errors import InputError
from medtools.systems.asd_transformer.layers import EncoderLayer, Ocread, graph_head

Interaction = Literal["add", "concat", "none", "global"]
Readout = Literal["softmax", "mlp"]


@dataclass(frozen=True)
class Trace:
    """What happens inside the network for a batch.

    Attributes
    ----------
    logits : (B, 2)
    scores : (B, communities)
        Attention that a community's nodes pay to its prompt; 1 is uniform attention.
    attention : (B, heads, rois, rois)
        Of the second encoder, from node (row) to node, in the input's order of ROIs.
    tokens : int
        Tokens of the second encoder: an attention of 1 / tokens is uniform.
    assignment : (B, rois, clusters)
        Soft clusters of the readout, in the second encoder's order of nodes.
    """

    logits: Tensor
    scores: Tensor
    attention: Tensor
    tokens: int
    assignment: Tensor


class CommunityTransformer(nn.Module):
    """Encoder within communities, interaction of prompts and nodes, encoder over everything, readout.

    Parameters
    ----------
    communities : sequence of int
        Community of each ROI, from 0; every community has at least one.
    heads, clusters, dropout
        Attention heads, centres of the readout, dropout of the encoders.
    interaction : {"add", "concat", "none", "global"}
        `add`: nodes of the r-th most attended community get the prompt of the r-th least attended one, added; nodes
        go on in order of descending, prompts of ascending attention. `concat`: ordered only. `none`: neither.
        `global`: Com-BrainTF, one token made of all prompts.
    readout : {"softmax", "mlp"}
        See `Ocread`.
    """

    order: Tensor
    community: Tensor

    def __init__(
        self,
        communities: Sequence[int],
        *,
        heads: int = 8,
        clusters: int = 8,
        dropout: float = 0.3,
        interaction: Interaction = "add",
        readout: Readout = "softmax",
    ) -> None:
        super().__init__()
        width = len(communities)
        _check_sizes(width, heads, clusters)
        number = torch.as_tensor(communities)
        self.interaction = interaction
        self.register_buffer("order", torch.argsort(number, stable=True), persistent=False)
        self.register_buffer("community", number[self.order], persistent=False)
        self.sizes = torch.bincount(number).tolist()
        self.prompts = nn.Parameter(torch.empty(len(self.sizes), width))
        for row in range(len(self.sizes)):
            nn.init.xavier_normal_(self.prompts.data[row : row + 1])
        self.local = EncoderLayer(width, heads, dropout=dropout)
        self.all = EncoderLayer(width, heads, dropout=dropout)
        self.summary = None
        if interaction == "global":
            self.summary = nn.Sequential(nn.Linear(len(self.sizes) * width, 512), nn.LeakyReLU(), nn.Linear(512, width))
        self.readout = Ocread(width, width, clusters, mlp=readout == "mlp")
        self.head = graph_head(width, clusters)

    def forward(self, connectivity: Tensor) -> Tensor:
        """Map (B, rois, rois) float32 to (B, 2) logits."""
        return self.head(self._encode(connectivity)[0])

    def trace(self, connectivity: Tensor) -> Trace:
        """Compute logits and keep what explains them."""
        pooled, assignment, scores, attention, order = self._encode(connectivity)
        first = attention.shape[-1] - connectivity.shape[1]
        places = self.order[order].argsort(dim=1)  # where each ROI of the input stands among the nodes
        between = attention[:, :, first:, first:]
        index = places[:, None, :, None].expand(between.shape)
        between = between.gather(2, index).gather(3, index.transpose(2, 3))
        return Trace(self.head(pooled), scores, between, attention.shape[-1], assignment)

    def _encode(self, connectivity: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return Z_G, P, the communities' scores, the second encoder's attention, and its order of nodes."""
        prompts, nodes, scores = self._within(connectivity[:, self.order][:, :, self.order])
        before, after, order = self._interact(prompts, nodes, scores)
        encoded, attention = self.all(torch.cat([before, after], dim=1))  # Eq. 8
        return *self.readout(encoded[:, before.shape[1] :]), scores, attention, order

    def _within(self, ordered: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode each community with its prompt (Eq. 5): prompts (B, K, w), nodes (B, n, w), scores (B, K)."""
        prompts, nodes, scores = [], [], []
        for prompt, rows in zip(self.prompts, ordered.split(self.sizes, dim=1), strict=True):
            tokens = torch.cat([prompt.expand(len(ordered), 1, -1), rows], dim=1)
            encoded, attention = self.local(tokens)
            prompts.append(encoded[:, :1])
            nodes.append(encoded[:, 1:])
            scores.append(prompt_attention(attention))
        return torch.cat(prompts, dim=1), torch.cat(nodes, dim=1), torch.stack(scores, dim=1)

    def _interact(self, prompts: Tensor, nodes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Combine prompts and nodes (Eq. 6-7); return prompt tokens, node tokens, and the nodes' order."""
        still = torch.arange(nodes.shape[1], device=nodes.device).expand(len(nodes), -1)
        if self.summary is not None:
            return self.summary(prompts.flatten(1))[:, None], nodes, still
        if self.interaction == "none":
            return prompts, nodes, still
        if self.interaction == "add":
            nodes = nodes + take(prompts, partners(scores)[:, self.community])
        rank = torch.argsort(scores, dim=1, descending=True, stable=True).argsort(dim=1)
        order = torch.argsort(rank[:, self.community], dim=1, stable=True)
        ascending = torch.argsort(scores, dim=1, stable=True)
        return take(prompts, ascending), take(nodes, order), order


def prompt_attention(weights: Tensor) -> Tensor:
    """Return how much a community's nodes attend to its prompt, token 0, relative to uniform attention.

    Parameters
    ----------
    weights : (B, heads, 1 + n, 1 + n)
        Rows sum to 1.

    Returns
    -------
    (B,)
        Detached: it orders communities, and nothing is learnt from the order.
    """
    return weights.detach()[:, :, 1:, 0].mean(dim=(1, 2)) * weights.shape[-1]


def partners(scores: Tensor) -> Tensor:
    """Return for each community whose prompt it gets: rank r of K (1 is most attended) that of rank K + 1 - r.

    Parameters
    ----------
    scores : (B, K)
        Equal scores rank by index.
    """
    descending = torch.argsort(scores, dim=1, descending=True, stable=True)
    return torch.empty_like(descending).scatter_(1, descending, descending.flip(1))


def take(rows: Tensor, index: Tensor) -> Tensor:
    """Pick rows of each sample: (B, n, w) by (B, m) to (B, m, w)."""
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[-1]))


def _check_sizes(rois: int, heads: int, clusters: int) -> None:
    if rois % heads:
        raise InputError("heads", f"{heads} heads do not divide {rois} ROIs", "choose a divisor")
    if clusters > rois:
        raise InputError("clusters", f"{clusters} cluster centres for {rois} nodes", "choose fewer")
