"""LabelMe annotations: the JSON files that its desktop tool writes, as outlines and as a mask.

Only outlines and labels come out: the picture that a file may carry, and the name of the labelled file, stay in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.atomic import write_json
from medtools.core.errors import InputError
from medtools.io.guard import printable, read_object

MAX_POINTS = 100_000
"""Most points of a file."""

_MAX_SIDE = 2**16
_CIRCLE = np.linspace(0, 2 * np.pi, 64, endpoint=False)
_WITHOUT_AREA = frozenset({"point", "points", "line", "linestrip"})


@dataclass(frozen=True)
class Outline:
    """One labelled area.

    Attributes
    ----------
    label : str
        As typed; may be free text.
    points : (n, 2) float64
        Corners, x to the right and y down in pixels of the labelled image, whose upper left corner is (0, 0).
    """

    label: str
    points: NDArray[np.float64]


@dataclass(frozen=True)
class Annotation:
    """What was drawn on an image.

    Attributes
    ----------
    size : (height, width) or None
        Of the labelled image; None where the file does not say.
    outlines : tuple of Outline
    """

    size: tuple[int, int] | None
    outlines: tuple[Outline, ...]


def read_labelme(path: str | Path) -> Annotation:
    """Read polygons, rectangles and circles; points and lines have no area and are left out.

    Raises
    ------
    InputError
        Missing, damaged or foreign file, an unknown kind of shape, coordinates that are no finite numbers, too few
        or too many of them. Shapes are named by their number, not by their label.
    """
    where, content = printable(path), read_object(path)
    shapes = content.get("shapes")
    if not isinstance(shapes, list):
        raise InputError(where, "has no list `shapes`: this is no LabelMe file", "export JSON from LabelMe")
    size = _size(where, content.get("imageHeight"), content.get("imageWidth"))
    found, total = [], 0
    for number, shape in enumerate(shapes, start=1):
        points = _points(where, number, shape)
        total += len(points)
        if total > MAX_POINTS:
            raise InputError(where, f"more than {MAX_POINTS} points", "simplify the outlines")
        kind = shape.get("shape_type") or "polygon"
        if kind not in _WITHOUT_AREA:
            found.append(Outline(str(shape.get("label") or ""), _corners(where, number, kind, points)))
    return Annotation(size, tuple(found))


def write_labelme(path: str | Path, image: str, size: tuple[int, int], outlines: Iterable[Outline]) -> None:
    """Write polygons as LabelMe does, without the picture.

    Parameters
    ----------
    path : str or Path
    image : str
        Name of the labelled file.
    size : (height, width)
        Of the labelled image.
    outlines : iterable of Outline
    """
    shapes = [
        {"label": one.label, "points": one.points.tolist(), "group_id": None, "shape_type": "polygon", "flags": {}}
        for one in outlines
    ]
    content: dict[str, Any] = {"version": "5.0.0", "flags": {}, "shapes": shapes, "imagePath": image, "imageData": None}
    write_json(Path(path), content | {"imageHeight": size[0], "imageWidth": size[1]})


def mask_of(outlines: Sequence[NDArray[np.float64]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Fill outlines: a pixel belongs to one if its centre lies inside (even-odd rule), and to the mask if to any.

    Parameters
    ----------
    outlines : sequence of (n, 2) float64
        Corners x, y; pixel (0, 0) covers 0 to 1 in both. What lies beyond the image is cut off.
    size : (height, width)

    Returns
    -------
    (height, width) bool
    """
    mask = np.zeros(size, dtype=np.bool_)
    for points in outlines:
        mask |= _filled(points, size)
    return mask


def mask_for(path: str | Path, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Read a file and fill its outlines on the grid of the image they belong to, (height, width) bool.

    Outlines drawn on an enlarged or reduced picture of the image are scaled.

    Raises
    ------
    InputError
        As `read_labelme`; or the labelled picture has other proportions than the image.
    """
    annotation = read_labelme(path)
    height, width = annotation.size or size
    if abs(height * size[1] - width * size[0]) > max(height, width, *size):  # more than a pixel's rounding
        found = f"was drawn on {height}×{width} pixels, the image has {size[0]}×{size[1]}"
        raise InputError(printable(path), found, "give the annotation of this image")
    scale = np.array([size[1] / width, size[0] / height])
    return mask_of([one.points * scale for one in annotation.outlines], size)


def _size(where: str, height: Any, width: Any) -> tuple[int, int] | None:
    if height is None and width is None:
        return None
    for side in (height, width):
        if not isinstance(side, int) or isinstance(side, bool) or not 1 <= side <= _MAX_SIDE:
            raise InputError(where, "imageHeight and imageWidth are no usable size", "export it from LabelMe again")
    return height, width


def _points(where: str, number: int, shape: Any) -> NDArray[np.float64]:
    points = shape.get("points") if isinstance(shape, dict) else None
    if not isinstance(points, list):
        raise InputError(where, f"shape {number} has no points", "export it from LabelMe again")
    for point in points:
        pair = isinstance(point, list) and len(point) == 2
        if not pair or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in point):
            raise InputError(where, f"shape {number}: a point is no pair of numbers", "export it from LabelMe again")
    far = any(not abs(value) <= _MAX_SIDE for point in points for value in point)  # NaN is not near either
    if far:
        raise InputError(where, f"shape {number}: a coordinate is not finite or far outside any image")
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def _corners(where: str, number: int, kind: Any, points: NDArray[np.float64]) -> NDArray[np.float64]:
    if kind == "rectangle" and len(points) == 2:
        (left, top), (right, bottom) = points
        return np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    if kind == "circle":
        if len(points) != 2:
            raise InputError(where, f"shape {number}: a circle of {len(points)} points, expected centre and rim")
        radius = math.dist(points[0], points[1])
        return points[0] + radius * np.stack([np.cos(_CIRCLE), np.sin(_CIRCLE)], axis=1)
    if kind not in ("polygon", "rectangle", "oriented_rectangle"):
        raise InputError(where, f"shape {number} is no polygon, rectangle or circle", "draw it as a polygon")
    if len(points) < 3:
        raise InputError(where, f"shape {number}: {len(points)} points enclose no area", "draw it again")
    return points


def _filled(points: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Cross every edge row by row: each crossing turns all that lies to its right."""
    inside = np.zeros(size, dtype=np.bool_)
    centres = np.arange(size[1]) + 0.5
    for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        low, high = min(y1, y2), max(y1, y2)
        rows = np.arange(max(0, math.ceil(low - 0.5)), min(size[0], math.ceil(high - 0.5)))
        crossing = x1 + (rows + 0.5 - y1) * (x2 - x1) / (y2 - y1)
        inside[rows] ^= centres >= crossing[:, None]
    return inside
