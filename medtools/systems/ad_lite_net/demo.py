"""`medtools demo ad-lite-net`: slices of made heads in class folders, with the manifest that names their subjects."""

from __future__ import annotations

from medtools.core.manifest import write_manifest
from medtools.core.progress import track
from medtools.core.seeds import generator
from medtools.core.stage import Job
from medtools.io.images import write_image
from medtools.systems.ad_lite_net.cohort import subject_classes
from medtools.systems.ad_lite_net.params import DemoParams
from medtools.systems.ad_lite_net.phantom import ATROPHY, draw_head, draw_slice


def run(job: Job) -> None:
    """Write one PNG per slice and `manifest.tsv`."""
    params: DemoParams = job.params
    rows = []
    for subject, label in track(subject_classes(params.scale), "drawing"):
        head = draw_head(generator(job.seed, subject), ATROPHY[label], params.atrophy_sd, params.size)
        for k in range(params.slices):
            height = (k - (params.slices - 1) / 2) / params.slices
            image = draw_slice(generator(job.seed, subject, k), head, height, params.texture)
            path = job.out / label / f"{subject}_z{k}.png"
            write_image(path, image)
            rows.append({"id": path.stem, "subject": subject, "image": path, "label": label})
            job.wrote(path)
    write_manifest(job.out / "manifest.tsv", ["id", "subject", "image", "label"], rows)
    job.wrote(job.out / "manifest.tsv")
