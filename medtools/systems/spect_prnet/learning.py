"""`medtools train spect-prnet`: pairs of patches of one slice, or of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medtools.core.atomic import write_text
from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.params import values_yaml
from medtools.core.progress import track
from medtools.core.seeds import child_seed, seeded
from medtools.core.stage import Job
from medtools.preprocess.spect.heart import TISSUES, HeartSlice, read_heart
from medtools.preprocess.spect.studies import Study, find_studies, manifest_of
from medtools.systems.spect_prnet.model import PrNet, check_patch, prnet_loss
from medtools.systems.spect_prnet.pairs import PairBatches
from medtools.systems.spect_prnet.params import TrainParams
from medtools.systems.spect_prnet.patches import PatchSource
from medtools.training.fit import Objective, Step, fit

SYSTEM = "spect-prnet"
_LARGE, _SMALL_PATCH, _LARGE_PATCH = 128, 32, 64


def run(job: Job) -> None:
    """Write the run folder."""
    params: TrainParams = job.params
    if not (params.distance or params.reconstruction):
        raise InputError("--distance", "0, and so is --reconstruction: nothing is left to learn")
    chosen = _chosen(job)
    unlabelled = [study for study in chosen if study.labels is None]
    if params.crop is not None and unlabelled:
        raise InputError("--crop", f"{unlabelled[0].id} has no label map to find the heart by", "leave --crop out")
    hearts = [read_heart(study, params.crop, TISSUES) for study in track(chosen, "reading slices")]
    patch = patch_side(params.patch, hearts)
    unit = unit_of(params.unit, hearts)
    spacing = np.array([pixel_size(heart, unit) for heart in hearts])
    reach = reach_of(params.reach, hearts, spacing)
    stored = model_params(params, hearts, patch=patch, unit=unit, spacing=spacing, reach=reach)
    with seeded(child_seed(job.seed, "weights")):
        network = build(stored)
    data = PairBatches(
        [PatchSource(heart.image, patch, heart.id) for heart in hearts],
        spacing,
        reach,
        pairs=params.pairs,
        steps=params.iterations,
        seed=job.seed,
        mask_rounds=params.mask_rounds,
    )
    described = ", ".join(f"{value:g}" for value in reach)
    LOGGER.info("training on %s; r is %s %s, patches of %d pixels", ", ".join(stored["images"]), described, unit, patch)
    result = fit(
        network,
        objective(params, reach),
        data,
        out=job.out,
        settings=params,
        seed=job.seed,
        device=job.device,
        params=stored,
        overwrite=job.overwrite,
    )
    write_text(job.out / "params.yaml", values_yaml(params))
    job.wrote(*result.files, job.out / "params.yaml")


def reads(job: Job) -> list[Path]:
    """List the manifests and the studies that are trained on."""
    tables = [path for path in map(manifest_of, job.inputs) if path is not None]
    return [*tables, *(path for study in _chosen(job) for path in study.files)]


def choose(studies: Sequence[Study], images: Sequence[str]) -> list[Study]:
    """Return the studies to train on.

    Parameters
    ----------
    studies : sequence of Study
    images : sequence of str
        One number (so many, from the first), `all`, or identifiers.

    Raises
    ------
    InputError
        No such study, or fewer than asked for.
    """
    by_id = {study.id: study for study in studies}
    if tuple(images) == ("all",):
        return list(studies)
    if len(images) == 1 and images[0] not in by_id and images[0].isdigit():
        count = int(images[0])
        if not 1 <= count <= len(studies):
            raise InputError("--images", f"{count} asked for, there are {len(studies)}")
        return list(studies[:count])
    unknown = [name for name in images if name not in by_id]
    if unknown or not images:
        found = f"no study {unknown[0]!r}" if unknown else "nothing to train on"
        raise InputError("--images", found, f"there are {', '.join(list(by_id)[:5])} ...")
    return [by_id[name] for name in images]


def patch_side(asked: int | None, hearts: Sequence[HeartSlice]) -> int:
    """Return the side of a patch in pixels: 32, or 64 where no slice has a side below 128.

    Raises
    ------
    InputError
        Too small, or no multiple of 16.
    """
    if asked is None:
        return _LARGE_PATCH if min(min(heart.image.shape) for heart in hearts) >= _LARGE else _SMALL_PATCH
    check_patch(asked)
    return asked


def unit_of(asked: str, hearts: Sequence[HeartSlice]) -> str:
    """Return the unit of offsets.

    Raises
    ------
    InputError
        Millimetres asked for, and a slice has no spacing.
    """
    without = [heart.id for heart in hearts if heart.spacing is None]
    if asked == "mm" and without:
        raise InputError("--unit", f"mm asked for, and {without[0]} has no pixel spacing", "use --unit px")
    if asked == "auto" and without and len(without) < len(hearts):
        LOGGER.warning("%s has no pixel spacing: offsets of all are in pixels", without[0])
    return "px" if without or asked == "px" else "mm"


def pixel_size(heart: HeartSlice, unit: str) -> tuple[float, float]:
    """Return the size of a pixel along rows and columns in the unit of offsets.

    Raises
    ------
    InputError
        Millimetres, and the slice has no spacing.
    """
    if unit == "px":
        return 1.0, 1.0
    if heart.spacing is None:
        raise InputError(heart.id, "has no pixel spacing, and the network counts in mm", "train one by --unit px")
    return heart.spacing


def reach_of(asked: float | None, hearts: Sequence[HeartSlice], spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return r along rows and columns: as asked for, or the largest extent of the slices, (2,).

    Raises
    ------
    InputError
        No pixel but a point itself lies within it.
    """
    if asked is None:
        extents = np.array([heart.image.shape for heart in hearts]) * spacing
        return extents.max(axis=0)
    if (asked <= spacing).any():
        raise InputError("--reach", f"{asked:g} is no more than a pixel ({spacing.max():g})", "choose a larger one")
    return np.array([asked, asked])


def model_params(
    params: TrainParams,
    hearts: Sequence[HeartSlice],
    *,
    patch: int,
    unit: str,
    spacing: NDArray[np.float64],
    reach: NDArray[np.float64],
) -> dict[str, Any]:
    """Return what is stored with a model: how to build it, and what it was trained on."""
    return {
        "system": SYSTEM,
        "patch": patch,
        "width": params.width,
        "skips": params.skips,
        "reach": reach.tolist(),
        "unit": unit,
        "crop": params.crop,
        "normalize_offsets": params.normalize_offsets,
        "distance": params.distance,
        "reconstruction": params.reconstruction,
        "images": [heart.id for heart in hearts],
        "subjects": sorted({heart.subject for heart in hearts}),
        "pixel": spacing.mean(axis=0).tolist(),
        "size": np.max([heart.image.shape for heart in hearts], axis=0).tolist(),
        "start": "random",
    }


def build(stored: Mapping[str, Any]) -> PrNet:
    """Build the network that stored parameters describe."""
    return PrNet(stored["patch"], width=stored["width"], skips=stored["skips"])


def objective(params: TrainParams, reach: NDArray[np.float64]) -> Objective:
    """L_ssl under Adam at a constant rate."""
    limits = torch.from_numpy(reach).float()

    def loss(model: nn.Module, batch: Any, _: Step) -> dict[str, torch.Tensor]:
        patches, targets, offset = batch
        return prnet_loss(
            model,
            patches,
            targets,
            offset,
            limits,
            distance=params.distance,
            reconstruction=params.reconstruction,
            normalise=params.normalize_offsets,
        )

    return Objective(loss, lambda model: torch.optim.Adam(model.parameters(), lr=params.learning_rate))


def _chosen(job: Job) -> list[Study]:
    return choose(find_studies(job.inputs), job.params.images)
