"""Parameters of image preprocessing."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from medtools.core.params import Names, Params


class ImageParams(Params):
    """How pictures, slices and planar DICOM become images of one size."""

    size: int = Field(224, ge=8, le=4096, description="Side of the images written, in pixels.")
    axis: Literal["x", "y", "z"] = Field("z", description="Axis of NIfTI volumes along which slices are taken.")
    slices: str = Field("", description="Slices of NIfTI volumes as first:last, from 0, the last one left out.")
    subject_pattern: str = Field(
        "", description="Regular expression with one group that finds the subject in a file's path, e.g. (OAS1_\\d+)."
    )
    relabel: Names = Field((), description="New names of classes, e.g. VeryMild=CI,Mild=CI,Moderate=AD,Non=CN.")
    cap: Names = Field((), description="Most images of a class, drawn by --seed, e.g. Non=9000,VeryMild=7000.")

    @field_validator("slices")
    @classmethod
    def _is_range(cls, value: str) -> str:
        if value and not re.fullmatch(r"\d+:\d+", value):
            raise ValueError("expected first:last")
        first, _, last = value.partition(":")
        if value and int(first) >= int(last):
            raise ValueError("expected first below last")
        return value

    @field_validator("subject_pattern")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        try:
            groups = re.compile(value).groups
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from error
        if value and groups != 1:
            raise ValueError("expected one group in parentheses")
        return value

    @field_validator("relabel", "cap")
    @classmethod
    def _are_pairs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            name, separator, rest = text.partition("=")
            if not (name and separator and rest):
                raise ValueError("expected NAME=VALUE")
        return value

    @field_validator("cap")
    @classmethod
    def _are_counts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for text in value:
            if not text.rpartition("=")[2].isdigit() or text.endswith("=0"):
                raise ValueError("expected NAME=COUNT, a count of at least 1")
        return value

    @property
    def slice_range(self) -> range:
        """The slices asked for; empty where none are."""
        first, _, last = self.slices.partition(":")
        return range(int(first), int(last)) if self.slices else range(0)
