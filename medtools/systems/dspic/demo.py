"""`medtools demo dspic`: bone scans of made patients as DICOM NM, both views, with their labels and lesions."""

from __future__ import annotations

from medtools.core.manifest import write_manifest
from medtools.core.progress import track
from medtools.core.seeds import generator
from medtools.core.stage import Job
from medtools.io.labelme import write_labelme
from medtools.io.write_planar import write_nm
from medtools.systems.dspic.cohort import VIEWS, patient_labels
from medtools.systems.dspic.params import DemoParams
from medtools.systems.dspic.phantom import SPACING_MM, draw_patient, draw_view


def run(job: Job) -> None:
    """Write one DICOM file per view, the outlines of its lesions as LabelMe does, and `manifest.tsv`."""
    params: DemoParams = job.params
    rows = []
    for subject, label in track(patient_labels(params.patients), "drawing"):
        patient = draw_patient(generator(job.seed, subject), label)
        for view in VIEWS:
            drawn = draw_view(generator(job.seed, subject, view), patient, view, params.scale)
            path = job.out / f"{subject}_{view}.dcm"
            write_nm(path, drawn.counts[None], (view,), SPACING_MM * params.scale, name=subject)
            lesions = path.with_suffix(".json") if drawn.outlines else None
            job.wrote(path)
            if lesions is not None:
                height, width = drawn.counts.shape
                write_labelme(lesions, path.name, (height, width), drawn.outlines)
                job.wrote(lesions)
            row = {"id": path.stem, "subject": subject, "image": path, "view": view, "label": label}
            rows.append(row | {"lesions": lesions})
    write_manifest(job.out / "manifest.tsv", ["id", "subject", "image", "view", "label", "lesions"], rows)
    job.wrote(job.out / "manifest.tsv")
