"""Ctrl-C, SIGTERM and kill -9 at the worst moments: no partial file stays, and the same command finishes the work."""

import signal
import subprocess
import sys
import time

import pytest
from support import call, partial_files, results, subprocess_environment, write_cohort

from medtools.core.atomic import atomic_path

WORDS = ["homology", "data", "--out", "out", "--max-dim", "1"]

# Signals itself when it is about to give the n-th finished file its final name.
AT_WRITE = """
import os, pathlib, signal, sys
number, at = int(sys.argv[1]), int(sys.argv[2])
sys.argv[1:3] = []
count, rename = 0, pathlib.Path.replace
def replace(self, target):
    global count
    count += 1
    if count == at:
        os.kill(os.getpid(), number)
    return rename(self, target)
pathlib.Path.replace = replace
from medtools.cli.main import run
run()
"""

# Slow enough to be met in the middle.
IN_WORK = """
import time
from medtools.homology import steps
compute = steps.rips.diagrams_batch
def slow(*args, **options):
    time.sleep(0.2)
    return compute(*args, **options)
steps.rips.diagrams_batch = slow
from medtools.cli.main import run
run()
"""


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What an undisturbed run gives."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_cohort(folder / "data")
    assert call("homology", folder / "data", "--out", folder / "out", "--max-dim", "1").code == 0
    return results(folder / "out")


# Of the files of a subject the 1st is the diagrams, the 2nd and 3rd are PR, the 4th is the record.
@pytest.mark.parametrize(
    ("number", "at", "code"),
    [
        (signal.SIGKILL, 1, -9),
        (signal.SIGKILL, 8, -9),
        (signal.SIGTERM, 2, 143),
        (signal.SIGINT, 6, 130),
    ],
)
def test_an_interrupted_run_leaves_no_partial_file_and_finishes_later(medtools, tmp_path, expected, number, at, code):
    write_cohort(tmp_path / "data")
    done = subprocess.run(
        [sys.executable, "-c", AT_WRITE, str(int(number)), str(at), *WORDS],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=subprocess_environment(),
        timeout=120,
        check=False,
    )
    assert done.returncode == code
    left = results(tmp_path / "out")
    finished = {name: content for name, content in left.items() if "/." not in name}
    assert all(expected[name] == content for name, content in finished.items())
    assert "manifest.tsv" not in finished
    assert len(partial_files(tmp_path)) == (1 if number == signal.SIGKILL else 0)
    if number != signal.SIGKILL:
        assert len(done.stderr.splitlines()) == 1
        assert "run the same command to go on" in done.stderr
    assert medtools(*WORDS).code == 0
    assert results(tmp_path / "out") == expected
    assert not partial_files(tmp_path)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_from_outside_is_obeyed_at_once(tmp_path, number, code):
    write_cohort(tmp_path / "data", 60)
    process = subprocess.Popen(
        [sys.executable, "-c", IN_WORK, *WORDS],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=subprocess_environment(),
    )
    try:
        first = tmp_path / "out" / "diagrams" / "sub-1.json"
        limit = time.monotonic() + 60
        while not first.exists() and process.poll() is None and time.monotonic() < limit:
            time.sleep(0.02)
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == code
    assert len(err.splitlines()) == 1
    assert not partial_files(tmp_path)
    assert first.exists()
    assert not (tmp_path / "out" / "homology.json").exists()


def test_two_processes_in_one_folder_do_not_disturb_each_other(tmp_path, expected):
    write_cohort(tmp_path / "data")
    command = [sys.executable, "-c", "from medtools.cli.main import run; run()", *WORDS]
    both = [subprocess.Popen(command, cwd=tmp_path, env=subprocess_environment()) for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert results(tmp_path / "out") == expected
    assert not partial_files(tmp_path)


def test_unfinished_files_of_a_running_process_are_left_alone(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    with atomic_path(tmp_path / "out" / "busy.tsv") as partial:
        partial.write_text("half")
        assert medtools(*WORDS).code == 0
        assert partial.exists()
    assert (tmp_path / "out" / "busy.tsv").read_text() == "half"


def test_a_reader_that_goes_away_is_no_error(tmp_path):
    code = "from medtools.cli.main import run; run()"
    shell = f'"{sys.executable}" -c "{code}" systems show mci-homology | head -n 1; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(
        ["bash", "-c", shell], capture_output=True, text=True, env=subprocess_environment(), check=False
    )
    assert done.stdout.startswith("# mci-homology")
    assert done.stderr == ""
    assert done.returncode in (0, 141)
