"""Predictions keep the samples' order and leave the network as it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medtools.training.batches import TensorBatches
from medtools.training.inference import mean_loss, predict
from medtools.training.objective import supervised

INPUTS = torch.randn(11, 3, generator=torch.Generator().manual_seed(0))
DATA = TensorBatches((INPUTS, torch.arange(11) % 2), 4)


def test_predictions_are_those_of_the_whole_set_in_evaluation_mode():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Dropout(0.5))
    model.train()

    found = predict(model, DATA)

    assert model.training
    assert not found.requires_grad
    assert torch.allclose(found, model.eval()(INPUTS), atol=1e-6)


def test_several_outputs_come_as_a_tuple():
    logits, inputs = predict(nn.Linear(3, 2), DATA, lambda model, batch: (model(batch[0]), batch[0]))

    assert logits.shape == (11, 2)
    assert torch.equal(inputs, INPUTS)


def test_mean_loss_averages_batches_and_names_its_parts():
    model = nn.Linear(3, 2)

    def loss(model, batch, step):
        entropy = supervised(nn.functional.cross_entropy)(model, batch, step)
        return {"loss": 2 * entropy, "entropy": entropy}

    batches = [DATA.batch(0, index) for index in range(3)]
    expected = sum(float(nn.functional.cross_entropy(model(x), y).detach()) for x, y in batches) / 3

    assert mean_loss(model, DATA, loss) == pytest.approx({"val_loss": 2 * expected, "val_entropy": expected})
