"""Made abdomens: organs in their usual places, look-alike pairs that only their place tells apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

# Centre x, y; half-axes; intensity: fractions of the slice (the card's table).
_ORGANS = (
    (0.30, 0.38, 0.16, 0.13, 0.60),
    (0.74, 0.36, 0.08, 0.10, 0.60),
    (0.33, 0.62, 0.055, 0.075, 0.80),
    (0.67, 0.62, 0.055, 0.075, 0.80),
    (0.43, 0.68, 0.035, 0.05, 0.45),
    (0.57, 0.68, 0.035, 0.05, 0.45),
)
_BODY = (0.46, 0.40, 0.35)
_VERTEBRA = (0.50, 0.72, 0.05, 0.95)
_LOOK_ALIKES, _LOOK_ALIKE_LEVELS = 6, (0.45, 0.6, 0.8)
_JITTER_PX, _SCALE, _TURN = 2.0, (0.85, 1.15), 0.3
_BLUR_PX, _NOISE_SD = 0.8, 0.04


@dataclass(frozen=True)
class Abdomen:
    """One made patient.

    Attributes
    ----------
    image : (slices, size, size) float32
        Intensity, about 0 to 1; slices head to feet, rows front to back, columns right to left.
    labels : (slices, size, size) uint8
        Organs 1 to 6.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]


def make_abdomen(
    rng: np.random.Generator, size: int = 128, slices: int = 24, *, shift: tuple[int, int] = (0, 0)
) -> Abdomen:
    """Draw a patient.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of pose, look-alikes and noise.
    size, slices : int
        Pixels along each side, and slices. Lengths in pixels are those of a slice of 128.
    shift : (rows, columns)
        Translation of the whole patient in pixels, for a known misalignment.
    """
    unit = size / 128
    offset = rng.uniform(-_JITTER_PX, _JITTER_PX, 2) * unit
    own = rng.uniform(-_JITTER_PX / 2, _JITTER_PX / 2, (len(_ORGANS), 2)) * unit
    scales, turns = rng.uniform(*_SCALE, len(_ORGANS)), rng.uniform(-_TURN, _TURN, len(_ORGANS))
    look_alikes = [
        (*(rng.uniform(0.2, 0.8, 2) * size), rng.uniform(0.015, 0.03) * size, rng.choice(_LOOK_ALIKE_LEVELS))
        for _ in range(_LOOK_ALIKES)
    ]
    columns, rows = np.meshgrid(np.arange(size, dtype=np.float64), np.arange(size, dtype=np.float64))
    image, labels = np.zeros((slices, size, size)), np.zeros((slices, size, size), dtype=np.uint8)
    middle = (size / 2 + offset[0], size / 2 + offset[1])
    inside = ((columns - middle[0]) / (_BODY[0] * size)) ** 2 + ((rows - middle[1]) / (_BODY[1] * size)) ** 2 <= 1
    for number in range(slices):
        z = 2 * (number + 0.5) / slices - 1
        profile = np.sqrt(1 - z**2)
        image[number][inside] = _BODY[2]
        for x, y, radius, level in look_alikes:
            image[number][(columns - x) ** 2 + (rows - y) ** 2 <= radius**2] = level
        x, y, radius, level = _VERTEBRA
        spine = np.hypot(columns - x * size - offset[0], rows - y * size - offset[1]) <= radius * size
        image[number][spine] = level
        for organ, (x, y, a, b, level) in enumerate(_ORGANS):
            centre = np.array([x, y]) * size + offset + own[organ]
            squared = _ellipse(columns - centre[0], rows - centre[1], (a, b), turns[organ])
            mask = squared <= (scales[organ] * profile * size) ** 2
            image[number][mask], labels[number][mask] = level, organ + 1
    blurred = ndimage.gaussian_filter(image, (0, _BLUR_PX * unit, _BLUR_PX * unit))
    noisy = blurred + rng.normal(0, _NOISE_SD, image.shape)
    rolled = np.roll(noisy, shift, axis=(1, 2)).astype(np.float32)
    return Abdomen(rolled, np.roll(labels, shift, axis=(1, 2)))


def _ellipse(
    x: NDArray[np.float64], y: NDArray[np.float64], axes: tuple[float, float], turn: float
) -> NDArray[np.float64]:
    """Squared radius of points in units of an ellipse of these half-axes, turned by `turn` radians."""
    along, across = x * np.cos(turn) + y * np.sin(turn), -x * np.sin(turn) + y * np.cos(turn)
    squared: NDArray[np.float64] = (along / axes[0]) ** 2 + (across / axes[1]) ** 2
    return squared
