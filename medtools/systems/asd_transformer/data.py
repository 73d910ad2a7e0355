"""A cohort as the classifier takes it: connectivity, labels, sites and communities, checked before work starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.manifest import Manifest, Row, read_manifest
from medtools.systems.asd_transformer.connectivity import pearson
from medtools.systems.asd_transformer.files import (
    Communities,
    Connectivity,
    read_communities,
    read_connectivity,
    read_roi_series,
)

COLUMNS = ("connectivity", "series")
ONE_SITE = "one site"


@dataclass(frozen=True)
class Cohort:
    """Subjects with one parcellation.

    Attributes
    ----------
    ids, subjects, groups, sites : tuple of str
        One per subject; groups are empty where labels were not asked for.
    rois : tuple of str
        ROI names, or numbers from 1.
    communities : Communities
    connectivity : (n_subjects, n_rois, n_rois) float32
        Correlations, 1 on the diagonal.
    series : tuple of (n_rois, n_samples) float32 or None
        Time series, where they are known.
    """

    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    groups: tuple[str, ...]
    sites: tuple[str, ...]
    rois: tuple[str, ...]
    communities: Communities
    connectivity: NDArray[np.float32]
    series: tuple[NDArray[np.float32] | None, ...]

    def __len__(self) -> int:
        return len(self.ids)


def manifest_path(inputs: Sequence[Path]) -> Path:
    """Return the one manifest among INPUT."""
    if len(inputs) != 1:
        raise InputError("INPUT", f"expected one manifest, found {len(inputs)}")
    return inputs[0] / "manifest.tsv" if inputs[0].is_dir() else inputs[0]


def communities_path(manifest: Path, given: Path | None) -> Path:
    """Return the table of communities: as given, or beside the manifest."""
    path = manifest.parent / "communities.tsv" if given is None else given
    if not path.is_file():
        raise InputError(path, "no such table of communities", "--communities FILE with columns roi and community")
    return path


def load_manifest(path: Path) -> Manifest:
    """Read a manifest whose connectivity or series exist."""
    columns = read_manifest(path).columns
    present = [column for column in COLUMNS if column in columns]
    if not present:
        raise InputError(path, "no column 'connectivity' or 'series'", f"columns are {', '.join(columns)}")
    return read_manifest(path, present)


def reads(inputs: Sequence[Path], communities: Path | None) -> list[Path]:
    """List the manifest, the table of communities and every subject's files."""
    path = manifest_path(inputs)
    rows = load_manifest(path).rows
    return [path, communities_path(path, communities), *(file for row in rows for file in row.paths.values())]


def read_cohort(
    inputs: Sequence[Path], communities: Path | None, *, group: str = "", classes: Sequence[str] = (), site: str = ""
) -> Cohort:
    """Read everyone of a manifest.

    Parameters
    ----------
    inputs : sequence of Path
        The manifest.
    communities : Path or None
        Table of communities; None: beside the manifest.
    group : str
        Column of the labels; empty: without labels.
    classes : sequence of str
        The labels that are known.
    site : str
        Column of the sites; empty: everyone is of one site.

    Raises
    ------
    InputError
        Missing column, unknown label, other ROIs than the first subject's, or a file at fault.
    """
    path = manifest_path(inputs)
    manifest = load_manifest(path)
    groups = manifest.labels(group, classes) if group else [""] * len(manifest.rows)
    sites = manifest.labels(site) if site else [ONE_SITE] * len(manifest.rows)
    if group:
        _check_classes(manifest, group, groups, classes)
        _warn_of_single_class(sites, groups)
    with threadpool_limits(1):  # threads of a linear-algebra library change the order of sums
        found = [read_subject(row) for row in manifest.rows]
    rois = _common_rois(manifest, found)
    return Cohort(
        ids=tuple(row.id for row in manifest.rows),
        subjects=tuple(row.subject for row in manifest.rows),
        groups=tuple(groups),
        sites=tuple(sites),
        rois=rois,
        communities=read_communities(communities_path(path, communities), rois),
        connectivity=np.stack([one.matrix for one in found]),
        series=tuple(one.series for one in found),
    )


def read_subject(row: Row, layout: str = "auto") -> Connectivity:
    """Read one subject's connectivity, or compute it from the series; both where both are there.

    Raises
    ------
    InputError
        A file at fault, or connectivity and series of different ROIs.
    """
    known = read_connectivity(row.paths["connectivity"], row.id) if "connectivity" in row.paths else None
    if "series" not in row.paths:
        return known  # type: ignore[return-value]  # load_manifest has seen one of the columns
    series = read_roi_series(row.paths["series"], layout)  # type: ignore[arg-type]
    names = series.roi_names if series.named else None
    values = series.values.astype(np.float32)
    if known is None:
        matrix, constant = pearson(series.values, series.source)
        if constant:
            first = series.roi_names[constant[0]]
            LOGGER.warning("%s: %d constant ROIs (first %s), their connectivity is 0", row.id, len(constant), first)
        return Connectivity(matrix.astype(np.float32), names, values)
    if len(known.matrix) != len(values):
        raise InputError(series.source, f"has {len(values)} ROIs, the connectivity has {len(known.matrix)}")
    return Connectivity(known.matrix, known.rois or names, values)


def _common_rois(manifest: Manifest, found: Sequence[Connectivity]) -> tuple[str, ...]:
    first = found[0]
    for row, one in zip(manifest.rows, found, strict=True):
        if one.matrix.shape != first.matrix.shape or one.rois != first.rois:
            of_first = f"{len(first.matrix)} of {manifest.rows[0].id!r}, or other names"
            raise InputError(manifest.path, f"row {row.id!r} has {len(one.matrix)} ROIs, expected the {of_first}")
    return first.rois or tuple(str(i) for i in range(1, len(first.matrix) + 1))


def _check_classes(manifest: Manifest, column: str, groups: Sequence[str], classes: Sequence[str]) -> None:
    for name in classes:
        if groups.count(name) < 2:
            raise InputError(manifest.path, f"{groups.count(name)} rows have {column} {name!r}, at least 2 are needed")


def _warn_of_single_class(sites: Sequence[str], groups: Sequence[str]) -> None:
    for name in sorted(set(sites)):
        here = {group for group, site in zip(groups, sites, strict=True) if site == name}
        if len(here) == 1:
            LOGGER.warning("site %s has subjects of %s only: site and class cannot be told apart there", name, *here)
