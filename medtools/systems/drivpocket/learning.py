"""Training: the network that shapes candidates, and the classifier that ranks them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medtools.core.errors import InputError
from medtools.core.limits import Estimate
from medtools.core.log import LOGGER
from medtools.core.seeds import child_seed, seeded
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.systems.drivpocket.baselines import RankingClassifier
from medtools.systems.drivpocket.data import (
    Atoms,
    Example,
    MovedExamples,
    RankingExamples,
    Sampling,
    SegmentationExamples,
    join_samples,
)
from medtools.systems.drivpocket.dataset import (
    Labelled,
    manifest_files,
    only_manifest,
    ranking_examples,
    read_labelled,
    segmentation_examples,
    split_proteins,
)
from medtools.systems.drivpocket.losses import overlap, pocket_loss
from medtools.systems.drivpocket.model import Design, DRIVPocket
from medtools.systems.drivpocket.params import PRESETS, RANKING_PRESETS, RankParams, SegmentParams, TrainParams
from medtools.training.batches import Batches, DatasetBatches, balanced_order
from medtools.training.checkpoint import digest
from medtools.training.fit import Objective, fit
from medtools.training.inference import predict
from medtools.training.settings import FitSettings

SYSTEM = "drivpocket"
_INTERPRETER_BYTES = 700 * 2**20
_TRAINING_FLOATS_PER_VOXEL = 46


def reads(job: Job) -> list[Path]:
    """List the manifest and every file it leads to."""
    return manifest_files(only_manifest(job.inputs))


def run_segment(job: Job) -> None:
    """Train on the positive candidates of a manifest with cavities."""
    params: SegmentParams = job.params
    proteins = read_labelled(only_manifest(job.inputs), "reading proteins", cavities=True)
    parts = split_proteins(proteins, params.validation, job.seed)
    train, validation = ([i for i, part in enumerate(parts) if part == wanted] for wanted in ("train", "validation"))
    design, sampling = design_of(params)
    atoms = [protein.atoms for protein in proteins]
    examples = _some(segmentation_examples(proteins, train), "no candidate of a training protein touches its ligand")
    still = SegmentationExamples(atoms, examples, sampling)
    held_out = SegmentationExamples(atoms, segmentation_examples(proteins, validation), sampling)
    with seeded(child_seed(job.seed, "weights")):
        model = DRIVPocket(design)
    LOGGER.info(
        "%d candidates of %d proteins to train on, %d to validate; %d parameters, random start",
        len(examples), len(train), len(held_out), sum(p.numel() for p in model.parameters()),
    )  # fmt: skip
    record = {"design": dataclasses.asdict(design), "sampling": dataclasses.asdict(sampling)}
    _fit(job, model, segmentation_objective(params), still, held_out, _validate_segment, record, labels=None)
    _write_splits(job, proteins, parts)


def run_rank(job: Job) -> None:
    """Train on all labelled candidates, both classes equally often."""
    params: RankParams = job.params
    proteins = read_labelled(only_manifest(job.inputs), "reading proteins")
    parts = split_proteins(proteins, params.validation, job.seed)
    train, validation = ([i for i, part in enumerate(parts) if part == wanted] for wanted in ("train", "validation"))
    preset = RANKING_PRESETS[params.preset]
    sampling = Sampling(int(preset["grid"]), preset["spacing"])
    atoms = [protein.atoms for protein in proteins]
    examples = _some(ranking_examples(proteins, train), "no labelled candidate in the training proteins")
    labels = [example.label for example in examples]
    if len(set(labels)) < 2:
        raise InputError("candidates", f"all {len(labels)} training candidates have label {labels[0]}", "add proteins")
    design = {"width": int(preset["width"]), "size": sampling.grid}
    with seeded(child_seed(job.seed, "weights")):
        model = RankingClassifier(**design)
    LOGGER.info("%d candidates of %d proteins, %d of them sites", len(examples), len(train), sum(labels))
    objective = Objective(
        loss=lambda network, batch, _: nn.functional.cross_entropy(network(batch[0]), batch[1]),
        optimiser=lambda network: torch.optim.Adam(network.parameters(), lr=params.learning_rate),
    )
    record = {"design": design, "sampling": dataclasses.asdict(sampling)}
    still = RankingExamples(atoms, examples, sampling)
    held_out = RankingExamples(atoms, ranking_examples(proteins, validation), sampling)
    _fit(job, model, objective, still, held_out, _validate_rank, record, labels=labels)
    _write_splits(job, proteins, parts)


def segmentation_objective(params: SegmentParams) -> Objective:
    """Return Eq. 16 (or the code's loss) under SGD, the rate times 0.9 every 5 epochs."""
    return Objective(
        loss=lambda network, batch, _: _segmentation_loss(network, batch, params.loss),
        optimiser=lambda network: torch.optim.SGD(
            network.parameters(),
            lr=params.learning_rate,
            momentum=params.momentum,
            weight_decay=params.weight_decay,
        ),
        schedule=lambda optimiser: torch.optim.lr_scheduler.StepLR(optimiser, step_size=5, gamma=0.9),
    )


def estimate_segment(job: Job) -> Estimate:
    """Predict the memory of a training step from the size of the grid, the width and the batch."""
    design, _ = design_of(job.params)
    floats = _TRAINING_FLOATS_PER_VOXEL * design.width / 2 * design.grid**3 * job.params.batch_size
    detail = f"{job.params.batch_size} candidates of {design.grid} voxels a side, width {design.width}"
    return Estimate(_INTERPRETER_BYTES + int(4 * floats), None, detail)


def design_of(params: SegmentParams) -> tuple[Design, Sampling]:
    """Return the network and the sampling that parameters ask for."""
    preset = PRESETS[params.preset]
    design = Design(
        network=params.network,
        grid=int(preset["grid"]),
        width=int(preset["width"]),
        heads=params.heads,
        attention=params.attention,
        points=params.point_stream,
        halving=params.halving,
    )
    if design.width % design.heads:
        raise InputError("heads", f"{design.heads} heads do not divide {design.width} channels")
    return design, Sampling(design.grid, preset["spacing"], int(preset["points"]))


def _fit(
    job: Job,
    model: nn.Module,
    objective: Objective,
    still: SegmentationExamples | RankingExamples,
    held_out: SegmentationExamples | RankingExamples,
    validate: Callable[[nn.Module, Batches], Mapping[str, float]],
    record: dict[str, Any],
    labels: Sequence[int] | None,
) -> None:
    params: TrainParams = job.params
    moved = MovedExamples(still)
    data = CandidateBatches(
        moved if params.augment else still,
        params.batch_size,
        seed=child_seed(job.seed, "batches"),
        order=None if labels is None else balanced_order(labels),
        augment=moved.move_sample if params.augment else None,
        collate=join_samples,
    )
    checks = DatasetBatches(held_out, 1, collate=join_samples) if len(held_out) else None
    settings = FitSettings.model_validate({name: getattr(params, name) for name in FitSettings.model_fields})
    if checks is None and settings.monitor.startswith("val_"):
        LOGGER.warning("nothing to validate on: the last epoch is kept")
        settings = settings.model_copy(update={"monitor": "loss", "mode": "min", "keep": "last"})
    result = fit(
        model,
        objective,
        data,
        out=job.out,
        settings=settings,
        seed=job.seed,
        device=job.device,
        params={"system": SYSTEM, "part": job.stage.section, **record},
        validate=None if checks is None else (lambda network: validate(network, checks)),
        overwrite=job.overwrite,
    )
    job.wrote(*result.files)


class CandidateBatches(DatasetBatches):
    """Batches that know which candidates they hold, so that a run is resumed on the same ones only."""

    def fingerprint(self) -> str:
        """Return a digest of the candidates, their labels and cavities, and the atoms of their proteins."""
        examples: Sequence[Example] = self.dataset.examples  # type: ignore[attr-defined]
        proteins: Sequence[Atoms] = self.dataset.proteins  # type: ignore[attr-defined]
        parts: list[tuple[str, NDArray[Any]]] = [
            (f"{i} {e.protein} {e.label}", e.centre) for i, e in enumerate(examples)
        ]
        parts += [(f"cavity {i}", e.cavity) for i, e in enumerate(examples) if e.cavity is not None]
        for number in sorted({e.protein for e in examples}):
            parts += [(f"xyz {number}", proteins[number].xyz), (f"types {number}", proteins[number].channels)]
        return digest((name, torch.from_numpy(np.ascontiguousarray(array))) for name, array in parts)


def _segmentation_loss(model: nn.Module, batch: Sequence[Tensor], kind: Any) -> dict[str, Tensor]:
    grid, points, types, cavity_target, binding_target = batch
    cavity, binding = model(grid, points, types)
    return pocket_loss(cavity, binding, cavity_target, binding_target, kind)


def _validate_segment(model: nn.Module, data: Batches) -> dict[str, float]:
    """Return the mean IoU of cavities, and the loss."""

    def forward(network: nn.Module, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        cavity, binding = network(*batch[:3])
        loss = pocket_loss(cavity, binding, batch[3], batch[4])["loss"]
        return overlap(torch.sigmoid(cavity), batch[3]), loss[None]

    iou, loss = predict(model, data, forward)
    return {"val_iou": float(iou.mean()), "val_loss": float(loss.mean())}


def _validate_rank(model: nn.Module, data: Batches) -> dict[str, float]:
    """Return the loss and the share of candidates told right."""

    def forward(network: nn.Module, batch: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        logits = network(batch[0])
        right = (logits.argmax(-1) == batch[1]).float()
        return nn.functional.cross_entropy(logits, batch[1], reduction="none"), right

    loss, right = predict(model, data, forward)
    return {"val_loss": float(loss.mean()), "val_accuracy": float(right.mean())}


def _some(examples: list[Example], otherwise: str) -> list[Example]:
    if not examples:
        raise InputError("candidates", otherwise, "check labels in the manifest's candidates")
    return examples


def _write_splits(job: Job, proteins: Sequence[Labelled], parts: Sequence[str]) -> None:
    rows = [
        {"id": protein.entry.id, "subject": protein.entry.subject, "split": part}
        for protein, part in zip(proteins, parts, strict=True)
    ]
    write_tsv(job.out / "splits.tsv", ["id", "subject", "split"], rows)
    job.wrote(job.out / "splits.tsv")
