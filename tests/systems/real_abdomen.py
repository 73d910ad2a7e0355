"""Real abdominal CTs with model-made organ masks, out of a registry package, as cohorts for local-prototype.

`within`: one CT, of whose slices every fourth supports and those half-way between are asked (6 mm apart).
`across`: that CT supports a CT of another series, given as DICOM of 512x512.
The masks are made by a network; they are no ground truth.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import nibabel as nib
import numpy as np

from medtools.io.nifti import write_volume

ORGANS: Mapping[int, tuple[str, str]] = {
    1: ("spleen", ""), 2: ("right kidney", "kidney"), 3: ("left kidney", "kidney"), 4: ("gallbladder", ""),
    5: ("liver", ""), 6: ("stomach", ""), 7: ("pancreas", ""), 8: ("right adrenal gland", "adrenal gland"),
    9: ("left adrenal gland", "adrenal gland"), 18: ("small bowel", ""), 19: ("duodenum", ""), 20: ("colon", ""),
    52: ("aorta", ""), 63: ("inferior vena cava", ""), 64: ("portal vein", ""), 88: ("left iliopsoas", "iliopsoas"),
    89: ("right iliopsoas", "iliopsoas"),
}  # fmt: skip
"""Value in the label map (the package's 117 structures) to name and group; all others are called by their number."""

_EVERY = 4


def write_cohorts(source: Path, folder: Path) -> None:
    """Write both cohorts from the unpacked package: `within` and `across`, each with a manifest and organs.tsv."""
    files = source / "tests" / "reference_files"
    ct, labels = (nib.load(files / name) for name in ("example_ct_sm.nii.gz", "example_seg.nii.gz"))
    values = np.asarray(labels.dataobj)
    parts = {}
    for part, first in (("support", 0), ("query", _EVERY // 2)):
        affine = ct.affine @ np.diag([1, 1, _EVERY, 1])
        affine[:3, 3] += ct.affine[:3, 2] * first
        for kind, data in (("image", np.asarray(ct.dataobj, dtype=np.float32)), ("labels", values)):
            parts[part, kind] = folder / "within" / f"{part}_{kind}.nii.gz"
            kept = data[:, :, first::_EVERY]
            write_volume(parts[part, kind], kept.astype(np.uint8 if kind == "labels" else np.float32), affine)
    write_tables(folder / "within", parts, values)
    across = {}
    for kind, name in (("image", "example_ct_sm.nii.gz"), ("labels", "example_seg.nii.gz")):
        across["support", kind] = folder / "across" / f"support_{kind}.nii.gz"
        across["support", kind].parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(files / name, across["support", kind])
    across["query", "image"] = folder / "across" / "dicom"
    shutil.copytree(files / "example_ct_dicom", across["query", "image"])
    across["query", "labels"] = folder / "across" / "query_labels.nii.gz"
    shutil.copy(files / "example_seg_dicom.nii.gz", across["query", "labels"])
    write_tables(folder / "across", across, values)


def write_tables(folder: Path, paths: Mapping[tuple[str, str], Path], values: np.ndarray) -> None:
    """Write the manifest and the table of organs."""
    rows = ["id\tsubject\timage\tlabels\tsplit"]
    for part in ("support", "query"):
        image, labels = (paths[part, kind].relative_to(folder) for kind in ("image", "labels"))
        rows.append(f"{part}\t{part}\t{image}\t{labels}\t{part}")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n")
    organs = ["value\tname\tgroup"]
    for value in np.unique(values)[1:].tolist():
        name, group = ORGANS.get(value, (f"structure {value}", ""))
        organs.append(f"{value}\t{name}\t{group or name}")
    (folder / "organs.tsv").write_text("\n".join(organs) + "\n")
