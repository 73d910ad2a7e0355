"""`medtools train local-prototype`: one network for each held-out class, each a sample of the stage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from medtools.core.atomic import write_text
from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.params import values_yaml
from medtools.core.seeds import child_seed, generator, seeded
from medtools.core.stage import Job
from medtools.systems.local_prototype.cohort import Organ, fold_word
from medtools.systems.local_prototype.items import collect_items, episode_maker
from medtools.systems.local_prototype.model import DilatedEncoder, LocalPrototypeNetwork, episode_loss
from medtools.systems.local_prototype.params import TrainParams
from medtools.systems.local_prototype.segmentation import mean_dice
from medtools.systems.local_prototype.slices import Stack, load_manifest, load_part, named
from medtools.training.episodes import EpisodeBatches, EpisodeSampler
from medtools.training.fit import Objective, Step, fit
from medtools.training.runs import train_folds

SYSTEM = "local-prototype"
_PAPER_STEPS, _AUTHORS_STEPS, _AUTHORS_PIXELS = 10_000, 2_500, 10
_DECAY = 0.1
_PAPER_DROPS, _AUTHORS_DROPS = (0.25, 0.5, 0.75), (0.32, 0.64, 0.96)
"""Shares of the steps after which the rate falls: 2,500, 5,000 and 7,500; the authors' code 800, 1,600 and 2,400."""

_VALIDATION_SHARE = 0.2


def run(job: Job) -> None:
    """Train every fold."""
    params: TrainParams = job.params
    manifest, organs = load_manifest(job.inputs)
    folds = {fold_word(group): group for group in params.held_out}
    train_organs = {group: training_organs(organs, group, params) for group in params.held_out}
    write_text(job.out / "params.yaml", values_yaml(params))
    reads = (manifest.path, *(row.paths["slices"] for row in manifest.rows if row.get("split") == "train"))
    weights = (params.weights,) if params.weights else ()

    def train(name: str, _: Path) -> Iterable[Path]:
        group = folds[name]
        stacks = load_part(manifest, "train")
        judge = load_part(manifest, "support", "query") if params.select == "test" else []
        held_out = named(organs, [group], "--held-out")
        return _fit(job, name, stacks, judge, train_organs[group], held_out)

    train_folds(job, folds, (*reads, *weights), train)


def training_organs(organs: Sequence[Organ], group: str, params: TrainParams) -> list[Organ]:
    """Return the classes to train on while `group` is held out.

    Raises
    ------
    InputError
        An organ of the held-out class is among those asked for, or none is left.
    """
    held_out = named(organs, [group], "--held-out")
    if params.train_organs:
        chosen = named(organs, params.train_organs, "--train-organs")
        both = [organ.name for organ in chosen if organ in held_out]
        if both:
            found = f"{both[0]} is also held out with {group}"
            raise InputError("--train-organs", found, "a test class must not be trained on")
    elif params.added_classes:
        chosen = [organ for organ in organs if organ not in held_out]
    else:
        chosen = [organ for organ in named(organs, params.held_out, "--held-out") if organ not in held_out]
    if not chosen:
        raise InputError("--held-out", f"no organ is left to train on without {group}", "use --added-classes")
    return chosen


def build(params: Mapping[str, Any]) -> LocalPrototypeNetwork:
    """Build the network that stored parameters describe."""
    return LocalPrototypeNetwork(
        params.get("encoder", "resnet50"),  # models made before there was a choice do not say
        size=params["size"],
        alpha=params["alpha"],
        overlap=params["overlap"],
        vote=params["vote"],
        min_pixels=params["min_pixels"],
        temperature=params["temperature"],
        width=params["width"],
    )


def model_params(params: TrainParams, size: int, trained: Sequence[Organ], held_out: Sequence[Organ]) -> dict[str, Any]:
    """Return what is stored with a model: how to build it, and which classes it has and has not seen."""
    fewest = params.min_pixels if params.min_pixels is not None else (_AUTHORS_PIXELS if params.authors else 0)
    return {
        "system": SYSTEM,
        "size": size,
        "encoder": params.encoder,
        "alpha": params.alpha,
        "overlap": params.overlap,
        "vote": params.vote,
        "min_pixels": fewest,
        "temperature": params.temperature,
        "width": params.width,
        "trained": [organ.name for organ in trained],
        "held_out": [organ.name for organ in held_out],
        "start": "weights" if params.weights else "random",
    }


def objective(params: TrainParams, steps: int) -> Objective:
    """Cross-entropy under SGD whose rate drops to a tenth after each quarter of the steps, or where the code has it."""

    def loss(model: nn.Module, batch: Sequence[torch.Tensor], _: Step) -> dict[str, torch.Tensor]:
        support, masks, query, target = batch
        return episode_loss(model, support, masks, query, target, params.alignment)  # type: ignore[arg-type]

    def optimiser(model: nn.Module) -> torch.optim.Optimizer:
        moved = [parameter for parameter in model.parameters() if parameter.requires_grad]
        rate, decay = params.learning_rate, params.weight_decay
        return torch.optim.SGD(moved, lr=rate, momentum=params.momentum, weight_decay=decay)

    drops = [round(share * steps) for share in (_AUTHORS_DROPS if params.authors else _PAPER_DROPS)]
    schedule = partial(torch.optim.lr_scheduler.MultiStepLR, milestones=drops, gamma=_DECAY)
    return Objective(loss, optimiser, schedule=schedule, per="step")


def _fit(
    job: Job, name: str, stacks: list[Stack], judge: list[Stack], trained: list[Organ], held_out: list[Organ]
) -> Iterable[Path]:
    params: TrainParams = job.params
    seed = child_seed(job.seed, "fold", name)
    size = stacks[0].image.shape[1]
    stored = model_params(params, size, trained, held_out)
    with seeded(child_seed(seed, "weights")):
        network = build(stored)
    if params.weights and isinstance(network.encoder, DilatedEncoder):
        network.encoder.load(params.weights)
    LOGGER.info(
        "%s: trained on %s; %s starts from %s", name, ", ".join(stored["trained"]), params.encoder, stored["start"]
    )
    validate, stacks = _selection(params, stacks, judge, trained, held_out, seed)
    items = collect_items(stacks, trained, seed=seed)
    sampler = EpisodeSampler(items.organs, way=1, shot=params.shots, query=1, seed=child_seed(seed, "episodes"))
    steps = params.iterations or (_AUTHORS_STEPS if params.authors else _PAPER_STEPS)
    per_epoch = -(-steps // params.epochs)
    data = EpisodeBatches(
        sampler,
        episode_maker(items, augmented=params.augment),
        steps=per_epoch,
        size=params.batch,
        content=items.content,
    )
    settings = params if params.select == "last" else params.model_copy(
        update={"keep": "best", "monitor": "val_dice", "mode": "max"}
    )  # fmt: skip
    result = fit(
        network,
        objective(params, per_epoch * params.epochs),
        data,
        out=job.out / "folds" / name,
        settings=settings,
        seed=seed,
        device=job.device,
        params=stored,
        validate=validate,
        overwrite=job.overwrite,
    )
    return result.files


def _selection(
    params: TrainParams, stacks: list[Stack], judge: list[Stack], trained: list[Organ], held_out: list[Organ], seed: int
) -> tuple[Any, list[Stack]]:
    """Return what judges the epochs, and the volumes that are left to train on."""
    if params.select == "last":
        return None, stacks
    if params.select == "test":
        LOGGER.warning("--select test keeps the epoch that is best on the test volumes: its scores are optimistic")
        supports = [stack for stack in judge if stack.part == "support"]
        queries = [stack for stack in judge if stack.part == "query"]
        return lambda model: {"val_dice": mean_dice(model, supports, queries, held_out)}, stacks
    if len(stacks) < 4:
        raise InputError("--select", f"training needs at least 4 volumes to set two aside, found {len(stacks)}")
    order = generator(seed, "aside").permutation(len(stacks)).tolist()
    count = max(2, round(_VALIDATION_SHARE * len(stacks)))
    aside, left = [stacks[number] for number in order[:count]], [stacks[number] for number in sorted(order[count:])]
    return lambda model: {"val_dice": mean_dice(model, aside[:1], aside[1:], trained)}, left
