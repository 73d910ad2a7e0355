"""`medtools explain ad-lite-net`: Grad-CAM on the joined feature maps, and a map of the test images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.stage import Job
from medtools.explain.cam import grad_cam, to_image
from medtools.explain.figures import Explained, few_of_each, overlay_figure, packed, write_embedding
from medtools.io import image_cohort
from medtools.io.grids import write_arrays
from medtools.io.image_cohort import ImageCohort
from medtools.systems.ad_lite_net.classification import levels
from medtools.systems.ad_lite_net.inference import load_network
from medtools.training.batches import TensorBatches
from medtools.training.inference import predict
from medtools.training.predictions import TABLE, Fold, read_fold
from medtools.training.runs import fold_folder

_BATCH = 32


def run(job: Job) -> None:
    """Write `gradcam.png`, `gradcam.npz`, `embedding.png` and `embedding.tsv` of one fold's test images."""
    folder = fold_folder(job.params.model, job.params.fold)
    trained, network = load_network(folder)
    classes, fold = read_fold(folder / TABLE)
    cohort = test_images(job.inputs, fold, trained["size"])
    shown = few_of_each(fold.truth, classes, job.params.images)
    cams = class_activation(network, cohort.images[shown], fold.probabilities[shown].argmax(axis=1), trained["size"])
    _write_cams(job, cohort, fold, classes, shown, cams)
    _write_embedding(job, network, cohort, fold, classes)


def reads(job: Job) -> list[Path]:
    """List what decides the pictures."""
    folder = fold_folder(job.params.model, job.params.fold)
    return [*image_cohort.reads(job.inputs), folder / "model.ckpt", folder / TABLE]


def test_images(inputs: Sequence[Path], fold: Fold, size: int) -> ImageCohort:
    """Read the fold's test images, in its order.

    Raises
    ------
    InputError
        The manifest lacks one of them.
    """
    manifest = image_cohort.manifest_of(inputs)
    by_id = {row.id: row for row in manifest.rows}
    missing = [name for name in fold.ids.tolist() if name not in by_id]
    if missing:
        raise InputError(manifest.path, f"has no image {missing[0]!r}", "give the manifest that was trained on")
    rows = tuple(by_id[name] for name in fold.ids.tolist())
    return image_cohort.read_images(replace(manifest, rows=rows), (size, size))


def class_activation(
    network: nn.Module, images: NDArray[np.uint8], called: NDArray[np.int64], size: int
) -> NDArray[np.float32]:
    """Return the map of each image for the class it was called, (n, size, size), each scaled to a maximum of 1.

    Raises
    ------
    InputError
        A network without feature maps.
    """
    network.eval()
    maps_of, logits_of = network.maps, network.classify

    def feature_maps(part: Tensor) -> Tensor:
        maps: Tensor = maps_of(levels(part))  # type: ignore[operator]
        if maps.ndim != 4:
            raise InputError("explain", "this network has no feature maps to weight", "explain a convolutional one")
        return maps

    parts = zip(torch.from_numpy(images).split(_BATCH), torch.from_numpy(called).split(_BATCH), strict=True)
    cams = [grad_cam(feature_maps, logits_of, part, wanted) for part, wanted in parts]  # type: ignore[arg-type]
    return to_image(torch.cat(cams), (size, size)).numpy()


def _write_cams(
    job: Job,
    cohort: ImageCohort,
    fold: Fold,
    classes: Sequence[str],
    shown: NDArray[np.int64],
    cams: NDArray[np.float32],
) -> None:
    rows: dict[str, list[Explained]] = {name: [] for name in classes}
    for number, place in enumerate(shown.tolist()):
        found = fold.probabilities[place]
        called = classes[int(found.argmax())]
        truth = str(fold.truth[place])
        image = cohort.images[place].transpose(1, 2, 0)
        pixels = image[:, :, 0] if image.shape[2] == 1 else image
        rows[truth].append(Explained(pixels, cams[number], f"{truth}\ncalled {called} {found.max():.2f}"))
    title = f"Grad-CAM for the class called, test images of {fold.name}"
    save_figure(overlay_figure(packed([row for row in rows.values() if row]), title), job.out / "gradcam.png")
    write_arrays(job.out / "gradcam.npz", {"id": fold.ids[shown].astype(str), "cam": cams})
    job.wrote(job.out / "gradcam.png", job.out / "gradcam.npz")


def _write_embedding(job: Job, network: nn.Module, cohort: ImageCohort, fold: Fold, classes: Sequence[str]) -> None:
    def pooled(model: nn.Module, batch: tuple[Tensor]) -> Tensor:
        maps: Tensor = model.maps(levels(batch[0]))  # type: ignore[operator]
        return maps.flatten(2).mean(dim=2) if maps.ndim == 4 else maps

    features = predict(network, TensorBatches((cohort.images,), _BATCH), pooled).numpy()
    title = f"Pooled features, test images of {fold.name}"
    job.wrote(
        *write_embedding(
            job.out, features, fold.ids, fold.truth, classes, how=job.params.embedding, seed=job.seed, title=title
        )
    )
