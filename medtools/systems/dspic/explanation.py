"""`medtools explain dspic`: where the attention module looks, Grad-CAM, and a map of the test images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.log import LOGGER
from medtools.core.manifest import Manifest
from medtools.core.progress import track
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.explain.cam import grad_cam, to_image
from medtools.explain.figures import few_of_each, write_embedding
from medtools.io import image_cohort
from medtools.io.guard import read_object
from medtools.io.images import image_size
from medtools.io.nifti import write_volume
from medtools.preprocess.spect.figures import Shown, scans_figure
from medtools.preprocess.spect.lesions import lesion_files, read_mask
from medtools.preprocess.spect.steps import SPACING
from medtools.systems.dspic import calls
from medtools.systems.dspic.cohort import LABELS
from medtools.systems.dspic.data import Scans, read_scan, read_scans
from medtools.systems.dspic.inference import load_network
from medtools.systems.dspic.lesions import share_inside, summary_rows
from medtools.training.batches import TensorBatches
from medtools.training.inference import predict
from medtools.training.predictions import TABLE, Fold, read_fold
from medtools.training.runs import fold_folder

_BATCH = 8
_TITLES = {"attention": "Spatial attention f_S", "gradcam": "Grad-CAM for the class called"}
_SUMMARY = ("map", "share", "area", "ratio", "ci_low", "ci_high", "n")


def run(job: Job) -> None:
    """Write pictures and maps of some test images of a fold, what lies in lesions, and the layout of all of them."""
    folder = fold_folder(job.params.model, job.params.fold)
    trained, network = load_network(folder)
    _, fold = read_fold(folder / TABLE)
    manifest = image_cohort.manifest_of(job.inputs)
    size = (trained["size"][0], trained["size"][1])
    scans = test_scans(job, fold, size)
    lesions = {name: path for name, path in lesion_files(manifest).items() if name in set(fold.ids.tolist())}
    masks = {name: read_mask(path, size) for name, path in lesions.items()}
    outlined = np.array([name in masks and bool(masks[name].any()) for name in fold.ids.tolist()])
    shown = few_of_each(fold.truth, LABELS, job.params.images)
    wanted = np.union1d(shown, np.flatnonzero(outlined))
    maps, channels = maps_of(network, scans.images[wanted], fold.probabilities[wanted].argmax(axis=1))
    places = np.searchsorted(wanted, shown)
    for name, values in maps.items():
        _write_picture(job, name, _shown(scans, fold, shown, to_image(values[places], size).numpy(), masks), fold.name)
    if channels is not None:
        _write_channels(job, fold.ids[shown], channels[places])
    _write_volumes(job, manifest, fold.ids[shown].tolist(), {name: values[places] for name, values in maps.items()})
    if outlined.any():
        rows = np.flatnonzero(outlined)
        inside = {name: values[np.searchsorted(wanted, rows)] for name, values in maps.items()}
        _write_lesions(job, fold, rows, inside, np.stack([masks[name] for name in fold.ids[rows].tolist()]))
    _write_embedding(job, network, scans, fold)


def reads(job: Job) -> list[Path]:
    """List what decides the pictures."""
    folder = fold_folder(job.params.model, job.params.fold)
    masks = lesion_files(image_cohort.manifest_of(job.inputs)).values()
    return [*image_cohort.reads(job.inputs), *masks, folder / "model.ckpt", folder / TABLE]


def test_scans(job: Job, fold: Fold, size: tuple[int, int]) -> Scans:
    """Read the fold's test images, in its order.

    Raises
    ------
    InputError
        The manifest lacks one of them, as it does where images were made before the division.
    """
    scans = read_scans(job.inputs, size, None)
    place = {name: number for number, name in enumerate(scans.ids.tolist())}
    missing = [name for name in fold.ids.tolist() if name not in place]
    if missing:
        raise InputError("INPUT", f"the manifest has no image {missing[0]!r}", "give the manifest that was trained on")
    return scans.part(np.array([place[name] for name in fold.ids.tolist()]))


def maps_of(
    network: nn.Module, images: NDArray[np.float32], called: NDArray[np.int64]
) -> tuple[dict[str, Tensor], Tensor | None]:
    """Return the maps of each image on the network's own grids.

    Parameters
    ----------
    network : Classifier
    images : (n, height, width) float32
    called : (n,) int64
        Class whose Grad-CAM is wanted, per image.

    Returns
    -------
    maps : dict of (n, h, w) Tensor
        `gradcam` and, with an attention module, `attention` (f_S).
    channels : (n, c) Tensor or None
        f_C.
    """
    cams, where, which = [], [], []
    for start in track(range(0, len(images), _BATCH), "maps"):
        part = torch.from_numpy(images[start : start + _BATCH])[:, None]
        classes = torch.from_numpy(called[start : start + _BATCH])
        cams.append(grad_cam(network.maps, network.classify, part, classes))  # type: ignore[arg-type]
        with torch.no_grad():
            attended = network.attention(part)  # type: ignore[operator]
        if attended is not None:
            which.append(attended[0])
            where.append(attended[1][:, 0])
    maps = {"gradcam": torch.cat(cams)}
    return (maps | {"attention": torch.cat(where)}, torch.cat(which)) if where else (maps, None)


def on_grid(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Turn (rows, columns) from the top left into (x, y, 1) with y upwards, as NIfTI has it."""
    return np.ascontiguousarray(values[::-1].T[:, :, None], dtype=np.float32)


def _write_volumes(job: Job, manifest: Manifest, ids: list[str], maps: Mapping[str, Tensor]) -> None:
    """Write maps as NIfTI on the grid of the image in the manifest, and the image itself to lay them over."""
    paths = {row.id: row.paths[image_cohort.COLUMN] for row in manifest.rows}
    for number, name in enumerate(ids):
        stored = image_size(paths[name])
        tall, wide = _spacing(paths[name])
        affine = np.diag([wide, tall, 1.0, 1.0])
        layers = {kind: to_image(values[number : number + 1], stored)[0].numpy() for kind, values in maps.items()}
        for kind, values in (layers | {"scan": read_scan(paths[name], stored)}).items():
            path = job.out / "maps" / f"{name}_{kind}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_volume(path, on_grid(values), affine)
            job.wrote(path)


def _spacing(image: Path) -> tuple[float, float]:
    """Return row and column spacing in mm as `preprocess spect` noted them beside the image; 1 where it did not."""
    note = image.with_suffix(".json")
    if not note.is_file():
        return 1.0, 1.0
    steps = read_object(note).get(SPACING)
    usable = isinstance(steps, list) and len(steps) == 2 and all(isinstance(s, int | float) for s in steps)
    if not usable or not all(0 < step < 1000 for step in steps):  # type: ignore[union-attr]
        raise InputError(note, f"no usable {SPACING}", "expected two lengths in mm; or remove the file")
    return float(steps[0]), float(steps[1])  # type: ignore[index]


def _shown(
    scans: Scans, fold: Fold, places: NDArray[np.int64], maps: NDArray[np.float32], masks: dict[str, NDArray[np.bool_]]
) -> list[Shown]:
    called = calls.top1(fold.probabilities)
    found = []
    for number, place in enumerate(places.tolist()):
        title = f"{fold.truth[place]}\ncalled {called[place]}\n{fold.probabilities[place].max():.2f}"
        found.append(Shown(scans.images[place], title, masks.get(str(fold.ids[place])), maps[number]))
    return found


def _write_picture(job: Job, name: str, shown: list[Shown], fold: str) -> None:
    outlined = ", lesions outlined" if any(one.lesions is not None for one in shown) else ""
    title = f"{_TITLES[name]}, test images of {fold}{outlined}"
    save_figure(scans_figure(shown, title, bar="Share of the map's maximum"), job.out / f"{name}.png")
    job.wrote(job.out / f"{name}.png")


def _write_channels(job: Job, ids: NDArray[np.str_], weights: Tensor) -> None:
    """Write f_C of every image: one row per channel."""
    names = ids.tolist()
    rows = [
        {"channel": channel, **dict(zip(names, values, strict=True))}
        for channel, values in enumerate(weights.T.tolist(), start=1)
    ]
    job.wrote(write_tsv(job.out / "channels.tsv", ["channel", *names], rows))


def _write_lesions(
    job: Job, fold: Fold, rows: NDArray[np.int64], maps: Mapping[str, Tensor], masks: NDArray[np.bool_]
) -> None:
    """Write how much of each map lies in lesions, image by image and on average, beside the share of area."""
    size = (masks.shape[1], masks.shape[2])
    shares = {name: share_inside(to_image(values, size).numpy(), masks).tolist() for name, values in maps.items()}
    areas = masks.mean(axis=(1, 2)).tolist()
    called = calls.top1(fold.probabilities)
    table: list[dict[str, Any]] = [
        {
            "id": fold.ids[row], "truth": fold.truth[row], "called": called[row], "area": areas[number],
            **{name: values[number] for name, values in shares.items()},
        }
        for number, row in enumerate(rows.tolist())
    ]  # fmt: skip
    job.wrote(write_tsv(job.out / "lesions.tsv", ["id", "truth", "called", "area", *shares], table))
    summary = summary_rows(shares, areas, fold.subjects[rows].tolist(), seed=job.seed)
    job.wrote(write_tsv(job.out / "lesion_shares.tsv", _SUMMARY, summary))
    for one in summary:
        LOGGER.info(
            "%s: %.1f %% inside lesions, which are %.1f %% of the area: %.2f times (%d images)",
            _TITLES[one["map"]], 100 * one["share"], 100 * one["area"], one["ratio"], one["n"],
        )  # fmt: skip


def _write_embedding(job: Job, network: nn.Module, scans: Scans, fold: Fold) -> None:
    def pooled(model: nn.Module, batch: tuple[Tensor]) -> Tensor:
        return model.maps(batch[0]).mean(dim=(2, 3))  # type: ignore[operator]

    features = predict(network, TensorBatches((scans.images[:, None],), _BATCH), pooled).numpy()
    title = f"Pooled features, test images of {fold.name}"
    job.wrote(
        *write_embedding(
            job.out, features, fold.ids, fold.truth, LABELS, how=job.params.embedding, seed=job.seed, title=title
        )
    )
