"""Parameters of the homology steps, with the card's defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from medtools.core.params import Milliseconds, Names, Params

Layout = Literal["auto", "tsv", "authors"]
Distance = Literal["wasserstein", "bottleneck"]
Ground = Literal["l2", "linf"]


class AtlasParams(Params):
    """Which ROIs are compared with which."""

    atlas: str = Field("dosenbach160", description="Atlas that assigns ROIs to networks, or a TSV with name, network.")
    networks: Names = Field((), description="Networks to compare within, e.g. DMN,CB; default: all that are present.")


class DistanceParams(Params):
    """The distance between two persistence diagrams (Eq. 4)."""

    distance: Distance = Field("wasserstein", description="Distance between diagrams.")
    ground: Ground = Field("l2", description="Ground metric: l2 as in the authors' code, linf as printed in Eq. 4.")
    order: float = Field(1.0, ge=1.0, le=16.0, description="Order q of the Wasserstein distance.")


class DiagramParams(DistanceParams, AtlasParams):
    """Parameters of `medtools homology`."""

    layout: Layout = Field(
        "auto", description="tsv: rows are time points; authors: <class>/<network>/<subject>.csv, rows are ROIs."
    )
    key: str | None = Field(None, description="Name of the array in a .mat or .npz file with several.")

    tr: Milliseconds | None = Field(
        None, description="Repetition time in milliseconds; checked against the side-car. Default: the side-car's."
    )
    force_tr: bool = Field(False, description="Believe --tr where the side-car says otherwise.")
    dimension: int = Field(2, ge=1, le=20, description="Embedding dimension M; the window holds M + 1 samples (Eq. 1).")
    lag: int = Field(1, ge=1, description="Lag tau of the embedding, in samples.")
    lag_ms: Milliseconds | None = Field(None, gt=0, description="Lag in milliseconds instead; needs the TR.")
    max_dim: int = Field(2, ge=0, le=2, description="Highest homology dimension.")
    standardize: Literal["zscore_sample", "none"] = Field(
        "zscore_sample", description="Scaling of each series first; diagrams scale with the signal's units."
    )
    compat: Literal["none", "authors"] = Field(
        "none", description="authors: one embedded point less than Eq. 1, as the published code does."
    )
    engine: Literal["auto", "gudhi", "ripser"] = Field("auto", description="Rips engine; the diagrams are the same.")
    keep_zeros: bool = Field(
        False, description="Keep subjects with single samples of exactly 0 (rounded data); the authors drop them."
    )
    png: bool = Field(False, description="Also write each PR matrix as a 224x224 greyscale PNG.")

    @field_validator("tr")
    @classmethod
    def _in_milliseconds(cls, value: float | None) -> float | None:
        if value is not None and not 100 <= value <= 20_000:
            raise ValueError(f"expected 100 to 20000 ms, is {value:g} in milliseconds? (3 s is --tr 3000)")
        return value


class PsParams(DistanceParams, AtlasParams):
    """Parameters of `medtools homology ps`."""

    diagrams: Path | None = Field(None, description="Folder of diagrams; default: <out>/diagrams.")
    group: str = Field("group", description="Manifest column by which subjects are ordered; ignored where absent.")


class PlotParams(AtlasParams):
    """Parameters of `medtools homology plot`."""

    homology: Path = Field(Path("homology"), description="Folder that `medtools homology` and `ps` wrote.")
    subjects: Names = Field((), description="Subjects to draw; default: the first of each group.")
    rois: Names = Field((), description="ROIs to draw; default: those whose diagrams differ most within the subject.")
    group: str = Field("group", description="Manifest column that names the group; ignored where absent.")
    tr: Milliseconds | None = Field(None, gt=0, description="Repetition time in milliseconds, for time axes.")
    dpi: int = Field(150, ge=40, le=600, description="Resolution of the figures.")
