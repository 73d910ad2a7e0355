"""Bone scans of made patients: a skeleton with one-sided hot spots (metastases) or warm joints (arthritis)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from medtools.io.labelme import Outline

Array = NDArray[np.float64]
HEIGHT, WIDTH = 1024, 256
SPACING_MM = 2.26

_JOINTS = {
    "shoulder": ((215, 70), (215, 186)), "elbow": ((385, 45), (385, 211)), "hip": ((560, 95), (560, 161)),
    "knee": ((775, 95), (775, 166)),
}  # fmt: skip
_RIB_ROWS = range(235, 400, 17)
_VERTEBRA_ROWS = range(190, 471, 12)
_M_SITES = (("vertebra", 0.45), ("rib", 0.30), ("femur", 0.15), ("pelvis", 0.10))
_BLUR = 3.0
_ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)


@dataclass
class Patient:
    """What both views of a patient share: blobs of (row, column, sd of rows, sd of columns, uptake)."""

    spine: list[tuple[float, ...]] = field(default_factory=list)
    skeleton: list[tuple[float, ...]] = field(default_factory=list)
    front: list[tuple[float, ...]] = field(default_factory=list)
    metastases: list[tuple[float, ...]] = field(default_factory=list)
    arthritis: list[tuple[float, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class View:
    """One made image, and the lesions that show in it.

    Attributes
    ----------
    counts : (1024 / scale, 256 / scale) uint16
        Head at the top.
    outlines : tuple of Outline
        Ellipses at two standard deviations of each spot, labelled M or A.
    """

    counts: NDArray[np.uint16]
    outlines: tuple[Outline, ...]


def draw_patient(rng: np.random.Generator, label: str) -> Patient:
    """Draw a skeleton, and the lesions of `label` (N, M, A or MA)."""
    patient = Patient()

    def vary(value: float) -> float:
        return value * float(rng.uniform(0.8, 1.2))

    patient.spine = [(row, 128, 4, 6, vary(0.8)) for row in _VERTEBRA_ROWS]
    bones = patient.skeleton
    bones.append((120, 128, 34, 26, vary(0.35)))
    for row in _RIB_ROWS:
        uptake = vary(0.28)
        for step in range(1, 8):
            bones += [(row + 1.2 * step**1.4, 128 + side * (8 + 8 * step), 4, 5, uptake) for side in (-1, 1)]
    bones += [(520, 100, 22, 14, vary(0.55)), (520, 156, 22, 14, vary(0.55))]
    for side, column in ((-1, 97), (1, 163)):
        bones += [(row, column + side * (760 - row) / 60, 9, 6, vary(0.22)) for row in range(560, 761, 16)]
        bones += [(row, column, 9, 5, vary(0.18)) for row in range(790, 961, 16)]
    for places in _JOINTS.values():
        warmth = float(rng.uniform(1.0, 1.3))
        bones += [(row, column, 9, 9, vary(0.45) * warmth) for row, column in places]
    patient.front = [(290, 128, 40, 6, vary(0.3)), (545, 128, 14, 14, 0.8 * float(rng.lognormal(0, 0.7)))]
    bones += [(430, 108, 12, 8, vary(0.2)), (430, 148, 12, 8, vary(0.2))]
    if "M" in label:
        patient.metastases = _metastases(rng)
    if "A" in label:
        patient.arthritis = _arthritis(rng)
    return patient


def draw_view(rng: np.random.Generator, patient: Patient, view: str, scale: int) -> View:
    """Draw one view, `scale` pixels of 1024 by 256 becoming one; each lesion shows with probability 0.8."""
    posterior = view == "posterior"
    uptake = np.zeros((HEIGHT // scale, WIDTH // scale))
    body = [(300, 128, 150, 45, 0.02), (700, 128, 190, 34, 0.02)]
    lesions = [("M", blob) for blob in patient.metastases] + [("A", blob) for blob in patient.arthritis]
    seen = [lesion for lesion in lesions if rng.random() < 0.8]
    weighted: list[tuple[Sequence[tuple[float, ...]], float]] = [
        (body, 1.0),
        (patient.skeleton, 1.0),
        (patient.spine, 1.3 if posterior else 1.0),
    ]
    weighted += [(patient.front, 0.5 if posterior else 1.0), ([blob for _, blob in seen], 1.0)]
    for blobs, weight in weighted:
        for row, column, tall, wide, amount in blobs:
            _add(uptake, row / scale, column / scale, tall / scale, wide / scale, amount * weight)
    if posterior:
        uptake = uptake[:, ::-1]
    smooth = gaussian_filter(uptake, _BLUR / scale)
    strength = float(np.exp(rng.uniform(np.log(20), np.log(250))))
    counts = np.minimum(rng.poisson(smooth * strength), np.iinfo(np.uint16).max).astype(np.uint16)
    return View(counts, tuple(_outline(kind, blob, scale, mirrored=posterior) for kind, blob in seen))


def _outline(kind: str, blob: tuple[float, ...], scale: int, *, mirrored: bool) -> Outline:
    row, column, *spread, _ = blob
    tall, wide = (2 * np.hypot(sd, _BLUR) / scale for sd in spread)
    x, y = column / scale + 0.5 + wide * np.cos(_ANGLES), row / scale + 0.5 + tall * np.sin(_ANGLES)
    return Outline(kind, np.stack([WIDTH // scale - x if mirrored else x, y], axis=1).round(2))


def _metastases(rng: np.random.Generator) -> list[tuple[float, ...]]:
    spots: list[tuple[float, ...]] = []
    for _ in range(1 + int(rng.poisson(4))):
        site = str(rng.choice([name for name, _ in _M_SITES], p=[share for _, share in _M_SITES]))
        side = float(rng.choice([-1, 1]))
        places = {
            "vertebra": (rng.uniform(200, 465), 128 + side * rng.uniform(0, 5)),
            "rib": (rng.uniform(240, 400), 128 + side * rng.uniform(25, 60)),
            "femur": (rng.uniform(590, 740), 130 + side * 34),
            "pelvis": (rng.uniform(500, 540), 128 + side * rng.uniform(20, 36)),
        }
        row, column = places[site]
        size = float(rng.uniform(3, 7))
        spots.append((float(row), float(column), size, size, 0.6 * float(rng.uniform(1.5, 4))))
    return spots


def _arthritis(rng: np.random.Generator) -> list[tuple[float, ...]]:
    spots: list[tuple[float, ...]] = []
    others = [name for name in _JOINTS if name != "knee"]
    for _ in range(int(rng.integers(1, 3))):
        places = _JOINTS["knee" if rng.random() < 0.5 else str(rng.choice(others))]
        sides = places if rng.random() < 0.7 else [places[int(rng.integers(2))]]
        size, amount = float(rng.uniform(8, 12)), 0.5 * float(rng.uniform(1.3, 2))
        spots += [(row, column, size, size, amount) for row, column in sides]
    return spots


def _add(image: Array, row: float, column: float, tall: float, wide: float, amount: float) -> None:
    """Add a Gaussian blob, cut off at four standard deviations."""
    top, left = max(0, int(row - 4 * tall)), max(0, int(column - 4 * wide))
    bottom, right = int(row + 4 * tall) + 2, int(column + 4 * wide) + 2
    part = image[top:bottom, left:right]
    y = (np.arange(top, top + part.shape[0]) - row) / tall
    x = (np.arange(left, left + part.shape[1]) - column) / wide
    part += amount * np.exp(-0.5 * y**2)[:, None] * np.exp(-0.5 * x**2)[None]
