"""A made cohort on disk: cardiac slices of which every subject has heart and liver in about the same place."""

from __future__ import annotations

from medtools.core.stage import Job
from medtools.preprocess.spect.simulate import write_cohort


def run(job: Job) -> None:
    """Write images, label maps, landmarks and, last, the manifest."""
    write_cohort(job, subjects=job.params.subjects, size=job.params.size)
