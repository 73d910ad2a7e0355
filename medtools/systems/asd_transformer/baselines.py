"""The networks of the paper's Table 1, as their public definitions have them: BNT, BrainNetCNN, FBNETGEN."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from medtools.core.errors import InputError
from medtools.systems.asd_transformer.layers import EncoderLayer, Ocread, graph_head

_SLOPE = 0.33


class BrainNetworkTransformer(nn.Module):
    """BNT (Kan et al. 2022): two encoder layers, the second's nodes pooled to clusters, dense head."""

    def __init__(self, rois: int, *, heads: int = 4, clusters: int = 100) -> None:
        super().__init__()
        if rois % heads or clusters > rois:
            raise InputError("bnt", f"needs at least {clusters} ROIs and a multiple of {heads}, found {rois}")
        self.first = EncoderLayer(rois, heads, dropout=0.1)
        self.second = EncoderLayer(rois, heads, dropout=0.1)
        self.readout = Ocread(rois, rois, clusters, mlp=True)
        self.head = graph_head(rois, clusters)

    def forward(self, connectivity: Tensor) -> Tensor:
        """Map (B, rois, rois) to (B, 2) logits."""
        nodes, _ = self.second(self.first(connectivity)[0])
        return self.head(self.readout(nodes)[0])


class EdgeToEdge(nn.Module):
    """Each edge gets what its row and its column say (Kawahara et al. 2017)."""

    def __init__(self, rois: int, n_in: int, n_out: int) -> None:
        super().__init__()
        self.row = nn.Conv2d(n_in, n_out, (1, rois))
        self.column = nn.Conv2d(n_in, n_out, (rois, 1))

    def forward(self, edges: Tensor) -> Tensor:
        """Map (B, n_in, rois, rois) to (B, n_out, rois, rois)."""
        return self.row(edges) + self.column(edges)


class BrainNetCnn(nn.Module):
    """BrainNetCNN (Kawahara et al. 2017): two edge-to-edge layers, edge-to-node, node-to-graph, dense head."""

    def __init__(self, rois: int) -> None:
        super().__init__()
        act, drop = nn.LeakyReLU(_SLOPE), nn.Dropout(0.5)
        self.layers = nn.Sequential(
            EdgeToEdge(rois, 1, 32), act, EdgeToEdge(rois, 32, 64), act,
            nn.Conv2d(64, 1, (1, rois)), act, nn.Conv2d(1, 256, (rois, 1)), act, drop, nn.Flatten(),
            nn.Linear(256, 128), act, drop, nn.Linear(128, 30), act, drop, nn.Linear(30, 2),
        )  # fmt: skip

    def forward(self, connectivity: Tensor) -> Tensor:
        """Map (B, rois, rois) to (B, 2) logits."""
        return self.layers(connectivity[:, None])


class FbNetGen(nn.Module):
    """FBNETGEN (Kan et al. 2022): a graph learnt from the time series, convolutions of connectivity over it."""

    def __init__(self, rois: int, *, window: int = 4, layers: int = 4, embedding: int = 16) -> None:
        super().__init__()
        self.window = window
        self.gru = nn.GRU(window, window, layers, bidirectional=True, batch_first=True)
        self.embed = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(2 * window, window), nn.LeakyReLU(0.2), nn.Linear(window, embedding)
        )
        act = nn.LeakyReLU(0.2)
        self.convolutions = nn.ModuleList(
            [
                nn.Sequential(nn.Linear(rois, rois), act, nn.Linear(rois, rois)),
                nn.Sequential(nn.Linear(rois, rois), act),
                nn.Sequential(nn.Linear(rois, 64), act, nn.Linear(64, 8), act),
            ]
        )
        self.norms = nn.ModuleList([nn.BatchNorm1d(size) for size in (rois, rois, 8)])
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(8 * rois, 256), act, nn.Linear(256, 32), act, nn.Linear(32, 2)
        )  # fmt: skip

    def forward(self, connectivity: Tensor, series: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, rois, rois) and (B, rois, samples) to (B, 2) logits and the learnt graph (B, rois, rois)."""
        batch, rois, samples = series.shape
        whole = samples - samples % self.window
        steps = series[:, :, :whole].reshape(batch * rois, -1, self.window)
        last = self.gru(steps)[0][:, -1].reshape(batch, rois, -1)
        embedding = self.embed(last).softmax(dim=-1)
        graph = embedding @ embedding.transpose(1, 2)
        nodes = connectivity
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            nodes = norm(convolution(graph @ nodes).transpose(1, 2)).transpose(1, 2)
        return self.head(nodes), graph


def graph_losses(graph: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Return FBNETGEN's terms: graphs of a class should be alike and classes apart, and edges few.

    Parameters
    ----------
    graph : (B, n, n)
    target : (B,) int64
        0 or 1.
    """
    flat = graph.flatten(1)
    centres, group = [], flat.new_zeros(())
    for label in (0, 1):
        members = flat[target == label]
        if len(members):
            centre = members.mean(dim=0)
            group = group + (members - centre).abs().mean()
            centres.append(centre)
    if len(centres) == 2:
        group = group + 2 * (1 - (centres[0] - centres[1]).abs().mean())
    return {"group_loss": group, "sparsity_loss": 1e-4 * graph.abs().mean()}


def logits_of(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return the logits of a network's output."""
    return output[0] if isinstance(output, tuple) else output


def network_loss(model: nn.Module, batch: tuple[Tensor, ...], _: object) -> dict[str, Tensor]:
    """Return cross-entropy, plus the terms of a network that also returns its graph; targets are last in the batch."""
    *inputs, target = batch
    output = model(*inputs)
    entropy = nn.functional.cross_entropy(logits_of(output), target)
    if not isinstance(output, tuple):
        return {"loss": entropy}
    terms = graph_losses(output[1], target)
    return {"loss": torch.stack([entropy, *terms.values()]).sum(), "cross_entropy": entropy, **terms}
