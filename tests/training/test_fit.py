"""`fit` does what the loop one would write does, and everything that such a loop lacks."""

from __future__ import annotations

import pytest
import torch
from fitting import ENTROPY, INPUTS, LABELS, adam, batches, network, train, weights
from torch import nn

from medtools.core.errors import InputError, RefusedError
from medtools.core.seeds import seeded
from medtools.training.batches import TensorBatches
from medtools.training.checkpoint import read_params
from medtools.training.fit import Objective


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
