"""Lightning's Trainer: devices, precision, processes, and the ways in which a run may end."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import warnings
from collections.abc import Iterator

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment
from torch import nn
from torch.multiprocessing.spawn import ProcessRaisedException

from medtools.core.devices import compute_threads
from medtools.core.errors import InputError
from medtools.core.seeds import child_seed, seeded
from medtools.training.engine import Engine, Plan
from medtools.training.state import Resumed, RunState


def run(model: nn.Module, plan: Plan, resumed: Resumed | None) -> None:
    """Carry out a plan; its results are files.

    Raises
    ------
    InputError
        As the plan's own callables raise it, and for a loss that is not a number.
    """
    settings, on_gpu = plan.settings, plan.device.type == "cuda"
    state = resumed.state if resumed else RunState()
    strategy = "auto"
    if settings.devices > 1:
        # Forked rather than started anew: a new process would run the whole command a second time.
        strategy = "ddp_fork" if len(plan.objectives) == 1 else "ddp_fork_find_unused_parameters_true"
    with _quiet(), _deterministic(on_gpu and settings.deterministic), compute_threads(settings.compute_threads):
        trainer = pl.Trainer(
            accelerator="gpu" if on_gpu else "cpu",
            devices=[plan.device.index or 0] if on_gpu and settings.devices == 1 else settings.devices,
            strategy=strategy,
            precision=settings.precision,
            max_epochs=0 if state.stopped else settings.epochs - state.epoch,
            # Inside a batch job Lightning would otherwise take the job's task count for its own.
            plugins=[LightningEnvironment()],
            use_distributed_sampler=False,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=plan.out,
        )
        with seeded(child_seed(plan.seed, "fit")):
            _fit(trainer, Engine(model, plan, resumed))


def _fit(trainer: pl.Trainer, engine: Engine) -> None:
    try:
        trainer.fit(engine)
    except ProcessRaisedException as error:
        # Several processes: the error arrives as the text of its trace.
        ours = re.search(rf"^{InputError.__module__}\.InputError: (.+?): (.+)$", str(error), re.MULTILINE)
        if ours is None:
            raise
        raise InputError(ours[1], ours[2]) from error
    except SystemExit as error:
        # Lightning ends the process by itself after Ctrl-C; the command line has its own way.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise
    finally:
        engine.resources.close()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advice about settings that are ours, and not the user's, out of the log."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", message=".*does not have a deterministic implementation.*")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextlib.contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    """Prefer deterministic GPU algorithms where there are any; on a CPU one thread is enough."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS asks for it
        torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
