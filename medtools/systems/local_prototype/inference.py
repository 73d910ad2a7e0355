"""`medtools infer local-prototype`: every query volume segmented by one annotated support, organ by organ."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medtools.core.devices import compute_threads, resolve_device
from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.progress import track
from medtools.core.stage import Job
from medtools.core.tables import read_tsv, write_tsv
from medtools.io.grids import write_arrays
from medtools.io.nifti import write_volume
from medtools.systems.local_prototype.cohort import Organ
from medtools.systems.local_prototype.learning import SYSTEM, build
from medtools.systems.local_prototype.model import DilatedEncoder, LocalPrototypeNetwork
from medtools.systems.local_prototype.params import ExplainParams, InferParams
from medtools.systems.local_prototype.protocol import SliceRange, organ_range
from medtools.systems.local_prototype.segmentation import SliceFeatures, pair_dice, pair_slices, segment_organ
from medtools.systems.local_prototype.slices import Stack, load_manifest, load_part, masks_at, named
from medtools.training.checkpoint import load_into
from medtools.training.runs import read_model

PREDICTIONS, PAIRS, PROTOTYPES = "predictions.tsv", "pairs.tsv", "prototypes.npz"
_PREDICTION_COLUMNS = ("id", "organ", "support", "first", "last", "voxels", "volume_ml", "mask")
_PAIR_COLUMNS = ("id", "organ", "slice", "support_slice", "alignment_dice", "segmentation_dice")


@dataclass
class _Tables:
    predictions: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    prototypes: dict[str, Any] = field(default_factory=dict)


def run(job: Job) -> None:
    """Write one mask per query and organ in the query's grid, the tables, and the prototypes."""
    params: InferParams = job.params
    manifest, organs = load_manifest(job.inputs)
    supports = load_part(manifest, "support", ids=params.support)
    queries = _others(load_part(manifest, "query"), supports)
    ranges = _given_ranges(params, {query.id for query in queries}, {organ.name for organ in organs})
    tables = _Tables()
    left_out: dict[str, list[str]] = {}
    for network, chosen in _networks(params, organs, supports[0].image.shape[1], job.device):
        features = None if network is None else SliceFeatures(network)
        shown = []
        for organ in chosen:
            lacking = [] if params.organs else [s.id for s in supports if organ_range(s.mask(organ)) is None]
            if lacking:
                left_out.setdefault(lacking[0], []).append(organ.name)
            else:
                shown.append(organ)
        for query, organ in track(list(itertools.product(queries, shown)), "organs of queries"):
            slices = _slices(params, query, organ, ranges)
            if slices is None:
                left_out.setdefault(query.id, []).append(organ.name)
            else:
                _segment(job, features, supports, query, organ, slices, tables)
        if features is not None:
            for organ in shown:
                tables.prototypes |= _prototypes(features, supports[0], organ)
    for name, missing in left_out.items():
        LOGGER.warning("%s: no slice with enough of %s; left out", name, ", ".join(missing))
    if not tables.predictions:
        raise InputError(manifest.path, "no query shows any of the organs", "name others by --organs, or --range full")
    write_tsv(job.out / PREDICTIONS, _PREDICTION_COLUMNS, tables.predictions)
    write_tsv(job.out / PAIRS, _PAIR_COLUMNS, tables.pairs)
    job.wrote(job.out / PREDICTIONS, job.out / PAIRS)
    if tables.prototypes:
        write_arrays(job.out / PROTOTYPES, tables.prototypes)
        job.wrote(job.out / PROTOTYPES)


def reads(job: Job) -> list[Path]:
    """List what decides the masks."""
    manifest, _ = load_manifest(job.inputs)
    files = [manifest.path, *(row.paths["slices"] for row in manifest.rows if row.get("split") != "train")]
    models = sorted(job.params.model.glob("folds/*/model.ckpt")) if job.params.model else []
    return [*files, *models, *(path for path in (job.params.ranges, job.params.weights) if path)]


def load_networks(folder: Path, device: str, changes: Mapping[str, Any]) -> list[tuple[LocalPrototypeNetwork, dict]]:
    """Return the network of every fold of a run, with what is stored beside it; `changes` replaces head parameters.

    Raises
    ------
    InputError
        No fold is finished, or a model is of another system.
    """
    paths = sorted(folder.glob("folds/*/model.ckpt"))
    if not paths:
        raise InputError(folder, "holds no finished fold", "run `medtools train local-prototype` first")
    found = []
    for path in paths:
        checkpoint = read_model(path.parent, SYSTEM)
        network = build({**checkpoint.params, **changes})
        load_into(network, checkpoint.tensors)
        found.append((network.eval().to(resolve_device(device)), checkpoint.params))
    return found


def untrained(params: InferParams | ExplainParams, size: int, device: str, **head: Any) -> LocalPrototypeNetwork:
    """Return a network whose features are those of ImageNet weights, with nothing trained on organs.

    Raises
    ------
    InputError
        No weights are given, or they do not fit the trunk.
    """
    if params.weights is None:
        raise InputError("--weights", "is needed where no --model is", f"give ImageNet weights of {params.encoder}")
    network = LocalPrototypeNetwork(params.encoder, size=size, fused=False, **head).eval()
    if isinstance(network.encoder, DilatedEncoder):
        network.encoder.load(params.weights)
    return network.to(resolve_device(device))


def network_for(
    networks: Sequence[tuple[LocalPrototypeNetwork, dict[str, Any]]], organ: Organ
) -> LocalPrototypeNetwork | None:
    """Return the network that holds an organ out, else the first that was not trained on it."""
    unseen = [(n, stored) for n, stored in networks if organ.name not in stored["trained"]]
    unseen.sort(key=lambda pair: organ.name not in pair[1]["held_out"])
    return unseen[0][0] if unseen else None


def file_word(text: str) -> str:
    """Return an organ's name as part of a file name."""
    return text.replace(" ", "-").replace("/", "-")


def _networks(
    params: InferParams, organs: tuple[Organ, ...], size: int, device: str
) -> Iterable[tuple[LocalPrototypeNetwork | None, list[Organ]]]:
    """Yield each network with the organs that it is to segment, none of which it was trained on."""
    asked = named(organs, params.organs, "--organs") if params.organs else list(organs)
    head = {key: value for key in ("alpha", "overlap", "vote") if (value := getattr(params, key)) is not None}
    if params.weights is not None and params.method != "pretrained":
        raise InputError("--weights", f"are not used by --method {params.method}", "use --method pretrained")
    if params.method == "pretrained":
        yield untrained(params, size, device, **head), asked
        return
    if params.method == "copy-mask":
        yield None, asked
        return
    if params.method == "intensity":
        yield LocalPrototypeNetwork("intensity", size=size, **head).eval(), asked
        return
    if params.model is None:
        raise InputError("--model", "is needed by --method network", "name a run folder, or another --method")
    networks = load_networks(params.model, device, head)
    for _, stored in networks:
        if stored["size"] != size:
            raise InputError(
                params.model, f"was trained on slices of {stored['size']} pixels, these have {size}", "prepare anew"
            )
    if not params.organs:
        asked = [organ for organ in asked if any(organ.name in stored["held_out"] for _, stored in networks)]
    chosen = {organ: network_for(networks, organ) for organ in asked}
    for organ, found in chosen.items():
        if found is None:
            raise InputError("--organs", f"every fold of {params.model} was trained on {organ.name}", "hold it out")
    for network, _ in networks:
        yield network, [organ for organ in asked if chosen[organ] is network]


def _others(queries: list[Stack], supports: Sequence[Stack]) -> list[Stack]:
    """Return the queries without those that support: by its own mask a volume is segmented too well.

    Raises
    ------
    InputError
        None is left.
    """
    shown = {stack.id for stack in supports}
    left = [stack for stack in queries if stack.id not in shown]
    if not left:
        raise InputError("--support", "every query is a support", "name fewer")
    for name in sorted(shown & {stack.id for stack in queries}):
        LOGGER.warning("%s supports, so it is left out of the queries", name)
    return left


def _given_ranges(params: InferParams, ids: set[str], names: set[str]) -> dict[tuple[str, str], SliceRange]:
    if params.range != "file":
        return {}
    if params.ranges is None:
        raise InputError("--ranges", "is needed by --range file", "a table with columns id, organ, first, last")
    columns, rows = read_tsv(params.ranges)
    if not {"id", "organ", "first", "last"} <= set(columns):
        raise InputError(params.ranges, f"columns are {', '.join(columns)}", "expected id, organ, first, last")
    for row in rows:
        if row["id"] not in ids or row["organ"] not in names:
            found = f"{row['id']}, {row['organ']}: no such query or organ"
            raise InputError(params.ranges, found, "take the names of the manifest and of organs.tsv")
    try:
        return {(row["id"], row["organ"]): SliceRange(int(row["first"]), int(row["last"])) for row in rows}
    except ValueError as error:
        raise InputError(params.ranges, f"a slice is no whole number: {error}") from error


def _slices(
    params: InferParams, query: Stack, organ: Organ, ranges: Mapping[tuple[str, str], SliceRange]
) -> SliceRange | None:
    """Return the slices of a query to segment."""
    last = len(query.image) - 1
    if params.range == "full":
        return SliceRange(0, last)
    if params.range == "truth":
        return organ_range(query.mask(organ))
    given = ranges.get((query.id, organ.name))
    if given is not None and not 0 <= given.first <= given.last <= last:
        found = f"{query.id}, {organ.name}: slices {given.first} to {given.last} of a volume with 0 to {last}"
        raise InputError("--ranges", found)
    return given


def _segment(
    job: Job,
    features: SliceFeatures | None,
    supports: list[Stack],
    query: Stack,
    organ: Organ,
    slices: SliceRange,
    tables: _Tables,
) -> None:
    job.deadline.check()
    params: InferParams = job.params
    found = segment_organ(
        features, supports, query, organ, slices, whole=params.range == "full", count=params.chunks
    )  # fmt: skip
    path = job.out / query.id / f"{file_word(organ.name)}.nii.gz"
    write_volume(path, query.grid.from_slices(found.mask).astype(np.uint8), query.grid.affine)
    job.wrote(path)
    voxels, who = int(found.mask.sum()), {"id": query.id, "organ": organ.name}
    tables.predictions.append(
        {
            **who,
            "support": ",".join(stack.id for stack in supports),
            "first": slices.first,
            "last": slices.last,
            "voxels": voxels,
            "volume_ml": voxels * query.grid.voxel_ml,
            "mask": path.relative_to(job.out).as_posix(),
        }
    )
    if params.range == "truth":
        tables.pairs += [{**who, **row} for row in pair_dice(supports[0], query, organ, found)]


def _prototypes(features: SliceFeatures, support: Stack, organ: Organ) -> dict[str, Any]:
    """Return the prototypes that the middle slice of the organ gives, (2, cells, channels): background, organ."""
    ranges = organ_range(support.mask(organ))
    if ranges is None:
        return {}
    number = pair_slices([support], organ, ranges, count=1)[0][ranges.first]
    mask = masks_at(support.mask(organ)[number : number + 1], features.network.size)
    with torch.no_grad(), compute_threads(1):
        seen = features.of(support, number)[None, None]
        found = features.network.prototypes(seen, mask[None, None].to(seen.device))[0].cpu().numpy()
    return {file_word(organ.name): found}
