"""`medtools demo spect-prototypes`: made hearts as NIfTI with label maps and landmarks."""

from __future__ import annotations

from medtools.core.stage import Job
from medtools.preprocess.spect.simulate import write_cohort


def run(job: Job) -> None:
    """Write the images, label maps, landmarks and, last, the manifest."""
    write_cohort(job, subjects=job.params.subjects, size=job.params.size)
