"""`medtools explain dspic`: where the attention module looks, or Grad-CAM without one, and a map of the test images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.explain.cam import grad_cam, to_image
from medtools.explain.figures import Explained, few_of_each, overlay_figure, write_embedding
from medtools.io import image_cohort
from medtools.io.grids import write_arrays
from medtools.systems.dspic import calls
from medtools.systems.dspic.cohort import LABELS
from medtools.systems.dspic.data import Scans, read_scans
from medtools.systems.dspic.inference import load_network
from medtools.training.batches import TensorBatches
from medtools.training.inference import predict
from medtools.training.predictions import TABLE, Fold, read_fold
from medtools.training.runs import fold_folder

_BATCH = 8
_BRIGHTEST = 99.5
"""Percentile shown as white: a bladder or a lesion would leave everything else black."""


def run(job: Job) -> None:
    """Write `attention.png`, `gradcam.png`, `maps.npz`, `channels.tsv` and the embedding of one fold's test images."""
    folder = fold_folder(job.params.model, job.params.fold)
    trained, network = load_network(folder)
    _, fold = read_fold(folder / TABLE)
    scans = test_scans(job, fold, (trained["size"][0], trained["size"][1]))
    shown = few_of_each(fold.truth, LABELS, job.params.images)
    images = torch.from_numpy(scans.images[shown])[:, None]
    size = (images.shape[2], images.shape[3])
    called = torch.from_numpy(fold.probabilities[shown].argmax(axis=1))
    cams = grad_cam(network.maps, network.classify, images, called)  # type: ignore[arg-type]
    maps = {"gradcam": to_image(cams, size).numpy()}
    with torch.no_grad():
        attended = network.attention(images)  # type: ignore[operator]
    if attended is not None:
        maps["attention"] = to_image(attended[1][:, 0], size).numpy()
        _write_channels(job, fold.ids[shown], attended[0])
    for name, values in maps.items():
        title = {"gradcam": "Grad-CAM for the class called", "attention": "Spatial attention f_S"}[name]
        figure = overlay_figure(_rows(scans, fold, shown, values), f"{title}, test images of {fold.name}")
        save_figure(figure, job.out / f"{name}.png")
        job.wrote(job.out / f"{name}.png")
    write_arrays(job.out / "maps.npz", {"id": fold.ids[shown].astype(str), **maps})
    job.wrote(job.out / "maps.npz")
    _write_embedding(job, network, scans, fold)


def reads(job: Job) -> list[Path]:
    """List what decides the pictures."""
    folder = fold_folder(job.params.model, job.params.fold)
    return [*image_cohort.reads(job.inputs), folder / "model.ckpt", folder / TABLE]


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


def _rows(scans: Scans, fold: Fold, shown: NDArray[np.int64], maps: NDArray[np.float32]) -> list[list[Explained]]:
    called = calls.top1(fold.probabilities)
    row = []
    for number, place in enumerate(shown.tolist()):
        image = scans.images[place]
        white = float(np.percentile(image, _BRIGHTEST)) or 1.0
        title = f"{fold.truth[place]}\ncalled {called[place]}\n{fold.probabilities[place].max():.2f}"
        row.append(Explained(1 - np.clip(image / white, 0, 1), maps[number], title))
    return [row]


def _write_channels(job: Job, ids: NDArray[np.str_], weights: Tensor) -> None:
    """Write f_C of every image: one row per channel."""
    names = ids.tolist()
    rows = [
        {"channel": channel, **dict(zip(names, values, strict=True))}
        for channel, values in enumerate(weights.T.tolist(), start=1)
    ]
    write_tsv(job.out / "channels.tsv", ["channel", *names], rows)
    job.wrote(job.out / "channels.tsv")


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
