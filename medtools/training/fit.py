"""Training: one function for every network of every system.

The same call on the same machine gives the same bytes, whether it ran through or was killed and called again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medtools.core.devices import resolve_device
from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.log import LOGGER
from medtools.training.batches import Batches
from medtools.training.checkpoint import load_checkpoint, load_into, read_record, save_checkpoint
from medtools.training.engine import Plan, Validate
from medtools.training.history import Row, draw_curves, read_history, write_history
from medtools.training.objective import Objective, Step, supervised
from medtools.training.settings import FitSettings
from medtools.training.state import RESUME, RunState, identity, load_state, refuse_other_run
from medtools.training.trainer import run

__all__ = ["FitResult", "FitSettings", "Objective", "Step", "fit", "supervised"]

MODEL, METRICS, CURVES = "model.ckpt", "metrics.csv", "curves.png"


@dataclass(frozen=True)
class FitResult:
    """A finished run.

    Attributes
    ----------
    model : nn.Module
        With the kept weights, on the CPU, in evaluation mode.
    history : list of dict
        One row per epoch: `epoch` (from 1), `step`, `lr`, the losses (mean over the epoch's steps) and what
        `validate` returned.
    epoch : int
        Epoch whose weights were kept, from 1.
    stopped_early : bool
        Whether patience ran out before the last epoch.
    files : tuple of Path
        What was written.
    """

    model: nn.Module
    history: list[Row]
    epoch: int
    stopped_early: bool
    files: tuple[Path, ...]


def fit(
    model: nn.Module,
    objectives: Objective | Sequence[Objective],
    data: Batches,
    *,
    out: str | Path,
    settings: FitSettings,
    seed: int,
    device: str | torch.device = "cpu",
    params: Mapping[str, Any] | None = None,
    validate: Validate | None = None,
    after_step: Callable[[nn.Module, Step], None] | None = None,
    after_epoch: Callable[[nn.Module, int], None] | None = None,
    overwrite: bool = False,
) -> FitResult:
    """Train a network, or take up its training where it was interrupted, or return what was trained before.

    Parameters
    ----------
    model : nn.Module
        With its initial weights; changed in place. Counters of its own belong in buffers, or they are not stored.
    objectives : Objective or sequence of Objective
        What is minimised. Several are stepped in turn on each batch, each moving its own parameters.
    data : Batches
        Training data.
    out : str or Path
        Run folder: `model.ckpt`, `metrics.csv`, `curves.png`; `resume.ckpt` while training lasts.
    settings : FitSettings
        Epochs, precision, selection, early stopping and the rest.
    seed : int
        Of the order of dropout and of every other draw; the data have their own.
    device : str or torch.device
        As `--device`.
    params : mapping, optional
        Stored with the model: what is needed to build it again and to refuse data it was not trained for.
    validate : callable, optional
        `validate(model)` returns scores by name, such as `val_auroc`; called in evaluation mode without gradients.
    after_step : callable, optional
        `after_step(model, step)` after each step, without gradients: moving averages of weights, for instance.
    after_epoch : callable, optional
        `after_epoch(model, epoch)`, epoch from 0.
    overwrite : bool
        Train afresh whatever stands in the folder.

    Returns
    -------
    FitResult

    Raises
    ------
    InputError
        A loss that is not a number, an unknown or never finite monitored quantity, an absent device.
    RefusedError
        The folder holds another run, and `overwrite` is not set.
    """
    folder = Path(out)
    where = resolve_device(str(device))
    several = (objectives,) if isinstance(objectives, Objective) else tuple(objectives)
    names = [objective.name for objective in several]
    if len(set(names)) != len(names):
        raise ValueError(f"objectives need different names, found {names}")
    if settings.precision == "16-mixed" and where.type == "cpu":
        raise InputError("precision", "16-mixed needs a GPU", "use bf16-mixed or 32-true")
    if len(data) < settings.devices:
        raise InputError("data", f"{len(data)} batches cannot be shared by {settings.devices} devices")
    described = identity(model, several, data, params or {}, settings, seed, where)
    if overwrite:
        for name in (MODEL, METRICS, CURVES, RESUME):
            (folder / name).unlink(missing_ok=True)
    if not _finished(folder, described):

        def finish(trained: nn.Module, state: RunState) -> None:
            _write_results(folder, trained, state, settings, params or {}, described)

        plan = Plan(several, data, folder, settings, seed, where, described, validate, after_step, after_epoch, finish)
        folder.mkdir(parents=True, exist_ok=True)
        resumed = load_state(folder, described)
        if resumed is not None:
            LOGGER.info("%s: training goes on after epoch %d of %d", folder, resumed.state.epoch, settings.epochs)
        run(model, plan, resumed)
    (folder / RESUME).unlink(missing_ok=True)
    return _result(folder, model)


def _finished(folder: Path, described: Mapping[str, Any]) -> bool:
    path = folder / MODEL
    if not path.is_file():
        return False
    refuse_other_run(path, read_record(path).get("run"), described)
    return True


def _write_results(
    folder: Path,
    model: nn.Module,
    state: RunState,
    settings: FitSettings,
    params: Mapping[str, Any],
    described: Mapping[str, Any],
) -> None:
    broken = [name for name, tensor in model.state_dict().items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise InputError("training", f"weights are no longer finite (first {broken[0]})", "lower the learning rate")
    epoch = state.best_epoch if settings.keep == "best" else state.epoch
    write_history(folder / METRICS, state.history)
    if settings.curves:
        save_figure(draw_curves(state.history, kept_epoch=epoch), folder / CURVES)
    # Last, for its presence says that the run is finished.
    record = {"run": described, "epoch": epoch, "stopped_early": state.stopped}
    save_checkpoint(folder / MODEL, model, params, record=record)


def _result(folder: Path, model: nn.Module) -> FitResult:
    path = folder / MODEL
    record = read_record(path)
    load_into(model.cpu(), load_checkpoint(path).tensors)
    files = tuple(folder / name for name in (MODEL, METRICS, CURVES) if (folder / name).is_file())
    return FitResult(model.eval(), read_history(folder / METRICS), record["epoch"], record["stopped_early"], files)
