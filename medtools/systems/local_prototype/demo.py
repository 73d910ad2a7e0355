"""A made cohort on disk: abdomens to train on, one support, and queries that lie elsewhere by a known shift."""

from __future__ import annotations

import numpy as np

from medtools.core.manifest import write_manifest
from medtools.core.progress import track
from medtools.core.seeds import generator
from medtools.core.stage import Job
from medtools.io.nifti import write_volume
from medtools.systems.local_prototype.cohort import MADE, parts
from medtools.systems.local_prototype.phantom import make_abdomen
from medtools.systems.local_prototype.slices import ORGANS, write_organs

_SLICE_MM, _FIELD_MM = 5.0, 384.0
_DIRECTIONS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def run(job: Job) -> None:
    """Write volumes, label maps, the table of organs and, last, the manifest."""
    p = job.params
    rows, queries = [], 0
    pixel = _FIELD_MM / p.size
    affine = np.diag([-pixel, -pixel, -_SLICE_MM, 1.0])
    for name, part in track(parts(p.train, p.queries).items(), "volumes"):
        down, right = _DIRECTIONS[queries % 4] if part == "query" else (0, 0)
        queries += part == "query"
        made = make_abdomen(generator(job.seed, name), p.size, p.slices, shift=(down * p.shift, right * p.shift))
        paths = {kind: job.out / kind / f"{name}.nii.gz" for kind in ("image", "labels")}
        write_volume(paths["image"], made.image.transpose(2, 1, 0), affine)
        write_volume(paths["labels"], made.labels.transpose(2, 1, 0), affine)
        job.wrote(*paths.values())
        rows.append({"id": name, "subject": name, **paths, "split": part})
    write_organs(job.out / ORGANS, MADE)
    write_manifest(job.out / "manifest.tsv", list(rows[0]), rows)
    job.wrote(job.out / ORGANS, job.out / "manifest.tsv")
