"""Chest CT: DICOM, NIfTI, MetaImage or NRRD to checked HU volumes with a lobe mask."""

from __future__ import annotations

from medtools.core.stage import Stage, lazy
from medtools.preprocess.ct.params import ScanParams

STAGE = Stage(
    name="preprocess ct",
    summary="Chest CT: DICOM, NIfTI, MetaImage or NRRD to checked HU volumes with a lobe mask.\n\n"
    "Lobes come from a mask you have (--lobes), or from lungmask with weight files you have "
    "(--lobe-weights, --fill-weights). --lung-only segments lungs by threshold, without lobes.",
    params=ScanParams,
    run=lazy("medtools.preprocess.ct.steps", "run"),
    estimate=lazy("medtools.preprocess.ct.steps", "estimate"),
    inputs="Scans: files, a DICOM folder, a folder of either, or a manifest with a column `ct`.",
    cohort=True,
    folder="ct",
    example="medtools preprocess ct dicom/ --lobes masks/ --out ct/",
)
