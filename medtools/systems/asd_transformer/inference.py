"""`medtools infer asd-transformer`: a trained classifier on new subjects, after checking that it fits them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from medtools.core.devices import resolve_device
from medtools.core.errors import InputError
from medtools.core.params import check
from medtools.core.stage import Job
from medtools.systems.asd_transformer import data
from medtools.systems.asd_transformer.classification import build, network_inputs, probabilities
from medtools.systems.asd_transformer.features import HARMONISATION, Features, harmonised, make_features, read_combat
from medtools.systems.asd_transformer.params import ClassifierParams
from medtools.training.checkpoint import load_into
from medtools.training.predictions import TABLE, write_predictions
from medtools.training.runs import read_model


def run(job: Job) -> None:
    """Write `predictions.tsv`: one row per subject, one column per class."""
    trained, params, network = load_network(job.params.model)
    site = params.site if params.harmonise != "none" else ""
    cohort = data.read_cohort(job.inputs, job.params.communities, site=site)
    check_fits(job.params.model / "model.ckpt", trained, cohort)
    inputs = network_inputs(cohort, features_for(job.params.model, cohort, params), params)
    found = probabilities(network.to(resolve_device(job.device)), inputs, params)
    path = job.out / TABLE
    write_predictions(path, cohort.ids, cohort.subjects, trained["classes"], found)
    job.wrote(path)


def reads(job: Job) -> list[Path]:
    """List what decides the predictions."""
    harmonisation = job.params.model / HARMONISATION
    own = [job.params.model / "model.ckpt", *([harmonisation] if harmonisation.is_file() else [])]
    return [*data.reads(job.inputs, job.params.communities), *own]


def load_network(folder: Path) -> tuple[dict[str, Any], ClassifierParams, nn.Module]:
    """Return what a model was trained for, by which parameters, and the network itself.

    Raises
    ------
    InputError
        No model file, or one of another system.
    """
    checkpoint = read_model(folder, "asd-transformer")
    trained = checkpoint.params
    params = check(ClassifierParams, trained["params"])
    network = build(params, np.array(trained["communities"]))
    load_into(network, checkpoint.tensors)
    return trained, params, network.eval()


def features_for(folder: Path, cohort: data.Cohort, params: ClassifierParams) -> Features:
    """Harmonise subjects by the site effects stored with a model, and weight them."""
    if params.harmonise == "none":
        return make_features(cohort, params, np.arange(len(cohort)))
    return harmonised(cohort, params, read_combat(folder / HARMONISATION))


def check_fits(model: Path, trained: dict[str, Any], cohort: data.Cohort) -> None:
    """Refuse subjects that the model was not trained for: other ROIs, or ROIs in other communities.

    Raises
    ------
    InputError
        Naming the first difference.
    """
    rois: Sequence[str] = trained["rois"]
    if len(rois) != len(cohort.rois):
        raise InputError(model, f"was trained on {len(rois)} ROIs, these subjects have {len(cohort.rois)}")
    for ours, theirs in zip(cohort.rois, rois, strict=True):
        if ours != theirs:
            raise InputError(model, f"was trained on other ROIs; it does not expect {ours!r} in place of {theirs!r}")
    moved = np.flatnonzero(cohort.communities.number != np.array(trained["communities"]))
    if len(moved):
        raise InputError(model, f"was trained with ROI {rois[moved[0]]!r} in another community")


def part_of(cohort: data.Cohort, rows: NDArray[np.int64]) -> data.Cohort:
    """Return some subjects of a cohort, in the order of `rows`."""

    def pick(values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[row] for row in rows)

    return replace(
        cohort,
        ids=pick(cohort.ids),
        subjects=pick(cohort.subjects),
        groups=pick(cohort.groups),
        sites=pick(cohort.sites),
        series=pick(cohort.series),
        connectivity=cohort.connectivity[rows],
    )
