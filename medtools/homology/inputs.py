"""From what the user named to subjects: a manifest, files, folders, or whatever lies in the current folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from medtools.core.errors import InputError
from medtools.core.manifest import check_recordable, read_manifest
from medtools.core.provenance import read_record
from medtools.core.tables import read_tsv
from medtools.io.atlas import load_atlas, network_abbreviation, networks
from medtools.io.discovery import find_series
from medtools.io.timeseries import Layout, RoiSeries

ALL = "all"
_HEADER_BYTES = 2**16


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
        check_recordable(subject.series)
        if subject.id in seen:
            raise InputError(subject.series, f"id {subject.id!r} is also {seen[subject.id]}", "rename one of them")
        seen[subject.id] = subject.series
    return subjects


def subjects_of(manifest: Path) -> list[Subject]:
    """List the subjects of a manifest with a column `series`, or of the one that `medtools homology` wrote.

    The latter names diagrams, and the record beside each of them the series it was made from: series may lie outside
    the manifest's folder, which its columns may not.
    """
    columns, _ = read_tsv(manifest)
    if "series" in columns or "diagrams" not in columns:
        return [Subject(row.id, row.paths["series"], row.cells) for row in read_manifest(manifest, ["series"]).rows]
    rows = read_manifest(manifest, ["diagrams"]).rows
    return [Subject(row.id, _recorded_series(row.paths["diagrams"]), row.cells) for row in rows]


def _recorded_series(diagrams: Path) -> Path:
    path = diagrams.with_suffix(".json")
    record = read_record(path)
    if record is None or not record.get("inputs"):
        raise InputError(path, "no record of how these diagrams were made", "run `medtools homology` again")
    return path.parent / record["inputs"][0]["path"]


def only_manifest(inputs: Sequence[Path]) -> Path:
    """Return the one manifest among INPUT, itself or in its folder."""
    if len(inputs) != 1:
        raise InputError("INPUT", f"expected one manifest, found {len(inputs)}", "see --help")
    return inputs[0] / "manifest.tsv" if inputs[0].is_dir() else inputs[0]


def atlas_file(atlas: str) -> tuple[Path, ...]:
    """Return the file that decides which ROI belongs to which network, none for a packaged atlas."""
    return (Path(atlas),) if Path(atlas).is_file() else ()


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
        An unknown network, or one of which the series has no ROI; a name that no table could hold.
    """
    atlas = load_atlas(atlas_name)
    names = atlas.names if not series.named and len(series.roi_names) == len(atlas.names) else series.roi_names
    unfit = [name for name in names if set(name) & set("\t\r\n")]
    if unfit:
        raise InputError(series.source, f"ROI name {unfit[0]!r} holds a tab or a line break", "rename it")
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
    if candidate.name == "manifest.tsv":
        return candidate
    with candidate.open("rb") as stream:
        header = stream.readline(_HEADER_BYTES).decode("utf-8-sig", "replace").rstrip("\r\n").split("\t")
    return candidate if {"id", "subject", "series"} <= set(header) else None
