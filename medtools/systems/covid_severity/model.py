"""The method on arrays: from HU values and lobes to the infection mask, with every exclusion kept for inspection.

Stages carry the numbers of the card: 2 pleura, 3 organ linings, 4 vessels, 5 candidates by HU, 6 artefacts and
refinement (paper sections 2.2 to 2.6). No step learns, and no step is random.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.systems.covid_severity.morphology import (
    Mask,
    dilate_cross,
    dilate_square,
    erode_cross,
    fill_holes,
    label,
    remove_small,
    upper_edge,
)
from medtools.systems.covid_severity.organs import LEFT_LOBES, remove_organ_linings
from medtools.systems.covid_severity.vessels import bright_by_grey_level, bright_everywhere

Variant = Literal["paper", "code"]
Progress = Callable[[Iterable[Any], str, int], Iterable[Any]]

# What happened to a voxel, one bit each in `Segmentation.regions`.
PLEURA, ORGAN, VESSEL, ARTEFACT, CANDIDATE, INFECTION = (1 << bit for bit in range(6))
REGIONS = {
    "pleura": PLEURA,
    "organ": ORGAN,
    "vessel": VESSEL,
    "artefact": ARTEFACT,
    "candidate": CANDIDATE,
    "infection": INFECTION,
}
REFERENCE_PIXELS = 512 * 512


@dataclass(frozen=True)
class Method:
    """Every threshold and switch. The defaults are the paper's; `Method.script()` has the published script's.

    Areas are in pixels of a 512×512 matrix, HU bounds are inclusive.

    Attributes
    ----------
    pleura, organs, vessels, artefacts, refine : bool
        Whether stages 2, 3, 4, the artefact part and the size part of stage 6 are applied.
    hu_low, hu_high : float
        Window of infected lung in HU.
    zero_is_background : bool
        Drop voxels of exactly 0 HU, as the script does because it marks background with 0.
    other_lung : bool
        Clear the lining of the lung without the organ too (script only).
    min_component : int
        Components of fewer pixels are removed.
    min_artefact_component : int
        Components of fewer pixels are removed together with the artefacts; 0 for none.
    max_hole : int
        Holes of at most this many pixels are filled.
    isolated_slices : bool
        Drop the infection of slices whose two neighbours have none.
    script : bool
        Follow the script in what has no switch of its own: slice positions, the upward organ pass, and the rescaling
        of the vessel measure to the slice's largest value.
    scale_areas : bool
        Scale areas by the number of pixels relative to a 512×512 matrix.
    """

    pleura: bool = True
    organs: bool = True
    vessels: bool = True
    artefacts: bool = True
    refine: bool = True
    hu_low: float = -595.0
    hu_high: float = -1.0
    zero_is_background: bool = False
    other_lung: bool = False
    min_component: int = 30
    min_artefact_component: int = 0
    max_hole: int = 30
    isolated_slices: bool = False
    script: bool = False
    scale_areas: bool = True

    @classmethod
    def of(cls, variant: Variant) -> Method:
        """Return the paper's method, or what the published script does."""
        if variant == "paper":
            return cls()
        return cls(
            hu_low=-700.0,
            hu_high=30.0,
            zero_is_background=True,
            other_lung=True,
            min_artefact_component=46,
            max_hole=99,
            isolated_slices=True,
            script=True,
        )

    def without_removals(self) -> Method:
        """Return the trivial baseline: the HU window on the raw lung mask."""
        return replace(
            self, pleura=False, organs=False, vessels=False, artefacts=False, refine=False, isolated_slices=False
        )

    def area_scale(self, shape: tuple[int, ...]) -> float:
        """Return the pixels of this matrix per pixel of a 512×512 one, or 1 where areas are not scaled."""
        return shape[-2] * shape[-1] / REFERENCE_PIXELS if self.scale_areas else 1.0


@dataclass(frozen=True)
class Segmentation:
    """The result for one scan.

    Attributes
    ----------
    regions : (n_slices, height, width) uint8
        Bits PLEURA, ORGAN, VESSEL (lung left out), ARTEFACT (the zone where centroids count as motion), CANDIDATE
        (in the HU window, in the lung that is left) and INFECTION.
    organ_entry : int or None
        Slice in which an organ enters the lung.
    area_scale : float
        Factor applied to all areas.
    """

    regions: NDArray[np.uint8]
    organ_entry: int | None
    area_scale: float

    def mask(self, name: str) -> Mask:
        """Return one of `REGIONS` as a boolean volume."""
        return (self.regions & REGIONS[name]) != 0


def segment(
    hu: NDArray[Any],
    lobes: NDArray[np.uint8],
    thickness: float,
    method: Method | None = None,
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> Segmentation:
    """Segment infected lung, stages 2 to 6.

    Parameters
    ----------
    hu : (n_slices, height, width) array
        CT numbers in HU; slices head to feet, rows front to back, columns from the patient's right to left.
    lobes : (n_slices, height, width) uint8
        1 left upper, 2 left lower, 3 right upper, 4 right middle, 5 right lower lobe, 0 elsewhere.
    thickness : float
        Distance between slices in mm.
    method : Method, optional
        By default the paper's.
    threads : int
        Slices worked on at once; the result does not depend on it.
    progress : callable, optional
        `progress(items, description, total)` yields the items and shows how far the work is.

    Returns
    -------
    Segmentation

    Raises
    ------
    InputError
        Shapes differ, there is a single slice, no lung, or no usable slice distance.
    """
    method = method or Method()
    _check(hu, lobes, thickness)
    scale = method.area_scale(hu.shape)
    positions = slice_positions(lobes, script=method.script)
    labels = lobes.copy()
    regions = np.zeros(lobes.shape, dtype=np.uint8)

    def first(index: int) -> None:
        if method.pleura:
            labels[index] = remove_pleura(labels[index])
        zone = artefact_zone(labels[index], positions[index]) if method.artefacts else np.zeros(hu.shape[1:], bool)
        lining = (lobes[index] != 0) & (labels[index] == 0)
        regions[index] = lining * np.uint8(PLEURA) | zone * np.uint8(ARTEFACT)

    def second(index: int) -> None:
        lung = labels[index] != 0
        current = regions[index]
        current[(lobes[index] != 0) & ((current & PLEURA) == 0) & ~lung] |= ORGAN
        if method.vessels:
            vessels = vessel_mask(hu[index], lung, scale, script=method.script)
            current[vessels] |= VESSEL
            lung = lung & ~vessels
        candidates = infection_candidates(hu[index], lung, method)
        current[candidates] |= CANDIDATE
        infection = refine(candidates, (current & ARTEFACT) != 0, method, scale)
        current[infection] |= INFECTION

    _for_slices(first, len(hu), threads, "pleura", progress)
    entry = None
    if method.organs:
        entry = remove_organ_linings(
            labels, positions, thickness, script=method.script, other_lung=method.other_lung, area_scale=scale
        )
    _for_slices(second, len(hu), threads, "vessels and infection", progress)
    if method.isolated_slices:
        drop_isolated_slices(regions)
    return Segmentation(regions, entry, scale)


def slice_positions(lobes: NDArray[np.uint8], *, script: bool = False) -> NDArray[np.float64]:
    """Return each slice's position in percent: 0 the first with lung, 100 the last, linear beyond both.

    The script divides by the number of lung slices instead of their steps, so that its last one lies below 100.
    """
    occupied = np.flatnonzero(lobes.any(axis=(1, 2)))
    first, last = int(occupied[0]), int(occupied[-1])
    steps = last - first + 1 if script else max(last - first, 1)
    positions: NDArray[np.float64] = (np.arange(len(lobes), dtype=np.float64) - first) * (100.0 / steps)
    return positions


def remove_pleura(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Stage 2: erode one slice's lung by 3 pixels and keep the labels inside."""
    return np.where(erode_cross(labels != 0, 3), labels, np.uint8(0))


def vessel_mask(hu: NDArray[Any], lung: Mask, area_scale: float = 1.0, *, script: bool = False) -> Mask:
    """Stage 4: bright ridges and blobs of one slice with their linings, 460-pixel vessels widened once more.

    Parameters
    ----------
    hu : (height, width) array
    lung : (height, width) bool
        Lung left by the earlier stages; outside it the image is set to 0 HU.
    area_scale : float
        Factor on the areas of 60 and 460 pixels.
    script : bool
        Stretch the measure to 0..255 by the slice's own largest value before comparing with 10.

    Returns
    -------
    (height, width) bool
        May reach past the lung by the width of the dilation.
    """
    bright = bright_by_grey_level(hu, lung, 10) if script else bright_everywhere(hu, lung, 10 / 255)
    vessels = dilate_square(remove_small(bright, 60 * area_scale), 2)
    return vessels | dilate_cross(remove_small(vessels, 460 * area_scale))


def infection_candidates(hu: NDArray[Any], lung: Mask, method: Method) -> Mask:
    """Stage 5: the lung that is left, inside the HU window."""
    inside = lung & (hu >= method.hu_low) & (hu <= method.hu_high)
    return inside & (hu != 0) if method.zero_is_background else inside


def artefact_zone(labels: NDArray[np.uint8], position: float) -> Mask:
    """Return where motion artefacts are likely: a band around the front edge of the lungs (paper section 2.5).

    Parameters
    ----------
    labels : (height, width) uint8
        Lobes after pleura removal.
    position : float
        Position of the slice in percent; near the apex the whole edge counts.
    """
    if position < 7:
        return dilate_square(upper_edge(labels != 0, 0.0), 10)
    left = np.isin(labels, LEFT_LOBES)
    edge = upper_edge((labels != 0) & ~left, 0.34) | upper_edge(left, 0.33)
    return dilate_square(edge, 10 if position > 15 else 7)


def refine(candidates: Mask, zone: Mask, method: Method, area_scale: float = 1.0) -> Mask:
    """Stage 6: drop small components and motion artefacts of one slice, then fill small holes."""
    mask = remove_small(candidates, method.min_component * area_scale) if method.refine else candidates
    if method.artefacts:
        mask = remove_artefacts(mask, zone, method.min_artefact_component * area_scale)
    return fill_holes(mask, method.max_hole * area_scale) if method.refine else mask


def remove_artefacts(mask: Mask, zone: Mask, min_size: float = 0.0) -> Mask:
    """Drop 8-connected components centred in the zone and smaller than half of it, and those below `min_size`."""
    if not mask.any():
        return mask
    labels, areas = label(mask, diagonal=True)
    rows, columns = np.nonzero(mask)
    component = labels[rows, columns]
    mean_row = np.rint(np.bincount(component, rows, len(areas))[1:] / areas[1:]).astype(int)
    mean_column = np.rint(np.bincount(component, columns, len(areas))[1:] / areas[1:]).astype(int)
    artefact = zone[mean_row, mean_column] & (areas[1:] < np.count_nonzero(zone) // 2)
    keep = np.concatenate([[False], ~artefact & (areas[1:] >= min_size)])
    return keep[labels]


def drop_isolated_slices(regions: NDArray[np.uint8]) -> None:
    """Clear the infection of slices without infection above and below, from the head on, in place."""
    infected: NDArray[np.bool_] = np.asarray((regions & INFECTION).any(axis=(1, 2)))
    for index in range(1, len(regions) - 1):
        if infected[index] and not infected[index - 1] and not infected[index + 1]:
            regions[index] &= np.uint8(0xFF ^ INFECTION)
            infected[index] = False


def _check(hu: NDArray[Any], lobes: NDArray[np.uint8], thickness: float) -> None:
    if hu.shape != lobes.shape:
        raise InputError("lobes", f"mask has shape {lobes.shape}, the CT {hu.shape}", "give the mask of this very scan")
    if hu.ndim != 3 or len(hu) < 2:
        raise InputError("CT", f"expected at least two slices, found an array of shape {hu.shape}")
    if min(hu.shape[1:]) < 16:
        raise InputError("CT", f"slices of {hu.shape[1]}×{hu.shape[2]} pixels are too small, expected at least 16×16")
    if lobes.max() > 5:
        raise InputError("lobes", f"label {int(lobes.max())} found, expected 0 to 5")
    if not lobes.any():
        raise InputError("lobes", "no lung: all labels are 0")
    if not np.isfinite(thickness) or thickness <= 0:
        raise InputError("CT", f"distance between slices is {thickness} mm", "fix the spacing in the header")


def _for_slices(
    work: Callable[[int], None], count: int, threads: int, description: str, progress: Progress | None
) -> None:
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        done: Iterator[Any] = pool.map(work, range(count))
        for _ in progress(done, description, count) if progress else done:
            pass
