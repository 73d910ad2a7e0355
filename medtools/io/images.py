"""PNG and JPEG behind one guard: the header is checked before anything is decoded, and only pixels come out.

Decoding goes through Pillow. EXIF and text chunks never leave this module; an EXIF orientation is applied.
"""

from __future__ import annotations

import io
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from medtools.core.atomic import atomic_path
from medtools.core.errors import InputError
from medtools.io.guard import printable, read_whole

SUFFIXES = (".png", ".jpg", ".jpeg")
MAX_PIXELS = 2**26
"""Largest image accepted: 67 megapixels, which decodes to at most 256 MiB."""

_FORMATS = {"PNG": "PNG", "JPEG": "JPEG", "MPO": "JPEG"}
_GREY = {"L", "1"}
_DEEP = {"I;16", "I;16B", "I;16L", "I"}
_FAULTS = (OSError, SyntaxError, ValueError, EOFError, zlib.error, UnidentifiedImageError)


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> NDArray[Any]:
    """Read a PNG or JPEG image.

    Parameters
    ----------
    path : str or Path
        Grey, palette or colour, 8 or 16 bits per value.
    max_pixels : int
        Refuse larger images before decoding them, whatever their size on disk.

    Returns
    -------
    (height, width) uint8 or uint16, or (height, width, 3) uint8
        As stored: grey stays grey, 16-bit grey keeps its values.

    Raises
    ------
    InputError
        Missing, empty, truncated or damaged file, another format, an animation, transparency, CMYK, or too many
        pixels.
    """
    where, content = printable(path), read_whole(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content)) as image:
                _check(image, where, max_pixels)
                image.load()
                return _pixels(ImageOps.exif_transpose(image), where)
    except Image.DecompressionBombError as error:
        raise InputError(where, "declares more pixels than any image of this kind has") from error
    except UnidentifiedImageError as error:
        raise InputError(where, "is no PNG or JPEG image", "convert it, or remove it from the folder") from error
    except _FAULTS as error:
        raise InputError(where, "truncated or damaged image", "fetch it again") from error


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) from an image's header, without decoding it.

    Raises
    ------
    InputError
        Missing file, or no PNG or JPEG image.
    """
    where = printable(path)
    try:
        with Path(path).open("rb") as stream, Image.open(stream, formats=sorted(set(_FORMATS.values()))) as image:
            return image.height, image.width
    except FileNotFoundError as error:
        raise InputError(where, "no such file") from error
    except (Image.DecompressionBombError, *_FAULTS) as error:
        raise InputError(where, "is no PNG or JPEG image") from error


def write_image(path: str | Path, pixels: NDArray[Any]) -> None:
    """Write a PNG of exactly these pixels, without any metadata; equal pixels give equal bytes.

    Parameters
    ----------
    path : str or Path
        Ends in `.png`.
    pixels : (height, width) uint8 or uint16, or (height, width, 3) uint8
    """
    if Path(path).suffix.lower() != ".png":
        raise InputError(path, "images are written as .png")
    with atomic_path(path) as partial:
        Image.fromarray(np.ascontiguousarray(pixels)).save(partial, format="PNG")


def grey_levels(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return 8-bit levels: 8-bit images as they are, others from their own minimum (0) to maximum (255).

    A constant image becomes zeros.

    Parameters
    ----------
    pixels : array of any real type
        Finite numbers.
    """
    if pixels.dtype == np.uint8:
        return pixels
    values = pixels.astype(np.float64)
    low, high = float(values.min()), float(values.max())
    if high <= low:
        return np.zeros(pixels.shape, dtype=np.uint8)
    return np.rint((values - low) / (high - low) * 255).astype(np.uint8)


def resized(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Resample to (height, width), bilinear, averaging where the image shrinks; the same size changes nothing."""
    if pixels.shape[:2] == size:
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels)).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)


def as_colour(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return (height, width, 3), grey repeated."""
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


def _check(image: Image.Image, where: str, max_pixels: int) -> None:
    if image.format not in _FORMATS:
        raise InputError(where, f"is {image.format}, expected PNG or JPEG", "convert it")
    if image.width * image.height > max_pixels:
        size = f"{image.width}×{image.height} pixels"
        raise InputError(where, f"{size}, the most accepted are {max_pixels / 1e6:.0f} million", "cut it into pieces")
    if image.format == "PNG" and getattr(image, "n_frames", 1) > 1:
        raise InputError(where, "is an animation", "give one image per file")
    if image.mode in ("CMYK", "YCCK"):
        raise InputError(where, "is in CMYK colours", "convert it to RGB")


def _pixels(image: Image.Image, where: str) -> NDArray[Any]:
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema() != (255, 255):
            raise InputError(where, "has transparent pixels", "put it on a background first")
        image = image.convert("RGB")
        pixels = np.asarray(image, dtype=np.uint8)
        same = bool((pixels == pixels[:, :, :1]).all())
        return pixels[:, :, 0].copy() if same else pixels
    if image.mode in _DEEP:
        return np.asarray(image).astype(np.uint16)
    return np.asarray(image.convert("L" if image.mode in _GREY else "RGB"), dtype=np.uint8)
