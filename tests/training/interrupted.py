"""A training run that is killed again and again: the helper process of `test_resume.py`.

    python interrupted.py OUT

It forks one child per life after the heavy imports, so that a life costs milliseconds.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import nn

from medtools.core.seeds import seeded
from medtools.training.batches import TensorBatches
from medtools.training.fit import FitSettings, Objective, Step, fit

EPOCHS = 12


class Pair(nn.Module):
    """Two networks and a moving average: most kinds of state there are."""

    def __init__(self) -> None:
        super().__init__()
        self.student = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 2))
        self.critic = nn.Linear(2, 1)
        self.register_buffer("teacher", torch.zeros(2))


def train(out: Path, *, curves: bool = False) -> None:
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(44, 5, generator=rng)
    labels = (inputs[:, 0] > 0).long()
    with seeded(1):
        model = Pair()

    def learn(model: Pair, batch: tuple[torch.Tensor, torch.Tensor], _: Step) -> dict[str, torch.Tensor]:
        logits = model.student(batch[0] + 0.1 * torch.randn_like(batch[0]))
        entropy = nn.functional.cross_entropy(logits, batch[1])
        return {"loss": entropy - 0.01 * model.critic(logits).mean(), "entropy": entropy}

    def criticise(model: Pair, batch: tuple[torch.Tensor, torch.Tensor], _: Step) -> torch.Tensor:
        return model.critic(model.student(batch[0]).detach()).square().mean()

    def average(model: Pair, step: Step) -> None:
        model.teacher.lerp_(model.student[4].bias, 0.1 + 0.5 * step.number / step.total)

    def validate(model: Pair) -> dict[str, float]:
        wrong = nn.functional.cross_entropy(model.student(inputs), labels)
        return {"val_loss": float(wrong), "val_noise": float(torch.rand(()))}

    objectives = [
        Objective(
            learn,
            lambda m: torch.optim.AdamW(m.student.parameters(), lr=0.02),
            partial(torch.optim.lr_scheduler.OneCycleLR, max_lr=0.02, total_steps=5 * EPOCHS),
            per="step",
        ),
        Objective(
            criticise,
            lambda m: torch.optim.SGD(m.critic.parameters(), lr=0.1, momentum=0.9),
            partial(torch.optim.lr_scheduler.ReduceLROnPlateau, factor=0.5, patience=1),
            name="critic",
        ),
    ]
    settings = FitSettings(
        epochs=EPOCHS,
        keep="best",
        monitor="val_loss",
        patience=20,
        gradient_clip=1.0,
        checkpoint_seconds=0,
        curves=curves,
    )
    data = TensorBatches(
        (inputs, labels), 8, seed=3, drop_last=True,
        augment=lambda batch, g: (batch[0] * (1 + 0.1 * torch.rand(1, generator=g)), batch[1]),
    )  # fmt: skip
    fit(model, objectives, data, out=out, settings=settings, seed=7, params={"inputs": 5}, validate=validate,
        after_step=average)  # fmt: skip


def live(out: Path, before: Callable[[], None], delay: float | None, curves: bool) -> bool:
    """Train in a child process, kill it after `delay` seconds; tell whether it got to its end."""
    child = os.fork()
    if child == 0:
        before()
        train(out, curves=curves)
        os._exit(0)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    return os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0


def killed_at_random(out: Path) -> None:
    """Six deaths at times that nobody chose, then one undisturbed life."""
    chance = random.Random(os.getpid())
    for _ in range(6):
        live(out, lambda: None, chance.uniform(0.05, 0.4), curves=False)
    assert live(out, lambda: None, None, curves=False)


def killed_while_writing(out: Path) -> None:
    """Deaths right before and right after files appear under their names, until no such moment is left."""
    for life in range(100):
        if live(out, partial(kill_at_rename, life), None, curves=True):
            sys.stdout.write(f"{life} lives lost while writing\n")
            return
    raise SystemExit("never finished")


def kill_at_rename(life: int) -> None:
    """Die in the third renaming of a file, before it on even lives and after it on odd ones."""
    renamed, rename = 0, Path.replace

    def deadly(self: Path, target: Path) -> Path:
        nonlocal renamed
        renamed += 1
        if renamed == 3 and life % 2 == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        result = rename(self, target)
        if renamed == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    Path.replace = deadly


if __name__ == "__main__":
    killed_at_random(Path(sys.argv[1]) / "random")
    killed_while_writing(Path(sys.argv[1]) / "writing")
