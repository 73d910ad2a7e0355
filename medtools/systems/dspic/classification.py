"""`medtools train dspic`: every fold is a sample of the stage, so folds resume and run as parallel jobs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
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
from medtools.nn.summary import size_of
from medtools.systems.dspic import data
from medtools.systems.dspic.augmentation import enlarged, gan_files
from medtools.systems.dspic.cohort import CLASSES, CLASSICAL, SETS, VALIDATION
from medtools.systems.dspic.data import Scans
from medtools.systems.dspic.model import COMPARATORS, Classifier, build, dspic_plan
from medtools.systems.dspic.params import NetworkParams, TrainParams
from medtools.training.batches import TensorBatches
from medtools.training.classical import fit_predict, make_baseline
from medtools.training.fit import FitResult, Objective, fit, supervised
from medtools.training.inference import mean_loss, predict
from medtools.training.predictions import TABLE, write_predictions
from medtools.training.runs import FINAL, fold_name, train_folds
from medtools.training.splits import SPLIT_COLUMNS, Split, everyone, holdout, split_rows, stratified_folds

_ADAM_EPS = 1e-7  # TensorFlow 2.0
_ADDED = {"dspic-am": "attention", "dspic-rm": "residual", "dspic": "none"}
_BYTES_PER_PIXEL_AND_IMAGE = 250  # activations and gradients in training; measured: 2,090 MiB in all at 8 x 1024 x 256
_BYTES_OF_WEIGHTS = 58_300_000 * 16


def run(job: Job) -> None:
    """Train every fold and, for a network, the final model."""
    params: TrainParams = job.params
    scans = data.read_scans(job.inputs, (params.height, params.width), params.label)
    check_protocol(scans, params)
    if params.split == "paper" and params.augment != "none":
        scans = _enlarged(job, scans, job.out / "gan", job.seed)
    splits = make_splits(scans, params, job.seed)
    write_tsv(job.out / "splits.tsv", SPLIT_COLUMNS, split_rows(splits, scans.ids.tolist(), scans.subjects.tolist()))
    write_text(job.out / "params.yaml", values_yaml(params))
    _write_card(job, scans)
    work = {fold_name(split): split for split in splits}

    def train(name: str, folder: Path) -> Iterable[Path]:
        return train_fold(job, scans, everyone(len(scans)) if name == FINAL else work[name], folder, name)

    final = params.final and params.model not in CLASSICAL
    train_folds(job, work, image_cohort.reads(job.inputs), train, final=final)


def estimate(job: Job) -> Estimate:
    """Predict memory from the number of images and the batch."""
    params: TrainParams = job.params
    count, pixels = len(image_cohort.manifest_of(job.inputs).rows), params.height * params.width
    images = count * (2 if params.augment != "none" else 1)
    needed = 1100 * 2**20 + _BYTES_OF_WEIGHTS + pixels * (8 * images + _BYTES_PER_PIXEL_AND_IMAGE * params.batch)
    return Estimate(needed, None, f"{images} images of {params.height}×{params.width}, batches of {params.batch}")


def check_protocol(scans: Scans, params: TrainParams) -> None:
    """Refuse what would put made images into a test part, and say which protocol runs.

    Raises
    ------
    InputError
        One class only; or a set that was augmented before, to be divided by patients.
    """
    present = set(scans.labels.tolist())
    if len(present) < 2:
        raise InputError("INPUT", f"one class only ({scans.labels[0]})", "a classifier needs at least two")
    if params.split == "patient" and (scans.made != "").any():
        raise InputError(
            "INPUT", f"{int((scans.made != '').sum())} images are made ones, of whom test images may be sources",
            "give the original images and --augment, or ask for --split paper",
        )  # fmt: skip
    if params.augment != "none" and (scans.made != "").any():
        raise InputError("INPUT", "images are made ones already", "give the original images, or leave --augment out")
    if params.split == "paper":
        LOGGER.warning(
            "--split paper: images are divided after augmentation, so copies and both views of a patient are in "
            "training and test; scores are inflated"
        )
    else:
        LOGGER.info("--split patient: no patient is on both sides, only the training part is augmented")


def make_splits(scans: Scans, params: TrainParams, seed: int) -> list[Split]:
    """Divide patients or, on request, images as if each were a patient; 7:3 by rounding."""
    units = scans.subjects if params.split == "patient" else scans.ids
    if params.protocol == "cv":
        return stratified_folds(units, scans.labels, folds=params.folds, seed=seed, validation=params.inner_validation)
    count = len(set(units.tolist()))
    test = round(params.test * count) / count  # a share of 7:3 is rounded, not rounded up
    state = child_seed(seed, "division", bits=32)
    return [holdout(units, scans.labels, test=test, validation=params.inner_validation, seed=state)]


def network_of(params: NetworkParams, size: tuple[int, int]) -> Classifier:
    """Build the network that the parameters name."""
    if params.model in COMPARATORS:
        return build(COMPARATORS[params.model], size, head_pool=params.grid, literal=params.eq6 == "literal")
    plan = dspic_plan(_ADDED[params.model], pools=params.pools, pad34=params.pad34)  # type: ignore[arg-type]
    return build(plan, size, head_pool=params.grid, literal=params.eq6 == "literal")


def probabilities(network: nn.Module, images: data.Images, batch: int) -> NDArray[np.float64]:
    """Apply a trained network: (n, 3), softmax in double precision."""
    logits = predict(network, TensorBatches((images[:, None],), batch))
    return torch.softmax(logits.double(), dim=1).numpy()


def train_fold(job: Job, scans: Scans, split: Split, folder: Path, name: str) -> Iterable[Path]:
    """Train on a split, after adding to its training part, and write the predictions of its test part."""
    params: TrainParams = job.params
    seed = child_seed(job.seed, "fold", name)
    files: list[Path] = []
    if params.model in CLASSICAL:
        features, labels = data.simple_features(scans.images), scans.labels.copy()
        rows = np.concatenate([split.train, split.validation])
        single = replace(split, train=rows[labels[rows] != "MA"], validation=rows[:0])  # no row for two classes at once
        estimator = make_baseline(params.model, seed=job.seed)  # type: ignore[arg-type]
        found = fit_predict(estimator, features, labels, single, CLASSES)
    else:
        part = scans.part(split.train)
        if params.augment != "none" and params.split == "patient":
            part = _enlarged(job, part, folder / "gan", seed)
        result = _fit(job, part, scans.part(split.validation), folder, seed)
        files += [*result.files, *gan_files(folder / "gan")]
        if not split.test.size:
            return files
        found = probabilities(result.model, scans.images[split.test], params.batch)
        if split.validation.size:
            held = scans.part(split.validation)
            _write_table(folder / VALIDATION, held, probabilities(result.model, held.images, params.batch))
            files.append(folder / VALIDATION)
    _write_table(folder / TABLE, scans.part(split.test), found)
    return [folder / TABLE, *files]


def _enlarged(job: Job, scans: Scans, folder: Path, seed: int) -> Scans:
    params: TrainParams = job.params
    return enlarged(scans, params.augment, params, folder=folder, seed=seed, device=job.device, overwrite=job.overwrite)


def _write_table(path: Path, scans: Scans, found: NDArray[np.float64]) -> None:
    write_predictions(path, scans.ids.tolist(), scans.subjects.tolist(), CLASSES, found, truth=scans.labels.tolist())


def _fit(job: Job, train: Scans, held: Scans, folder: Path, seed: int) -> FitResult:
    params: TrainParams = job.params
    loss = supervised(nn.functional.cross_entropy)

    def validate(model: nn.Module) -> dict[str, float]:
        return mean_loss(model, _batches(held, params.batch), loss)

    with seeded(child_seed(seed, "weights")):
        network = network_of(params, (params.height, params.width))
    return fit(
        network,
        Objective(loss, lambda model: adam(model, params.learning_rate)),
        _batches(train, params.batch, child_seed(seed, "order")),
        out=folder,
        settings=params,
        seed=seed,
        device=job.device,
        params=model_params(params),
        validate=validate if len(held) else None,
        overwrite=job.overwrite,
    )


def adam(model: nn.Module, rate: float) -> torch.optim.Adam:
    """Return Adam with TensorFlow's epsilon; on a CPU the one of a single pass, nine times as fast on these weights."""
    weights = list(model.parameters())
    return torch.optim.Adam(weights, lr=rate, eps=_ADAM_EPS, fused=weights[0].device.type == "cpu")


def _batches(scans: Scans, batch: int, seed: int | None = None) -> TensorBatches:
    inputs: Tensor = torch.from_numpy(scans.images)[:, None]
    return TensorBatches((inputs, torch.from_numpy(scans.targets)), batch, seed=seed)


def model_params(params: TrainParams) -> dict[str, Any]:
    """Return what `infer` needs to build the network again."""
    kept = {key: params.model_dump(mode="json")[key] for key in NetworkParams.model_fields}
    return {"system": "dspic", "classes": list(CLASSES), "size": [params.height, params.width], "network": kept}


def _write_card(job: Job, scans: Scans) -> None:
    params: TrainParams = job.params
    size = (params.height, params.width)
    leak = "copies of test images and their patients may be in training"
    kept = "no patient on both sides" if params.split == "patient" else leak
    made = next(iter(sorted(set(scans.made.tolist()) - {""})), params.augment)
    card: dict[str, Any] = {"network": params.model, "start": "scratch", "classes": list(CLASSES), "input": [1, *size]}
    card |= {"set": SETS.get(made, made), "split": kept}
    if params.model not in CLASSICAL:
        with torch.device("meta"):
            card |= size_of(network_of(params, size), (1, *size)).record()
    write_json(job.out / "model_card.json", card)
