"""What the classical baselines see of a subject."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.manifest import Manifest
from medtools.io.timeseries import read_series
from medtools.systems.mci_homology.pr import Cohort, homology_params


def upper_triangles(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entries above the diagonal, (n_subjects, n_rois (n_rois - 1) / 2)."""
    rows, columns = np.triu_indices(matrices.shape[1], k=1)
    return matrices[:, rows, columns]


def correlation_matrices(manifest: Manifest, cohort: Cohort, homology: Path) -> NDArray[np.float64]:
    """Return Pearson functional connectivity of the cohort's subjects over the cohort's ROIs (the ablation).

    Parameters
    ----------
    manifest : Manifest
        Names each subject's series.
    cohort : Cohort
        Whose matrices these replace.
    homology : Path
        Folder whose records say how the series were read.

    Returns
    -------
    (n_subjects, n_rois, n_rois) float64
    """
    series_of = {row.id: row.get("series") for row in manifest.rows}
    found = []
    for identifier in cohort.ids:
        made_by = homology_params(homology, identifier)
        path = manifest.path.parent / str(series_of[identifier])
        series = read_series(path, layout=made_by["layout"], key=made_by["key"])
        names = list(series.roi_names)
        missing = [roi for roi in cohort.rois if roi not in names]
        if missing and len(names) != len(cohort.rois):
            raise InputError(path, f"has no ROI {missing[0]!r}", "name the ROIs in the header")
        rows = list(range(len(names))) if missing else [names.index(roi) for roi in cohort.rois]
        found.append(np.corrcoef(series.values[rows]))
    return np.stack(found)
