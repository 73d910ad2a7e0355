"""A chest CT made by rule: lungs, lobes, vessels, a liver dome, ground glass, noise and motion streaks, with the truth.

It has the structure the method exploits, and nothing more: smooth lungs of one density, tubes brighter than they are,
patches of intermediate density, partial volume at every border, white noise, bright streaks at the front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

AIR, SOFT_TISSUE, VESSEL, STREAK = -1000.0, 40.0, 30.0, 350.0
PARENCHYMA, GROUND_GLASS = (-860.0, 25.0), (-480.0, 60.0)
NOISE = 35.0
FIELD_MM, LENGTH_MM = 333.0, 288.0
LEVELS = (0.0, 0.02, 0.10, 0.30, 0.60)
SPARED = 0.2
VESSEL_RADIUS_PIXELS = (0.7, 2.2)
VESSEL_STEP_MM = 2.0

Grid = NDArray[np.float64]


@dataclass(frozen=True)
class Phantom:
    """One made scan; slices head to feet, rows front to back, columns from the patient's right to left.

    Attributes
    ----------
    hu : (n_slices, size, size) int16
    lobes : (n_slices, size, size) uint8
        1 left upper, 2 left lower, 3 right upper, 4 right middle, 5 right lower lobe.
    infection : (n_slices, size, size) bool
        The true ground glass, before blur.
    spacing : tuple of float
        Slice distance, row and column spacing in mm.
    """

    hu: NDArray[np.int16]
    lobes: NDArray[np.uint8]
    infection: NDArray[np.bool_]
    spacing: tuple[float, float, float]


def make_phantom(
    rng: np.random.Generator,
    size: int = 256,
    n_slices: int = 48,
    *,
    fractions: tuple[float, ...] | None = None,
    noise: float = NOISE,
    motion: bool = True,
) -> Phantom:
    """Make a scan of 333 mm × 333 mm × 288 mm.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int
        Pixels along both sides of a slice; 512 gives 0.65 mm, a common resolution.
    n_slices : int
        Slices over 288 mm; 48 gives 6 mm.
    fractions : 5 floats, optional
        Infected fraction of each lobe in 0..1; by default drawn from LEVELS, every fifth lobe spared.
    noise : float
        Standard deviation of the white noise in HU. Without noise the vessel filter takes ground glass for vessels.
    motion : bool
        Draw streaks in half of the slices.

    Returns
    -------
    Phantom
    """
    spacing = (LENGTH_MM / n_slices, FIELD_MM / size, FIELD_MM / size)
    z, y, x = _millimetres(n_slices, size)
    lobes = _lobes(z, y, x, rng)
    if fractions is None:
        drawn = rng.choice(LEVELS, 5)
        fractions = tuple(np.where(rng.random(5) < SPARED, 0.0, drawn))
    infection = _ground_glass(lobes, fractions, spacing, rng)
    lung = lobes > 0
    hu = np.where(_body(y, x), SOFT_TISSUE, AIR) * np.ones((n_slices, 1, 1))
    _fill(hu, lung, PARENCHYMA, rng)
    _fill(hu, infection, GROUND_GLASS, rng)
    hu[_vessels(lobes, spacing, rng) & lung] = VESSEL
    hu = ndimage.gaussian_filter(hu, (0.8, 1.0, 1.0))
    if motion:
        _add_streaks(hu, lung, rng)
    hu += rng.normal(0.0, noise, hu.shape)
    return Phantom(np.rint(np.clip(hu, -1024, 3071)).astype(np.int16), lobes, infection, spacing)


def _millimetres(n_slices: int, size: int) -> tuple[Grid, Grid, Grid]:
    """Return broadcastable coordinates: z down from the head end; y back, x to the patient's left from the centre."""
    z = (np.arange(n_slices) + 0.5) * LENGTH_MM / n_slices
    plane = (np.arange(size) + 0.5) * FIELD_MM / size - FIELD_MM / 2
    return z[:, None, None], plane[None, :, None], plane[None, None, :]


def _body(y: Grid, x: Grid) -> NDArray[np.bool_]:
    return (x / 160) ** 2 + (y / 112) ** 2 < 1


def _lobes(z: Grid, y: Grid, x: Grid, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return lobes 1-5: two ellipsoids with a smooth profile from apex to base, cut by domes and tilted planes."""
    apex, base = 18.0 + rng.uniform(-4, 4), 268.0 + rng.uniform(-6, 6)
    along = np.clip((z - apex) / (base - apex), 0, 1)
    profile = np.sqrt(np.clip(np.minimum(along * 2.2, 1.0) * (1.35 - 0.35 * along), 0, None)) * (along < 1)
    half_width, half_depth = 56.0 + rng.uniform(-3, 3), 86.0 + rng.uniform(-4, 4)
    right = ((x + 76) / half_width) ** 2 + (y / half_depth) ** 2 < np.minimum(profile, 1.02) ** 2
    left = ((x - 76) / (half_width - 4)) ** 2 + (y / half_depth) ** 2 < np.minimum(profile, 1.02) ** 2
    # The right dome of the diaphragm rises inside the lung, so that the first slice shows it enclosed; the left one
    # is lower and lies further to the front.
    top = apex + rng.uniform(0.62, 0.72) * (base - apex)
    right &= ~(((x + 74) / 46) ** 2 + ((y + 4) / 66) ** 2 < np.clip((z - top) / (base - top), 0, None) ** 0.7)
    low = top + 26
    left &= ~(((x - 74) / 40) ** 2 + ((y + 40) / 60) ** 2 < np.clip((z - low) / (base - low), 0, None) ** 0.7)
    oblique = z - (apex + 0.52 * (base - apex)) + 0.9 * y  # lower lobes lie behind and below
    horizontal = z - (apex + 0.48 * (base - apex)) + 0.15 * y
    lobes = np.zeros(np.broadcast_shapes(z.shape, y.shape, x.shape), dtype=np.uint8)
    lobes[left & (oblique <= 0)] = 1
    lobes[left & (oblique > 0)] = 2
    lobes[right & (oblique <= 0) & (horizontal <= 0)] = 3
    lobes[right & (oblique <= 0) & (horizontal > 0)] = 4
    lobes[right & (oblique > 0)] = 5
    return lobes


def _ground_glass(
    lobes: NDArray[np.uint8],
    fractions: tuple[float, ...],
    spacing: tuple[float, float, float],
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Add ellipsoids centred in each lobe until its fraction is filled; the last may overshoot a little."""
    infection = np.zeros(lobes.shape, dtype=bool)
    for lobe, fraction in enumerate(fractions, start=1):
        inside = np.flatnonzero(lobes == lobe)
        wanted, filled = fraction * inside.size, 0
        while inside.size and filled < wanted:
            centre = np.array(np.unravel_index(rng.choice(inside), lobes.shape))
            # Never larger than what is still missing, so that small fractions stay small.
            missing = (wanted - filled) * float(np.prod(spacing))
            radius = min(rng.uniform(10, 28), max((missing * 0.75 / np.pi) ** (1 / 3) * 1.2, 4.0))
            radii = radius * rng.uniform(0.7, 1.3, 3) / spacing
            box = tuple(
                slice(max(int(c - r), 0), min(int(c + r) + 2, n))
                for c, r, n in zip(centre, radii, lobes.shape, strict=True)
            )
            offsets = np.ogrid[box]
            ball = sum(((o - c) / r) ** 2 for o, c, r in zip(offsets, centre, radii, strict=True)) < 1
            fresh = ball & (lobes[box] == lobe) & ~infection[box]
            infection[box] |= fresh
            filled += int(fresh.sum())
    return infection


def _vessels(
    lobes: NDArray[np.uint8], spacing: tuple[float, float, float], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return branching random walks from either hilum, thick near it and thin towards the pleura."""
    points, radii = [], []
    for side in (-1.0, 1.0):
        hilum = np.array([140.0, 0.0, side * 30.0])
        tips = [(hilum, _direction(rng, side), VESSEL_RADIUS_PIXELS[1]) for _ in range(14)]
        while tips:
            position, direction, radius = tips.pop()
            walk = np.cumsum(rng.normal(0, 0.18, (int(rng.uniform(12, 26)), 3)), axis=0) + direction
            walk /= np.linalg.norm(walk, axis=1, keepdims=True)
            path = position + VESSEL_STEP_MM * np.cumsum(walk, axis=0)
            points.append(path)
            radii.append(np.full(len(path), radius))
            if radius > VESSEL_RADIUS_PIXELS[0] * 1.05:
                finer = max(radius * 0.75, VESSEL_RADIUS_PIXELS[0])
                tips += [(path[-1], walk[-1] + rng.normal(0, 0.5, 3), finer) for _ in range(2)]
    return _draw_balls(np.concatenate(points), np.concatenate(radii), lobes.shape, spacing)


def _direction(rng: np.random.Generator, side: float) -> NDArray[np.float64]:
    direction = np.array([rng.normal(0, 0.9), rng.normal(0, 0.9), side * rng.uniform(0.4, 1.2)])
    return direction / np.linalg.norm(direction)


def _draw_balls(
    points: Grid, radii: Grid, shape: tuple[int, ...], spacing: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Set the voxels within each radius (pixels in the plane, the same length along the body) of points in mm."""
    centres = (points + np.array([0.0, FIELD_MM / 2, FIELD_MM / 2])) / spacing - 0.5
    reach = np.stack([np.maximum(radii * spacing[2] / spacing[0], 0.5), radii, radii], axis=1)
    nearest = np.rint(centres).astype(int)
    drawn = np.zeros(shape, dtype=bool)
    most = np.ceil(reach.max(axis=0)).astype(int)
    for offset in np.ndindex(*(2 * most + 1)):
        voxels = nearest + (np.array(offset) - most)
        close = (((voxels - centres) / reach) ** 2).sum(axis=1) <= 1
        inside = close & (voxels >= 0).all(axis=1) & (voxels < shape).all(axis=1)
        drawn[tuple(voxels[inside].T)] = True
    return drawn


def _fill(hu: Grid, mask: NDArray[np.bool_], density: tuple[float, float], rng: np.random.Generator) -> None:
    hu[mask] = rng.normal(*density, int(mask.sum()))


def _add_streaks(hu: Grid, lung: NDArray[np.bool_], rng: np.random.Generator) -> None:
    """Brighten short lines just behind the front edge of the lung in half of the slices."""
    occupied = np.flatnonzero(lung.any(axis=(1, 2)))
    size = hu.shape[1]
    for index in rng.choice(occupied, occupied.size // 2, replace=False):
        columns = np.flatnonzero(lung[index].any(axis=0))
        front = lung[index].argmax(axis=0)
        for _ in range(2):
            start = int(rng.choice(columns))
            length, depth = int(size * rng.uniform(0.04, 0.08)), int(size * rng.uniform(0.012, 0.03)) + 1
            for column in range(start, min(start + length, size)):
                rows = slice(front[column] + depth, front[column] + depth + max(size // 128, 1))
                hu[index, rows, column] += STREAK * lung[index, rows, column]
