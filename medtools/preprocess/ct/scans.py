"""Which scans a user means, and one scan made ready: HU slices, a checked mask, and the way back to its grid."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.manifest import Manifest, read_manifest, safe_name
from medtools.core.tables import read_tsv
from medtools.io.dicom import holds_dicom
from medtools.io.guard import printable
from medtools.io.volumes import SUFFIXES, is_volume_file, read_volume, stem
from medtools.preprocess.ct.checks import as_hu, as_labels, check_lobes, check_slices, check_whole_lung
from medtools.preprocess.ct.grid import SliceGrid
from medtools.preprocess.ct.params import ScanParams

Kind = Literal["lobes", "lungs"]
CARRIED = ("age", "sex", "grade", "group", "site", "split")
_MASK_ENDINGS = ("_lobes", "_lungs", "_mask", "_seg", "_label", "_infection", "_annotation")
_LARGEST_LABEL = {"lobes": 5, "lungs": 2}


@dataclass(frozen=True)
class Entry:
    """One scan as given.

    Attributes
    ----------
    id, subject : str
    ct : Path
        File, or folder of DICOM files.
    masks : mapping
        "lobes" or "lungs" to the file.
    cells : mapping
        Further cells of its manifest row (CARRIED).
    """

    id: str
    subject: str
    ct: Path
    masks: Mapping[Kind, Path] = field(default_factory=dict)
    cells: Mapping[str, str] = field(default_factory=dict)

    def files(self, params: ScanParams) -> tuple[Path, ...]:
        """Return everything whose content decides the prepared scan."""
        weights = () if self.masks else (params.lobe_weights, params.fill_weights)
        return (self.ct, *self.masks.values(), *(path for path in weights if path is not None))


@dataclass(frozen=True)
class Scan:
    """One scan made ready.

    Attributes
    ----------
    hu : (n_slices, height, width) int16 or float32
        Slices head to feet, rows front to back, columns from the patient's right to left.
    mask : (n_slices, height, width) uint8
        Lobes 1-5, or lungs 1 right, 2 left.
    kind : str
        "lobes" or "lungs".
    source : str
        "supplied", "lungmask" or "threshold".
    grid : SliceGrid
        Of the file.
    notes : tuple of str
        What a user should know, such as lobes without a voxel.
    """

    hu: NDArray[Any]
    mask: NDArray[np.uint8]
    kind: Kind
    source: str
    grid: SliceGrid
    notes: tuple[str, ...] = ()


def find_scans(inputs: Sequence[Path], params: ScanParams) -> list[Entry]:
    """Find the scans in files, folders and manifests (as `list_scans`), and the mask of each.

    Raises
    ------
    InputError
        As `list_scans`, or a mask that is not where it should be.
    """
    entries = list_scans(inputs)
    return [_with_mask(entry, params, alone=len(entries) == 1) for entry in entries]


def list_scans(inputs: Sequence[Path]) -> list[Entry]:
    """Find the scans in files, folders and manifests.

    A folder with DICOM files in it is one scan; otherwise its manifest is read, or its volume files and its subfolders
    with DICOM files are scans, each named after its file or folder.

    Raises
    ------
    InputError
        Nothing found, or an identifier that repeats or cannot name files.
    """
    if not inputs:
        raise InputError("INPUT", "nothing given", "give a CT file, a DICOM folder, or a manifest")
    entries = [entry for path in inputs for entry in _entries(Path(path))]
    seen: set[str] = set()
    for entry in entries:
        if not safe_name(entry.id):
            raise InputError(printable(entry.ct), f"{entry.id!r} cannot be an identifier", "rename it")
        if entry.id in seen:
            raise InputError(printable(entry.ct), f"a second scan with identifier {entry.id!r}", "rename one of them")
        seen.add(entry.id)
    return entries


def prepare(entry: Entry, params: ScanParams, *, device: str = "cpu") -> Scan:
    """Read and check one scan and its mask, or make the mask.

    Raises
    ------
    InputError
        Whatever is wrong with the scan or its mask.
    """
    data, affine = read_volume(entry.ct, series=params.series)
    where = printable(entry.ct)
    grid = SliceGrid.of(data.shape, affine, where)
    check_slices(grid, where)
    hu = as_hu(grid.to_slices(data), where)
    del data
    mask, kind, source = _mask(entry, params, hu, grid, device)
    notes = _notes(mask, kind, source, printable(entry.masks.get(kind, entry.ct)))
    if not params.allow_partial:
        check_whole_lung(mask, where)
    return Scan(hu, mask, kind, source, grid, notes)


def _entries(path: Path) -> list[Entry]:
    if path.suffix.lower() == ".tsv":
        return _from_manifest(path)
    if not path.is_dir():
        if path.exists() and not is_volume_file(path):
            raise InputError(printable(path), f"expected {', '.join(SUFFIXES)}, a DICOM folder or a manifest.tsv")
        return [Entry(stem(path), stem(path), path)]
    if (path / "manifest.tsv").is_file():
        return _from_manifest(path / "manifest.tsv")
    if holds_dicom(path):
        return [Entry(path.resolve().name, path.resolve().name, path)]
    found = [
        Entry(stem(file), stem(file), file)
        for file in sorted(path.iterdir())
        if file.is_file() and is_volume_file(file) and not stem(file).endswith(_MASK_ENDINGS)
    ]
    folders = [folder for folder in sorted(path.iterdir()) if folder.is_dir() and folder.name[0] != "."]
    found += [Entry(folder.name, folder.name, folder) for folder in folders if _dicom_below(folder)]
    if not found:
        raise InputError(printable(path), f"no CT in it: neither {', '.join(SUFFIXES)} nor DICOM folders")
    return found


def _dicom_below(folder: Path) -> bool:
    return any(holds_dicom(parent) for parent, _, files in os.walk(folder) if files)


def _from_manifest(path: Path) -> list[Entry]:
    columns, _ = read_tsv(path)
    kinds: tuple[Kind, ...] = ("lobes", "lungs")
    usable = next(((kind,) for kind in kinds if kind in columns), ())
    manifest: Manifest = read_manifest(path, ("ct", *usable))
    return [
        Entry(
            row.id,
            row.subject,
            row.paths["ct"],
            {kind: row.paths[kind] for kind in usable},
            {name: row.cells[name] for name in CARRIED if name in row.cells},
        )
        for row in manifest.rows
    ]


def _with_mask(entry: Entry, params: ScanParams, *, alone: bool) -> Entry:
    """Add the mask that --lobes or --lungs names, unless the manifest has one."""
    for kind, given in (("lobes", params.lobes), ("lungs", params.lungs)):
        if entry.masks or given is None:
            continue
        path = _mask_file(entry.id, given, kind, alone=alone)
        return Entry(entry.id, entry.subject, entry.ct, {kind: path}, entry.cells)  # type: ignore[dict-item]
    weights = params.lobe_weights is not None and params.fill_weights is not None
    if not entry.masks and not weights and not params.lung_only:
        if params.lobe_weights or params.fill_weights:
            raise InputError("--lobe-weights", "lobes need both --lobe-weights and --fill-weights")
        raise InputError(
            printable(entry.ct),
            "no lobe mask",
            "give one (--lobes), lungmask's weight files (--lobe-weights, --fill-weights), or --lung-only",
        )
    return entry


def _mask_file(identifier: str, given: Path, kind: str, *, alone: bool) -> Path:
    if given.is_file():
        if not alone:
            raise InputError(f"--{kind}", "one mask file for several scans", "give a folder of <id>.nii.gz files")
        return given
    if not given.is_dir():
        raise InputError(printable(given), "no such mask file or folder")
    for name in (identifier, f"{identifier}_{kind}"):
        for suffix in SUFFIXES:
            if (given / (name + suffix)).is_file():
                return given / (name + suffix)
    raise InputError(printable(given), f"no mask {identifier}.nii.gz or {identifier}_{kind}.nii.gz in it")


def _mask(
    entry: Entry, params: ScanParams, hu: NDArray[Any], grid: SliceGrid, device: str
) -> tuple[NDArray[np.uint8], Kind, str]:
    for kind, path in entry.masks.items():
        return _supplied(path, kind, grid), kind, "supplied"
    if params.lobe_weights is not None and params.fill_weights is not None:
        from medtools.preprocess.ct.lobes import segment_lobes

        weights = (params.lobe_weights, params.fill_weights)
        lobes = segment_lobes(hu, *weights, device=device, batch_size=params.batch_size)
        return as_labels(lobes, 5, printable(entry.ct)), "lobes", "lungmask"
    from medtools.preprocess.ct.lungs import segment_lungs

    return segment_lungs(hu, grid.spacing, printable(entry.ct)), "lungs", "threshold"


def _supplied(path: Path, kind: Kind, grid: SliceGrid) -> NDArray[np.uint8]:
    data, affine = read_volume(path)
    where = printable(path)
    own = SliceGrid.of(data.shape, affine, where)
    if not own.same_as(grid):
        found = f"another grid than the CT: {own.shape} at {_mm(own)} mm, the CT {grid.shape} at {_mm(grid)} mm"
        if sorted(own.shape) == sorted(grid.shape):
            found = "the mask lies elsewhere in space than the CT, or is turned against it"
        raise InputError(where, found, "resample the mask to the CT (nearest neighbour)")
    return as_labels(own.to_slices(data), _LARGEST_LABEL[kind], where)


def _mm(grid: SliceGrid) -> str:
    return "×".join(f"{size:.2f}" for size in np.linalg.norm(grid.affine[:3, :3], axis=0))


def _notes(mask: NDArray[np.uint8], kind: Kind, source: str, where: str) -> tuple[str, ...]:
    if kind == "lobes":
        missing = check_lobes(mask, where)
        return (f"no voxel of the {', '.join(missing)} lobe: no total score",) if missing else ()
    how = "lungs by threshold, which loses dense consolidation" if source == "threshold" else "lung mask"
    return (f"{how}: no lobes, so no lobe scores",)
