"""Parameters of protein preprocessing, shared by `preprocess protein` and by inference on raw structures."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from medtools.core.params import Names, Params


class StructureParams(Params):
    """How a structure file becomes typed atoms and candidates."""

    chains: Names = Field((), description="Chains to keep, e.g. A,B; default: all.")
    modified_residues: Literal["drop", "parent"] = Field(
        "drop", description="MSE and other modified residues: leave out, as published, or treat as their parent."
    )
    finder: Literal["fpocket-rs", "fpocket"] = Field(
        "fpocket-rs", description="Candidate finder: the built-in one, or an installed fpocket program."
    )
    order: Literal["druggability", "score"] = Field(
        "druggability", description="The finder's order: its druggability score, or fpocket 4's score."
    )
    max_atoms: int = Field(
        40_000, ge=128, description="Largest protein, in atoms; candidate finding takes time as their square."
    )
    labels: Literal["auto", "files", "structure", "none"] = Field(
        "auto", description="Known sites: files beside the structure, ligands in it, files else ligands, or none."
    )


class PreprocessParams(StructureParams):
    """Parameters of `medtools preprocess protein`."""

    types: Path | None = Field(
        None, description="A .types candidate list; INPUT is then the folder its receptors are relative to."
    )
