"""Volumes as stacks of 8-bit square slices with label maps, on disk and in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from medtools.core.errors import InputError
from medtools.core.manifest import Manifest, read_manifest
from medtools.core.tables import read_tsv, write_tsv
from medtools.io.arrays import read_npz
from medtools.io.grids import write_arrays
from medtools.io.guard import printable
from medtools.preprocess.ct.grid import SliceGrid
from medtools.systems.local_prototype.cohort import Organ

ORGANS = "organs.tsv"
ORGAN_COLUMNS = ("value", "name", "group")
_KEYS = ("image", "affine", "shape")
_WIDEST = 2**14


@dataclass(frozen=True)
class Stack:
    """One prepared volume.

    Attributes
    ----------
    id, part : str
        Identifier; train, support or query.
    image : (slices, size, size) uint8
        Slices head to feet, each stretched to 0..255.
    labels : (slices, height, width) uint8
        Label map at the volume's own resolution, in the same order.
    grid : SliceGrid
        Of the volume's file.
    labelled : bool
        False for a query that came without a label map; its labels are all 0.
    """

    id: str
    part: str
    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    grid: SliceGrid
    labelled: bool = True

    def mask(self, organ: Organ) -> NDArray[np.bool_]:
        """Where the organ is, (slices, height, width)."""
        return self.labels == organ.value


def stretch(slices: NDArray[Any], size: int) -> NDArray[np.uint8]:
    """Bring slices to `size` squared pixels, each from its least value at 0 to its largest at 255.

    Slices that are not square are padded to a square first, so that nothing is distorted; a constant slice is 0.

    Parameters
    ----------
    slices : (n, height, width)

    Raises
    ------
    InputError
        A value is not finite.
    """
    if not np.isfinite(slices).all():
        raise InputError("image", "a voxel is not a finite number")
    values = slices.astype(np.float32)
    low, high = values.min(axis=(1, 2), keepdims=True), values.max(axis=(1, 2), keepdims=True)
    scaled = (values - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    square = _to_square(torch.from_numpy(scaled * (high > low)))
    resized = functional.interpolate(square[:, None], size=(size, size), mode="bilinear", antialias=True)[:, 0]
    return (resized.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def masks_at(masks: NDArray[np.bool_], size: int) -> torch.Tensor:
    """Bring (n, height, width) masks to (n, size, size) float32, the nearest pixel deciding."""
    square = _to_square(torch.from_numpy(masks.astype(np.float32)))
    return functional.interpolate(square[:, None], size=(size, size), mode="nearest-exact")[:, 0]


def back_to_slices(maps: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Undo the resizing and padding of `stretch` for (n, size, size) maps, bilinearly."""
    side = max(height, width)
    raised = functional.interpolate(maps[:, None], size=(side, side), mode="bilinear", align_corners=False)[:, 0]
    top, left = (side - height) // 2, (side - width) // 2
    return raised[:, top : top + height, left : left + width]


def write_stack(path: Path, image: NDArray[np.uint8], labels: NDArray[np.uint8] | None, grid: SliceGrid) -> None:
    """Write one prepared volume; None for the labels of a query without a label map."""
    known = {} if labels is None else {"labels": labels}
    write_arrays(path, {"image": image, **known, "affine": grid.affine, "shape": np.array(grid.shape)})


def read_stack(path: Path, identifier: str, part: str) -> Stack:
    """Read one prepared volume.

    Raises
    ------
    InputError
        The file is damaged, or was not made by `medtools preprocess`.
    """
    arrays = read_npz(path)
    if not set(_KEYS) <= arrays.keys() or ("labels" not in arrays and part != "query"):
        raise InputError(path, "holds no prepared volume", "run `medtools preprocess local-prototype slices` first")
    shape = (int(arrays["shape"][0]), int(arrays["shape"][1]), int(arrays["shape"][2]))
    grid = SliceGrid.of(shape, arrays["affine"], str(path))
    if "labels" in arrays:
        return Stack(identifier, part, arrays["image"], arrays["labels"], grid)
    sizes = [shape[axis] for axis in grid.axes]
    if sizes[0] != len(arrays["image"]) or not 0 < max(sizes[1:]) <= _WIDEST:
        raise InputError(path, f"{len(arrays['image'])} slices on a grid of {shape}", "prepare it again")
    nothing = np.zeros(sizes, dtype=np.uint8)
    return Stack(identifier, part, arrays["image"], nothing, grid, labelled=False)


def load_manifest(inputs: Sequence[Path]) -> tuple[Manifest, tuple[Organ, ...]]:
    """Read the manifest (or that of a folder) and the organ table that `medtools preprocess` wrote.

    Raises
    ------
    InputError
        Not exactly one input, or a fault of either table.
    """
    if len(inputs) != 1:
        raise InputError("INPUT", f"expected one manifest of prepared slices, found {len(inputs)}")
    path = inputs[0] / "manifest.tsv" if inputs[0].is_dir() else inputs[0]
    manifest = read_manifest(path, ("slices",))
    manifest.labels("split", ("train", "support", "query"))
    return manifest, read_organs(path.parent / ORGANS)


def load_part(manifest: Manifest, *parts: str, ids: Sequence[str] = ()) -> list[Stack]:
    """Read the prepared volumes of some parts, or of these identifiers.

    Raises
    ------
    InputError
        There are none, an identifier is unknown, or volumes have slices of different sizes.
    """
    unknown = sorted(set(ids) - {row.id for row in manifest.rows})
    if unknown:
        raise InputError(manifest.path, f"no volume {unknown[0]!r} in it")
    rows = [row for row in manifest.rows if (row.id in ids if ids else row.get("split") in parts)]
    if not rows:
        raise InputError(manifest.path, f"no volume with split {' or '.join(parts)}", "set column split")
    stacks = [read_stack(row.paths["slices"], row.id, row.cells["split"]) for row in rows]
    sizes = {stack.image.shape[1] for stack in stacks}
    if len(sizes) > 1:
        raise InputError(manifest.path, f"volumes were prepared at different sizes {sorted(sizes)}")
    return stacks


def read_organs(path: Path) -> tuple[Organ, ...]:
    """Read the table of organs: value, name and, for pairs held out together, group.

    Raises
    ------
    InputError
        No such table, a column is missing, or a value is no whole number from 1 to 255.
    """
    columns, rows = read_tsv(path)
    if not {"value", "name"} <= set(columns):
        raise InputError(path, f"columns are {', '.join(columns)}", "expected value, name and group")
    return make_organs({row["name"]: row["value"] for row in rows}, {r["name"]: r.get("group", "") for r in rows}, path)


def write_organs(path: Path, organs: Sequence[Organ]) -> None:
    """Write the table of organs."""
    write_tsv(path, ORGAN_COLUMNS, [organ._asdict() for organ in organs])


def make_organs(values: Mapping[str, str], groups: Mapping[str, str], where: str | Path) -> tuple[Organ, ...]:
    """Return organs from names, values and groups as text; without a group an organ is one of its own."""
    organs = []
    for name, text in values.items():
        if not text.strip().isdecimal() or len(text) > 9 or not 1 <= int(text) <= 255:
            found = f"organ {printable(name)!r} has value {printable(text[:20])!r}"
            raise InputError(where, found, "expected a whole number from 1 to 255")
        organs.append(Organ(int(text), name, groups.get(name) or name))
    if len({organ.value for organ in organs}) < len(organs):
        raise InputError(where, "two organs have the same value")
    return tuple(organs)


def named(organs: Sequence[Organ], names: Sequence[str], where: str) -> list[Organ]:
    """Return the organs of these names or groups, in the table's order.

    Raises
    ------
    InputError
        A name is unknown.
    """
    known = {word for organ in organs for word in (organ.name, organ.group)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InputError(where, f"no organ {unknown[0]!r}", f"known: {', '.join(o.name for o in organs)}")
    return [organ for organ in organs if organ.name in names or organ.group in names]


def _to_square(slices: torch.Tensor) -> torch.Tensor:
    height, width = slices.shape[-2:]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return functional.pad(slices, (left, side - width - left, top, side - height - top))
