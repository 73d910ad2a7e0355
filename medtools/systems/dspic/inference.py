"""`medtools infer dspic`: probabilities and calls for new scans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from medtools.core.devices import resolve_device
from medtools.core.params import check
from medtools.core.stage import Job
from medtools.io import image_cohort
from medtools.systems.dspic import calls
from medtools.systems.dspic.classification import network_of, probabilities
from medtools.systems.dspic.data import read_scans
from medtools.systems.dspic.params import InferParams, NetworkParams
from medtools.training.checkpoint import load_into
from medtools.training.predictions import TABLE, write_predictions
from medtools.training.runs import read_model


def run(job: Job) -> None:
    """Write `predictions.tsv`: p_N, p_M, p_A and what is called."""
    params: InferParams = job.params
    trained, network = load_network(params.model)
    scans = read_scans(job.inputs, tuple(trained["size"]), None)  # type: ignore[arg-type]
    found = probabilities(network.to(resolve_device(job.device)), scans.images, params.batch)
    called = calls.top1(found) if params.call == "top1" else calls.threshold(found, params.tau)
    path = job.out / TABLE
    write_predictions(path, scans.ids.tolist(), scans.subjects.tolist(), trained["classes"], found, called=called)
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
    checkpoint = read_model(folder, "dspic")
    trained = checkpoint.params
    height, width = trained["size"]
    network = network_of(check(NetworkParams, trained["network"]), (height, width))
    load_into(network, checkpoint.tensors)
    return trained, network.eval()
