"""The published COVID-19 severity procedure, step for step with the libraries it uses: OpenCV, ITK and scikit-image.

Written from the behaviour of the authors' script, as the peer that `benchmarks/ct.py` times and the tests compare with.
It works on whole 512×512 slices, one after another, as the script does.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import cv2
import itk
import numpy as np
from numpy.typing import NDArray
from skimage import morphology, segmentation

warnings.filterwarnings("ignore", "`binary_dilation` is deprecated", FutureWarning)

CROSS = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
ELLIPSE = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
Slice = NDArray[Any]


def published_procedure(hu: NDArray[Any], lobes: NDArray[np.uint8], thickness: float) -> NDArray[np.bool_]:
    """Return the infection mask of a scan (n_slices, 512, 512) with lobe labels 1-5, slices head to feet."""
    positions = slice_positions(lobes)
    pleura_free = np.stack([np.where(cv2.erode(on(s), CROSS, iterations=3) > 0, s, 0) for s in lobes])
    lung = pleura_free.copy()
    remove_organs(lung, positions, thickness)
    modified = [without_vessels(np.where(s > 0, h, 0).astype(np.float64), s) for h, s in zip(hu, lung, strict=True)]
    infection = []
    for index, labels in enumerate(modified):
        image = np.where(labels > 0, hu[index], 0)
        found = (image >= -700) & (image <= 30) & (image != 0)
        infection.append(refined(found, artefact_zone(pleura_free[index], positions[index])))
    for index in range(1, len(infection) - 1):
        if not infection[index - 1].any() and not infection[index + 1].any():
            infection[index][:] = False
    return np.stack(infection)


def on(mask: Slice) -> NDArray[np.uint8]:
    """Return 255 where the mask is set."""
    return np.where(mask != 0, 255, 0).astype(np.uint8)


def slice_positions(lobes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return each slice's position in percent of the lung."""
    occupied = [i for i, s in enumerate(lobes) if s.any()]
    step = 100 / (occupied[-1] - occupied[0] + 1)
    return np.array([(i - occupied[0]) * step for i in range(len(lobes))])


def upper_edge(mask: Slice, dropped: float) -> NDArray[np.uint8]:
    """Return the Canny edge without its lowest part."""
    edge = cv2.Canny(on(mask), 1, 1)
    rows = np.nonzero(edge)[0]
    if rows.size:
        edge[rows.max() - int((rows.max() - rows.min()) * dropped) :] = 0
    return edge


def wide_edge(mask: Slice, dropped: float, width: int) -> NDArray[np.bool_]:
    """Return the upper edge, widened."""
    return morphology.binary_dilation(upper_edge(mask, dropped) > 0, np.ones((width, width)))


def remove_organs(lung: NDArray[np.uint8], positions: NDArray[np.float64], thickness: float) -> None:
    """Clear organ linings."""
    for index, labels in enumerate(lung):
        if not 57 < positions[index] < 79:
            continue
        count, parts, stats, _ = cv2.connectedComponentsWithStats((labels == 0).astype(np.uint8), connectivity=8)
        if count == 3:
            organ = cv2.dilate((parts == stats[:, cv2.CC_STAT_AREA].argmin()).astype(np.uint8), ELLIPSE, iterations=2)
            remove_other_lung(organ, lung, index, thickness)
            remove_upward(organ, lung, index, thickness)
            remove_base(lung, remove_downward(organ, lung, index, thickness, positions))
            return
    remove_base(lung, int(np.abs(positions - 68).argmin()))


def remove_upward(organ: Slice, lung: NDArray[np.uint8], entry: int, thickness: float) -> None:
    """Clear them above the organ's entry."""
    index, depth = entry - 1, thickness
    while depth < 4:
        lung[index][(lung[index + 1] == 0) | (organ != 0)] = 0
        lung[index][wide_edge(lung[index], 0.6, 3)] = 0
        index, depth = index - 1, depth + thickness


def remove_downward(
    organ: Slice, lung: NDArray[np.uint8], entry: int, thickness: float, positions: NDArray[np.float64]
) -> int:
    """Clear them below it; return where the base begins."""
    organ = cv2.dilate(organ, ELLIPSE, iterations=10)
    index, depth = entry, 0.0
    while positions[index] < 87 and index < len(lung) - 1:
        lung[index][lung[index + 1] == 0] = 0
        if depth <= 12:
            lung[index][organ != 0] = 0
            lung[index][wide_edge(lung[index], 0.55, 3)] = 0
            organ = cv2.dilate(organ, ELLIPSE, iterations=math.ceil(thickness) + 1)
        index, depth = index + 1, depth + thickness
    return index


def remove_base(lung: NDArray[np.uint8], start: int) -> None:
    """Clear the lining of the base."""
    for index in range(start, len(lung) - 1):
        edge = wide_edge(lung[index], 0.6, 3)
        lung[index][lung[index + 1] == 0] = 0
        lung[index][edge] = 0
        lung[index][np.roll(lung[index], 7, axis=0) == 0] = 0


def remove_other_lung(organ: Slice, lung: NDArray[np.uint8], entry: int, thickness: float) -> None:
    """Only for an organ in the right lung: the other case of the script reads beyond its own lists."""
    index, depth, slices, copies = entry, 0.0, [], []
    while depth <= 15 and index < len(lung):
        other = np.where((lung[index] == 1) | (lung[index] == 2), 1, 0)
        slices.append(index)
        copies.append(other)
        lung[index][wide_edge(other, 0.4, 12)] = 0
        index, depth = index + 1, depth + thickness
    if index >= len(lung):
        return
    areas = [int(copy.sum()) for copy in copies]
    at, depth = int(np.abs(np.diff(areas)).argmax()), 0.0
    while 0 <= at < len(areas) and areas[at] > 50 and depth < 4:
        below = slices[at] + 1
        lung[below][lung[below + 1] == 0] = 0
        lung[below + 1][wide_edge(copies[at + 1], 0.5, 12)] = 0
        at, depth = at - 1, depth + thickness


def vessel_filter(image: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Run ITK's multi-scale objectness with the script's settings, stretched to 0..255."""
    view = itk.GetImageViewFromArray(np.ascontiguousarray(image))
    image_type = type(view)
    hessian_type = itk.Image[itk.SymmetricSecondRankTensor[itk.D, 2], 2]
    measure = itk.HessianToObjectnessMeasureImageFilter[hessian_type, image_type].New(
        BrightObject=False, ScaleObjectnessMeasure=False, Alpha=0.5, Beta=1.0, Gamma=5.0
    )
    scales = itk.MultiScaleHessianBasedMeasureImageFilter[image_type, hessian_type, image_type].New(view)
    scales.SetHessianToMeasureFilter(measure)
    scales.SetSigmaStepMethodToLogarithmic()
    stretch = itk.RescaleIntensityImageFilter[image_type, itk.Image[itk.UC, 2]].New(scales)
    stretch.Update()
    return np.array(itk.GetArrayViewFromImage(stretch.GetOutput()))


def without_vessels(image: NDArray[np.float64], labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Clear vessels and their linings from a slice."""
    bright = (vessel_filter(image) <= 10) & (labels != 0)
    bright = morphology.remove_small_objects(bright, max_size=59, connectivity=1)
    bright = morphology.binary_dilation(bright, np.ones((2, 2)))
    bright |= morphology.binary_dilation(morphology.remove_small_objects(bright, max_size=459, connectivity=1))
    return np.where(bright, 0, labels).astype(np.uint8)


def artefact_zone(labels: NDArray[np.uint8], position: float) -> NDArray[np.bool_]:
    """Return where motion artefacts are sought."""
    if position < 7:
        return wide_edge(labels, 0, 10)
    left = np.isin(labels, (1, 2))
    edge = upper_edge((labels != 0) & ~left, 0.34) | upper_edge(left, 0.33)
    width = 10 if position > 15 else 7
    return morphology.binary_dilation(edge > 0, np.ones((width, width)))


def refined(found: NDArray[np.bool_], zone: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Drop small parts and artefacts, fill holes."""
    found = morphology.remove_small_objects(found, max_size=29, connectivity=1)
    count, parts, stats, centroids = cv2.connectedComponentsWithStats(found.astype(np.uint8), connectivity=8)
    places = np.stack(np.nonzero(zone)[::-1], axis=1)
    for part in range(1, count):
        area = stats[part, cv2.CC_STAT_AREA]
        in_zone = (places == np.rint(centroids[part])).all(axis=1).any()
        if area < 46 or (in_zone and area < len(places) // 2):
            found[parts == part] = False
    filled = morphology.remove_small_holes(found, max_size=99)
    return segmentation.watershed(filled, found.astype(int), mask=filled) > 0
