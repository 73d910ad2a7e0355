"""Objectives, schedules and what follows a step: each acts on what it is meant for."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from fitting import ENTROPY, INPUTS, LABELS, adam, train, weights
from torch import nn

from medtools.core.seeds import seeded
from medtools.training.batches import TensorBatches
from medtools.training.checkpoint import load_checkpoint
from medtools.training.fit import Objective, Step


def test_each_objective_moves_its_own_parameters_only(tmp_path):
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(6, 2), nn.Linear(2, 2)

    with seeded(2):
        model = Pair()
    seen = []

    def of_a(model, batch, step):
        seen.append([p.requires_grad for p in model.parameters()])
        return nn.functional.cross_entropy(model.b(model.a(batch[0])), batch[1])

    def of_b(model, batch, step):
        seen.append([p.requires_grad for p in model.parameters()])
        return model.b.bias.square().sum()

    before = model.b.weight.clone()
    objectives = [
        Objective(of_a, lambda m: torch.optim.SGD(m.a.parameters(), lr=0.1), name="generator"),
        Objective(of_b, lambda m: torch.optim.SGD(m.b.parameters(), lr=0.5), name="critic"),
    ]
    result = train(tmp_path, model, objectives, epochs=1)

    assert seen[:2] == [[True, True, False, False], [False, False, True, True]]
    assert torch.equal(model.b.weight, before)
    assert torch.equal(model.b.bias, torch.zeros(2))  # one step of lr 0.5 on b^2 lands at 0
    assert list(result.history[0]) == ["epoch", "step", "lr", "lr_critic", "generator", "critic"]


def test_parts_of_a_loss_are_recorded_beside_it(tmp_path):
    def loss(model, batch, step):
        entropy = nn.functional.cross_entropy(model(batch[0]), batch[1])
        return {"loss": entropy + 1.0, "entropy": entropy}

    row = train(tmp_path, objectives=Objective(loss, adam())).history[-1]

    assert row["loss"] == pytest.approx(row["entropy"] + 1, abs=1e-6)


def test_a_recorded_part_may_be_absent_or_undefined_in_some_steps(tmp_path):
    def loss(model, batch, step):
        entropy = ENTROPY(model, batch, step)
        return {"loss": entropy, "nan": entropy * float("nan")} | (
            {"even": torch.tensor(2.0)} if step.number % 2 else {}
        )

    row = train(tmp_path, objectives=Objective(loss, adam())).history[0]

    assert row["even"] == 2
    assert row["nan"] != row["nan"]


def test_the_gradient_is_clipped_to_its_norm(tmp_path):
    model = nn.Linear(6, 2)
    before = weights(model).clone()
    objective = Objective(ENTROPY, lambda m: torch.optim.SGD(m.parameters(), lr=1.0))

    train(tmp_path, model, objective, TensorBatches((INPUTS * 100, LABELS), 40), epochs=1, gradient_clip=0.25)

    assert float((weights(model) - before).norm()) == pytest.approx(0.25, abs=1e-4)


def test_a_schedule_per_epoch_follows_card_01(tmp_path):
    # Card 01, check 7: 9.5e-4 up to 0-based epoch 7, then 0.95 per epoch: epoch 8 9.025e-4, 14 6.6342e-4, 17 5.688e-4.
    decay = partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 0.95 ** max(0, epoch - 7))

    history = train(tmp_path, objectives=Objective(ENTROPY, adam(9.5e-4), decay), epochs=18).history

    found = [history[epoch]["lr"] for epoch in (0, 7, 8, 14, 17)]
    assert found == pytest.approx([9.5e-4, 9.5e-4, 9.025e-4, 6.6342e-4, 5.688e-4], rel=1e-4)


def test_a_schedule_per_step_advances_with_every_step(tmp_path):
    halve = partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.5)

    history = train(tmp_path, objectives=Objective(ENTROPY, adam(1.0), halve, per="step"), epochs=2).history

    assert [row["lr"] for row in history] == [1.0, 0.5**5]


def test_a_plateau_schedule_looks_at_the_monitored_quantity(tmp_path):
    plateau = partial(torch.optim.lr_scheduler.ReduceLROnPlateau, factor=0.1, patience=0)
    losses = iter([1.0, 2.0, 3.0, 4.0])

    history = train(
        tmp_path, objectives=Objective(ENTROPY, adam(1.0), plateau), epochs=4, monitor="val_loss",
        validate=lambda _: {"val_loss": next(losses)},
    ).history  # fmt: skip

    assert [row["lr"] for row in history] == pytest.approx([1.0, 1.0, 0.1, 0.01])


def test_after_step_sees_every_step_and_moving_averages_are_stored(tmp_path):
    class WithTeacher(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.student = nn.Linear(6, 2)
            self.register_buffer("teacher", torch.ones(2))

        def forward(self, x):
            return self.student(x)

    steps: list[Step] = []

    def average(model, step):
        steps.append(step)
        model.teacher.mul_(0.5)

    train(tmp_path, WithTeacher(), epochs=2, after_step=average)

    assert steps[0] == Step(0, 0, 10)
    assert steps[-1] == Step(1, 9, 10)
    assert torch.equal(load_checkpoint(tmp_path / "model.ckpt").tensors["teacher"], torch.full((2,), 0.5**10))
