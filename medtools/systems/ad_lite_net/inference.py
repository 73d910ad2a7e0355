"""`medtools infer ad-lite-net`: a trained classifier on new images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from medtools.core.devices import resolve_device
from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.manifest import Manifest
from medtools.core.params import check
from medtools.core.stage import Job
from medtools.io import image_cohort
from medtools.systems.ad_lite_net.classification import build, probabilities
from medtools.systems.ad_lite_net.params import NetworkParams
from medtools.training.checkpoint import load_into
from medtools.training.predictions import TABLE, write_predictions
from medtools.training.runs import read_model, seen_in_training


def run(job: Job) -> None:
    """Write `predictions.tsv`: one row per image, one column per class."""
    trained, network = load_network(job.params.model)
    manifest = image_cohort.manifest_of(job.inputs)
    truth = labels_known(manifest, trained, job.params.model)
    seen = seen_in_training(job.params.model, [row.id for row in manifest.rows])
    if seen:
        LOGGER.warning("%d of %d images were in training; their scores say nothing", seen, len(manifest.rows))
    cohort = image_cohort.read_images(manifest, (trained["size"], trained["size"]))
    found = probabilities(network.to(resolve_device(job.device)), cohort.images, job.params.batch)
    called = np.array(trained["classes"])[found.argmax(axis=1)].tolist()
    path = job.out / TABLE
    write_predictions(path, cohort.ids, cohort.subjects, trained["classes"], found, truth=truth, called=called)
    job.wrote(path)


def reads(job: Job) -> list[Path]:
    """List what decides the predictions."""
    return [*image_cohort.reads(job.inputs), job.params.model / "model.ckpt"]


def load_network(folder: Path) -> tuple[dict[str, Any], nn.Module]:
    """Return what a model was trained for, and the network itself.

    Raises
    ------
    InputError
        No model file, or one of another system.
    """
    checkpoint = read_model(folder, "ad-lite-net")
    trained = checkpoint.params
    network = build(check(NetworkParams, trained["network"]), len(trained["classes"]), trained["size"])
    load_into(network, checkpoint.tensors)
    return trained, network.eval()


def labels_known(manifest: Manifest, trained: Mapping[str, Any], model: Path) -> list[str] | None:
    """Return the labels of a labelled manifest, None of one where any is missing.

    Raises
    ------
    InputError
        A label that the model does not know.
    """
    column, classes = trained["label"], trained["classes"]
    if column not in manifest.columns:
        return None
    labels = [row.cells[column] for row in manifest.rows if row.get(column) is not None]
    unknown = sorted(set(labels) - set(classes))
    if unknown:
        found = f"was trained for the classes {', '.join(classes)}; the manifest has {unknown[0]!r}"
        raise InputError(model / "model.ckpt", found, "train on these classes, or relabel the manifest")
    return labels if len(labels) == len(manifest.rows) else None
