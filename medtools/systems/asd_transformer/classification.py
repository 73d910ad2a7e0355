"""`medtools train asd-transformer`: every fold is a sample of the stage, so folds resume and run as parallel jobs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medtools.core.atomic import write_text
from medtools.core.errors import InputError
from medtools.core.params import values_yaml
from medtools.core.seeds import child_seed, seeded
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.metrics.classification import auroc
from medtools.systems.asd_transformer import data
from medtools.systems.asd_transformer.baselines import (
    BrainNetCnn,
    BrainNetworkTransformer,
    FbNetGen,
    logits_of,
    network_loss,
)
from medtools.systems.asd_transformer.connectivity import upper_triangles
from medtools.systems.asd_transformer.features import (
    HARMONISATION,
    Features,
    make_features,
    series_input,
    write_combat,
)
from medtools.systems.asd_transformer.model import CommunityTransformer
from medtools.systems.asd_transformer.params import ClassifierParams
from medtools.training.batches import TensorBatches
from medtools.training.classical import Baseline, fit_predict, make_baseline
from medtools.training.fit import FitResult, Objective, fit
from medtools.training.inference import predict
from medtools.training.predictions import TABLE, write_predictions
from medtools.training.runs import FINAL, fold_name, train_folds
from medtools.training.splits import (
    SPLIT_COLUMNS,
    Split,
    holdout,
    leave_one_out,
    redrawn_holdout,
    split_rows,
    stratified_folds,
)

TRANSFORMERS = ("ours", "comtf")
NETWORKS = (*TRANSFORMERS, "bnt", "brainnetcnn", "fbnetgen")
_ESTIMATORS: dict[str, Baseline] = {
    "logistic-regression": "logistic-regression", "mean-fc": "logistic-regression",
    "site-only": "logistic-regression", "majority": "majority",
}  # fmt: skip


def run(job: Job) -> None:
    """Train every fold, and for a network also the final model that `medtools infer` applies."""
    params: ClassifierParams = job.params
    cohort = load_cohort(job)
    splits = make_splits(cohort, params, job.seed)
    write_tsv(job.out / "splits.tsv", SPLIT_COLUMNS, split_rows(splits, cohort.ids, cohort.subjects))
    write_text(job.out / "params.yaml", values_yaml(params))
    work = {fold_name(split): split for split in splits}

    def train(name: str, folder: Path) -> Iterable[Path]:
        if name == FINAL:
            return train_network(job, cohort, final_split(cohort, params, job.seed), folder, name=name)[1]
        return _train_fold(job, cohort, work[name], folder, name)

    train_folds(job, work, data.reads(job.inputs, params.communities), train, final=params.model in NETWORKS)


def classes_of(params: ClassifierParams) -> tuple[str, str]:
    """Return the two classes of a task, the positive one second."""
    classes = params.task.split(":")
    if len(classes) != 2 or classes[0] == classes[1] or not all(classes):
        raise InputError("--task", f"expected first:second, found {params.task!r}", "e.g. NC:ASD")
    return classes[0], classes[1]


def load_cohort(job: Job) -> data.Cohort:
    """Read the cohort that the job's parameters name, sites only where something needs them."""
    params: ClassifierParams = job.params
    needed = params.harmonise != "none" or params.model == "site-only" or params.protocol == "site"
    stratified = params.protocol == "paper" and "site" in params.stratify
    return data.read_cohort(
        job.inputs,
        params.communities,
        group=params.group,
        classes=classes_of(params),
        site=params.site if needed or stratified else "",
    )


def make_splits(cohort: data.Cohort, params: ClassifierParams, seed: int) -> list[Split]:
    """Divide the subjects by the protocol."""
    subjects, labels, sites = np.array(cohort.subjects), np.array(cohort.groups), np.array(cohort.sites)
    if params.protocol == "paper":
        strata = {"site": sites, "class": labels, "site-class": np.char.add(np.char.add(sites, " "), labels)}
        return redrawn_holdout(subjects, strata[params.stratify], redraws=params.repeats, seed=seed)
    if params.protocol == "site":
        return leave_one_out(sites, subjects, labels, seed=seed, validation=params.inner_validation)
    return stratified_folds(
        subjects, labels, folds=params.folds, repeats=params.repeats, seed=seed, validation=params.inner_validation
    )


def final_split(cohort: data.Cohort, params: ClassifierParams, seed: int) -> Split:
    """Train the final model on everyone but the part that chooses its epoch."""
    labels = np.array(cohort.groups)
    split = holdout(
        np.array(cohort.subjects), labels, test=params.inner_validation, seed=child_seed(seed, FINAL, bits=32)
    )
    return Split(train=split.train, validation=split.test, test=np.empty(0, dtype=np.int64))


def build(params: ClassifierParams, communities: NDArray[np.int64]) -> nn.Module:
    """Build the network that the parameters name.

    Raises
    ------
    InputError
        Heads or clusters that do not suit the number of ROIs.
    """
    rois = len(communities)
    if params.model in TRANSFORMERS:
        return CommunityTransformer(
            communities.tolist(),
            heads=params.heads,
            clusters=params.clusters,
            dropout=params.dropout,
            interaction=params.interaction or "add",
            readout=params.readout or "softmax",
        )
    if params.model == "bnt":
        return BrainNetworkTransformer(rois)
    return BrainNetCnn(rois) if params.model == "brainnetcnn" else FbNetGen(rois)


def network_inputs(cohort: data.Cohort, features: Features, params: ClassifierParams) -> tuple[Tensor, ...]:
    """Return what the network takes: weighted connectivity, and for fbnetgen the series."""
    matrices = torch.from_numpy(features.weighted)
    if params.model != "fbnetgen":
        return (matrices,)
    return matrices, torch.from_numpy(series_input(cohort, params.series_samples))


def probabilities(network: nn.Module, inputs: tuple[Tensor, ...], params: ClassifierParams) -> NDArray[np.float64]:
    """Apply a trained network: (n_subjects, 2), softmax in double precision."""
    batches = TensorBatches(inputs, params.batch)
    logits = predict(network, batches, lambda model, batch: logits_of(model(*batch)))
    return torch.softmax(logits.double(), dim=1).numpy()


def train_network(
    job: Job, cohort: data.Cohort, split: Split, folder: Path, *, name: str
) -> tuple[NDArray[np.float64], tuple[Path, ...]]:
    """Train a network on a split; return the test part's probabilities and the files written."""
    params: ClassifierParams = job.params
    seed = child_seed(job.seed, "fold", name)
    with seeded(child_seed(seed, "weights")):
        network = build(params, cohort.communities.number)
    features = make_features(cohort, params, split.train)
    inputs = network_inputs(cohort, features, params)
    result = _fit(job, cohort, split, folder, network, inputs, seed)
    files = list(result.files)
    if features.combat is not None:
        write_combat(folder / HARMONISATION, features.combat)
        files.append(folder / HARMONISATION)
    if not split.test.size:
        return np.empty((0, 2)), tuple(files)
    return probabilities(result.model, tuple(part[split.test] for part in inputs), params), tuple(files)


def _fit(
    job: Job,
    cohort: data.Cohort,
    split: Split,
    folder: Path,
    network: nn.Module,
    inputs: tuple[Tensor, ...],
    seed: int,
) -> FitResult:
    params: ClassifierParams = job.params
    positive = np.array(cohort.groups) == classes_of(params)[1]
    targets = torch.from_numpy(positive.astype(np.int64))
    train = [part[split.train] for part in (*inputs, targets)]
    data_train = TensorBatches(train, params.batch, seed=child_seed(seed, "order"), drop_last=True)
    held = tuple(part[split.validation] for part in inputs)

    def validate(model: nn.Module) -> dict[str, float]:
        found = probabilities(model, held, params)[:, 1]
        true = positive[split.validation]
        return {"val_auroc": float(auroc(true, found)), "val_accuracy": float(((found > 0.5) == true).mean())}

    steps = params.epochs * len(data_train)
    objective = Objective(
        network_loss,
        lambda model: torch.optim.Adam(
            model.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay
        ),
        schedule=partial(
            torch.optim.lr_scheduler.CosineAnnealingLR, T_max=steps, eta_min=params.final_learning_rate
        ),
        per="step",
    )  # fmt: skip
    return fit(
        network,
        objective,
        data_train,
        out=folder,
        settings=params,
        seed=seed,
        device=job.device,
        params=_model_params(cohort, params),
        validate=validate,
        overwrite=job.overwrite,
    )


def _train_fold(job: Job, cohort: data.Cohort, split: Split, folder: Path, name: str) -> Iterable[Path]:
    params: ClassifierParams = job.params
    files: tuple[Path, ...] = ()
    if params.model in NETWORKS:
        found, files = train_network(job, cohort, split, folder, name=name)
    else:
        estimator = make_baseline(_ESTIMATORS[params.model], seed=job.seed)
        table = classical_features(cohort, params, split)
        found = fit_predict(estimator, table, np.array(cohort.groups), split, classes_of(params))
    path = folder / TABLE
    ids, subjects, truth = ([names[i] for i in split.test] for names in (cohort.ids, cohort.subjects, cohort.groups))
    write_predictions(path, ids, subjects, classes_of(params), found, truth=truth)
    return [path, *files]


def classical_features(cohort: data.Cohort, params: ClassifierParams, split: Split) -> NDArray[np.float64]:
    """Return what a classical baseline sees: all edges, their mean, or only the site."""
    if params.model in ("site-only", "majority"):
        names = sorted(set(cohort.sites))
        return np.array([[float(site == name) for name in names] for site in cohort.sites])
    features = make_features(cohort, params, split.train)
    if params.model == "mean-fc":
        return upper_triangles(features.connectivity).mean(axis=1, keepdims=True)
    if features.efficiency is None:
        return upper_triangles(features.connectivity)
    return features.weighted.reshape(len(cohort), -1).astype(np.float64)


def _model_params(cohort: data.Cohort, params: ClassifierParams) -> dict[str, object]:
    """Return what `infer` needs to build the network again and to refuse data it was not trained for."""
    kept = params.model_dump(mode="json", exclude={"communities"})
    return {
        "system": "asd-transformer",
        "classes": list(classes_of(params)),
        "rois": list(cohort.rois),
        "communities": cohort.communities.number.tolist(),
        "params": kept,
    }
