"""Parameters of CT preprocessing, shared by `preprocess ct` and by inference on raw scans."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from medtools.core.params import Params


class ScanParams(Params):
    """How a chest CT becomes a checked HU volume with lobes or lungs."""

    lobes: Path | None = Field(
        None,
        description="Lobe mask (1-5 as lungmask numbers them) of one scan, or a folder of <id>.nii.gz or "
        "<id>_lobes.nii.gz; a manifest's column `lobes` comes first.",
    )
    lungs: Path | None = Field(
        None,
        description="Lung mask instead (1 right, 2 left, as lungmask's R231), given likewise. No lobe scores from it.",
    )
    lobe_weights: Path | None = Field(None, description="lungmask's LTRCLobes weight file, to make the lobes.")
    fill_weights: Path | None = Field(None, description="lungmask's R231 weight file, which fills and bounds them.")
    lung_only: bool = Field(
        False, description="Without mask or weights: lungs by threshold. It knows no lobes, so nothing is scored."
    )
    series: int | None = Field(None, ge=1, description="Which CT series of a DICOM folder that holds several, from 1.")
    allow_partial: bool = Field(False, description="Accept scans whose first or last slice cuts through the lung.")
    batch_size: int = Field(4, ge=1, le=64, description="Slices per forward pass of lungmask's networks.")
