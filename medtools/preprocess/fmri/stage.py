"""Functional MRI: BIDS runs or fMRIPrep derivatives to regional time series, with quality figures."""

from __future__ import annotations

from pathlib import Path

from medtools.core.stage import Stage, lazy
from medtools.preprocess.fmri.params import FmriParams

STAGE = Stage(
    name="preprocess fmri",
    summary="Functional MRI: BIDS runs or fMRIPrep derivatives to regional time series, with quality figures.\n\n"
    "Raw runs: motion correction, slice timing, normalisation to MNI152, nuisance regression, sphere means. "
    "Runs in MNI space: nuisance regression and sphere means.",
    params=FmriParams,
    run=lazy("medtools.preprocess.fmri.steps", "run"),
    estimate=lazy("medtools.preprocess.fmri.steps", "estimate"),
    inputs="BIDS folders, fMRIPrep folders, 4-D NIfTI files, or manifests with a column `bold`.",
    cohort=True,
    folder="fmri",
    example="medtools preprocess fmri bids/ --tr 3000 --out fmri/",
)

METHODS = """
Functional runs were preprocessed with medtools {version}: rigid registration of every volume to a reference, slice
timing to the middle of the repetition time where acquisition times are known, affine normalisation to the MNI152
template, sphere or label means of each region, and regression of six motion parameters, their derivatives, mean white
matter and cerebrospinal fluid signal, a constant and a linear trend; runs that were already in MNI space entered at the
regional means (SimpleITK; nilearn, Abraham et al., 2014). Deviations are among the parameters below.
"""


def samples_of(source: Path, params: FmriParams) -> dict[str, tuple[Path, ...]]:
    """Return the runs of a source, and the files that decide each."""
    from medtools.preprocess.fmri.runs import find_runs

    return {run.id: run.files for run in find_runs([source], params)}
