"""`medtools demo dspic`: bone scans of made patients as DICOM NM, both views, with a manifest of their labels."""

from __future__ import annotations

from medtools.core.manifest import write_manifest
from medtools.core.progress import track
from medtools.core.seeds import generator
from medtools.core.stage import Job
from medtools.io.write_planar import write_nm
from medtools.systems.dspic.cohort import VIEWS, patient_labels
from medtools.systems.dspic.params import DemoParams
from medtools.systems.dspic.phantom import SPACING_MM, draw_patient, draw_view


def run(job: Job) -> None:
    """Write one DICOM file per view and `manifest.tsv`."""
    params: DemoParams = job.params
    rows = []
    for subject, label in track(patient_labels(params.patients), "drawing"):
        patient = draw_patient(generator(job.seed, subject), label)
        for view in VIEWS:
            counts = draw_view(generator(job.seed, subject, view), patient, view, params.scale)
            path = job.out / f"{subject}_{view}.dcm"
            write_nm(path, counts[None], (view,), SPACING_MM * params.scale, name=subject)
            rows.append({"id": path.stem, "subject": subject, "image": path, "view": view, "label": label})
            job.wrote(path)
    write_manifest(job.out / "manifest.tsv", ["id", "subject", "image", "view", "label"], rows)
    job.wrote(job.out / "manifest.tsv")
