"""Places that cannot be read or written: no permission, a full disk, a folder that is a file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import contents, partial_files, subprocess_environment, write_cohort

# The superuser may write everywhere unless two capabilities are taken away before exec (PR_CAPBSET_DROP is 24).
ORDINARY = """
import ctypes, os, sys
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert ctypes.CDLL(None, use_errno=True).prctl(24, capability, 0, 0, 0) == 0
os.execv(sys.argv[1], sys.argv[1:])
"""
RESTRICTED = [sys.executable, "-c", ORDINARY] if os.geteuid() == 0 else []


def start(*words, before=(), cwd=None):
    code = "from medtools.cli.main import run; run()"
    command = [*before, sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=subprocess_environment(), timeout=120, check=False
    )


def test_a_folder_without_write_permission_is_refused_before_work(tmp_path):
    write_cohort(tmp_path / "data")
    (tmp_path / "out").mkdir(mode=0o555)
    done = start("homology", "data", "--out", "out", before=RESTRICTED, cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: out: no permission to write here; choose another --out\n"


def test_an_output_folder_that_cannot_be_made_is_named(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    (tmp_path / "file").write_text("")
    for out in ("file", "file/out", "/proc/medtools", "/dev/null"):
        outcome = medtools("homology", "data", "--out", out)
        assert outcome.code == 2
        assert len(outcome.lines) == 1
        assert out.split("/")[1] in outcome.err if out.startswith("/") else "file" in outcome.err


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from medtools.cli.main import run
import medtools.homology.steps
resource.setrlimit(resource.RLIMIT_FSIZE, (900, 900))
run()
"""


def test_a_full_disk_is_one_line_and_the_same_command_finishes_later(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    words = ["homology", "data", "--out", "out"]
    command = [sys.executable, "-c", LIMITED, *words]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=subprocess_environment(), timeout=120, check=False
    )
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "out/" in done.stderr
    assert ".medtools-" not in done.stderr
    assert not partial_files(tmp_path)
    assert medtools(*words).code == 0
    assert medtools("homology", "data", "--out", "fresh").code == 0
    assert contents(tmp_path / "out", ".npz", ".tsv") == contents(tmp_path / "fresh", ".npz", ".tsv")


@pytest.fixture
def tiny_disk(tmp_path):
    """A file system of 256 KiB, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("cannot mount a file system here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_runs_full_leaves_only_finished_files(medtools, tmp_path, tiny_disk):
    write_cohort(tmp_path / "data", 20, n_samples=60)
    outcome = medtools("homology", "data", "--out", tiny_disk / "out")
    assert outcome.code == 2
    assert outcome.lines[-1].startswith("error: ")
    assert "No space left on device" in outcome.err
    assert not partial_files(tiny_disk)
    records = list((tiny_disk / "out" / "diagrams").glob("*.json"))
    assert records
    for record in records:
        for entry in json.loads(record.read_text())["outputs"]:
            assert (record.parent / entry["path"]).stat().st_size == entry["bytes"]


def test_a_read_only_series_folder_is_no_obstacle(medtools, tmp_path):
    folder = write_cohort(tmp_path / "data").parent
    folder.chmod(0o555)
    try:
        assert medtools("homology", "data", "--out", "out", "--max-dim", "0").code == 0
    finally:
        folder.chmod(0o755)


def test_a_series_that_may_not_be_read_is_that_subjects_failure(tmp_path):
    write_cohort(tmp_path / "data")
    (tmp_path / "data" / "sub-2_timeseries.tsv").chmod(0)
    done = start("homology", "data", "--out", "out", "--max-dim", "0", before=RESTRICTED, cwd=tmp_path)
    assert done.returncode == 3
    assert "Permission denied" in Path(tmp_path / "out" / "failures.tsv").read_text()
