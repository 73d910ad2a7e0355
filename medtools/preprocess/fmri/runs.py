"""From what the user named to runs: BIDS and fMRIPrep folders, single files, manifests; and their atlas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from medtools.core.errors import InputError
from medtools.core.manifest import read_manifest
from medtools.core.tables import MISSING, read_tsv
from medtools.io.atlas import PACKAGED, load_atlas
from medtools.io.bids import BoldRun, find_bold_runs, single_run
from medtools.io.nifti import open_volume, read_header
from medtools.preprocess.fmri.params import FmriParams
from medtools.preprocess.fmri.spheres import Regions, labelled, spheres

CARRIED = ("group", "diagnosis", "site", "split", "age", "sex")
_NIFTI = (".nii", ".nii.gz")


@dataclass(frozen=True)
class Entry:
    """One run to process: its name, its files, and what is known of its subject."""

    id: str
    run: BoldRun
    cells: Mapping[str, str] = field(default_factory=dict)
    subject_name: str = ""

    @property
    def subject(self) -> str:
        """The subject's name in manifests."""
        return self.subject_name or self.run.subject

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that decides the result besides parameters."""
        extra = (self.run.confounds_path, self.run.mask_path, *self.run.sidecar_paths)
        return (self.run.path, *(path for path in extra if path is not None))


def find_runs(inputs: Sequence[Path], params: FmriParams) -> list[Entry]:
    """List the runs of INPUT, each with a name of its own.

    Raises
    ------
    InputError
        Nothing is given or found, or two runs have one name.
    """
    if not inputs:
        raise InputError("INPUT", "no input given", "give a BIDS folder or a 4-D NIfTI file")
    entries: list[Entry] = []
    for path in inputs:
        entries += _entries(path, params)
    seen: dict[str, Path] = {}
    for entry in entries:
        if entry.id in seen:
            raise InputError(entry.run.path, f"run {entry.id!r} is also {seen[entry.id]}", "process them separately")
        seen[entry.id] = entry.run.path
    return entries


def in_mni(entry: Entry, params: FmriParams) -> bool:
    """Tell whether a run is already in MNI space: as the user says, else as its name says."""
    return entry.run.is_mni if params.space_is_mni is None else params.space_is_mni


def atlas_name(atlas: str) -> str:
    """Return the atlas's name for file names: letters and digits only."""
    stem = atlas if atlas in PACKAGED else Path(atlas).name.split(".")[0]
    return "".join(char for char in stem if char.isalnum()) or "atlas"


def atlas_files(atlas: str) -> tuple[Path, ...]:
    """Return the files that make up a user's atlas, none for the packaged one."""
    if atlas in PACKAGED:
        return ()
    names = _names_path(Path(atlas))
    return (Path(atlas), names) if names is not None else (Path(atlas),)


def check_atlas(atlas: str) -> None:
    """Refuse an atlas that does not exist or cannot be placed, before any run is touched.

    Raises
    ------
    InputError
        Unknown name, or a file that is no atlas.
    """
    if atlas.endswith(_NIFTI):
        read_header(atlas, ndim=3)
    else:
        _coordinates(atlas)


def load_regions(atlas: str, radius_mm: float, shape: tuple[int, ...], affine: np.ndarray) -> Regions:
    """Place an atlas on a grid.

    Parameters
    ----------
    atlas : str
        A packaged atlas, a table of coordinates, or a label image in MNI space; names of labels may stand beside it
        in a `.tsv` of the same stem with the columns `index` and `name`.
    radius_mm : float
        Of the spheres around coordinates.
    shape, affine
        Grid, and its voxel index to MNI mm.

    Raises
    ------
    InputError
        A table without coordinates, or labels that are no integers.
    """
    if atlas.endswith(_NIFTI):
        image = open_volume(atlas, ndim=3)
        labels = np.rint(image.data).astype(np.int64)
        if np.abs(labels - image.data).max() > 1e-3 or labels.min() < 0:
            raise InputError(atlas, "expected labels 0, 1, 2, ..., found other values", "give a label image")
        return labelled(labels, image.affine, _label_names(Path(atlas)), shape, affine)
    names, xyz = _coordinates(atlas)
    return spheres(names, xyz, shape, affine, radius_mm)


def _coordinates(atlas: str) -> tuple[tuple[str, ...], np.ndarray]:
    table = load_atlas(atlas)
    if table.xyz is None:
        raise InputError(atlas, "no columns x, y, z", "give MNI coordinates in mm")
    return table.names, table.xyz


def _entries(path: Path, params: FmriParams) -> list[Entry]:
    if path.is_dir():
        people = _participants(path)
        found = find_bold_runs(
            path, space=params.space, subjects=params.subjects, tasks=params.tasks, sessions=params.sessions
        )
        return [Entry(run.id, run, people.get(run.subject, {})) for run in found]
    if path.name.endswith(_NIFTI):
        run = single_run(path)
        return [Entry(run.id, run)]
    if path.suffix == ".tsv":
        rows = read_manifest(path, ["bold"]).rows
        return [
            Entry(
                row.id, single_run(row.paths["bold"]), {k: row.cells[k] for k in CARRIED if k in row.cells}, row.subject
            )
            for row in rows
        ]
    found_kind = "no such file or folder" if not path.exists() else f"unknown kind of file {path.suffix!r}"
    raise InputError(path, found_kind, "give a BIDS folder, a .nii or .nii.gz file, or a manifest.tsv")


def _participants(root: Path) -> dict[str, dict[str, str]]:
    """Read what `participants.tsv` says of each subject, as far as later stages use it."""
    path = root / "participants.tsv"
    if not path.is_file():
        return {}
    columns, rows = read_tsv(path)
    if "participant_id" not in columns:
        raise InputError(path, "no column 'participant_id'")
    return {
        "sub-" + row["participant_id"].removeprefix("sub-"): {
            name: row[name] for name in CARRIED if row.get(name, MISSING) not in (MISSING, "")
        }
        for row in rows
    }


def _names_path(image: Path) -> Path | None:
    path = image.with_name(image.name.split(".nii")[0] + ".tsv")
    return path if path.is_file() else None


def _label_names(image: Path) -> dict[int, str]:
    path = _names_path(image)
    if path is None:
        return {}
    columns, rows = read_tsv(path)
    if not {"index", "name"} <= set(columns):
        raise InputError(path, f"expected columns index and name, found {', '.join(columns)}")
    try:
        return {int(row["index"]): row["name"] for row in rows}
    except ValueError as error:
        raise InputError(path, f"an index is no integer ({error})") from error
