"""Functional MRI: BIDS runs or fMRIPrep derivatives to regional time series, with quality figures."""

from __future__ import annotations

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
