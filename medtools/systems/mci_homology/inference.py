"""`medtools infer mci-homology`: a trained classifier on new subjects, after checking that it fits them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from medtools.core.devices import resolve_device
from medtools.core.errors import InputError
from medtools.core.manifest import read_manifest
from medtools.core.stage import Job
from medtools.systems.mci_homology import pr
from medtools.systems.mci_homology.classification import build, network_input
from medtools.systems.mci_homology.features import correlation_matrices
from medtools.systems.mci_homology.params import ClassifierParams
from medtools.training.batches import TensorBatches
from medtools.training.checkpoint import load_into
from medtools.training.inference import predict
from medtools.training.predictions import TABLE, write_predictions
from medtools.training.runs import read_model

_TR_TOLERANCE = 0.01


def run(job: Job) -> None:
    """Write `predictions.tsv`: one row per subject, one column per class."""
    checkpoint = read_model(job.params.model, "mci-homology")
    trained = checkpoint.params
    params = ClassifierParams(**trained["params"])
    manifest = read_manifest(pr.manifest_path(job.inputs))
    cohort = pr.read_unlabelled(manifest, job.params.homology, params.network, params.dim)
    _check_fits(trained, cohort, job)
    matrices = cohort.matrices
    if params.features == "fc":
        matrices = correlation_matrices(manifest, cohort, job.params.homology)
    network = build(params, len(cohort.rois))
    load_into(network, checkpoint.tensors)
    data = TensorBatches((network_input(params, matrices),), params.batch)
    logits = predict(network, data, device=resolve_device(job.device))
    probabilities = torch.softmax(logits.double(), dim=1).numpy()
    classes = trained["classes"]
    path = job.out / TABLE
    write_predictions(path, cohort.ids, cohort.subjects, classes, probabilities)
    job.wrote(path)


def reads(job: Job) -> list[Path]:
    """List what decides the predictions."""
    return [*pr.reads(job.inputs, job.params.homology), job.params.model / "model.ckpt"]


def _check_fits(trained: dict[str, Any], cohort: pr.Cohort, job: Job) -> None:
    """Refuse subjects that the model was not trained for: other ROIs, or a homology made otherwise."""
    model, rois = job.params.model / "model.ckpt", tuple(trained["rois"])
    if len(rois) != len(cohort.rois):
        raise InputError(model, f"was trained on {len(rois)} ROIs, these subjects have {len(cohort.rois)}")
    if rois != cohort.rois:
        other = next(ours for ours, theirs in zip(cohort.rois, rois, strict=True) if ours != theirs)
        raise InputError(model, f"was trained on other ROIs; it does not expect {other!r} in its place")
    for identifier in cohort.ids:
        _check_homology(trained["homology"], pr.homology_params(job.params.homology, identifier), identifier, model)


def _check_homology(before: dict[str, Any], now: dict[str, Any], identifier: str, model: Path) -> None:
    for key in ("dimension", "lag", "lag_ms", "standardize", "compat", "distance", "ground", "order"):
        if before[key] != now[key]:
            found = f"was trained on homology with {key} {before[key]}, {identifier} has {now[key]}"
            raise InputError(model, found, "run `medtools homology` on them with the same parameters")
    if before["tr"] and now["tr"] and abs(before["tr"] - now["tr"]) > _TR_TOLERANCE * before["tr"]:
        found = f"was trained at TR {before['tr']:g} ms, {identifier} has {now['tr']:g} ms"
        raise InputError(model, found, "a lag in samples means another time; train at this TR")
