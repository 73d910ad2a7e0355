"""`medtools train ad-lite-net`: every fold, and the final network."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medtools.core.atomic import write_json, write_text
from medtools.core.errors import InputError
from medtools.core.limits import Estimate
from medtools.core.log import LOGGER
from medtools.core.params import values_yaml
from medtools.core.seeds import child_seed, seeded
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.io import image_cohort
from medtools.io.image_cohort import ImageCohort
from medtools.nn.summary import size_of
from medtools.systems.ad_lite_net import baselines
from medtools.systems.ad_lite_net.cohort import CLASSICAL, subjects_unknown
from medtools.systems.ad_lite_net.model import AdLiteNet
from medtools.systems.ad_lite_net.params import NetworkParams, TrainParams
from medtools.training.batches import TensorBatches
from medtools.training.classical import fit_predict, make_baseline
from medtools.training.fit import FitResult, Objective, fit
from medtools.training.inference import mean_loss, predict
from medtools.training.predictions import TABLE, write_predictions
from medtools.training.runs import FINAL, fold_name, train_folds
from medtools.training.splits import SPLIT_COLUMNS, Split, everyone, holdout, split_rows, stratified_folds

ADAM_EPS = 1e-7  # Keras
_BYTES_PER_PIXEL_AND_IMAGE = {
    "ad-lite": 480, "2d-m2ic": 400, "pit-ti": 450, "mobilenet": 1550, "vgg-16": 2110, "xception": 3000,
    "densenet-121": 3210, "msc-net-se": 4030,
}  # fmt: skip
"""Activations and their gradients in training, per pixel of each image of a batch: measured at 128x128."""

_ONE_PIXEL = 64
"""Below this side the last feature maps are one pixel."""


def run(job: Job) -> None:
    """Train every fold and, for a network, the final model."""
    params: TrainParams = job.params
    cohort = image_cohort.read_images(image_cohort.manifest_of(job.inputs), (params.size, params.size))
    classes, labels = class_labels(cohort, params)
    splits = make_splits(cohort, labels, params)
    warn_of_leaks(cohort, params)
    _write_run(job, cohort, classes, splits)
    work = {fold_name(split): split for split in splits}

    def train(name: str, folder: Path) -> Iterable[Path]:
        split = everyone(len(cohort)) if name == FINAL else work[name]
        return train_fold(job, cohort, classes, labels, split, folder, name)

    train_folds(job, work, reads_of(job), train, final=params.final and params.model not in CLASSICAL)


def reads_of(job: Job) -> list[Path]:
    """List what decides the training."""
    weights = job.params.weights
    return [*image_cohort.reads(job.inputs), *([weights] if weights else [])]


def estimate(job: Job) -> Estimate:
    """Predict memory from the number of images and the batch."""
    params: TrainParams = job.params
    pixels, count = params.size**2, len(image_cohort.manifest_of(job.inputs).rows)
    per_image = _BYTES_PER_PIXEL_AND_IMAGE.get(params.model, 0)
    # Images are read, stacked and copied once per fold, in three channels at the most.
    needed = 700 * 2**20 + pixels * (9 * count + per_image * min(params.batch, count))
    return Estimate(needed, None, f"{count} images of {params.size}×{params.size}, batches of {params.batch}")


def class_labels(cohort: ImageCohort, params: TrainParams) -> tuple[tuple[str, ...], NDArray[np.str_]]:
    """Return the classes and the class of each image.

    Raises
    ------
    InputError
        A missing or unknown label, or fewer than two classes.
    """
    manifest = cohort.manifest
    labels = manifest.labels(params.label, params.classes or None)
    classes = params.classes or tuple(sorted(set(labels)))
    present = set(labels)
    if len(present) < 2:
        raise InputError(manifest.path, f"one class only ({labels[0]})", "a classifier needs at least two")
    for name in classes:
        if name not in present:
            raise InputError("--classes", f"no image of class {name!r}", f"there are {', '.join(sorted(present))}")
    return classes, np.array(labels)


def make_splits(cohort: ImageCohort, labels: NDArray[np.str_], params: TrainParams) -> list[Split]:
    """Divide subjects or, on request, images as if each were a subject."""
    units = np.array(cohort.subjects if params.split == "subject" else cohort.ids)
    if params.protocol == "cv":
        return stratified_folds(
            units, labels, folds=params.folds, seed=params.split_seed, validation=params.inner_validation
        )
    return [holdout(units, labels, test=params.test, validation=params.inner_validation, seed=params.split_seed)]


def warn_of_leaks(cohort: ImageCohort, params: TrainParams) -> None:
    """Say where images of one person may be on both sides of the division."""
    if params.split == "slice":
        LOGGER.warning("--split slice: images of one subject are in training and test; scores are inflated")
    elif subjects_unknown(cohort.subjects):
        LOGGER.warning(
            "each image is a subject of its own: if several are of one person, scores are inflated; name subjects in "
            "the manifest, or by --subject-pattern of `medtools preprocess images`"
        )


def build(params: NetworkParams, n_classes: int, size: int, weights: Path | None = None) -> nn.Module:
    """Build the network that the parameters name.

    Raises
    ------
    InputError
        Weights for a network that the paper trains from scratch, or that do not fit.
    """
    pretrained = params.model in baselines.NETWORKS and baselines.NETWORKS[params.model].pretrained
    if weights is not None and not pretrained:
        raise InputError("--weights", f"{params.model} is trained from scratch", "leave it out")
    if params.model != "ad-lite":
        network = baselines.build(params.model, n_classes, size, weights)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = params.bn_momentum
        return network
    return AdLiteNet(
        n_classes,
        parallel=params.pcb,
        depthwise=params.depthwise,
        separable=params.separable,
        tx=params.tx,
        filters=params.filters,
        dense=params.dense,
        bn_momentum=params.bn_momentum,
    )


def levels(images: Tensor) -> Tensor:
    """Turn (n, 1 or 3, h, w) uint8 into what networks take: (n, 3, h, w) float32, raw levels."""
    return images.to(torch.float32).expand(-1, 3, -1, -1)


def probabilities(network: nn.Module, images: NDArray[np.uint8], batch: int) -> NDArray[np.float64]:
    """Apply a trained network: (n, n_classes), softmax in double precision."""
    logits = predict(network, TensorBatches((images,), batch), lambda model, part: model(levels(part[0])))
    return torch.softmax(logits.double(), dim=1).numpy()


def learning_rate(params: TrainParams, epoch: int) -> float:
    """Return the learning rate of an epoch, counted from 0."""
    decays = 0 if params.decay_from is None else max(0, epoch - params.decay_from + 1)
    return params.learning_rate * params.decay**decays


def train_fold(
    job: Job,
    cohort: ImageCohort,
    classes: tuple[str, ...],
    labels: NDArray[np.str_],
    split: Split,
    folder: Path,
    name: str,
) -> Iterable[Path]:
    """Train on a split and write the predictions of its test part."""
    params: TrainParams = job.params
    files: tuple[Path, ...] = ()
    if params.model in CLASSICAL:
        estimator = make_baseline(params.model, seed=job.seed)  # type: ignore[arg-type]
        found = fit_predict(estimator, intensity_features(cohort.images), labels, split, classes)
    else:
        result = _fit(job, cohort, classes, labels, split, folder, child_seed(job.seed, "fold", name))
        files = result.files
        if not split.test.size:
            return files
        found = probabilities(result.model, cohort.images[split.test], params.batch)
    rows = split.test.tolist()
    write_predictions(
        folder / TABLE,
        [cohort.ids[row] for row in rows],
        [cohort.subjects[row] for row in rows],
        classes,
        found,
        truth=labels[split.test].tolist(),
    )
    return [folder / TABLE, *files]


def intensity_features(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return mean and standard deviation of each image, (n, 2): what the trivial baseline sees."""
    flat = images.reshape(len(images), -1)
    return np.stack([[image.mean(), image.std()] for image in flat])


def _fit(
    job: Job,
    cohort: ImageCohort,
    classes: tuple[str, ...],
    labels: NDArray[np.str_],
    split: Split,
    folder: Path,
    seed: int,
) -> FitResult:
    params: TrainParams = job.params
    number = {name: place for place, name in enumerate(classes)}
    targets = torch.tensor([number[label] for label in labels.tolist()])

    def part(rows: NDArray[np.int64], order: int | None = None) -> TensorBatches:
        lone = order is not None and leaves_one_value(len(rows), params)
        return TensorBatches((cohort.images[rows], targets[rows]), params.batch, seed=order, drop_last=lone)

    loss = partial(_loss, weights=_class_weights(params, classes))
    held = part(split.validation) if split.validation.size else None

    def validate(model: nn.Module) -> dict[str, float]:
        scores = mean_loss(model, held, loss)  # type: ignore[arg-type]
        called = probabilities(model, cohort.images[split.validation], params.batch).argmax(axis=1)
        return scores | {"val_accuracy": float((called == targets[split.validation].numpy()).mean())}

    with seeded(child_seed(seed, "weights")):
        network = build(params, len(classes), params.size, params.weights)
    objective = Objective(
        loss,
        lambda model: torch.optim.Adam(model.parameters(), lr=params.learning_rate, eps=ADAM_EPS),
        schedule=lambda optimiser: torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda epoch: learning_rate(params, epoch) / params.learning_rate
        ),
    )
    return fit(
        network,
        objective,
        part(split.train, child_seed(seed, "order")),
        out=folder,
        settings=params,
        seed=seed,
        device=job.device,
        params=model_params(params, classes),
        validate=validate if held is not None else None,
        overwrite=job.overwrite,
    )


def leaves_one_value(n_images: int, params: TrainParams) -> bool:
    """Tell whether the last batch is one image with maps of one pixel, which batch norm cannot train on.

    Raises
    ------
    InputError
        Every batch is one.
    """
    if params.size >= _ONE_PIXEL:
        return False
    if params.batch == 1:
        found = f"1 image of {params.size} pixels leaves one value per channel for batch norm"
        raise InputError("--batch", found, f"take at least 2, or --size {_ONE_PIXEL}")
    return n_images > 1 and n_images % params.batch == 1


def _loss(model: nn.Module, batch: tuple[Tensor, Tensor], _: Any, *, weights: Tensor | None) -> Tensor:
    """Cross-entropy; with weights, their products averaged over the batch, as Keras does."""
    images, targets = batch
    each = nn.functional.cross_entropy(model(levels(images)), targets, reduction="none")
    return each.mean() if weights is None else (each * weights.to(each.device)[targets]).mean()


def _class_weights(params: TrainParams, classes: tuple[str, ...]) -> Tensor | None:
    given = {name: float(number) for name, number in (text.split("=", 1) for text in params.class_weights)}
    unknown = sorted(set(given) - set(classes))
    if unknown:
        raise InputError("--class-weights", f"no class {unknown[0]!r}", f"classes are {', '.join(classes)}")
    return torch.tensor([given.get(name, 1.0) for name in classes]) if given else None


def model_params(params: TrainParams, classes: tuple[str, ...]) -> dict[str, Any]:
    """Return what `infer` needs to build the network again and to refuse data it was not trained for."""
    kept = {key: params.model_dump(mode="json")[key] for key in NetworkParams.model_fields}
    data = {"classes": list(classes), "label": params.label, "size": params.size}
    return {"system": "ad-lite-net", **data, "network": kept}


def _write_run(job: Job, cohort: ImageCohort, classes: tuple[str, ...], splits: list[Split]) -> None:
    params: TrainParams = job.params
    write_tsv(job.out / "splits.tsv", SPLIT_COLUMNS, split_rows(splits, cohort.ids, cohort.subjects))
    write_text(job.out / "params.yaml", values_yaml(params))
    if params.model in CLASSICAL:
        return
    network = baselines.NETWORKS.get(params.model)
    start = f"weights of {params.weights.name}" if params.weights else "scratch"
    if network is not None and network.pretrained and params.weights is None:
        LOGGER.warning("%s starts from scratch, it is meant to start from ImageNet weights (--weights)", params.model)
    with seeded(0):
        size = size_of(build(params, len(classes), params.size, params.weights), (3, params.size, params.size))
    card: dict[str, Any] = {
        "network": params.model,
        "start": start,
        "classes": list(classes),
        "input": [3, params.size, params.size],
        "bn_momentum": params.bn_momentum,
    }
    leak = "images of one subject may be on both sides"
    inflated = params.split == "slice" or subjects_unknown(cohort.subjects)
    write_json(
        job.out / "model_card.json", card | size.record() | {"split": leak if inflated else "no subject on both sides"}
    )
