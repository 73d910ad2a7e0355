"""2-D images: class folders of PNG or JPEG, slices of NIfTI volumes, planar DICOM to grey or colour PNG of one size."""

from __future__ import annotations

from pathlib import Path

from medtools.core.stage import Stage, lazy
from medtools.preprocess.images.params import ImageParams

STAGE = Stage(
    name="preprocess images",
    summary="2-D images: class folders of PNG or JPEG, slices of NIfTI volumes, planar DICOM to PNG of one size.\n\n"
    "In folders, the folder that holds a file names its class (train/ and test/ above it are merged). Several INPUTs "
    "become one cohort. 16-bit, NIfTI and DICOM values are scaled from each image's minimum to its maximum.",
    params=ImageParams,
    run=lazy("medtools.preprocess.images.steps", "run"),
    inputs="Folders of class folders, files, or a manifest with a column `image`.",
    cohort=True,
    folder="images",
    example="medtools preprocess images kaggle-ad/ --size 224 --out images/",
)

METHODS = """
Images were read with medtools {version} from PNG, JPEG, NIfTI or DICOM, scaled to 8 bits (16-bit, NIfTI and DICOM
values from each image's minimum to its maximum), and resampled bilinearly to one size.
"""


def samples_of(source: Path, params: ImageParams) -> dict[str, tuple[Path, ...]]:
    """Return the pictures, slices and volumes of a source, and the file of each."""
    from medtools.preprocess.images.sources import find_sources

    return {one.id: (one.path,) for one in find_sources([source], params, seed=0)}
