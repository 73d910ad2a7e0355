"""Where a run stands, stored so that it can be taken up again with the same bits; and what makes it this run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import medtools
from medtools.core.errors import RefusedError
from medtools.training.batches import Batches
from medtools.training.checkpoint import Checkpoint, digest, flatten, load_checkpoint, save_checkpoint, unflatten
from medtools.training.history import Row
from medtools.training.objective import Objective
from medtools.training.settings import WITHOUT_EFFECT, FitSettings

RESUME = "resume.ckpt"


@dataclass
class RunState:
    """Everything that a run remembers besides network, optimisers and schedules.

    Random numbers need no state: every epoch starts its generators from the seed and its own number.
    """

    epoch: int = 0
    step: int = 0
    history: list[Row] = field(default_factory=list)
    best: float | None = None
    best_epoch: int = 0
    waited: int = 0
    stopped: bool = False

    def observe(self, value: float, settings: FitSettings) -> bool:
        """Take note of the monitored value after an epoch; tell whether it is the best so far.

        A value that is not a number is never an improvement.
        """
        gain = math.inf if self.best is None else (self.best - value) * (1 if settings.mode == "min" else -1)
        if math.isfinite(value) and gain > settings.min_delta:
            self.best, self.best_epoch, self.waited = value, self.epoch, 0
            return True
        self.waited += 1
        self.stopped = settings.patience is not None and self.waited >= settings.patience
        return False


def identity(
    model: nn.Module,
    objectives: Sequence[Objective],
    data: Batches,
    params: Mapping[str, Any],
    settings: FitSettings,
    seed: int,
    device: torch.device,
) -> dict[str, Any]:
    """Describe what decides the result of a run: equal descriptions, equal bytes."""
    optimisers = [objective.optimiser(model) for objective in objectives]
    groups = [[{k: v for k, v in g.items() if k != "params"} for g in o.param_groups] for o in optimisers]
    chosen = settings.model_dump(mode="json", include=set(FitSettings.model_fields) - WITHOUT_EFFECT)
    return {
        "medtools": medtools.__version__,
        "torch": torch.__version__,
        "seed": seed,
        "device": device.type,
        **chosen,
        **{f"params.{name}": value for name, value in json.loads(json.dumps(params)).items()},
        "optimisers": [f"{type(o).__name__} {g}" for o, g in zip(optimisers, groups, strict=True)],
        "data": f"{len(data)} batches, {data.fingerprint()}",
        "initial weights": digest(model.state_dict().items()),
    }


def refuse_other_run(path: Path, found: Mapping[str, Any] | None, expected: Mapping[str, Any]) -> None:
    """Refuse to take up, or to overwrite, what another run left.

    Raises
    ------
    RefusedError
        Naming what differs.
    """
    before = found or {}
    keys = [key for key in dict.fromkeys([*expected, *before]) if before.get(key) != expected.get(key)]
    if not keys:
        return
    parts = [f"{key} was {_short(before.get(key))}, is {_short(expected.get(key))}" for key in keys[:3]]
    more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
    raise RefusedError(f"{path}: made by another run ({'; '.join(parts)}{more}); choose another --out, or --overwrite")


def save_state(
    folder: Path,
    run: Mapping[str, Any],
    state: RunState,
    model: nn.Module,
    best_weights: Mapping[str, Tensor] | None,
    machinery: Mapping[str, Any],
) -> None:
    """Write `resume.ckpt`: network, best weights so far, optimisers, schedules and counters in one atomic file."""
    tree, tensors = flatten(dict(machinery))
    tensors |= {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in (best_weights or {}).items()}
    save_checkpoint(folder / RESUME, tensors, {"run": run, "state": asdict(state), "machinery": tree})


@dataclass(frozen=True)
class Resumed:
    """Content of `resume.ckpt`."""

    state: RunState
    model: dict[str, Tensor]
    best: dict[str, Tensor] | None
    machinery: dict[str, Any]


def load_state(folder: Path, run: Mapping[str, Any]) -> Resumed | None:
    """Read `resume.ckpt` if there is one.

    Raises
    ------
    RefusedError
        It belongs to another run.
    InputError
        It is damaged.
    """
    path = folder / RESUME
    if not path.is_file():
        return None
    content: Checkpoint = load_checkpoint(path)
    refuse_other_run(path, content.params.get("run"), run)
    return Resumed(
        RunState(**content.params["state"]),
        _under(content.tensors, "model."),
        _under(content.tensors, "best.") or None,
        unflatten(content.params["machinery"], content.tensors),
    )


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
