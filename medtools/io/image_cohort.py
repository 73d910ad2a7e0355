"""A manifest of 2-D images read into one array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.manifest import Manifest, read_manifest
from medtools.core.progress import track
from medtools.io.images import as_colour, grey_levels, read_image, resized

COLUMN = "image"


@dataclass(frozen=True)
class ImageCohort:
    """Images and who they belong to.

    Attributes
    ----------
    manifest : Manifest
    images : (n, channels, height, width) uint8
        One channel where all images are grey, else three.
    """

    manifest: Manifest
    images: NDArray[np.uint8]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    @property
    def ids(self) -> list[str]:
        """Identifier of each image."""
        return [row.id for row in self.manifest.rows]

    @property
    def subjects(self) -> list[str]:
        """Subject of each image."""
        return [row.subject for row in self.manifest.rows]


def manifest_of(inputs: Sequence[Path]) -> Manifest:
    """Read the one manifest among INPUT (a `.tsv`, or a folder that holds `manifest.tsv`).

    Raises
    ------
    InputError
        None or several given, or as `read_manifest`.
    """
    if len(inputs) != 1:
        raise InputError("INPUT", f"expected one manifest, found {len(inputs)} paths")
    path = inputs[0] / "manifest.tsv" if inputs[0].is_dir() else inputs[0]
    fix = "make one of class folders by `medtools preprocess images`"
    if not path.is_file():
        raise InputError(path, "no such manifest", fix)
    if path.suffix != ".tsv":
        raise InputError(path, "is no manifest (.tsv)", fix)
    return read_manifest(path, (COLUMN,))


def reads(inputs: Sequence[Path]) -> list[Path]:
    """List the manifest and its images."""
    manifest = manifest_of(inputs)
    return [manifest.path, *(row.paths[COLUMN] for row in manifest.rows)]


def read_images(manifest: Manifest, size: tuple[int, int]) -> ImageCohort:
    """Read every image of a manifest, resampled to `size` (height, width) where it has another.

    Raises
    ------
    InputError
        As `read_image`.
    """
    pixels = [
        resized(grey_levels(read_image(row.paths[COLUMN])), size) for row in track(manifest.rows, "reading images")
    ]
    if all(image.ndim == 2 for image in pixels):
        return ImageCohort(manifest, np.stack(pixels)[:, None])
    return ImageCohort(manifest, np.stack([as_colour(image) for image in pixels]).transpose(0, 3, 1, 2).copy())
