"""Geometric augmentation by MONAI: mirrored, shifted and turned copies, drawn so that every source is used evenly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.transforms import Affine
from numpy.typing import NDArray


@dataclass(frozen=True)
class Geometry:
    """One way to move an image.

    Attributes
    ----------
    mirror : bool
        Exchange left and right, first.
    rows, columns : float
        Shift down and to the right, in pixels.
    degrees : float
        Turn about the centre, counter-clockwise.
    """

    mirror: bool = False
    rows: float = 0.0
    columns: float = 0.0
    degrees: float = 0.0

    @property
    def is_identity(self) -> bool:
        """Whether nothing moves."""
        return not (self.mirror or self.rows or self.columns or self.degrees)


def move(image: NDArray[np.float32], geometry: Geometry) -> NDArray[np.float32]:
    """Apply a geometry: bilinear, zero outside.

    Parameters
    ----------
    image : (height, width) float32
    geometry : Geometry
    """
    start = np.ascontiguousarray(image[:, ::-1]) if geometry.mirror else image
    if not (geometry.rows or geometry.columns or geometry.degrees):
        return start.copy()
    # MONAI maps places of the result to places of the source, rows pointing down: hence the signs.
    affine = Affine(
        rotate_params=-math.radians(geometry.degrees),
        translate_params=(-geometry.rows, -geometry.columns),
        mode="bilinear",
        padding_mode="zeros",
        image_only=True,
    )
    moved = torch.as_tensor(affine(torch.as_tensor(start)[None]))[0]
    return moved.numpy().astype(np.float32)


def draw_geometry(
    rng: np.random.Generator, shifts: Sequence[float] = (4, 8), degrees: Sequence[float] = (3, 5)
) -> Geometry:
    """Draw a shift along one axis or a turn, of either sign, and a mirror with probability 1/2; never the identity.

    Parameters
    ----------
    rng : numpy.random.Generator
    shifts : sequence of float
        Possible shifts in pixels, positive.
    degrees : sequence of float
        Possible turns, positive.
    """
    mirror = bool(rng.random() < 0.5)
    kind = int(rng.integers(3))
    amount = float(rng.choice(degrees if kind == 2 else shifts)) * float(rng.choice([-1, 1]))
    moved = [0.0, 0.0, 0.0]
    moved[kind] = amount
    return Geometry(mirror, *moved)


def round_robin(count: int, sources: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose `count` sources so that each is used before any is used again, in a drawn order.

    Parameters
    ----------
    count : int
    sources : (n,) int64
        At least one, if `count` is not 0.
    rng : numpy.random.Generator
    """
    order = rng.permutation(sources)
    return np.resize(order, count) if count else sources[:0]
