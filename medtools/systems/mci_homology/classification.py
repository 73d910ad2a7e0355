"""`medtools train mci-homology`: every fold is a sample of the stage, so folds resume and run as parallel jobs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medtools.core.atomic import write_text
from medtools.core.errors import InputError
from medtools.core.params import values_yaml
from medtools.core.seeds import child_seed, generator, seeded
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.systems.mci_homology import model as networks
from medtools.systems.mci_homology import pr
from medtools.systems.mci_homology.features import correlation_matrices, upper_triangles
from medtools.systems.mci_homology.params import ClassifierParams
from medtools.training.batches import TensorBatches
from medtools.training.classical import fit_predict, make_baseline
from medtools.training.fit import Objective, fit, supervised
from medtools.training.inference import mean_loss, predict
from medtools.training.predictions import TABLE, write_predictions
from medtools.training.runs import FINAL, fold_name, train_folds
from medtools.training.splits import SPLIT_COLUMNS, Split, holdout, split_rows, stratified_folds

NETWORKS = ("cnn", "densenet121")


@dataclass(frozen=True)
class Task:
    """What one classifier learns from: matrices and labels of two groups."""

    cohort: pr.Cohort
    classes: tuple[str, str]
    matrices: NDArray[np.float64]

    @property
    def labels(self) -> NDArray[np.str_]:
        """Group of each matrix."""
        return np.array(self.cohort.groups)


def run(job: Job) -> None:
    """Train every fold, and for a network also the final model on everyone."""
    params: ClassifierParams = job.params
    task = load_task(job)
    splits = make_splits(task, params, job.seed)
    _write_run(job, task, splits)
    work = {fold_name(split): split for split in splits}

    def train(name: str, folder: Path) -> Iterable[Path]:
        return _train_final(job, task) if name == FINAL else _train_fold(job, task, work[name], folder)

    final = params.model in NETWORKS and params.protocol != "permutation"
    train_folds(job, work, reads_of(job), train, final=final)


def reads_of(job: Job) -> list[Path]:
    """List what decides the training: the manifest and every subject's homology record."""
    return pr.reads(job.inputs, job.params.homology)


def load_task(job: Job) -> Task:
    """Read the two groups' matrices.

    Raises
    ------
    InputError
        The task does not name two groups of the manifest, or a group has fewer than two subjects.
    """
    params: ClassifierParams = job.params
    classes = tuple(params.task.split(":"))
    if len(classes) != 2 or classes[0] == classes[1]:
        raise InputError("--task", f"expected first:second, found {params.task!r}", "e.g. HC:EMCI")
    manifest = pr.load_manifest(job.inputs)
    cohort = pr.read_cohort(manifest, params.homology, params.network, params.dim, params.group)
    for name in classes:
        count = cohort.groups.count(name)
        if count < 2:
            found = f"group {name!r} has {count} subjects, at least 2 are needed"
            raise InputError("--task", found, f"groups are {', '.join(dict.fromkeys(cohort.groups))}")
    cohort = cohort.restricted(classes)
    matrices = cohort.matrices
    if params.features == "fc":
        matrices = correlation_matrices(manifest, cohort, params.homology)
    return Task(cohort, (classes[0], classes[1]), matrices)


def make_splits(task: Task, params: ClassifierParams, seed: int) -> list[Split]:
    """Divide the subjects by the protocol; under permutation each repeat keeps the same folds."""
    subjects, labels = np.array(task.cohort.subjects), task.labels
    if params.protocol == "paper":
        return [holdout(subjects, labels, test=0.2, validation=params.inner_validation, seed=seed)]
    repeats = 1 if params.protocol == "permutation" else params.repeats
    folds = stratified_folds(
        subjects, labels, folds=params.folds, repeats=repeats, seed=seed, validation=params.inner_validation
    )
    if params.protocol == "cv":
        return folds
    # Repeat 0 has the true labels, repeat r the r-th permutation.
    return [
        Split(train=s.train, validation=s.validation, test=s.test, repeat=r, fold=s.fold)
        for r in range(params.permutations + 1)
        for s in folds
    ]


def build(params: ClassifierParams, n_rois: int) -> nn.Module:
    """Build the network that the parameters name."""
    if params.model == "densenet121":
        return networks.densenet()
    return networks.PrClassifier(n_rois, params.head, params.branches)


def network_input(params: ClassifierParams, matrices: NDArray[np.float64]) -> Tensor:
    """Turn matrices into what the network takes: standardised matrices, or grey images for DenseNet-121."""
    stack = torch.as_tensor(matrices, dtype=torch.float32)
    if params.model == "densenet121":
        return networks.grey_images(stack)
    return networks.standardise(stack).unsqueeze(1)


def _train_fold(job: Job, task: Task, split: Split, folder: Path) -> Iterable[Path]:
    params: ClassifierParams = job.params
    labels = _labels(task, params, split, job.seed)
    files: tuple[Path, ...] = ()
    if params.model == "cnn" or params.model == "densenet121":
        probabilities, files = _train_network(job, task, split, labels, folder)
    else:
        estimator = make_baseline(params.model, seed=job.seed, prune=params.prune_corr)
        features = upper_triangles(task.matrices)
        probabilities = fit_predict(estimator, features, labels, split, task.classes)
    path = folder / TABLE
    ids, subjects = ([names[row] for row in split.test.tolist()] for names in (task.cohort.ids, task.cohort.subjects))
    write_predictions(path, ids, subjects, task.classes, probabilities, truth=labels[split.test].tolist())
    return [path, *files]


def _train_network(
    job: Job, task: Task, split: Split, labels: NDArray[np.str_], folder: Path
) -> tuple[NDArray[np.float64], tuple[Path, ...]]:
    params: ClassifierParams = job.params
    inputs = network_input(params, task.matrices)
    targets = torch.as_tensor((labels == task.classes[1]).astype(np.int64))

    def part(rows: NDArray[np.int64]) -> TensorBatches:
        return TensorBatches((inputs[rows], targets[rows]), params.batch)

    def validate(network: nn.Module) -> dict[str, float]:
        scores = mean_loss(network, part(split.validation), _LOSS) if split.validation.size else {}
        if params.protocol == "paper":
            called = predict(network, part(split.test)).argmax(dim=1)
            scores["test_accuracy"] = float((called == targets[split.test]).float().mean())
        return scores

    chosen = params.model_copy(update={"keep": "best", "monitor": "val_loss"}) if split.validation.size else params
    seed = child_seed(job.seed, "fold", split.repeat, split.fold)
    train = TensorBatches((inputs[split.train], targets[split.train]), params.batch, seed=seed)
    with seeded(child_seed(seed, "weights")):
        network = build(params, inputs.shape[-1])
    validated = split.validation.size or params.protocol == "paper"
    result = fit(
        network,
        _objective(params),
        train,
        out=folder,
        settings=chosen,
        seed=seed,
        device=job.device,
        params=_model_params(job, task),
        validate=validate if validated else None,
        overwrite=job.overwrite,
    )
    logits = predict(result.model, part(split.test))
    return torch.softmax(logits.double(), dim=1).numpy(), result.files


def _train_final(job: Job, task: Task) -> Iterable[Path]:
    """Train on everyone, for `medtools infer` on new data; its own scores would mean nothing and are not made."""
    params: ClassifierParams = job.params
    seed = child_seed(job.seed, FINAL)
    inputs = network_input(params, task.matrices)
    targets = torch.as_tensor((task.labels == task.classes[1]).astype(np.int64))
    with seeded(child_seed(seed, "weights")):
        network = build(params, inputs.shape[-1])
    result = fit(
        network,
        _objective(params),
        TensorBatches((inputs, targets), params.batch, seed=seed),
        out=job.out,
        settings=params,
        seed=seed,
        device=job.device,
        params=_model_params(job, task),
        overwrite=job.overwrite,
    )
    return result.files


_LOSS = supervised(nn.functional.cross_entropy)


def _objective(params: ClassifierParams) -> Objective:
    return Objective(_LOSS, lambda network: torch.optim.Adam(network.parameters(), lr=params.learning_rate))


def _labels(task: Task, params: ClassifierParams, split: Split, seed: int) -> NDArray[np.str_]:
    if params.protocol != "permutation" or split.repeat == 0:
        return task.labels
    # Labels move between subjects; folds stay, so that only the labels' meaning is lost.
    return generator(seed, "permutation", split.repeat).permutation(task.labels)


def _model_params(job: Job, task: Task) -> dict[str, object]:
    """Return what `infer` needs to build the network again and to refuse data it was not trained for."""
    params: ClassifierParams = job.params
    return {
        "system": "mci-homology",
        "classes": list(task.classes),
        "rois": list(task.cohort.rois),
        "homology": pr.homology_params(params.homology, task.cohort.ids[0]),
        "params": {key: getattr(params, key) for key in ("network", "dim", "features", "model", "head", "branches")},
    }


def _write_run(job: Job, task: Task, splits: list[Split]) -> None:
    write_tsv(job.out / "splits.tsv", SPLIT_COLUMNS, split_rows(splits, task.cohort.ids, task.cohort.subjects))
    write_text(job.out / "params.yaml", values_yaml(job.params))
