"""Made cardiac SPECT slices: a ventricle in its myocardium and a liver, with blur and counting noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from medtools.core.atomic import write_text
from medtools.core.manifest import write_manifest
from medtools.core.progress import track
from medtools.core.seeds import generator
from medtools.core.stage import Job
from medtools.io.nifti import write_volume
from medtools.preprocess.spect.normalise import min_max

LANDMARKS = ("heart_centroid", "ventricle_centroid", "liver_centroid", "wedge_midpoint", "lowest_myocardium")
"""What a made slice has marked; the wedge is the gap in the myocardium where the valves are."""

VENTRICLE, MYOCARDIUM, LIVER = 1, 2, 3
PIXEL_MM = 4.0
REFERENCE_SIZE = 64
"""Pixels along each side for which the lengths in pixels below are given; they grow with the size."""

_BACKGROUND = 0.08
_ACTIVITY = {VENTRICLE: 0.25, MYOCARDIUM: 1.0, LIVER: 0.75}
_COUNTS = 120
_BLUR_PX = 1.8

Array = NDArray[np.float64]


@dataclass(frozen=True)
class CardiacPhantom:
    """One made axial slice.

    Attributes
    ----------
    image : (size, size) float32
        Counts scaled to [0, 1]; rows front to back, columns from the patient's right to left.
    labels : (size, size) uint8
        0 background, 1 ventricle, 2 myocardium, 3 liver.
    landmarks : mapping
        Name (LANDMARKS) to (row, column) in pixels, 0 at the centre of the first pixel.
    """

    image: NDArray[np.float32]
    labels: NDArray[np.uint8]
    landmarks: Mapping[str, tuple[float, float]]


def cardiac_phantom(rng: np.random.Generator, size: int = REFERENCE_SIZE) -> CardiacPhantom:
    """Draw a subject: pose and shape of heart and liver, the camera's blur, Poisson counts.

    Parameters
    ----------
    rng : numpy.random.Generator
        Of everything that is drawn.
    size : int
        Pixels along each side.
    """
    unit = size / REFERENCE_SIZE
    rows, columns = np.mgrid[:size, :size].astype(np.float64)
    centre = np.array([0.45, 0.52]) * size + rng.uniform(-3, 3, 2) * unit
    ratio, turn = rng.uniform(0.8, 1.0), rng.uniform(0, np.pi)
    radius, wall = rng.uniform(0.20, 0.25) * size, rng.uniform(0.07, 0.10) * size
    half_width, towards = rng.uniform(0.3, 0.6), rng.uniform(0, 2 * np.pi)
    along, across = _turned(rows - centre[0], columns - centre[1], turn)
    distance, angle = np.hypot(along, across / ratio), np.arctan2(across / ratio, along)
    off_wedge = np.abs(np.angle(np.exp(1j * (angle - towards)))) > half_width

    liver_centre = np.array([0.82, 0.25]) * size + rng.uniform(-1, 1, 2) * (2, 3) * unit
    half_axes = rng.uniform(0.13, 0.18) * size, rng.uniform(0.22, 0.28) * size
    liver = np.hypot((rows - liver_centre[0]) / half_axes[0], (columns - liver_centre[1]) / half_axes[1]) <= 1

    labels = np.zeros((size, size), dtype=np.uint8)
    labels[liver & (distance > radius)] = LIVER
    labels[(distance <= radius) & (distance > radius - wall) & off_wedge] = MYOCARDIUM
    labels[distance <= radius - wall] = VENTRICLE
    activity = np.full((size, size), _BACKGROUND)
    for label, value in _ACTIVITY.items():
        activity[labels == label] = value
    blurred = ndimage.gaussian_filter(activity, _BLUR_PX * unit)
    image = min_max(rng.poisson(blurred * _COUNTS) / _COUNTS).astype(np.float32)
    middle = radius - wall / 2
    # Back from the ellipse's own axes to rows and columns.
    row, column = _turned(middle * np.cos(towards), ratio * middle * np.sin(towards), -turn)
    return CardiacPhantom(image, labels, _landmarks(labels, (centre[0] + row, centre[1] + column)))


def write_cohort(job: Job, *, subjects: int, size: int) -> None:
    """Write made subjects as a BIDS-like folder with a manifest: `sub-01/spect/sub-01_spect.nii.gz` and so on.

    Each subject has an image of one slice, its label map (`_dseg`) and its landmarks (`_landmarks.csv`: name, row and
    column in pixels of the slice as it is shown: from the front, from the patient's right).
    """
    pixel_mm = PIXEL_MM * REFERENCE_SIZE / size
    affine = np.diag([-pixel_mm, -pixel_mm, -PIXEL_MM, 1.0])
    names = [f"sub-{number:02d}" for number in range(1, subjects + 1)]
    rows = []
    for name in track(names, "subjects"):
        made = cardiac_phantom(generator(job.seed, "cardiac phantom", name), size)
        stem = job.out / name / "spect" / name
        paths = {
            kind: stem.with_name(f"{name}_{ending}")
            for kind, ending in (
                ("image", "spect.nii.gz"),
                ("labels", "dseg.nii.gz"),
                ("landmarks", "landmarks.csv"),
            )
        }
        write_volume(paths["image"], made.image.T[:, :, None], affine)
        write_volume(paths["labels"], made.labels.T[:, :, None], affine)
        lines = [f"{key},{row:.3f},{column:.3f}" for key, (row, column) in made.landmarks.items()]
        write_text(paths["landmarks"], "\n".join(["name,row,col", *lines]) + "\n")
        job.wrote(*paths.values())
        rows.append({"id": name, "subject": name, **paths})
    write_manifest(job.out / "manifest.tsv", list(rows[0]), rows)
    job.wrote(job.out / "manifest.tsv")


def _turned(rows: Array | float, columns: Array | float, turn: float) -> tuple[Array, Array]:
    """Coordinates along axes that are turned by `turn` radians."""
    cos, sin = np.cos(turn), np.sin(turn)
    return rows * cos + columns * sin, columns * cos - rows * sin


def _landmarks(labels: NDArray[np.uint8], wedge: tuple[float, float]) -> dict[str, tuple[float, float]]:
    heart, myocardium = np.isin(labels, (VENTRICLE, MYOCARDIUM)), np.argwhere(labels == MYOCARDIUM)
    lowest = myocardium[myocardium[:, 0] == myocardium[:, 0].max()].mean(axis=0)
    places = (_centroid(heart), _centroid(labels == VENTRICLE), _centroid(labels == LIVER), wedge, lowest)
    return {name: (float(place[0]), float(place[1])) for name, place in zip(LANDMARKS, places, strict=True)}


def _centroid(mask: NDArray[np.bool_]) -> Array:
    centre: Array = np.argwhere(mask).mean(axis=0)
    return centre
