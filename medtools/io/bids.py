"""BOLD runs of a BIDS folder or of fMRIPrep derivatives: found by name alone, side-cars read when asked."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from medtools.core.errors import InputError
from medtools.io.guard import read_object

_BOLD_SUFFIX = re.compile(r"_bold\.nii(\.gz)?$")
_NIFTI_SUFFIX = re.compile(r"\.nii(\.gz)?$")
_ENTITY = re.compile(r"^([a-zA-Z0-9]+)-([a-zA-Z0-9+]+)$")
_SKIPPED_FOLDERS = frozenset({"sourcedata", "code", "stimuli", "derivatives", "figures", "anat", "dwi", "fmap", "perf"})
_DERIVATIVE_ENTITIES = frozenset({"space", "res", "desc"})
_MNI_PREFIX = "MNI"


@dataclass(frozen=True)
class BoldRun:
    """One 4-D functional image, described by its file name.

    Attributes
    ----------
    path : Path
    root : Path
        The data set it belongs to; side-cars are inherited up to here.
    entities : dict
        BIDS entities in the order of the name: `{"sub": "01", "task": "rest"}`.
    """

    path: Path
    root: Path
    entities: dict[str, str]

    @property
    def id(self) -> str:
        """The entities that name the acquisition, joined as in the file name, without those of processing."""
        kept = {key: value for key, value in self.entities.items() if key not in _DERIVATIVE_ENTITIES}
        return "_".join(f"{key}-{value}" for key, value in kept.items())

    @property
    def subject(self) -> str:
        """`sub-` and the subject's label."""
        return f"sub-{self.entities['sub']}"

    @property
    def is_mni(self) -> bool:
        """Whether the name says that the image is already in an MNI space."""
        return self.entities.get("space", "").startswith(_MNI_PREFIX)

    @cached_property
    def sidecar(self) -> dict[str, Any]:
        """Metadata by BIDS inheritance: the nearest of the JSON files that apply wins, key by key."""
        return read_sidecar(self)

    @cached_property
    def sidecar_paths(self) -> tuple[Path, ...]:
        """JSON files that apply to the run, the nearest last.

        A side-car applies when its suffix is `bold` and each of its entities is one of the run's (BIDS, "The
        inheritance principle"); beside a file that has no BIDS name, the one of the same stem.
        """
        found: list[Path] = []
        for folder in _folders_down(self.root, self.path.parent):
            applicable = []
            for candidate in folder.glob("*bold.json"):
                entities = _entities(candidate.name.removesuffix(".json"))
                if entities is not None and entities.items() <= self.entities.items():
                    applicable.append((len(entities), candidate))
            found += [path for _, path in sorted(applicable)]
        own = self.path.with_name(_NIFTI_SUFFIX.sub(".json", self.path.name))
        return tuple(found) if own.resolve() in found or not own.is_file() else (*found, own)

    @property
    def confounds_path(self) -> Path | None:
        """FMRIPrep's confounds table of the same run, where there is one."""
        return self._sibling("desc-confounds_timeseries.tsv", "desc-confounds_regressors.tsv")

    @property
    def mask_path(self) -> Path | None:
        """FMRIPrep's brain mask on the grid of this image, where there is one."""
        if "space" not in self.entities:
            return None
        name = _BOLD_SUFFIX.sub("_mask.nii.gz", self.path.name).replace("_desc-preproc_", "_desc-brain_")
        candidate = self.path.with_name(name)
        return candidate if name != self.path.name and candidate.is_file() else None

    def _sibling(self, *suffixes: str) -> Path | None:
        for suffix in suffixes:
            candidate = self.path.with_name(f"{self.id}_{suffix}")
            if candidate.is_file():
                return candidate
        return None


def find_bold_runs(
    root: str | Path,
    *,
    space: str | None = None,
    subjects: Sequence[str] = (),
    tasks: Sequence[str] = (),
    sessions: Sequence[str] = (),
) -> list[BoldRun]:
    """Find the functional runs under a folder, by names only: no image and no side-car is opened.

    In a folder of fMRIPrep derivatives only preprocessed images (`desc-preproc_bold`) count, one per acquisition:
    in `space` where given, else in an MNI space where there is exactly one, else in the space without a name.

    Parameters
    ----------
    root : str or Path
        BIDS data set, fMRIPrep output folder, or a subject's folder inside either.
    space : str, optional
        Derivatives' space to take, for example `MNI152NLin2009cAsym`.
    subjects, tasks, sessions : sequence of str
        Labels to keep, with or without `sub-`, `task-`, `ses-`; all when empty.

    Returns
    -------
    list of BoldRun
        Sorted by path.

    Raises
    ------
    InputError
        Not a folder, or no run left.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(root, "no such folder")
    wanted = {"sub": _labels(subjects, "sub"), "task": _labels(tasks, "task"), "ses": _labels(sessions, "ses")}
    runs = [run for path in _walk(root) if (run := _parse(path, root)) is not None]
    if not runs:
        raise InputError(root, "no *_bold.nii or *_bold.nii.gz below it", "give a BIDS folder or a single NIfTI file")
    kept = [run for run in runs if _matches(run, wanted)]
    if not kept:
        asked = ", ".join(f"{key} in {sorted(values)}" for key, values in wanted.items() if values)
        raise InputError(root, f"none of its {len(runs)} BOLD images has {asked}")
    return sorted(_one_per_acquisition(kept, space, root), key=lambda run: run.path)


def single_run(path: str | Path) -> BoldRun:
    """Describe one NIfTI file as a run; names outside BIDS get their stem as subject."""
    path = Path(path)
    run = _parse(path, path.parent)
    if run is not None:
        return BoldRun(path, _dataset_root(path), run.entities)
    stem = re.sub(r"[^A-Za-z0-9]+", "", _NIFTI_SUFFIX.sub("", path.name)) or "run"
    return BoldRun(path, path.parent, {"sub": stem})


def read_sidecar(run: BoldRun) -> dict[str, Any]:
    """Merge the JSON side-cars that apply to a run, from the data set's root down to the file itself.

    Raises
    ------
    InputError
        A side-car is not a JSON object.
    """
    merged: dict[str, Any] = {}
    for path in run.sidecar_paths:
        merged.update(read_object(path))
    return merged


def _walk(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith(".") or entry.name in _SKIPPED_FOLDERS:
                continue
            if entry.is_dir(follow_symlinks=True):
                if not entry.is_symlink() or not folder.resolve().is_relative_to(Path(entry.path).resolve()):
                    yield from _walk(Path(entry.path))
            elif _BOLD_SUFFIX.search(entry.name):
                yield Path(entry.path)


def _parse(path: Path, root: Path) -> BoldRun | None:
    if not _BOLD_SUFFIX.search(path.name):
        return None
    entities = _entities(_BOLD_SUFFIX.sub("_bold", path.name))
    return BoldRun(path, root, entities) if entities and "sub" in entities else None


def _entities(stem: str) -> dict[str, str] | None:
    """Split `sub-01_task-rest_bold` into its entities; None where it is no BIDS name."""
    *pairs, suffix = stem.split("_")
    if suffix != "bold":
        return None
    matches = [_ENTITY.match(pair) for pair in pairs]
    return None if None in matches else {match[1]: match[2] for match in matches if match}


def _labels(values: Sequence[str], key: str) -> set[str]:
    return {value.removeprefix(f"{key}-") for value in values}


def _matches(run: BoldRun, wanted: dict[str, set[str]]) -> bool:
    return all(not values or run.entities.get(key) in values for key, values in wanted.items())


def _one_per_acquisition(runs: list[BoldRun], space: str | None, root: Path) -> list[BoldRun]:
    if not any("desc" in run.entities or "space" in run.entities for run in runs):
        return runs
    by_id: dict[str, list[BoldRun]] = {}
    for run in runs:
        if run.entities.get("desc", "preproc") == "preproc":
            by_id.setdefault(run.id, []).append(run)
    if not by_id:
        raise InputError(root, "derivatives without a desc-preproc_bold image")
    return [_choose(candidates, space, root) for candidates in by_id.values()]


def _choose(candidates: list[BoldRun], space: str | None, root: Path) -> BoldRun:
    spaces = [run.entities.get("space", "") for run in candidates]
    if space is not None:
        chosen = [run for run in candidates if run.entities.get("space", "") == space]
    else:
        chosen = [run for run in candidates if run.is_mni] or [
            run for run in candidates if not run.entities.get("space")
        ]
    if len(chosen) == 1:
        return chosen[0]
    named = ", ".join(sorted(name or "native" for name in spaces))
    wish = f"space {space}" if space is not None else "one MNI or native space"
    raise InputError(root, f"{candidates[0].id}: expected {wish}, found {named}", "choose with --space")


def _dataset_root(path: Path) -> Path:
    """The folder above the outermost `sub-` folder, or the file's own folder."""
    parents = [folder for folder in path.resolve().parents if folder.name.startswith("sub-")]
    return parents[-1].parent if parents else path.parent


def _folders_down(root: Path, leaf: Path) -> list[Path]:
    root, leaf = root.resolve(), leaf.resolve()
    above = [folder for folder in (leaf, *leaf.parents) if folder.is_relative_to(root)]
    return above[::-1] or [leaf]
