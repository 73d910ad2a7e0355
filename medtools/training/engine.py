"""What happens in a run: steps, epochs, validation, the choice of weights, and the states to resume from."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.progress import track
from medtools.core.seeds import child_seed, seed_everything, seeded
from medtools.training.batches import Batches, EpochLoader
from medtools.training.history import HistoryFile, Row
from medtools.training.objective import Objective, Step
from medtools.training.settings import FitSettings
from medtools.training.state import Resumed, RunState, save_state

Validate = Callable[[nn.Module], Mapping[str, float]]
# Losses wait on the device until so many have gathered: reading each one would stall a GPU at every step.
_LOSSES_READ_AT_ONCE = 1000


@dataclass(frozen=True)
class Plan:
    """What a run is to do: the arguments of `fit`, checked."""

    objectives: Sequence[Objective]
    data: Batches
    out: Path
    settings: FitSettings
    seed: int
    device: torch.device
    run: Mapping[str, Any]
    validate: Validate | None
    after_step: Callable[[nn.Module, Step], None] | None
    after_epoch: Callable[[nn.Module, int], None] | None
    finish: Callable[[nn.Module, RunState], None]


class Engine(pl.LightningModule):
    """Manual optimisation of any number of objectives.

    To Lightning an epoch is one *block*, an iterator over batches (with several processes: one batch per block, which
    their gradient exchange needs). That keeps its bookkeeping, up to a millisecond, out of the single step.
    """

    automatic_optimization = False

    def __init__(self, model: nn.Module, plan: Plan, resumed: Resumed | None) -> None:
        super().__init__()
        self.model, self.plan, self.resumed = model, plan, resumed
        self.state = resumed.state if resumed else RunState()
        self.best_weights = resumed.best if resumed else None
        # Worker processes, progress bar, event file: closed whether training comes to its end or not.
        self.resources = contextlib.ExitStack()

    # Lightning calls these, in this order.

    def configure_optimizers(self) -> list[Optimizer]:
        """Make one optimiser per objective."""
        return [objective.optimiser(self.model) for objective in self.plan.objectives]

    def on_fit_start(self) -> None:
        """Take up the stored state, once the network is on its device."""
        torch.set_num_threads(self.plan.settings.compute_threads)  # Lightning changes it in processes of its own.
        optimisers = self.optimizers()
        self.steppers: list[Any] = optimisers if isinstance(optimisers, list) else [optimisers]
        self.schedules: list[LRScheduler | None] = [
            objective.schedule(stepper.optimizer) if objective.schedule else None
            for objective, stepper in zip(self.plan.objectives, self.steppers, strict=True)
        ]
        if self.resumed is not None:
            self._restore(self.resumed)
            self.resumed = None
        settings, world = self.plan.settings, self.trainer.world_size
        self.loader = EpochLoader(
            self.plan.data, workers=settings.workers, rank=self.trainer.global_rank, world=world,
            pin=self.plan.device.type == "cuda",
        )  # fmt: skip
        # Only the scaling of 16-bit gradients and their exchange need Lightning within a step.
        self.direct = world == 1 and settings.precision != "16-mixed"
        self.total_steps = len(self.loader) * settings.epochs
        self.saved_at, self.saving_took = time.monotonic(), 0.0
        leads = self.trainer.is_global_zero
        self.table = HistoryFile(self.plan.out / "metrics.csv", self.state.history) if leads else None
        self.board = _tensorboard(self.plan.out, self.state.step) if leads and settings.tensorboard else None
        self.progress = track(range(self.state.step, self.total_steps) if leads else (), "training")
        closable: list[Any] = [self.loader, self.board, self.progress]
        for resource in filter(None, closable):
            self.resources.callback(resource.close)

    def train_dataloader(self) -> _Blocks:
        """Return the epochs still to run."""
        return _Blocks(self.loader, whole_epochs=self.trainer.world_size == 1)

    def on_train_epoch_start(self) -> None:
        """Start the epoch's random numbers and its batches."""
        self.loader.epoch = self.state.epoch
        seed_everything(child_seed(self.plan.seed, "epoch", self.state.epoch, self.trainer.global_rank))
        self.model.train()
        self.rates = {
            "lr" if place == 0 else f"lr_{objective.name}": float(stepper.param_groups[0]["lr"])
            for place, (objective, stepper) in enumerate(zip(self.plan.objectives, self.steppers, strict=True))
        }
        self.waiting: dict[str, list[Tensor]] = {}
        self.sums: dict[str, tuple[float, int]] = {}

    def training_step(self, block: Iterator[Any], _: int) -> None:
        """Run a block of steps."""
        on_cpu = self.plan.device.type == "cpu"
        for batch in block:
            moved = batch if on_cpu else self.trainer.strategy.batch_to_device(batch, dataloader_idx=0)
            step = Step(self.state.epoch, self.state.step, self.total_steps)
            for place in range(len(self.steppers)):
                self._optimise(place, moved, step)
            if self.plan.after_step is not None:
                with torch.no_grad():
                    self.plan.after_step(self.model, step)
            self.state.step += 1
            next(self.progress, None)
            if self.state.step % _LOSSES_READ_AT_ONCE == 0:
                self._read_losses()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Clip the gradient, after mixed precision has put it back to scale."""
        if self.plan.settings.gradient_clip is not None:
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, self.plan.settings.gradient_clip)

    def on_train_epoch_end(self) -> None:
        """Record, validate, advance the schedules, choose, and store the state from time to time."""
        self._read_losses()
        measured = {name: total / count for name, (total, count) in self.sums.items()}
        row: Row = {"epoch": self.state.epoch + 1, "step": self.state.step, **self.rates, **measured}
        row = self.trainer.strategy.broadcast(row | self._validate() if self.trainer.is_global_zero else row)
        self.state.epoch += 1
        self.state.history.append(row)
        self._check_monitor()
        self._advance_schedules("epoch", row.get(self.plan.settings.monitor))
        self._choose(row)
        if self.plan.after_epoch is not None:
            with torch.no_grad():
                self.plan.after_epoch(self.model, self.state.epoch - 1)
        self.trainer.should_stop = self.state.stopped
        if self.table is not None:
            self._write(self.table, row)

    def on_fit_end(self) -> None:
        """Write what the run was for."""
        self.resources.close()
        if self.trainer.is_global_zero:
            self._keep()
            self.plan.finish(self.model, self.state)

    # The steps of the above.

    def _optimise(self, place: int, batch: Any, step: Step) -> None:
        objective, stepper = self.plan.objectives[place], self.steppers[place]
        alone = len(self.steppers) == 1
        if not alone:
            self.toggle_optimizer(stepper)
        losses = objective.loss(self.model, batch, step)
        parts = {"loss": losses} if isinstance(losses, Tensor) else losses
        self._descend(stepper, parts["loss"])
        if not alone:
            self.untoggle_optimizer(stepper)
        schedule = self.schedules[place]
        if schedule is not None and objective.per == "step":
            schedule.step()
        for name, value in parts.items():
            self.waiting.setdefault(objective.name if name == "loss" else name, []).append(value.detach())

    def _descend(self, stepper: Any, loss: Tensor) -> None:
        stepper.zero_grad()
        if self.direct:
            loss.backward()
            self.on_before_optimizer_step(stepper.optimizer)
            stepper.optimizer.step()
        else:
            self.manual_backward(loss)
            stepper.step()

    def _read_losses(self) -> None:
        totals = {objective.name for objective in self.plan.objectives}
        for name, values in self.waiting.items():
            mean = float(self.trainer.strategy.reduce(torch.stack(values).double().mean(), reduce_op="mean"))
            if name in totals and not math.isfinite(mean):
                raise InputError(
                    "training",
                    f"{name} became {mean} in epoch {self.state.epoch + 1}, by step {self.state.step}",
                    "lower the learning rate, set gradient_clip, or look for missing values in the inputs",
                )
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = total + mean * len(values), count + len(values)
        self.waiting = {}

    def _validate(self) -> Row:
        epoch, settings = self.state.epoch, self.plan.settings
        due = (epoch + 1) % settings.validate_every == 0 or epoch + 1 == settings.epochs
        if self.plan.validate is None or not due:
            return {}
        self.model.eval()
        seed = child_seed(self.plan.seed, "validation", epoch)
        with torch.no_grad(), self.trainer.precision_plugin.forward_context(), seeded(seed):
            return {name: float(value) for name, value in self.plan.validate(self.model).items()}

    def _check_monitor(self) -> None:
        """Once everything has been measured for the first time, refuse to wait for what never comes."""
        settings = self.plan.settings
        complete = 1 if self.plan.validate is None else min(settings.validate_every, settings.epochs)
        plateau = any(isinstance(schedule, ReduceLROnPlateau) for schedule in self.schedules)
        wanted = settings.keep == "best" or settings.patience is not None or plateau
        recorded = self.state.history[-1]
        if wanted and self.state.epoch == complete and settings.monitor not in recorded:
            known = ", ".join(name for name in recorded if name not in ("epoch", "step"))
            raise InputError("monitor", f"no quantity {settings.monitor!r} is recorded", f"there are {known}")

    def _advance_schedules(self, per: str, monitored: float | None) -> None:
        for objective, schedule in zip(self.plan.objectives, self.schedules, strict=True):
            if schedule is None or objective.per != per:
                continue
            if not isinstance(schedule, ReduceLROnPlateau):
                schedule.step()
            elif monitored is not None:
                schedule.step(monitored)

    def _choose(self, row: Row) -> None:
        settings = self.plan.settings
        if settings.monitor not in row:
            return
        if self.state.observe(row[settings.monitor], settings) and settings.keep == "best":
            state = self.model.state_dict()
            self.best_weights = {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()}

    def _write(self, table: HistoryFile, row: Row) -> None:
        table.append(self.state.history)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in row.items() if name not in ("epoch", "step"))
        LOGGER.debug("epoch %d of %d: %s", self.state.epoch, self.plan.settings.epochs, shown)
        if self.board is not None:
            for name in sorted(set(row) - {"epoch", "step"}):
                self.board.add_scalar(name, row[name], self.state.step)
        begun, pause = time.monotonic(), self.plan.settings.checkpoint_seconds
        # Storing takes a twentieth of the time at most, however large the network; 0 asks for it after every epoch.
        if begun - self.saved_at >= (max(pause, 20 * self.saving_took) if pause else 0):
            save_state(self.plan.out, self.plan.run, self.state, self.model, self.best_weights, self._machinery())
            self.saved_at = time.monotonic()
            self.saving_took = self.saved_at - begun

    def _machinery(self) -> dict[str, Any]:
        return {
            "optimisers": [stepper.optimizer.state_dict() for stepper in self.steppers],
            "schedules": [None if schedule is None else schedule.state_dict() for schedule in self.schedules],
            "scaler": self.trainer.precision_plugin.state_dict(),
        }

    def _restore(self, resumed: Resumed) -> None:
        self.model.load_state_dict(resumed.model)
        for stepper, stored in zip(self.steppers, resumed.machinery["optimisers"], strict=True):
            stepper.optimizer.load_state_dict(stored)
        for schedule, stored in zip(self.schedules, resumed.machinery["schedules"], strict=True):
            if schedule is not None:
                schedule.load_state_dict(stored)
        if resumed.machinery["scaler"]:
            self.trainer.precision_plugin.load_state_dict(resumed.machinery["scaler"])

    def _keep(self) -> None:
        if self.plan.settings.keep != "best":
            return
        if self.best_weights is None:
            raise InputError(
                "monitor", f"{self.plan.settings.monitor} was never a number", "look at the validation data"
            )
        self.model.load_state_dict(self.best_weights)


class _Blocks:
    """What Lightning iterates over: each item is an iterator of batches."""

    def __init__(self, loader: EpochLoader, whole_epochs: bool) -> None:
        self.loader, self.whole_epochs = loader, whole_epochs

    def __len__(self) -> int:
        return 1 if self.whole_epochs else len(self.loader)

    def __iter__(self) -> Iterator[Iterator[Any]]:
        if self.whole_epochs:
            yield self.loader.batches()
        else:
            yield from (iter((batch,)) for batch in self.loader.batches())


def _tensorboard(folder: Path, first_step: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"), purge_step=first_step)
