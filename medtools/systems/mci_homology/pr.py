"""PR matrices of a cohort, as group statistics and classifiers take them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.manifest import Manifest, read_manifest
from medtools.core.provenance import read_record
from medtools.homology import layout
from medtools.io.matrices import read_matrix


@dataclass(frozen=True)
class Cohort:
    """PR of one network and homology dimension.

    Attributes
    ----------
    ids, subjects, groups : tuple of str
        One per matrix.
    rois : tuple of str
        ROI names, the same for everyone.
    matrices : (n_subjects, n_rois, n_rois) float64
        Wasserstein distances between ROIs.
    """

    ids: tuple[str, ...]
    subjects: tuple[str, ...]
    groups: tuple[str, ...]
    rois: tuple[str, ...]
    matrices: NDArray[np.float64]

    def of(self, group: str) -> NDArray[np.float64]:
        """Return the matrices of one group, in order."""
        return self.matrices[[g == group for g in self.groups]]

    def restricted(self, groups: Sequence[str]) -> Cohort:
        """Return the part of the cohort that is in these groups, in the same order."""
        keep = [i for i, g in enumerate(self.groups) if g in groups]
        return Cohort(
            tuple(self.ids[i] for i in keep),
            tuple(self.subjects[i] for i in keep),
            tuple(self.groups[i] for i in keep),
            self.rois,
            self.matrices[keep],
        )


def read_cohort(manifest: Manifest, homology: Path, network: str, dim: int, group: str = "group") -> Cohort:
    """Read PR of every subject of the manifest whose homology is complete, with its group.

    Raises
    ------
    InputError
        Nobody has this network and dimension, two subjects have other ROIs, or a subject has no group.
    """
    labels = dict(zip([row.id for row in manifest.rows], manifest.labels(group), strict=True))
    found = read_unlabelled(manifest, homology, network, dim)
    return replace(found, groups=tuple(labels[identifier] for identifier in found.ids))


def read_unlabelled(manifest: Manifest, homology: Path, network: str, dim: int) -> Cohort:
    """Read PR of every subject of the manifest whose homology is complete; every group is empty.

    Raises
    ------
    InputError
        Nobody has this network and dimension, or two subjects have other ROIs.
    """
    rows = [row for row in manifest.rows if is_complete(homology, row.id)]
    paths = [layout.pr_file(homology, row.id, network, dim) for row in rows]
    present = [(row, path) for row, path in zip(rows, paths, strict=True) if path.is_file()]
    if not present:
        raise InputError(homology, f"holds no PR matrix of network {network}, H{dim}", "run `medtools homology` first")
    loaded = [read_matrix(path) for _, path in present]
    rois = loaded[0][0]
    for (_, path), (names, _) in zip(present, loaded, strict=True):
        if names != rois:
            raise InputError(path, f"has other ROIs than {present[0][1]}", "compare series of one parcellation")
    return Cohort(
        ids=tuple(row.id for row, _ in present),
        subjects=tuple(row.subject for row, _ in present),
        groups=("",) * len(present),
        rois=rois,
        matrices=np.stack([matrix for _, matrix in loaded]),
    )


def available(manifest: Manifest, homology: Path) -> list[tuple[str, int]]:
    """List the networks and homology dimensions of the first complete subject, as (network, dimension)."""
    for row in manifest.rows:
        if is_complete(homology, row.id):
            stems = [path.stem.rpartition("_H") for path in sorted((homology / "PR" / row.id).glob("*_H?.tsv"))]
            return [(network, int(dim)) for network, _, dim in stems]
    raise InputError(homology, f"no subject of {manifest.path} is complete here", "run `medtools homology` first")


def is_complete(homology: Path, identifier: str) -> bool:
    """Tell whether a subject's diagrams and PR stand."""
    record = read_record(layout.record_file(homology / "diagrams", identifier))
    return record is not None and record["status"] == "complete"


def homology_params(homology: Path, identifier: str) -> dict[str, Any]:
    """Return the parameters a subject's diagrams and PR were made by."""
    record = read_record(layout.record_file(homology / "diagrams", identifier))
    if record is None:
        raise InputError(homology, f"has no record of {identifier!r}", "run `medtools homology` first")
    return dict(record["params"])


def reads(inputs: Sequence[Path], homology: Path) -> list[Path]:
    """List what decides results that rest on PR: the manifest and every subject's record, which hashes its PR."""
    return [manifest_path(inputs), *sorted(homology.glob("diagrams/*.json"))]


def manifest_path(inputs: Sequence[Path]) -> Path:
    """Return the one manifest among INPUT."""
    if len(inputs) != 1:
        raise InputError("INPUT", f"expected one manifest, found {len(inputs)}")
    return inputs[0] / "manifest.tsv" if inputs[0].is_dir() else inputs[0]


def load_manifest(inputs: Sequence[Path]) -> Manifest:
    """Read the one manifest among INPUT."""
    return read_manifest(manifest_path(inputs))
