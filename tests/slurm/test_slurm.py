"""The workflow through a real SLURM of one node: it finishes, and survives what happens on a cluster."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import results, subprocess_environment

pytestmark = pytest.mark.slurm

ROOT = Path(__file__).parents[2]
CONFIG = """\
datasets:
  - name: tiny
    system: mci-homology
    source: {source}
    networks: [CB]
    batch: 2
    params:
      {params}
"""
DEMO = "demo: {rois: 18, per_group: 2, samples: 60}"


@pytest.fixture(scope="session", autouse=True)
def slurm() -> Iterator[None]:
    """Start the node, or skip where it cannot be had."""
    script = ROOT / "tests" / "slurm" / "one_node.sh"
    started = subprocess.run([script, "start"], capture_output=True, text=True, check=False)
    if started.returncode:
        pytest.skip(f"no SLURM here: {started.stderr.strip()}")
    yield
    subprocess.run([script, "stop"], check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder from which the literal command works: the workflow's own files, and nothing made before."""
    for name in ("Snakefile", "environment.yml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    for name in ("slurm", "profiles"):
        shutil.copy(ROOT / name, tmp_path / name, follow_symlinks=False)
    configure(tmp_path, "demo", DEMO)
    return tmp_path


def configure(folder: Path, source: str, params: str = "homology: {}") -> None:
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "config.yaml").write_text(CONFIG.format(source=source, params=params), encoding="utf-8")


def command(*words: str) -> list[str]:
    """The verbatim command, with checks every few seconds instead of every minute."""
    quick = ["--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"]
    return ["snakemake", "--cores", "16", "--profile", "slurm", *quick, "--latency-wait", "5", *words]


def run(folder: Path, *words: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*words), cwd=folder, env=subprocess_environment(), capture_output=True, text=True, timeout=timeout,
        check=False,
    )  # fmt: skip


def start(folder: Path) -> subprocess.Popen[str]:
    with (folder / "master.log").open("w") as log:
        return subprocess.Popen(
            command(), cwd=folder, env=subprocess_environment(), stdout=log, stderr=log, text=True,
            start_new_session=True,
        )  # fmt: skip


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.3)


def running_jobs() -> list[str]:
    return subprocess.run(["squeue", "-h", "-o", "%i", "-t", "R"], capture_output=True, text=True).stdout.split()


def undisturbed(folder: Path) -> dict[str, bytes]:
    """What the same workflow makes without a cluster."""
    other = folder.parent / f"{folder.name}-local"
    shutil.copytree(folder, other, symlinks=True, ignore=shutil.ignore_patterns("results", ".snakemake", "logs"))
    done = subprocess.run(
        ["snakemake", "--cores", "2", "-q"], cwd=other, env=subprocess_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return results(other / "results")


def test_the_verbatim_command_makes_what_a_local_run_makes(checkout):
    done = run(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert results(checkout / "results") == undisturbed(checkout)


def test_killing_the_master_and_typing_the_command_again_finishes_with_the_same_bytes(checkout):
    master = start(checkout)
    wait_for(lambda: bool(running_jobs()))
    os.killpg(master.pid, signal.SIGKILL)
    master.wait()
    done = run(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert results(checkout / "results") == undisturbed(checkout)


def test_a_cancelled_job_is_submitted_again(checkout):
    master = start(checkout)
    wait_for(lambda: bool(running_jobs()))
    subprocess.run(["scancel", running_jobs()[0]], check=True)
    master.wait(timeout=600)
    log = (checkout / "master.log").read_text(encoding="utf-8")
    assert master.returncode == 0, log
    assert results(checkout / "results") == undisturbed(checkout)


def test_a_subject_with_bad_data_is_named_once_and_the_rest_completes(checkout):
    source = checkout / "data"
    made = subprocess.run(
        ["medtools", "demo", "mci-homology", "--rois", "18", "--per-group", "2", "--samples", "60", "--out", source],
        env=subprocess_environment(), capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    broken = source / "sub-0003_atlas-dosenbach160_timeseries.tsv"
    lines = broken.read_text(encoding="utf-8").splitlines()
    broken.write_text("\n".join([lines[0], "nan" + lines[1][lines[1].index("\t") :], *lines[2:]]) + "\n")
    configure(checkout, "data")
    done = run(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    table = (checkout / "results" / "tiny" / "homology" / "PS" / "CB" / "subjects.tsv").read_text(encoding="utf-8")
    left_out = [line for line in table.splitlines()[1:] if not line.endswith("n/a")]
    assert len(left_out) == 1
    assert "sub-0003" in left_out[0]


def test_a_job_that_needs_more_memory_than_it_asked_for_comes_back_with_more(checkout):
    (checkout / "Snakefile").write_text(
        """
from medtools.cluster import adapt_to_site

onstart:
    adapt_to_site(workflow.executor_settings)

rule hungry:
    output: "fed.txt"
    resources:
        mem_mb=lambda wildcards, attempt: 150 * attempt,
        runtime=5,
    shell:
        "python3 -c 'import time; block = bytearray(100 * 2**20); time.sleep(6)' && touch {output}"
""",
        encoding="utf-8",
    )
    done = run(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    submissions = [line for line in (done.stdout + done.stderr).splitlines() if "submitted with SLURM jobid" in line]
    assert len(submissions) >= 2


def test_a_drained_node_delays_the_run_and_does_not_break_it(checkout):
    node = os.uname().nodename
    master = start(checkout)
    wait_for(lambda: bool(running_jobs()))
    subprocess.run(["scontrol", "update", f"nodename={node}", "state=drain", "reason=test"], check=True)
    try:
        time.sleep(8)
        assert master.poll() is None
    finally:
        subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], check=True)
    master.wait(timeout=600)
    assert master.returncode == 0, (checkout / "master.log").read_text(encoding="utf-8")


def test_the_partition_of_the_site_file_is_asked_for(checkout):
    (checkout / "config" / "site.yaml").write_text("slurm_partition: nowhere\n", encoding="utf-8")
    done = run(checkout, "--retries", "0")
    assert done.returncode != 0
    assert "nowhere" in done.stdout + done.stderr
