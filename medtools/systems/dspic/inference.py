"""`medtools infer dspic`: probabilities and calls for new scans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from medtools.core.atomic import write_json
from medtools.core.devices import resolve_device
from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.params import check
from medtools.core.stage import Job
from medtools.io import image_cohort
from medtools.systems.dspic import calls
from medtools.systems.dspic.classification import network_of, probabilities
from medtools.systems.dspic.cohort import VALIDATION
from medtools.systems.dspic.data import read_scans
from medtools.systems.dspic.params import InferParams, NetworkParams
from medtools.training.checkpoint import load_into
from medtools.training.predictions import TABLE, pooled, read_fold, write_predictions
from medtools.training.runs import read_model, seen_in_training


def run(job: Job) -> None:
    """Write `predictions.tsv`: p_N, p_M, p_A and what is called; and by which rule, `call.json`."""
    params: InferParams = job.params
    tau = threshold_of(params) if params.call == "threshold" else None
    trained, network = load_network(params.model)
    scans = read_scans(job.inputs, tuple(trained["size"]), None)  # type: ignore[arg-type]
    seen = seen_in_training(params.model, scans.ids.tolist())
    if seen:
        LOGGER.warning("%d of %d scans were in training; what is called for them says nothing", seen, len(scans))
    found = probabilities(network.to(resolve_device(job.device)), scans.images, params.batch)
    called = calls.top1(found) if tau is None else calls.threshold(found, tau)
    path = job.out / TABLE
    write_predictions(path, scans.ids.tolist(), scans.subjects.tolist(), trained["classes"], found, called=called)
    write_json(job.out / "call.json", {"call": params.call, "tau": tau})
    job.wrote(path, job.out / "call.json")


def reads(job: Job) -> list[Path]:
    """List what decides the predictions."""
    params: InferParams = job.params
    own = validation_tables(params.model) if params.call == "threshold" and params.tau is None else []
    return [*image_cohort.reads(job.inputs), params.model / "model.ckpt", *own]


def validation_tables(model: Path) -> list[Path]:
    """Return the predictions of a run's validation images: those of all folds, or of the fold given."""
    own = model / VALIDATION
    return [own] if own.is_file() else sorted(model.glob(f"folds/*/{VALIDATION}"))


def threshold_of(params: InferParams) -> float:
    """Return the threshold given, or the best one for the validation images of the run.

    Raises
    ------
    InputError
        None is given and the run had no validation images.
    """
    if params.tau is not None:
        return params.tau
    tables = validation_tables(params.model)
    if not tables:
        raise InputError("--tau", "the run had no validation images to choose it by", "give it, or train with "
                         "--inner-validation")  # fmt: skip
    truth, found = pooled([read_fold(path)[1] for path in tables])
    tau = calls.choose_tau(truth.tolist(), found)
    LOGGER.info("both diseases are called from %.2f on, the best threshold for %d validation images", tau, len(truth))
    return tau


def load_network(folder: Path) -> tuple[dict[str, Any], nn.Module]:
    """Return what a model was trained for, and the network itself.

    Raises
    ------
    InputError
        No model file, or one of another system.
    """
    checkpoint = read_model(folder, "dspic")
    trained = checkpoint.params
    height, width = trained["size"]
    network = network_of(check(NetworkParams, trained["network"]), (height, width))
    load_into(network, checkpoint.tensors)
    return trained, network.eval()
