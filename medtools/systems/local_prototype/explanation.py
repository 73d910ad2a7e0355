"""`medtools explain local-prototype`: for each pixel of one slice, which cell decided and how near it was."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.io.grids import write_arrays
from medtools.systems.local_prototype.cells import Cells, upsampling_matrix
from medtools.systems.local_prototype.cohort import Organ
from medtools.systems.local_prototype.figures import episode_figure
from medtools.systems.local_prototype.inference import load_networks, network_for, untrained
from medtools.systems.local_prototype.model import LocalPrototypeNetwork
from medtools.systems.local_prototype.params import ExplainParams
from medtools.systems.local_prototype.protocol import organ_range
from medtools.systems.local_prototype.prototypes import similarity
from medtools.systems.local_prototype.segmentation import pair_slices, support_range
from medtools.systems.local_prototype.slices import load_manifest, load_part, masks_at, named

_COMPONENTS = 3


def run(job: Job) -> None:
    """Write `maps.npz` (similarities, winning cells, components of the features), `maps.png` and `cells.tsv`."""
    params: ExplainParams = job.params
    manifest, organs = load_manifest(job.inputs)
    support = load_part(manifest, "support", ids=[params.support] if params.support else [])[0]
    query = load_part(manifest, "query", ids=[params.query] if params.query else [])[0]
    shown = [organ for organ in organs if all(organ_range(v.mask(organ)) is not None for v in (support, query))]
    network, organ = _network(params, organs, shown, support.image.shape[1], job.device)
    slices = organ_range(query.mask(organ))
    if slices is None:
        raise InputError("--query", f"{query.id} shows no {organ.name}")
    support_range(support, organ)
    number = (slices.first + slices.last) // 2
    other = pair_slices([support], organ, slices)[0][number]
    device = next(network.parameters()).device
    with torch.no_grad():
        images = torch.from_numpy(np.stack([support.image[other], query.image[number]]).astype(np.float32) / 255)
        features = network.encoder(images[:, None].to(device))
        mask = masks_at(support.mask(organ)[other : other + 1], network.size)[None, None].to(device)
        prototypes = network.prototypes(features[None, :1], mask)
        found, winner = similarity(features[1:], prototypes, network.cells, vote=network.vote)
    maps = {
        "support": support.image[other],
        "support_mask": mask[0, 0, 0].cpu().numpy() > 0,
        "query": query.image[number],
        "query_mask": masks_at(query.mask(organ)[number : number + 1], network.size)[0].numpy() > 0,
        "background_similarity": found[0, 0].cpu().numpy(),
        "organ_similarity": found[0, 1].cpu().numpy(),
        "winning_cell": winner[0, 1].cpu().numpy(),
        "components": components(features.cpu().numpy(), network.size),
    }
    write_arrays(job.out / "maps.npz", maps)
    title = f"{organ.name}: {support.id}, slice {other} for {query.id}, slice {number}"
    save_figure(episode_figure(maps, len(network.cells.columns.starts), title=title), job.out / "maps.png")
    write_tsv(
        job.out / "cells.tsv", ["cell", "first_row", "first_column", "pixels_decided"], _cells(maps, network.cells)
    )
    job.wrote(job.out / "maps.npz", job.out / "maps.png", job.out / "cells.tsv")


def reads(job: Job) -> list[Path]:
    """List what decides the maps."""
    manifest, _ = load_manifest(job.inputs)
    files = [row.paths["slices"] for row in manifest.rows if row.get("split") != "train"]
    models = sorted(job.params.model.glob("folds/*/model.ckpt")) if job.params.model else []
    return [manifest.path, *files, *models, *([job.params.weights] if job.params.weights else [])]


def _network(
    params: ExplainParams, organs: Sequence[Organ], shown: Sequence[Organ], size: int, device: str
) -> tuple[LocalPrototypeNetwork, Organ]:
    """Return the network to explain, and the organ, which it was not trained on; `shown` are those of both slices."""
    if params.model is None:
        first = shown[0].name if shown else organs[0].name
        return untrained(params, size, device), named(organs, [params.organ or first], "--organ")[0]
    if params.weights is not None:
        raise InputError("--weights", "are not used with --model", "leave one of them out")
    networks = load_networks(params.model, device, {})
    name = params.organ or networks[0][1]["held_out"][0]
    organ = named(organs, [name], "--organ")[0]
    network = network_for(networks, organ)
    if network is None:
        raise InputError("--organ", f"every fold of {params.model} was trained on {organ.name}")
    return network, organ


def components(features: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Map the features of all images to their first three principal components, upsampled, each scaled to [0, 1].

    Parameters
    ----------
    features : (images, channels, h, w) float32
    size : int
        Pixels along each side of the result.

    Returns
    -------
    (images, size, size, 3) float32
    """
    flat = features.transpose(0, 2, 3, 1).reshape(-1, features.shape[1]).astype(np.float64)
    centred = flat - flat.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    # The sign of a component is arbitrary: its largest weight is made positive.
    axes = axes[:_COMPONENTS]
    axes *= np.sign(axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)])[:, None]
    found = centred @ axes.T
    found = np.pad(found, ((0, 0), (0, _COMPONENTS - found.shape[1])))
    low, high = found.min(axis=0), found.max(axis=0)
    scaled = (found - low) / np.maximum(high - low, 1e-12)
    small = torch.from_numpy(scaled.reshape(len(features), *features.shape[2:], _COMPONENTS))
    up, across = (upsampling_matrix(size, length, small) for length in features.shape[2:])
    raised = torch.einsum("yh,bhwc,xw->byxc", up, small, across)
    return raised.clamp(0, 1).numpy().astype(np.float32)


def _cells(maps: dict[str, NDArray], cells: Cells) -> list[dict[str, int]]:
    numbers, counts = np.unique(maps["winning_cell"][maps["query_mask"]], return_counts=True)
    width = len(cells.columns.starts)
    return [
        {
            "cell": int(number),
            "first_row": cells.rows.starts[number // width],
            "first_column": cells.columns.starts[number % width],
            "pixels_decided": int(count),
        }
        for number, count in zip(numbers, counts, strict=True)
    ]
