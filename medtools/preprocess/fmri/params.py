"""Parameters of `medtools preprocess fmri`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from medtools.core.params import Millimetres, Milliseconds, Names, Params

NO_CONFOUNDS = ("none",)


class FmriParams(Params):
    """From BOLD runs to regional series; defaults are the card's."""

    tr: Milliseconds | None = Field(
        None,
        description="Repetition time in milliseconds; must agree with header and side-car. Default: what they say.",
    )
    force_tr: bool = Field(False, description="Believe --tr where header or side-car say otherwise.")
    drop: int = Field(0, ge=0, description="Volumes to drop at the start.")
    backend: Literal["python", "fsl"] = Field(
        "python", description="python: complete in itself; fsl: mcflirt, slicetimer and flirt, which must be on PATH."
    )
    slice_timing: bool = Field(True, description="Shift slices to the middle of the TR where the side-car has times.")
    normalisation: Literal["affine", "bspline"] = Field(
        "affine", description="affine: 12 degrees of freedom to MNI152; bspline: and a smooth deformation."
    )
    space_is_mni: bool | None = Field(
        None,
        description="Images are already in MNI space (fMRIPrep): no motion correction, slice timing or normalisation. "
        "Default: what file names say.",
    )
    space: str | None = Field(None, description="Which space of fMRIPrep's, e.g. MNI152NLin2009cAsym, where several.")
    voxel: Millimetres = Field(3.0, ge=1.0, le=6.0, description="Voxel size after normalisation, in mm.")
    atlas: str = Field(
        "dosenbach160",
        description="dosenbach160, power264, seitzman300, a TSV or CSV with name, network, x, y, z in MNI mm, or a "
        "label image in MNI space such as those that nilearn fetches.",
    )
    radius: Millimetres = Field(5.0, gt=0, le=20.0, description="Radius of the spheres around coordinates, in mm.")
    confounds: Names = Field(
        (),
        description="Columns or patterns to regress out, or none. Default: 6 motion parameters, their derivatives, "
        "white_matter, csf; constant and linear trend always.",
    )
    global_signal: bool = Field(False, description="Regress the mean of the brain out too.")
    high_pass: float | None = Field(None, gt=0, description="High-pass filter in Hz.")
    low_pass: float | None = Field(None, gt=0, description="Low-pass filter in Hz.")
    smoothing: Millimetres = Field(0.0, ge=0, le=20.0, description="Full width of Gaussian smoothing in mm; 0: none.")
    standardize: Literal["zscore_sample", "none"] = Field("zscore_sample", description="Scaling of each series.")
    subjects: Names = Field((), description="Only these subjects of a BIDS folder.")
    sessions: Names = Field((), description="Only these sessions.")
    tasks: Names = Field((), description="Only these tasks.")
    figures: bool = Field(True, description="Draw motion, carpet, registration and coverage of each run.")
    fd_threshold: Millimetres = Field(0.5, gt=0, description="Framewise displacement that marks a volume, in mm.")
    max_mean_fd: Millimetres = Field(0.5, gt=0, description="Mean framewise displacement that flags a run, in mm.")
    max_fd_share: float = Field(0.2, ge=0, le=1, description="Share of marked volumes that flags a run.")
    max_displacement: Millimetres = Field(3.0, gt=0, description="Total displacement that flags a run, in mm.")
    min_coverage: float = Field(0.5, ge=0, le=1, description="Share of a region in view below which a run is flagged.")
    min_overlap: float = Field(0.88, ge=0, le=1, description="Dice of run's and template's brain that flags a run.")
    min_tsnr: float = Field(20.0, ge=0, description="Temporal signal-to-noise ratio below which a run is flagged.")

    @field_validator("tr")
    @classmethod
    def _in_milliseconds(cls, value: float | None) -> float | None:
        if value is not None and not 100 <= value <= 20_000:
            raise ValueError(f"expected 100 to 20000 ms, is {value:g} in milliseconds? (3 s is --tr 3000)")
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> FmriParams:
        if self.low_pass is not None and self.high_pass is not None and self.high_pass >= self.low_pass:
            raise ValueError(f"high_pass {self.high_pass:g} Hz must lie below low_pass {self.low_pass:g} Hz")
        if self.backend == "fsl" and self.normalisation == "bspline":
            raise ValueError("backend fsl fits an affine only; choose normalisation affine")
        return self
