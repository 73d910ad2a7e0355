"""What the workflow costs beside the work: planning 1,000 subjects, one more job, and how the work spreads over cores.

    python benchmarks/workflow.py [--subjects 16] [--cores 1,2] [--out FILE.json]

CPU seconds include every process a run started, so other work on the machine does not count; wall time does. The
projection at the end says what it assumes.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
NETWORK_SIZES = {"CB": 18, "CO": 32, "DMN": 34, "FP": 21, "OP": 22, "SM": 33}
STUDY = 533
"""Subjects of the paper's ADNI cohort."""


def timed(*command: str | Path, cwd: Path) -> dict[str, float]:
    """Run a command; return its wall and CPU seconds (children included) and peak memory in MiB."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([Path(sys.executable).with_name(str(command[0])), *map(str, command[1:])],
                   cwd=cwd, check=True, capture_output=True)  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": time.perf_counter() - begun, "cpu": cpu, "peak_mib": after.ru_maxrss / 1024}


def configured(folder: Path, batch: int, **demo: int) -> Path:
    """Make a folder with a configuration of one synthetic cohort."""
    entry = {
        "name": "cohort", "system": "mci-homology", "source": "demo", "networks": list(NETWORK_SIZES), "batch": batch,
        "params": {"demo": {"rois": 160, **demo}, "homology": {"tr": 3000}, "plot": {"dpi": 40}},
    }  # fmt: skip
    (folder / "config").mkdir(parents=True)
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump({"datasets": [entry]}))
    return folder


def snakemake(folder: Path, cores: int, *words: str) -> dict[str, float]:
    """Run the workflow in a folder."""
    return timed("snakemake", "--snakefile", ROOT / "Snakefile", "--cores", str(cores), *words, cwd=folder)


def planning(work: Path) -> dict[str, float]:
    """Plan 1,002 subjects of 160 regions."""
    return snakemake(configured(work, 8, per_group=334), 2, "--dry-run", "--quiet", "all")


def overhead(work: Path, subjects: int) -> dict[str, float]:
    """Run the same diagrams as one job per subject and as one job for all; the difference is what jobs cost."""
    targets = {1: [f"{n}-of-{subjects}" for n in range(1, subjects + 1)], subjects: ["1-of-1"]}
    found = {}
    for batch, names in targets.items():
        folder = configured(work / f"batch{batch}", batch, per_group=subjects // 3, samples=40)
        snakemake(folder, 1, "results/cohort/data/manifest.tsv")
        found[batch] = snakemake(folder, 1, *(f"results/cohort/homology/batches/{name}.done" for name in names))
    return {
        "CPU seconds per job": (found[1]["cpu"] - found[subjects]["cpu"]) / (subjects - 1),
        "wall seconds per job": (found[1]["wall"] - found[subjects]["wall"]) / (subjects - 1),
    }


def costs(work: Path, subjects: int) -> dict[str, float]:
    """CPU seconds that one more subject of full size, and one more pair of subjects at one region, costs."""
    found = {}
    for n in (3, subjects):
        data, out = work / f"data{n}", work / f"out{n}"
        medtools = partial(timed, "medtools", cwd=work)
        medtools("demo", "mci-homology", "--rois", "160", "--per-group", str(n // 3), "--out", data)
        diagrams = medtools("homology", data, "--tr", "3000", "--threads", "1", "--out", out)["cpu"]
        ps = medtools("homology", "ps", data / "manifest.tsv", "--threads", "1", "--out", out)["cpu"]
        found[n] = (diagrams, ps, n * (n - 1) / 2 * sum(NETWORK_SIZES.values()))
    few, many = found[3], found[subjects]
    return {
        "diagrams and PR, per subject": (many[0] - few[0]) / (subjects - 3),
        "PS, per pair and region": (many[1] - few[1]) / (many[2] - few[2]),
    }


def scaling(work: Path, subjects: int, cores: list[int]) -> dict[str, float]:
    """Wall seconds of diagrams, PR and PS of full-size subjects through the workflow, on more and more cores."""
    found = {}
    for count in cores:
        folder = configured(work / str(count), 1, per_group=subjects // 3)
        snakemake(folder, count, "results/cohort/data/manifest.tsv")
        targets = [f"results/cohort/homology/PS/{network}/ps.json" for network in NETWORK_SIZES]
        found[f"{count} cores"] = snakemake(folder, count, *targets)["wall"]
    return found


def projection(per_subject: float, per_pair_of_region: float, per_job: float, batch: int = 8) -> dict[str, float]:
    """Minutes for 533 subjects on 1, 16 and 128 cores.

    Assumes cores as fast as one here, batches of 8 subjects spread evenly, PS of each network on as many cores as
    `--set-threads ps=...` gives it (its regions and pairs are independent), and no waiting in queues.
    """
    jobs = math.ceil(STUDY / batch)
    pairs = STUDY * (STUDY - 1) / 2
    work_ps = pairs * per_pair_of_region * sum(NETWORK_SIZES.values())
    minutes = {}
    for cores in (1, 16, 128):
        rounds = math.ceil(jobs / cores)
        first = rounds * (batch * per_subject + per_job)
        second = work_ps / cores + math.ceil(len(NETWORK_SIZES) / cores) * per_job
        minutes[f"{cores} cores"] = (first + second) / 60
    return minutes


def made(folder: Path) -> Path:
    """Make a folder."""
    folder.mkdir(parents=True)
    return folder


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=15, help="a multiple of 3")
    parser.add_argument("--cores", default="1,2")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    cores = [int(count) for count in asked.cores.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        found: dict[str, Any] = {
            "planning 1,002 subjects": planning(work / "plan"),
            "jobs": overhead(work / "jobs", asked.subjects),
            "CPU seconds": costs(made(work / "costs"), asked.subjects),
            "wall seconds": scaling(work / "scaling", asked.subjects, cores),
        }
    found["projection in minutes"] = projection(*found["CPU seconds"].values(), found["jobs"]["CPU seconds per job"])
    text = json.dumps(found, indent=2)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
