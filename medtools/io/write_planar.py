"""Write a made scintigram as DICOM NM, for demonstrations and tests; it carries no person's data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, NuclearMedicineImageStorage, generate_uid

from medtools.core.atomic import atomic_path


def write_nm(path: str | Path, frames: NDArray[Any], views: tuple[str, ...], spacing_mm: float, *, name: str) -> None:
    """Write one whole-body file; equal arguments give equal bytes.

    Parameters
    ----------
    path : str or Path
    frames : (n_frames, rows, columns) uint16
        Counts, head at the top.
    views : tuple of str
        `anterior` or `posterior`, one per frame.
    spacing_mm : float
        Pixel spacing.
    name : str
        Patient's name and identifier, and what the unique identifiers are made from.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = NuclearMedicineImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name, *views])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = generate_uid(entropy_srcs=["medtools"])
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    image.SOPClassUID, image.SOPInstanceUID = NuclearMedicineImageStorage, meta.MediaStorageSOPInstanceUID
    image.StudyInstanceUID = generate_uid(entropy_srcs=[name, "study"])
    image.SeriesInstanceUID = generate_uid(entropy_srcs=[name, "series"])
    image.PatientName = image.PatientID = name
    image.Modality, image.ImageType = "NM", ["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"]
    image.PixelSpacing = [spacing_mm, spacing_mm]
    image.NumberOfFrames, image.Rows, image.Columns = frames.shape
    image.DetectorInformationSequence = [_detector(view) for view in views]
    image.DetectorVector = list(range(1, len(views) + 1))
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.PixelData = np.ascontiguousarray(frames).astype("<u2").tobytes()
    with atomic_path(path) as partial:
        image.save_as(partial, enforce_file_format=True)


def _detector(view: str) -> Dataset:
    code = Dataset()
    code.CodeMeaning = view.capitalize()
    detector = Dataset()
    detector.ViewCodeSequence = [code]
    return detector
