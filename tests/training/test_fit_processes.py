"""Several processes, precision, signals and what else surrounds a training."""

from __future__ import annotations

import os
import signal
import socket

import pytest
import torch
from fitting import ENTROPY, INPUTS, LABELS, adam, batches, train, weights

from medtools.core.errors import InputError
from medtools.core.limits import Terminated, terminable
from medtools.training.batches import TensorBatches
from medtools.training.fit import Objective


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
