"""From what the user named to subjects: a manifest, files, folders, or whatever lies in the current folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.manifest import read_manifest
from medtools.core.tables import read_tsv
from medtools.io.atlas import load_atlas, network_abbreviation, networks
from medtools.io.discovery import find_series
from medtools.io.timeseries import Layout, RoiSeries

ALL = "all"


@dataclass(frozen=True)
class Subject:
    """One subject's ROI series, and what the manifest says of it."""

    id: str
    series: Path
    cells: Mapping[str, str] = field(default_factory=dict)


def find_subjects(inputs: Sequence[Path], layout: Layout = "auto") -> list[Subject]:
    """List the subjects of INPUT: any mix of series files, folders and manifests.

    Raises
    ------
    InputError
        Nothing is found (what was looked for is named), or an identifier appears twice.
    """
    subjects: list[Subject] = []
    loose: list[Path] = []
    for path in inputs or [Path()]:
        manifest = _manifest(path)
        if manifest is None:
            loose.append(path)
        else:
            subjects += subjects_of(manifest)
    subjects += [Subject(identifier, path) for identifier, path in find_series(loose, layout=layout)] if loose else []
    seen: dict[str, Path] = {}
    for subject in subjects:
        if subject.id in seen:
            raise InputError(subject.series, f"id {subject.id!r} is also {seen[subject.id]}", "rename one of them")
        seen[subject.id] = subject.series
    if not inputs:
        LOGGER.info("no INPUT given: found %d subjects in the current folder", len(subjects))
    return subjects


def subjects_of(manifest: Path) -> list[Subject]:
    """List the subjects of a manifest with a column `series`."""
    return [Subject(row.id, row.paths["series"], row.cells) for row in read_manifest(manifest, ["series"]).rows]


@dataclass(frozen=True)
class Regions:
    """The ROIs of a subject's series, named, and the rows that make up each network."""

    names: tuple[str, ...]
    networks: Mapping[str, list[int]]


def assign_networks(series: RoiSeries, atlas_name: str, wanted: Sequence[str]) -> Regions:
    """Tell which rows of a subject's series belong to which network.

    ROIs are found in the atlas by name, or by position where the file names none and has as many ROIs as the atlas.
    Series of another parcellation make up one network, `all`.

    Parameters
    ----------
    series : RoiSeries
    atlas_name : str
        A packaged atlas or a user's table.
    wanted : sequence of str
        Networks to return; empty for all that are present.

    Raises
    ------
    InputError
        An unknown network, or one of which the series has no ROI.
    """
    atlas = load_atlas(atlas_name)
    names = atlas.names if not series.named and len(series.roi_names) == len(atlas.names) else series.roi_names
    everything = list(range(len(names)))
    named_networks = [name for name in wanted if name != ALL]
    if not set(names) & set(atlas.names):
        if named_networks:
            found = f"none of its {len(names)} ROIs is in atlas {atlas.name}, so its only network is {ALL!r}"
            raise InputError(series.source, found, "drop --networks or give the series' --atlas")
        return Regions(names, {ALL: everything})
    members = networks(atlas, wanted=named_networks if wanted else None, roi_names=names)
    absent = [name for name in named_networks if network_abbreviation(name) not in members and name not in members]
    if absent:
        raise InputError(series.source, f"has no ROI of network {absent[0]}", f"it has {', '.join(members) or 'none'}")
    return Regions(names, members | ({ALL: everything} if ALL in wanted else {}))


def _manifest(path: Path) -> Path | None:
    candidate = path / "manifest.tsv" if path.is_dir() else path
    if candidate.suffix != ".tsv" or not candidate.is_file():
        return None
    try:
        columns, _ = read_tsv(candidate)
    except InputError:
        return candidate if candidate.name == "manifest.tsv" else None
    return candidate if {"id", "subject", "series"} <= set(columns) or candidate.name == "manifest.tsv" else None
