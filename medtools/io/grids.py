"""Volumes on a regular grid in space: OpenDX, MRC 2014 and NPZ, as molecular viewers read them."""

from __future__ import annotations

import dataclasses
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.atomic import atomic_path, write_bytes, write_text
from medtools.core.errors import InputError, RefusedError
from medtools.io.arrays import read_npz
from medtools.io.structure import read_text

MAX_VOXELS = 1 << 27
_MRC_HEADER_BYTES = 1024


@dataclasses.dataclass(frozen=True)
class Grid:
    """A volume of cubic voxels, its axes along x, y and z.

    Attributes
    ----------
    values : (nx, ny, nz) float32
    origin : (3,) float64
        Centre of voxel (0, 0, 0), angstrom.
    spacing : float
        Edge of a voxel, angstrom.
    """

    values: NDArray[np.float32]
    origin: NDArray[np.float64]
    spacing: float


def write_grid(path: str | Path, grid: Grid) -> None:
    """Write a volume as `.dx` (OpenDX text), `.mrc` (MRC 2014, float32) or `.npz` (values, origin, spacing).

    Raises
    ------
    InputError
        The suffix is another one.
    """
    writers = {".dx": _write_dx, ".mrc": _write_mrc, ".npz": _write_npz}
    suffix = Path(path).suffix.lower()
    if suffix not in writers:
        raise InputError(path, f"grids are written as {', '.join(writers)}, not {suffix or 'without a suffix'}")
    writers[suffix](Path(path), grid)


def read_grid(path: str | Path, *, max_voxels: int = MAX_VOXELS) -> Grid:
    """Read what `write_grid` writes; the declared size is checked before anything is allocated.

    Raises
    ------
    InputError
        Missing, truncated or foreign file, voxels that are not cubes, values that are not finite.
    RefusedError
        More than `max_voxels` voxels are declared.
    """
    path = Path(path)
    readers = {".dx": _read_dx, ".mrc": _read_mrc, ".npz": _read_npz}
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise InputError(path, f"expected a grid as {', '.join(readers)}, found {suffix or 'no suffix'}")
    if not path.is_file():
        raise InputError(path, "no such file")
    grid = readers[suffix](path, max_voxels)
    if not np.isfinite(grid.values).all():
        raise InputError(path, "a voxel is not a finite number")
    return grid


def _write_dx(path: Path, grid: Grid) -> None:
    nx, ny, nz = grid.values.shape
    x, y, z = grid.origin.tolist()
    step = f"{grid.spacing:.6f}"
    lines = [
        f"object 1 class gridpositions counts {nx} {ny} {nz}",
        f"origin {x:.6f} {y:.6f} {z:.6f}",
        f"delta {step} 0 0",
        f"delta 0 {step} 0",
        f"delta 0 0 {step}",
        f"object 2 class gridconnections counts {nx} {ny} {nz}",
        f"object 3 class array type double rank 0 items {grid.values.size} data follows",
    ]
    flat = [f"{value:.6g}" for value in grid.values.ravel().tolist()]  # the z index runs fastest
    lines += [" ".join(flat[i : i + 3]) for i in range(0, len(flat), 3)]
    lines += ['attribute "dep" string "positions"', 'object "probability" class field']
    write_text(path, "\n".join(lines) + "\n")


def _read_dx(path: Path, max_voxels: int) -> Grid:
    counts: tuple[int, ...] = ()
    origin: list[float] = []
    deltas: list[list[float]] = []
    lines = iter(read_text(path).splitlines())
    try:
        for line in lines:
            if "gridpositions" in line:
                counts = tuple(int(word) for word in line.split()[-3:])
            elif line.startswith("origin"):
                origin = [float(word) for word in line.split()[1:4]]
            elif line.startswith("delta"):
                deltas.append([float(word) for word in line.split()[1:4]])
            elif "data follows" in line:
                break
        spacing = _cubic_spacing(path, np.array(deltas, dtype=np.float64))
        size = _checked_size(path, counts, max_voxels)
        values: list[float] = []
        for line in lines:
            if len(values) >= size:
                break
            values += map(float, line.split())
    except ValueError as error:
        raise InputError(path, f"not an OpenDX grid ({error})") from error
    if len(origin) != 3 or len(values) != size:
        raise InputError(path, f"declares {size} voxels and has {len(values)}", "the file looks truncated")
    return Grid(np.array(values, dtype=np.float32).reshape(counts), np.array(origin), spacing)


def _write_mrc(path: Path, grid: Grid) -> None:
    """Write mode 2 (float32) with x fastest; the origin goes to words 50-52, as ChimeraX and PyMOL expect."""
    nx, ny, nz = grid.values.shape
    values = np.ascontiguousarray(grid.values.transpose(2, 1, 0), dtype="<f4")
    header = struct.pack("<10i", nx, ny, nz, 2, 0, 0, 0, nx, ny, nz)
    header += struct.pack("<6f", *(n * grid.spacing for n in (nx, ny, nz)), 90.0, 90.0, 90.0)
    header += struct.pack("<3i", 1, 2, 3)
    header += struct.pack("<3f", float(values.min()), float(values.max()), float(values.mean(dtype=np.float64)))
    header += struct.pack("<2i", 1, 0)
    header = header.ljust(104, b"\0") + struct.pack("<4si", b"\0\0\0\0", 20140)
    header = header.ljust(196, b"\0") + struct.pack("<3f", *grid.origin.tolist()) + b"MAP " + b"\x44\x44\0\0"
    header += struct.pack("<f", float(values.std(dtype=np.float64)))
    write_bytes(path, header.ljust(_MRC_HEADER_BYTES, b"\0") + values.tobytes())


def _read_mrc(path: Path, max_voxels: int) -> Grid:
    available = path.stat().st_size
    with path.open("rb") as stream:
        header = stream.read(_MRC_HEADER_BYTES)
        if len(header) < _MRC_HEADER_BYTES or header[208:212] != b"MAP ":
            raise InputError(path, "not an MRC file (no 'MAP ' in a 1024-byte header)")
        nx, ny, nz, mode = struct.unpack_from("<4i", header)
        size = _checked_size(path, (nx, ny, nz), max_voxels)
        order = struct.unpack_from("<3i", header, 64)
        if mode != 2 or order != (1, 2, 3):
            raise InputError(path, f"mode {mode} with axis order {order}", "expected mode 2 (float32) and (1, 2, 3)")
        (extended,) = struct.unpack_from("<i", header, 92)
        if extended < 0 or available < _MRC_HEADER_BYTES + extended + 4 * size:
            raise InputError(path, f"declares {size} voxels but has {available} bytes", "the file looks truncated")
        stream.seek(extended, 1)
        values = np.frombuffer(stream.read(4 * size), dtype="<f4").reshape(nz, ny, nx).transpose(2, 1, 0)
    cell = np.array(struct.unpack_from("<3f", header, 40))
    intervals = np.maximum(struct.unpack_from("<3i", header, 28), 1)
    spacing = _cubic_spacing(path, np.diag(cell / intervals))
    return Grid(
        np.ascontiguousarray(values), np.array(struct.unpack_from("<3f", header, 196), dtype=np.float64), spacing
    )


def write_arrays(path: str | Path, arrays: Mapping[str, NDArray]) -> None:
    """Write arrays as a compressed `.npz`, the same bytes for the same content."""
    with atomic_path(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name, array in arrays.items():
            # A fixed date keeps the bytes the same from run to run.
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)


def _write_npz(path: Path, grid: Grid) -> None:
    write_arrays(path, {"values": grid.values, "origin": grid.origin, "spacing": np.array(grid.spacing)})


def _read_npz(path: Path, max_voxels: int) -> Grid:
    arrays = read_npz(path)
    if not {"values", "origin", "spacing"} <= set(arrays):
        raise InputError(path, f"holds {', '.join(arrays) or 'nothing'}", "a grid has values, origin and spacing")
    values, origin, spacing = arrays["values"], arrays["origin"], arrays["spacing"]
    if values.ndim != 3 or origin.shape != (3,) or spacing.shape != () or not spacing > 0:
        raise InputError(path, f"values of shape {values.shape}, origin {origin.shape}, spacing {spacing}")
    _checked_size(path, values.shape, max_voxels)
    return Grid(values.astype(np.float32), origin.astype(np.float64), float(spacing))


def _checked_size(path: Path, counts: tuple[int, ...], max_voxels: int) -> int:
    if len(counts) != 3 or min(counts) < 1:
        raise InputError(path, f"declares the size {counts}", "expected three positive numbers")
    size = counts[0] * counts[1] * counts[2]
    if size > max_voxels:
        raise RefusedError(f"{path}: declares {size} voxels, the limit is {max_voxels}")
    return size


def _cubic_spacing(path: Path, deltas: NDArray[np.float64]) -> float:
    if deltas.shape != (3, 3) or not np.isfinite(deltas).all() or not deltas[0, 0] > 0:
        raise InputError(path, "no grid spacing")
    if not np.allclose(deltas, np.eye(3) * deltas[0, 0], atol=1e-4 * deltas[0, 0]):
        raise InputError(path, "voxels are not cubes along x, y and z", "resample the grid")
    return float(deltas[0, 0])
