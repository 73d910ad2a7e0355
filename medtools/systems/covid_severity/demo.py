"""A phantom cohort on disk: CT scans with lobe masks, true infection masks, grades, age and sex."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.manifest import write_manifest
from medtools.core.progress import track
from medtools.core.seeds import generator
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.io.nifti import write_volume
from medtools.io.write_dicom import write_ct
from medtools.systems.covid_severity.cohort import sample_ids
from medtools.systems.covid_severity.phantom import Phantom, make_phantom
from medtools.systems.covid_severity.severity import severity

_DESCRIPTION = "made phantom, no person"


def run(job: Job) -> None:
    """Write scans, masks and the manifest; a scan's grade is the score of its true infection mask."""
    p = job.params
    rows, graded = [], []
    for name in track(sample_ids({"scans": p.scans}), "phantoms"):
        rng = generator(job.seed, name)
        phantom = make_phantom(rng, p.size, p.slices)
        affine = phantom_affine(phantom)
        scan = job.out / "scans" / (name if p.format == "dicom" else f"{name}.nii.gz")
        if p.format == "dicom":
            job.wrote(*write_ct(scan, phantom.hu, phantom.spacing, name=name, description=_DESCRIPTION))
        else:
            job.wrote(_nifti(scan, phantom.hu, affine))
        masks = {kind: job.out / kind / f"{name}.nii.gz" for kind in ("lobes", "infection")}
        job.wrote(_nifti(masks["lobes"], phantom.lobes, affine), _nifti(masks["infection"], phantom.infection, affine))
        grade = severity(phantom.infection, phantom.lobes, 1.0).total
        person = {"grade": grade, "age": int(rng.integers(25, 85)), "sex": "FM"[int(rng.integers(2))]}
        rows.append({"id": name, "subject": name, "ct": scan, **masks, **person})
        graded.append({"id": name, **person})
    write_tsv(job.out / "grades.tsv", ["id", "grade", "age", "sex"], graded)
    write_manifest(job.out / "manifest.tsv", list(rows[0]), rows)
    job.wrote(job.out / "grades.tsv", job.out / "manifest.tsv")


def phantom_affine(phantom: Phantom) -> NDArray[np.float64]:
    """Return index to mm (right, anterior, superior) of a phantom stored as columns, rows, slices from the feet up."""
    _, height, width = phantom.hu.shape
    dz, dy, dx = phantom.spacing
    affine = np.diag([-dx, -dy, dz, 1.0])
    affine[:2, 3] = width * dx / 2, height * dy / 2
    return affine


def _nifti(path: Path, slices: NDArray[np.generic], affine: NDArray[np.float64]) -> Path:
    write_volume(path, slices[::-1].transpose(2, 1, 0), affine)
    return path
