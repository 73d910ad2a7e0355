"""Whole-body bone scans: DICOM NM, PNG or NIfTI to 16-bit images scaled from their minimum to their maximum."""

from __future__ import annotations

from pathlib import Path

from medtools.core.stage import Stage, lazy
from medtools.preprocess.spect.params import SpectParams

STAGE = Stage(
    name="preprocess spect",
    summary="Whole-body bone scans: DICOM NM, PNG or NIfTI to 16-bit images scaled from minimum to maximum.\n\n"
    "Each frame of a DICOM file is an image; its view is read from the header, or from the file's name. A folder may "
    "hold labels.csv (patient, view, file, label). A column `lesions` may name LabelMe files of outlined lesions.",
    params=SpectParams,
    run=lazy("medtools.preprocess.spect.steps", "run"),
    inputs="Files, a folder, or a manifest with a column `image`.",
    cohort=True,
    folder="spect",
    example="medtools preprocess spect scans/ --out spect/",
)

METHODS = """
Planar scintigrams were read with medtools {version} and each scaled from its own minimum to its own maximum (Lin et
al., 2021, Eq. 1).
"""


def samples_of(source: Path, params: SpectParams) -> dict[str, tuple[Path, ...]]:
    """Return the scans of a source, and the files that decide each."""
    from medtools.preprocess.spect.steps import find_scans

    return {scan.id: scan.files for scan in find_scans([source])}
