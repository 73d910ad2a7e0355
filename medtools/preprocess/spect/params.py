"""Parameters of the preprocessing of scintigrams."""

from __future__ import annotations

from pydantic import Field

from medtools.core.params import Params


class SpectParams(Params):
    """From DICOM NM, PNG or NIfTI to images scaled from their own minimum to their own maximum."""

    height: int | None = Field(None, ge=16, le=4096, description="Rows of the images written; default: as stored.")
    width: int | None = Field(None, ge=16, le=4096, description="Columns of the images written; default: as stored.")
    turn: bool = Field(
        False, description="Images lie on their side: turn them by 90 degrees, their right edge to the top."
    )
