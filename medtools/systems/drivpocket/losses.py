"""Training losses: the paper's Eq. 16, and what the published code minimises."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

Loss = Literal["paper", "authors"]

_SMOOTHING = 0.01


def dice_loss(probability: Tensor, target: Tensor) -> Tensor:
    """Return 1 - (2 sum(p t) + 0.01) / (sum p + sum t + 0.01) over the whole batch."""
    overlap = (probability * target).sum()
    return 1.0 - (2.0 * overlap + _SMOOTHING) / (probability.sum() + target.sum() + _SMOOTHING)


def pocket_loss(
    cavity: Tensor, binding: Tensor | None, cavity_target: Tensor, binding_target: Tensor, kind: Loss = "paper"
) -> dict[str, Tensor]:
    """Return the total loss under "loss", and its parts.

    Parameters
    ----------
    cavity, cavity_target : (batch, n, n, n)
        Logits and 0/1.
    binding, binding_target : (batch, m)
        Logits (None without a point stream) and 0/1.
    kind : {"paper", "authors"}
        Mean binary cross-entropies with weights 1 and 1 (Eq. 16); or 2 on voxels, 1 on points, and half the Dice loss.

    Returns
    -------
    dict of scalar tensors
        `loss`, `voxels`, and where present `points` and `dice`.
    """
    parts = {"voxels": nn.functional.binary_cross_entropy_with_logits(cavity, cavity_target)}
    total = parts["voxels"] * (2.0 if kind == "authors" else 1.0)
    if binding is not None:
        parts["points"] = nn.functional.binary_cross_entropy_with_logits(binding, binding_target)
        total = total + parts["points"]
    if kind == "authors":
        parts["dice"] = dice_loss(torch.sigmoid(cavity), cavity_target)
        total = total + 0.5 * parts["dice"]
    return {"loss": total, **parts}


def overlap(probability: Tensor, target: Tensor) -> Tensor:
    """Return the intersection over union of p > 0.5 and the target, one value per sample (1 where both are empty)."""
    predicted, truth = probability.flatten(1) > 0.5, target.flatten(1) > 0.5
    union = (predicted | truth).sum(-1)
    return torch.where(
        union > 0, (predicted & truth).sum(-1) / union.clamp_min(1), torch.ones_like(union, dtype=torch.float)
    )
