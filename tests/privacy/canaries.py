"""Plant a word where scanners, converters and archives write who a person is, and look for it in what comes out."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from pathlib import Path

import nibabel as nib
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

CANARY = "Zzyzx"
BIRTH_DATE = "19010203"
TRACES = (CANARY.encode(), BIRTH_DATE.encode(), CANARY.upper().encode(), CANARY.encode("utf-16-le"))

DICOM_FIELDS = (
    "PatientName", "PatientID", "OtherPatientNames", "PatientAddress", "PatientComments", "PatientBirthName",
    "PatientMotherBirthName", "AccessionNumber", "StudyID", "InstitutionName", "InstitutionAddress",
    "InstitutionalDepartmentName", "ReferringPhysicianName", "PerformingPhysicianName", "OperatorsName", "StationName",
    "StudyDescription", "SeriesDescription", "ProtocolName", "DeviceSerialNumber", "ImageComments",
    "AdditionalPatientHistory", "RequestedProcedureDescription",
)  # fmt: skip
"""Text fields of DICOM's confidentiality profile (PS3.15, table E.1-1) that CT images usually carry."""

SIDECAR_FIELDS = (
    "PatientName", "PatientID", "InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName", "StationName",
    "DeviceSerialNumber", "SeriesDescription", "ProtocolName", "AccessionNumber", "ReferringPhysicianName",
    "ProcedureStepDescription", "ImageComments", "ConversionSoftware",
)  # fmt: skip
"""What dcm2niix writes into a BIDS side-car, by default or when asked."""

_NIFTI1_TEXT = {
    "descrip": (148, 80),
    "aux_file": (228, 24),
    "intent_name": (328, 16),
    "db_name": (14, 18),
    "data_type": (4, 10),
}


def mark_dicom(path: Path) -> None:
    """Write the word into every identifying field of a file, private fields and nested ones."""
    image = pydicom.dcmread(path)
    for name in DICOM_FIELDS:
        setattr(image, name, CANARY)
    image.PatientBirthDate, image.PatientAge = BIRTH_DATE, "099Y"
    block = image.private_block(0x0029, "SOMEBODY", create=True)
    block.add_new(0x10, "LO", CANARY)
    nested = Dataset()
    nested.PatientID = nested.ScheduledProcedureStepDescription = CANARY
    image.RequestAttributesSequence = Sequence([nested])
    image.preamble = CANARY.encode().ljust(128, b"\0")
    image.save_as(path)


def mark_nifti(path: Path) -> None:
    """Write the word into the text fields of a NIfTI-1 header, an extension, and the name that gzip stores."""
    raw = path.read_bytes()
    content = bytearray(gzip.decompress(raw) if path.suffix == ".gz" else raw)
    for start, length in _NIFTI1_TEXT.values():
        content[start : start + length] = CANARY.encode().ljust(length, b"\0")
    image = nib.Nifti1Image.from_bytes(bytes(content))
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", CANARY.encode()))
    marked = bytearray(image.to_bytes())
    for start, length in _NIFTI1_TEXT.values():
        marked[start : start + length] = CANARY.encode().ljust(length, b"\0")
    buffer = io.BytesIO()
    with gzip.GzipFile(filename=CANARY, mode="wb", fileobj=buffer, mtime=0) as packed:
        packed.write(marked)
    path.write_bytes(buffer.getvalue() if path.suffix == ".gz" else bytes(marked))


def mark_sidecar(path: Path) -> None:
    """Add the fields that name a person or place to a JSON side-car."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content |= dict.fromkeys(SIDECAR_FIELDS, CANARY) | {
        "PatientBirthDate": BIRTH_DATE,
        "Nested": {"PatientName": CANARY},
    }
    path.write_text(json.dumps(content), encoding="utf-8")


def traces(folder: Path) -> list[str]:
    """Name every file below a folder that holds the word or the date: as it is, or inside what it packs."""
    return [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(trace in part for part in unpacked(path.read_bytes()) for trace in TRACES)
    ]


def unpacked(content: bytes) -> list[bytes]:
    """Return a file's bytes, and those of what it packs: gzip, the members of a zip, the streams of a PNG."""
    if content.startswith(b"\x1f\x8b"):
        return [content, *unpacked(gzip.decompress(content))]
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return [content, *(part for name in archive.namelist() for part in unpacked(archive.read(name)))]
    if content.startswith(b"\x89PNG"):
        return [content, *_png_text(content)]
    return [content]


def _png_text(content: bytes) -> list[bytes]:
    """Return the texts of a PNG file, unpacked."""
    parts, at = [], 8
    while at + 8 <= len(content):
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        body = content[at + 8 : at + 8 + length]
        if kind == b"zTXt":
            parts.append(zlib.decompress(body.partition(b"\0")[2][1:]))
        at += 12 + length
    return parts
