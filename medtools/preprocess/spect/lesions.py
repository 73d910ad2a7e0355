"""Outlined lesions of scans: named in tables, filled by `preprocess spect`, read back as masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medtools.core.errors import InputError
from medtools.core.manifest import Manifest, file_below
from medtools.io.guard import printable
from medtools.io.images import read_image
from medtools.io.labelme import mask_for

LESIONS = "lesions"
"""Column of the LabelMe file of a scan, and afterwards of the mask made of it."""


def named_file(table: Path, place: str, text: str | None) -> Path | None:
    """Return the file that a cell names, in the table's folder or below; None for an empty cell.

    Parameters
    ----------
    table : Path
    place : str
        Where in it, for the message: `line 3`.
    text : str or None

    Raises
    ------
    InputError
        As `file_below`.
    """
    return file_below(table, place, text) if text else None


def lesion_files(manifest: Manifest) -> dict[str, Path]:
    """Return the mask of each image that has one, by identifier.

    Raises
    ------
    InputError
        As `named_file`.
    """
    found = {row.id: named_file(manifest.path, f"row {row.id!r}", row.get(LESIONS)) for row in manifest.rows}
    return {name: path for name, path in found.items() if path is not None}


def read_mask(path: Path, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a mask, any level above zero being lesion, and take the nearest pixels for another size.

    Raises
    ------
    InputError
        As `read_image`; a colour image.
    """
    pixels = read_image(path)
    if pixels.ndim != 2:
        raise InputError(printable(path), "a colour image, expected a mask", "run `medtools preprocess spect`")
    return resized_mask(pixels > 0, size)


def drawn_mask(path: Path, stored: tuple[int, int], size: tuple[int, int], *, turn: bool = False) -> NDArray[np.bool_]:
    """Fill the outlines of a LabelMe file as the scan itself is treated.

    Parameters
    ----------
    path : Path
    stored : (height, width)
        Of the scan on which they were drawn.
    size : (height, width)
        Of the mask wanted.
    turn : bool
        The scan's right edge becomes the top.
    """
    mask = mask_for(path, stored)
    return resized_mask(np.rot90(mask) if turn else mask, size)


def resized_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Take the nearest pixels, (height, width)."""
    if mask.shape == size:
        return mask
    image = Image.fromarray(np.ascontiguousarray(mask)).resize((size[1], size[0]), Image.Resampling.NEAREST)
    return np.asarray(image)
