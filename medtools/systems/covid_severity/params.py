"""Parameters of covid-severity's stages, with the card's defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from medtools.core.params import Numbers, Params
from medtools.preprocess.ct.params import ScanParams
from medtools.systems.covid_severity.cohort import SCANS


class DemoParams(Params):
    """The phantom cohort of the card."""

    scans: int = Field(SCANS, ge=1, le=1000, description="Phantoms.")
    size: int = Field(256, ge=96, le=512, description="Pixels along each side of a slice; 333 mm at any size.")
    slices: int = Field(48, ge=16, le=400, description="Slices over 288 mm.")
    format: Literal["dicom", "nifti"] = Field("dicom", description="How the scans are written; masks are NIfTI.")


class ScoringParams(Params):
    """How masks become points and a class."""

    zero_below: float = Field(
        0.0, ge=0, lt=5, description="Involvement in percent under which a lobe scores 0; 0: one voxel scores 1."
    )
    classes: Literal["3", "4"] = Field("3", description="mild, moderate, severe; 4 adds `no edema` for a score of 0.")


class InferParams(ScanParams, ScoringParams):
    """Infection masks, scores and figures."""

    variant: Literal["paper", "code"] = Field(
        "paper", description="What the paper says, or what the authors' script does where the two differ."
    )
    pleura: bool = Field(True, description="Stage 2: remove the pleura.")
    organs: bool = Field(True, description="Stage 3: remove organ linings.")
    vessels: bool = Field(True, description="Stage 4: remove vessels and their linings.")
    artefacts: bool = Field(True, description="Stage 6: drop components centred in the motion artefact zone.")
    refine: bool = Field(True, description="Stage 6: drop small components and fill small holes.")
    hu_window: Numbers = Field((), description="Infected lung in HU, low,high inclusive; paper -595,-1; code -700,30.")
    min_component: int | None = Field(None, ge=0, description="Pixels of the smallest component kept; 30.")
    max_hole: int | None = Field(None, ge=0, description="Pixels of the largest hole filled; paper 30, code 99.")
    min_artefact_component: int | None = Field(
        None, ge=0, description="Pixels below which components go with the artefacts; paper 0, code 46."
    )
    isolated_slices: bool | None = Field(
        None, description="Drop infection of slices whose neighbours have none; paper no, code yes."
    )
    other_lung: bool | None = Field(
        None, description="Clear the lining of the lung without the organ too; paper no, code yes."
    )
    pixel_scale: Literal["auto", "off"] = Field(
        "auto", description="Scale areas (made for 512x512 slices) by the number of pixels per slice."
    )
    matrix: Literal["auto", "native", "512"] = Field(
        "auto", description="Work on the scan's own matrix or on 512x512 slices; paper native, code 512."
    )
    ablation: bool = Field(False, description="Also score without each stage, and by the HU window alone.")
    viewer: bool = Field(True, description="Write the scrollable viewer (HTML) of each scan.")

    @field_validator("hu_window")
    @classmethod
    def _two_bounds(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if value and (len(value) != 2 or value[0] >= value[1]):
            raise ValueError("expected two numbers, low,high")
        return value


class ScoreParams(ScoringParams):
    """Points from masks, and agreement with a radiologist."""

    grades: Path | None = Field(
        None,
        description="Table (TSV or CSV) with id and grade, also age and sex; the authors' columns "
        "`Series ID` and `Score` are understood. Default: the manifest's columns.",
    )
    resamples: int = Field(2000, ge=100, le=100_000, description="Bootstrap resamples of the intervals.")


class ReproduceParams(ScoreParams):
    """The paper's tables for a cohort."""

    annotation: str = Field("annotation", description="Manifest column of the data set's own infection masks.")
