"""Write a made CT volume as a DICOM series, for demonstrations and tests; it carries no person's data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from medtools.core.atomic import atomic_path

_INTERCEPT = -1024


def write_ct(
    folder: str | Path, hu: NDArray[Any], spacing: tuple[float, float, float], *, name: str, description: str
) -> list[Path]:
    """Write one file per slice, `0001.dcm` the lowest; equal arguments give equal bytes.

    Parameters
    ----------
    folder : str or Path
        Made if missing.
    hu : (n_slices, height, width) int16
        Slices head to feet, rows front to back, columns from the patient's right to left; at least -1024 HU.
    spacing : tuple of float
        Slice distance, row and column spacing in mm.
    name : str
        Patient's name and identifier, and what the unique identifiers are made from.
    description : str
        Series description.

    Returns
    -------
    list of Path
    """
    paths = []
    for index in range(len(hu)):
        image = _image(hu[len(hu) - 1 - index], spacing, name, index)
        image.SeriesDescription = description
        path = Path(folder) / f"{index + 1:04d}.dcm"
        with atomic_path(path) as partial:
            image.save_as(partial, enforce_file_format=True)
        paths.append(path)
    return paths


def _image(pixels: NDArray[Any], spacing: tuple[float, float, float], name: str, index: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name, "image", str(index)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["medtools"])
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID = generate_uid(entropy_srcs=[name, "study"])
    image.SeriesInstanceUID = generate_uid(entropy_srcs=[name, "series"])
    image.FrameOfReferenceUID = generate_uid(entropy_srcs=[name, "frame"])
    image.PatientName = image.PatientID = name
    image.Modality, image.ImageType = "CT", ["DERIVED", "SECONDARY", "AXIAL"]
    image.InstanceNumber = index + 1
    dz, dy, dx = spacing
    height, width = pixels.shape
    image.ImagePositionPatient = [-width * dx / 2, -height * dy / 2, index * dz]
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.SliceThickness = [dy, dx], dz
    image.Rows, image.Columns = height, width
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.RescaleSlope, image.RescaleIntercept, image.RescaleType = 1, _INTERCEPT, "HU"
    image.PixelData = (pixels.astype(np.int32) - _INTERCEPT).astype("<u2").tobytes()
    return image
