"""A three-dimensional image of any supported kind: NIfTI, MetaImage, NRRD, or a folder with a DICOM CT series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.io.guard import printable

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".mha", ".mhd", ".nrrd", ".nhdr")
SUFFIXES = (*NIFTI_SUFFIXES, *ITK_SUFFIXES)


def stem(path: str | Path) -> str:
    """Return a file's name without the suffix of a known format."""
    name = Path(path).name
    return next((name[: -len(suffix)] for suffix in SUFFIXES if name.lower().endswith(suffix)), name)


def is_volume_file(path: str | Path) -> bool:
    """Tell by its name whether a file is an image that `read_volume` reads."""
    return Path(path).name.lower().endswith(SUFFIXES)


def read_volume(path: str | Path, *, series: int | None = None) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Read an image.

    Parameters
    ----------
    path : str or Path
        A file with one of SUFFIXES, or a folder of DICOM files.
    series : int, optional
        Which CT series of a folder that holds several, from 1.

    Returns
    -------
    data : (x, y, z) array
        float32 from NIfTI, int16 HU from DICOM, else the file's own type.
    affine : (4, 4) float64
        Index to mm (right, anterior, superior).

    Raises
    ------
    InputError
        Whatever the format's own reader finds, or a file of another kind.
    """
    path = Path(path)
    if path.is_dir():
        from medtools.io.dicom import read_ct

        found = read_ct(path, series)
        return found.hu, found.affine
    if not path.exists():
        raise InputError(printable(path), "no such file or folder")
    name = path.name.lower()
    if name.endswith(NIFTI_SUFFIXES):
        from medtools.io.nifti import open_volume

        volume = open_volume(path, ndim=3)
        return volume.data, volume.affine
    if name.endswith(ITK_SUFFIXES):
        from medtools.io.itk_volumes import read_itk_volume

        return read_itk_volume(path)
    raise InputError(
        printable(path), f"expected {', '.join(SUFFIXES)} or a folder of DICOM files", "convert it to NIfTI"
    )
