"""`fit` does what the loop one would write does, and everything that such a loop lacks."""

from __future__ import annotations

import os
import signal
import socket
from functools import partial

import pytest
import torch
from torch import nn

from medtools.core.errors import InputError, RefusedError
from medtools.core.limits import Terminated, terminable
from medtools.core.seeds import seeded
from medtools.training.batches import TensorBatches
from medtools.training.checkpoint import load_checkpoint, read_params
from medtools.training.fit import FitSettings, Objective, Step, fit, supervised

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


def test_fit_ends_with_the_bits_of_a_hand_written_loop(tmp_path):
    by_hand, data = network(), batches()
    optimiser = torch.optim.Adam(by_hand.parameters(), lr=1e-2)
    losses = []
    for epoch in range(3):
        for index in range(len(data)):
            inputs, labels = data.batch(epoch, index)
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(by_hand(inputs), labels)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())

    result = train(tmp_path)

    assert torch.equal(weights(result.model), weights(by_hand))
    assert [row["loss"] for row in result.history] == pytest.approx([sum(losses[i : i + 5]) / 5 for i in (0, 5, 10)])
    assert [(row["epoch"], row["step"]) for row in result.history] == [(1, 5), (2, 10), (3, 15)]
    assert not result.model.training


def test_the_number_of_threads_outside_changes_no_byte(tmp_path):
    images = torch.randn(16, 1, 20, 20, generator=torch.Generator().manual_seed(1))

    def convolutional() -> nn.Module:
        with seeded(1):
            return nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.AdaptiveAvgPool2d(1),
                                 nn.Flatten(), nn.Linear(32, 2))  # fmt: skip

    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            data = TensorBatches((images, LABELS[:16]), 8, seed=1)
            train(tmp_path / str(threads), convolutional(), data=data)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)

    one, two = ((tmp_path / name / "model.ckpt").read_bytes() for name in "12")
    assert one == two


def test_worker_processes_change_no_byte(tmp_path):
    def noisy(batch, generator):
        return batch[0] + torch.randn(batch[0].shape, generator=generator), batch[1]

    for workers in (0, 2):
        train(tmp_path / str(workers), network(dropout=0.5), data=batches(augment=noisy), workers=workers)

    none, two = ((tmp_path / name / "model.ckpt").read_bytes() for name in "02")
    assert none == two


def test_another_seed_gives_another_result(tmp_path):
    first, second = (train(tmp_path / str(seed), network(dropout=0.5), seed=seed) for seed in (1, 2))

    assert not torch.equal(weights(first.model), weights(second.model))


def test_global_random_numbers_are_left_where_they_were(tmp_path):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)

    train(tmp_path, network(dropout=0.5))

    assert torch.equal(torch.rand(3), expected)


def test_a_finished_run_is_returned_without_training(tmp_path):
    first = train(tmp_path, params={"regions": 34})
    stamp = (tmp_path / "model.ckpt").stat().st_mtime_ns

    second = train(tmp_path, params={"regions": 34})

    assert (tmp_path / "model.ckpt").stat().st_mtime_ns == stamp
    assert torch.equal(weights(first.model), weights(second.model))
    assert first.history == second.history
    assert read_params(tmp_path / "model.ckpt") == {"regions": 34}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 4}, "seed was 3, is 4"),
        ({"epochs": 5}, "epochs was 3, is 5"),
        ({"params": {"regions": 1}}, "params.regions was null, is 1"),
        ({"objectives": Objective(ENTROPY, adam(0.5))}, "optimisers was"),
        ({"data": TensorBatches((INPUTS + 1, LABELS), 8, seed=5)}, "data was"),
        ({"model": nn.Sequential(nn.Linear(6, 2))}, "initial weights was"),
    ],
)
def test_a_folder_with_another_run_is_refused_naming_the_difference(tmp_path, change, named):
    train(tmp_path)

    with pytest.raises(RefusedError, match=named.replace(".", r"\.")):
        train(tmp_path, **change)


def test_overwrite_trains_afresh(tmp_path):
    train(tmp_path)

    result = train(tmp_path, epochs=1, overwrite=True)

    assert [row["epoch"] for row in result.history] == [1]


def test_the_best_epoch_by_the_monitored_score_is_kept(tmp_path):
    scores, states = iter([0.5, 0.8, float("nan"), 0.8, 0.7]), []

    result = train(
        tmp_path, epochs=5, keep="best", monitor="val_auroc", mode="max",
        validate=lambda _: {"val_auroc": next(scores)}, after_epoch=lambda m, _: states.append(weights(m).clone()),
    )  # fmt: skip

    assert result.epoch == 2
    assert torch.equal(weights(result.model), states[1])
    assert len(states) == 5


@pytest.mark.parametrize(("min_delta", "epochs", "best"), [(0.0, 5, 3), (0.05, 3, 1)])
def test_training_stops_after_so_many_validations_without_improvement(tmp_path, min_delta, epochs, best):
    losses = iter([1.0, 1.5, 0.99, 1.0, 1.0, 0.0, 0.0])

    result = train(
        tmp_path, epochs=7, keep="best", monitor="val_loss", patience=2, min_delta=min_delta,
        validate=lambda _: {"val_loss": next(losses)},
    )  # fmt: skip

    assert result.stopped_early
    assert (len(result.history), result.epoch) == (epochs, best)


def test_validation_happens_every_few_epochs_and_after_the_last(tmp_path):
    result = train(tmp_path, epochs=5, validate_every=2, validate=lambda _: {"val_x": 1.0})

    assert [row["epoch"] for row in result.history if "val_x" in row] == [2, 4, 5]


def test_validation_runs_in_evaluation_mode_without_gradients_and_leaves_training_alone(tmp_path):
    seen = []

    def validate(model: nn.Module) -> dict[str, float]:
        torch.rand(7)
        seen.append((model.training, torch.is_grad_enabled()))
        return {"val_x": 0.0}

    with_validation = train(tmp_path / "a", network(dropout=0.5), validate=validate)
    without = train(tmp_path / "b", network(dropout=0.5))

    assert seen == [(False, False)] * 3
    assert torch.equal(weights(with_validation.model), weights(without.model))


def test_a_loss_that_is_not_a_number_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="loss became nan in epoch 1") as caught:
        train(tmp_path, objectives=Objective(ENTROPY, adam(1e30)))

    assert "\n" not in str(caught.value)
    assert "learning rate" in str(caught.value)
    assert not (tmp_path / "model.ckpt").exists()


def test_an_unknown_monitor_names_what_there_is(tmp_path):
    with pytest.raises(InputError, match="no quantity 'val_acc' is recorded; there are lr, loss, val_accuracy"):
        train(tmp_path, monitor="val_acc", patience=1, validate=lambda _: {"val_accuracy": 1.0})


def test_a_monitor_without_any_validation_is_refused(tmp_path):
    with pytest.raises(InputError, match="no quantity 'val_loss'"):
        train(tmp_path, monitor="val_loss", keep="best")


def test_a_score_that_is_never_a_number_cannot_choose_an_epoch(tmp_path):
    with pytest.raises(InputError, match="val_auroc was never a number"):
        train(tmp_path, keep="best", monitor="val_auroc", mode="max", validate=lambda _: {"val_auroc": float("nan")})


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


def test_two_processes_train_like_one_with_twice_the_batch(tmp_path):
    data = TensorBatches((INPUTS, LABELS), 10, seed=5)
    together = train(tmp_path / "two", data=data, devices=2)

    class Joined(TensorBatches):
        def __len__(self) -> int:
            return 2

        def batch(self, epoch, index):
            parts = [data.batch(epoch, 2 * index + rank) for rank in (0, 1)]
            return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))

    alone = train(tmp_path / "one", data=Joined((INPUTS, LABELS), 20, seed=5))

    assert torch.allclose(weights(together.model), weights(alone.model), atol=1e-6)
    assert together.history[-1]["loss"] == pytest.approx(alone.history[-1]["loss"], rel=1e-5)


def test_an_error_in_one_of_several_processes_arrives_as_itself(tmp_path):
    with pytest.raises(InputError, match="loss became nan in epoch 1"):
        train(tmp_path, objectives=Objective(ENTROPY, adam(1e30)), devices=2)


def test_mixed_precision_trains_and_keeps_float32_weights(tmp_path):
    result = train(tmp_path, precision="bf16-mixed", epochs=20)

    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert {tensor.dtype for tensor in result.model.state_dict().values()} == {torch.float32}


def test_16_bit_precision_without_a_gpu_is_refused(tmp_path):
    with pytest.raises(InputError, match="16-mixed needs a GPU"):
        train(tmp_path, precision="16-mixed")


def test_ctrl_c_arrives_as_ctrl_c(tmp_path):
    def interrupted(model, batch, step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, objectives=Objective(interrupted, adam()))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sigterm_unwinds_as_the_command_line_expects(tmp_path):
    def terminated(model, batch, step):
        os.kill(os.getpid(), signal.SIGTERM)
        return ENTROPY(model, batch, step)

    with terminable(), pytest.raises(Terminated):
        train(tmp_path, objectives=Objective(terminated, adam()))


def test_a_batch_job_of_several_tasks_does_not_disturb(tmp_path, monkeypatch):
    for name, value in {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "4", "SLURM_JOB_NAME": "fold", "SLURM_PROCID": "0",
                        "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)

    assert len(train(tmp_path).history) == 3


def test_training_opens_no_socket(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("socket opened")

    monkeypatch.setattr(socket, "socket", refuse)

    assert len(train(tmp_path).history) == 3


def test_run_files_are_readable_by_others(tmp_path):
    train(tmp_path, curves=True)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.png", "metrics.csv", "model.ckpt"]
    assert len({path.stat().st_mode for path in tmp_path.iterdir()}) == 1


def test_event_files_are_written_when_asked_for(tmp_path):
    train(tmp_path, tensorboard=True)

    assert list((tmp_path / "tensorboard").glob("events.*"))


def test_more_devices_than_batches_is_refused(tmp_path):
    with pytest.raises(InputError, match="1 batches cannot be shared by 2 devices"):
        train(tmp_path, data=batches(40), devices=2)
