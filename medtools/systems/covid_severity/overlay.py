"""A CT slice with its lobes, its infection and everything that was left out, as pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.systems.covid_severity.model import ARTEFACT, CANDIDATE, INFECTION, ORGAN, PLEURA, VESSEL
from medtools.systems.covid_severity.morphology import dilate_cross, erode_cross

WINDOW_HU = (-1350.0, 150.0)  # lung window: centre -600, width 1500
NONE, INFECTED, VESSELS, ORGANS, PLEURAL, DROPPED = range(6)
CATEGORIES = {
    INFECTED: ("infection", (230, 25, 35)),
    VESSELS: ("vessel and lining", (70, 140, 255)),
    ORGANS: ("organ lining", (240, 150, 20)),
    PLEURAL: ("pleura", (150, 90, 200)),
    DROPPED: ("in HU window, dropped: artefact zone or too small", (250, 235, 60)),
}
ZONE_COLOUR = (120, 230, 230)
LOBE_COLOURS = {
    1: ("left upper", (86, 180, 233)),
    2: ("left lower", (0, 158, 115)),
    3: ("right upper", (204, 121, 167)),
    4: ("right middle", (150, 235, 60)),
    5: ("right lower", (213, 94, 0)),
}
LUNG_COLOURS = {1: ("left lung", (86, 180, 233)), 3: ("right lung", (204, 121, 167))}


def categories(regions: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return one category per pixel from the bits of `model.Segmentation.regions`, the last decision winning."""
    category = np.full(regions.shape, NONE, dtype=np.uint8)
    category[(regions & PLEURA) != 0] = PLEURAL
    category[(regions & ORGAN) != 0] = ORGANS
    category[(regions & VESSEL) != 0] = VESSELS
    category[((regions & CANDIDATE) != 0) & ((regions & INFECTION) == 0)] = DROPPED
    category[(regions & INFECTION) != 0] = INFECTED
    return category


def visible(regions: NDArray[np.uint8], lobes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the regions without what lies outside the lung mask (widened vessels, the artefact band)."""
    return np.where(lobes != 0, regions, regions & np.uint8(INFECTION))


def grey(hu: NDArray[Any]) -> NDArray[np.uint8]:
    """Return HU in the lung window as grey levels."""
    low, high = WINDOW_HU
    return np.rint(np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def paint(
    hu: NDArray[Any], lobes: NDArray[np.uint8], regions: NDArray[np.uint8], *, opacity: float = 0.55
) -> NDArray[np.uint8]:
    """Return one slice as colours: categories over grey, lobes outlined, the artefact band as a thin line.

    Parameters
    ----------
    hu : (height, width) array
    lobes, regions : (height, width) uint8
    opacity : float
        Of the categories, 0..1.

    Returns
    -------
    (height, width, 3) uint8
    """
    image = np.repeat(grey(hu)[..., None], 3, axis=-1)
    shown = categories(visible(regions, lobes))
    for number, (_, colour) in CATEGORIES.items():
        place = shown == number
        image[place] = np.rint((1 - opacity) * image[place] + opacity * np.array(colour)).astype(np.uint8)
    zone = (visible(regions, lobes) & ARTEFACT) != 0
    image[zone & ~erode_cross(zone) & (shown == NONE)] = ZONE_COLOUR
    for lobe, (_, colour) in LOBE_COLOURS.items():
        image[outline(lobes == lobe)] = colour
    return image


def outline(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the pixels just outside a mask, so that its own are not hidden."""
    return dilate_cross(mask) & ~mask


def lung_box(lobes: NDArray[np.uint8], margin: int) -> tuple[slice, slice]:
    """Return the rows and columns of a volume that hold its lungs, and a margin."""
    rows = np.flatnonzero(lobes.any(axis=(0, 2)))
    columns = np.flatnonzero(lobes.any(axis=(0, 1)))
    return (
        slice(max(int(rows[0]) - margin, 0), int(rows[-1]) + margin + 1),
        slice(max(int(columns[0]) - margin, 0), int(columns[-1]) + margin + 1),
    )
