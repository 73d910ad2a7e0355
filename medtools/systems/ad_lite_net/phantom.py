"""Axial slices of made heads: atrophy widens the ventricles, thins white matter and shrinks the hippocampi."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Array = NDArray[np.float64]

ATROPHY = {"Non": 0.0, "VeryMild": 0.33, "Mild": 0.66, "Moderate": 1.0}
"""Mean atrophy of each class."""

_CSF, _GREY, _WHITE, _HIPPOCAMPUS = 25.0, 115.0, 165.0, 110.0


@dataclass(frozen=True)
class Head:
    """What all slices of one subject share.

    Attributes
    ----------
    axes : pair of float
        Semi-axes of the head, in half image sides: across and front to back.
    atrophy, gain : float
    texture : (side, side) float64
        Smooth field of standard deviation 1.
    """

    axes: tuple[float, float]
    atrophy: float
    gain: float
    texture: Array


def draw_head(rng: np.random.Generator, mean_atrophy: float, atrophy_sd: float, side: int) -> Head:
    """Draw a subject; the gain makes mean intensity a poor guide to atrophy."""
    axes = (0.72 + 0.03 * rng.standard_normal(), 0.86 + 0.03 * rng.standard_normal())
    atrophy = mean_atrophy + atrophy_sd * rng.standard_normal()
    gain = 1 + 0.12 * rng.standard_normal()
    texture = gaussian_filter(rng.standard_normal((side, side)), 2.0)
    return Head(axes, float(atrophy), float(gain), texture / texture.std())


def draw_slice(rng: np.random.Generator, head: Head, height: float, texture: float) -> NDArray[np.uint8]:
    """Draw one slice.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of the slice's own noise.
    head : Head
    height : float
        Place along the body axis, -0.5 to 0.5.
    texture : float
        Strength of the subject's texture, kappa.

    Returns
    -------
    (side, side) uint8
    """
    side = len(head.texture)
    y, x = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    wobble = 2 * gaussian_filter(rng.standard_normal((side, side)), 3.0)
    a = head.atrophy
    image = np.zeros((side, side))
    r = np.sqrt((x / head.axes[0]) ** 2 + (y / head.axes[1]) ** 2) + 0.12 * wobble
    image[r < 1] = _CSF
    image[r < 0.95] = _GREY
    image[r < 0.95 - (0.19 - 0.07 * a)] = _WHITE
    across, along = (np.abs(x) - 0.16) / (0.07 + 0.07 * a), (y + 0.05 + 0.1 * height) / (0.28 + 0.12 * a)
    image[np.sqrt(across**2 + along**2) + 0.15 * wobble < 1] = _CSF
    across, along = (np.abs(x) - 0.42) / (0.13 - 0.05 * a), (y - 0.35) / (0.09 - 0.035 * a)
    image[np.sqrt(across**2 + along**2) < 1] = _HIPPOCAMPUS
    image *= head.gain * (1 + texture * head.texture)
    image += 6 * rng.standard_normal((side, side))
    return np.clip(np.rint(gaussian_filter(image, 0.5)), 0, 255).astype(np.uint8)
