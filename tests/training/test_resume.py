"""A run that is killed and started again ends with the bytes of a run that was not."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from medtools.core.errors import InputError, RefusedError
from medtools.core.seeds import seeded
from medtools.training.batches import TensorBatches
from medtools.training.fit import FitSettings, Objective, fit, supervised

HELPER = Path(__file__).with_name("interrupted.py")


def load_helper():
    spec = importlib.util.spec_from_file_location("interrupted", HELPER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    folder = tmp_path_factory.mktemp("straight")
    load_helper().train(folder, curves=True)
    return folder


def test_kill_9_at_any_moment_changes_no_byte(straight, tmp_path):
    environment = os.environ | {"PYTHONHASHSEED": "12345", "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [sys.executable, HELPER, tmp_path], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert found.returncode == 0, found.stderr[-2000:]
    lost = int(found.stdout.split()[0])
    assert lost >= 6, "too few deaths to mean anything"
    for kind in ("random", "writing"):
        for name in ("model.ckpt", "metrics.csv"):
            assert (tmp_path / kind / name).read_bytes() == (straight / name).read_bytes(), (kind, name)
        assert not (tmp_path / kind / "resume.ckpt").exists()
    assert (tmp_path / "writing" / "curves.png").read_bytes() == (straight / "curves.png").read_bytes()


def test_a_state_of_another_run_is_refused_and_a_damaged_one_is_named(tmp_path, monkeypatch):
    helper = load_helper()
    monkeypatch.setattr("medtools.training.fit._write_results", _die)
    with pytest.raises(RuntimeError, match="power cut"):
        helper.train(tmp_path)
    assert (tmp_path / "resume.ckpt").exists()

    helper.EPOCHS += 1
    with pytest.raises(RefusedError, match="epochs was 12, is 13"):
        helper.train(tmp_path)

    content = (tmp_path / "resume.ckpt").read_bytes()
    (tmp_path / "resume.ckpt").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=r"resume\.ckpt: damaged"):
        helper.train(tmp_path)


def test_a_run_that_had_stopped_early_does_not_go_on_when_taken_up(tmp_path, monkeypatch):
    def train(folder: Path):
        data = TensorBatches((torch.arange(8.0)[:, None], torch.zeros(8, 1)), 4, seed=0)
        objective = Objective(supervised(nn.functional.mse_loss), lambda m: torch.optim.SGD(m.parameters(), lr=1e-3))
        settings = FitSettings(epochs=9, patience=2, monitor="val_x", checkpoint_seconds=0, curves=False)
        with seeded(0):
            model = nn.Linear(1, 1)
        return fit(model, objective, data, out=folder, settings=settings, seed=0, validate=lambda _: {"val_x": 1.0})

    with monkeypatch.context() as patch:
        patch.setattr("medtools.training.fit._write_results", _die)
        with pytest.raises(RuntimeError, match="power cut"):
            train(tmp_path / "killed")

    resumed = train(tmp_path / "killed")
    train(tmp_path / "straight")

    assert [row["epoch"] for row in resumed.history] == [1, 2, 3]
    assert resumed.stopped_early
    for name in ("model.ckpt", "metrics.csv"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "straight" / name).read_bytes()


def _die(*_):
    raise RuntimeError("power cut")
