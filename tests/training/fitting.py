"""A small network and its data, and `fit` called with few words."""

from __future__ import annotations

import torch
from torch import nn

from medtools.core.seeds import seeded
from medtools.training.batches import TensorBatches
from medtools.training.fit import FitSettings, Objective, fit, supervised

ENTROPY = supervised(nn.functional.cross_entropy)
INPUTS = torch.randn(40, 6, generator=torch.Generator().manual_seed(0))
LABELS = (INPUTS[:, 0] > 0).long()


def network(*, dropout: float = 0.0) -> nn.Module:
    with seeded(1):
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(dropout), nn.Linear(8, 2))


def adam(lr: float = 1e-2):
    return lambda model: torch.optim.Adam(model.parameters(), lr=lr)


def batches(size: int = 8, **options) -> TensorBatches:
    return TensorBatches((INPUTS, LABELS), size, seed=5, **options)


def train(out, model=None, objectives=None, data=None, *, seed=3, validate=None, after_step=None, after_epoch=None,
          overwrite=False, params=None, **settings):  # fmt: skip
    chosen = FitSettings(**{"epochs": 3, "curves": False} | settings)
    return fit(
        model or network(), objectives or Objective(ENTROPY, adam()), data or batches(), out=out, settings=chosen,
        seed=seed, params=params, validate=validate, after_step=after_step, after_epoch=after_epoch,
        overwrite=overwrite,
    )  # fmt: skip


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in model.state_dict().values()])
