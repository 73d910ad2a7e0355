"""`medtools infer spect-prototypes`: new crops by the prototypes of a few labelled ones, whatever their classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medtools.core.devices import resolve_device
from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.stage import Job
from medtools.systems.spect_prototypes.crops import Crops, crop_files, read_crops
from medtools.systems.spect_prototypes.evaluation import embed
from medtools.systems.spect_prototypes.learning import SYSTEM, build
from medtools.systems.spect_prototypes.model import Distance, PrototypeNetwork, distances, log_posterior
from medtools.systems.spect_prototypes.params import InferParams
from medtools.systems.spect_prototypes.prototypes import (
    PROTOTYPES,
    class_prototypes,
    read_prototypes,
    write_prototypes,
)
from medtools.training.checkpoint import load_into
from medtools.training.predictions import TABLE, write_predictions
from medtools.training.runs import MODEL, read_model


def run(job: Job) -> None:
    """Write `predictions.tsv` and the prototypes that decided."""
    params: InferParams = job.params
    folder = model_folder(params.model)
    network, stored = load_network(folder)
    network.to(resolve_device(job.device))
    queries = read_crops(job.inputs, labelled=False)
    if params.support is None:
        classes, centres = read_prototypes(folder / PROTOTYPES)
    else:
        support = read_crops([params.support], where="--support")
        _warn_of_known(queries, support)
        classes, centres = class_prototypes(embed(network, support.images), support.labels)
    how: Distance = params.distance or stored["distance"]
    posterior = log_posterior(distances(embed(network, queries.images), centres, how).double()).exp().numpy()
    labelled = (queries.labels != "").all()
    called = np.array(classes)[posterior.argmax(axis=1)].tolist()
    write_predictions(
        job.out / TABLE,
        queries.ids.tolist(),
        queries.subjects.tolist(),
        classes,
        posterior,
        truth=queries.labels.tolist() if labelled else None,
        called=called,
    )
    write_prototypes(job.out / PROTOTYPES, classes, centres)
    job.wrote(job.out / TABLE, job.out / PROTOTYPES)


def reads(job: Job) -> list[Path]:
    """List what decides the predictions."""
    params: InferParams = job.params
    folder = model_folder(params.model)
    given = crop_files([params.support], "--support") if params.support else [folder / PROTOTYPES]
    return [*crop_files(job.inputs), folder / MODEL, *given]


def model_folder(run: Path) -> Path:
    """Return the folder of the network that a run folder, or one of its folds, applies to new data.

    Raises
    ------
    InputError
        There is none, or several and no final one.
    """
    if (run / MODEL).is_file():
        return run
    found = sorted(path.parent for path in run.glob(f"folds/*/{MODEL}"))
    if len(found) > 1:
        raise InputError(run, f"holds {len(found)} folds and no final network", f"name one, e.g. {found[0]}")
    if not found:
        raise InputError(run, "holds no trained network", "run `medtools train spect-prototypes` first")
    return found[0]


def load_network(folder: Path) -> tuple[PrototypeNetwork, dict]:
    """Return a network in evaluation mode, and what is stored with it.

    Raises
    ------
    InputError
        No model file, or one of another system.
    """
    checkpoint = read_model(folder, SYSTEM)
    network = build(checkpoint.params)
    load_into(network, checkpoint.tensors)
    return network.eval(), checkpoint.params


def _warn_of_known(queries: Crops, support: Crops) -> None:
    known = {image.tobytes() for image in support.images}
    both = [name for name, image in zip(queries.ids.tolist(), queries.images, strict=True) if image.tobytes() in known]
    if both:
        found = f"{len(both)} queries are in the support too (first {both[0]})"
        LOGGER.warning("%s: what they are called is no test", found)
