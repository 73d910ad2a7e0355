"""Tissue crops: how they are cut and varied, and how they are kept on disk and in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from medtools.core.errors import InputError
from medtools.core.manifest import Manifest, read_manifest
from medtools.io.arrays import read_npz
from medtools.io.grids import write_arrays
from medtools.training.checkpoint import digest

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

CANVAS = 48
_AREA_PX, _DROPPED, _NOISE_SD, _MEAN = (180.0, 420.0), 0.25, 0.12, 0.5


@dataclass(frozen=True)
class Crops:
    """Crops with what they show and whose they are.

    Attributes
    ----------
    ids, subjects, labels : (n,) str
        Labels are empty where the manifest has none.
    images : (n, height, width) float32
    masks : (n, height, width) bool
        Where the tissue is.
    """

    ids: NDArray[np.str_]
    subjects: NDArray[np.str_]
    labels: NDArray[np.str_]
    images: NDArray[np.float32]
    masks: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of crops."""
        return len(self.images)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, sorted."""
        return tuple(np.unique(self.labels).tolist())

    @property
    def content(self) -> str:
        """Digest of images and labels."""
        numbers = np.searchsorted(self.classes, self.labels)
        return digest([("images", torch.from_numpy(self.images)), ("labels", torch.from_numpy(numbers))])

    def part(self, rows: NDArray[np.int64]) -> Crops:
        """Return some rows, in the order given."""
        return Crops(*(getattr(self, name)[rows] for name in Crops.__dataclass_fields__))


def shifted(image: Image, mask: Mask, rng: np.random.Generator, most: int) -> tuple[Image, Mask]:
    """Move a crop by whole pixels, drawn uniformly from [-most, most] in each direction; zeros come in."""
    move = rng.integers(-most, most, 2, endpoint=True)
    moved = [ndimage.shift(plane, move, order=0, cval=0) for plane in (image * mask, mask.astype(np.float32))]
    return moved[0].astype(np.float32), moved[1] > 0.5


def disguised(image: Image, mask: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Take from a crop what gives the tissue away without any learning: place, size, direction and brightness.

    It is turned by any angle, rescaled to an area of U(180, 420) pixels, put anywhere on a canvas of 48 x 48, divided
    by its mean times 2, a quarter of the pixels is lost and noise N(0, 0.12) is added all over the canvas.

    Parameters
    ----------
    image : (height, width) float32
    mask : (height, width) bool
        Not empty.
    rng : numpy.random.Generator
    """
    angle, area = rng.uniform(0, 2 * np.pi), rng.uniform(*_AREA_PX)
    scale = np.sqrt(area / mask.sum())
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    places = np.argwhere(mask).astype(np.float64)
    centre = places.mean(axis=0)
    reach = (places - centre) @ turn.T
    # Anywhere on the canvas where the tissue has room; in the middle where it has none.
    low, high = -reach.min(axis=0), CANVAS - 1 - reach.max(axis=0)
    target = np.where(low < high, rng.uniform(np.minimum(low, high), np.maximum(low, high)), (low + high) / 2)
    back = np.linalg.inv(turn)
    planes = [
        ndimage.affine_transform(plane, back, centre - back @ target, output_shape=(CANVAS, CANVAS), order=1)
        for plane in ((image * mask).astype(np.float64), mask.astype(np.float64))
    ]
    inside = planes[1] > 0.5
    if not inside.any():  # a tissue thinner than a pixel, at this scale and turn
        inside[tuple(np.clip(np.round(target), 0, CANVAS - 1).astype(int))] = True
    values = np.where(inside, planes[0], 0.0)
    mean = values[inside].mean()
    values *= _MEAN / mean if mean > 0 else 0.0
    values[rng.random(values.shape) < _DROPPED] = 0
    return (values + rng.normal(0, _NOISE_SD, values.shape)).astype(np.float32), inside


def write_crops(path: Path, images: Sequence[Image], masks: Sequence[Mask]) -> Path:
    """Write the crops of one study: images (n, h, w) float32 and masks (n, h, w) uint8."""
    write_arrays(path, {"images": np.stack(images), "masks": np.stack(masks).astype(np.uint8)})
    return path


def manifest_of(inputs: Sequence[Path], where: str = "INPUT") -> Manifest:
    """Read the manifest of crops that `medtools preprocess` wrote, or that of a folder.

    Raises
    ------
    InputError
        Not exactly one input, or a fault of the manifest.
    """
    if len(inputs) != 1:
        raise InputError(where, f"expected one manifest of crops, found {len(inputs)} paths")
    path = inputs[0] / "manifest.tsv" if inputs[0].is_dir() else inputs[0]
    return read_manifest(path, ("crops",))


def crop_files(inputs: Sequence[Path], where: str = "INPUT") -> list[Path]:
    """List the manifest and the files of its crops."""
    manifest = manifest_of(inputs, where)
    return [manifest.path, *dict.fromkeys(row.paths["crops"] for row in manifest.rows)]


def read_crops(inputs: Sequence[Path], *, labelled: bool = True, where: str = "INPUT") -> Crops:
    """Read every crop of a manifest (id, subject, label, crops: a file, crop: which of those in it, from 0).

    Parameters
    ----------
    inputs : sequence of Path
        One manifest, or a folder that holds it.
    labelled : bool
        Refuse rows without a label, and crops of one class only.
    where : str
        What the manifest was given by, for messages.

    Raises
    ------
    InputError
        As `manifest_of`; a damaged file, no such crop in it, values that are not finite, crops of different sizes.
    """
    manifest = manifest_of(inputs, where)
    labels = manifest.labels("label") if labelled else [row.get("label") or "" for row in manifest.rows]
    files = {path: _read_file(path) for path in dict.fromkeys(row.paths["crops"] for row in manifest.rows)}
    images, masks = [], []
    for row in manifest.rows:
        text, (of_file, their_masks) = row.get("crop") or "", files[row.paths["crops"]]
        if not text.isdigit() or int(text) >= len(of_file):
            found = f"row {row.id!r}: no crop {text!r} in {row.paths['crops'].name}, it has {len(of_file)} (from 0)"
            raise InputError(manifest.path, found)
        images.append(of_file[int(text)])
        masks.append(their_masks[int(text)])
    sizes = sorted({image.shape for image in images})
    if len(sizes) > 1:
        raise InputError(manifest.path, f"crops of different sizes: {sizes[0]} and {sizes[1]}", "prepare all alike")
    found_classes = sorted(set(labels))
    if labelled and len(found_classes) < 2:
        raise InputError(manifest.path, f"one class only ({found_classes[0]})", "at least two tissues are needed")
    return Crops(
        np.array([row.id for row in manifest.rows]),
        np.array([row.subject for row in manifest.rows]),
        np.array(labels),
        np.stack(images),
        np.stack(masks),
    )


def _read_file(path: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    arrays = read_npz(path)
    images, masks = arrays.get("images"), arrays.get("masks")
    if images is None or masks is None or images.ndim != 3 or images.shape != masks.shape:
        raise InputError(path, "holds no crops", "run `medtools preprocess spect-prototypes` first")
    if not np.isfinite(images).all():
        raise InputError(path, "a pixel is not a finite number")
    return images.astype(np.float32), masks > 0
