"""A stage that is disturbed leaves nothing half-written, and finishes with the same bytes when it is run again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from fault_bench import differences, half_written
from fault_kinds import FAULTS
from fault_stages import COMMANDS
from fault_trials import plan
from support import subprocess_environment

SCRIPT = Path(__file__).with_name("fault_trials.py")


def trials(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the script as `make faults` does."""
    command = [sys.executable, str(SCRIPT), *words]
    return subprocess.run(command, capture_output=True, text=True, env=subprocess_environment(), check=False)


def test_cheap_stages_finish_with_the_same_bytes_after_every_fault():
    done = trials("--short", "--trials", "12")

    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "**12 trials**" in done.stdout


@pytest.mark.slow
def test_every_stage_finishes_with_the_same_bytes_after_every_fault():
    done = trials("--trials", "140")

    assert done.returncode == 0, done.stdout + done.stderr[-3000:]


def test_every_stage_meets_every_fault_before_any_comes_twice():
    n_pairs = 6 * len(COMMANDS) - sum(not command.needs for command in COMMANDS)  # a demo has no input to damage

    pairs = [(command.name, fault) for _, command, fault in plan(COMMANDS, n_pairs, 0, True)]

    assert len(set(pairs)) == len(pairs) == n_pairs
    assert {fault for _, fault in pairs} == set(FAULTS)


def test_what_differs_is_named():
    expected = {"a": b"1", "b": b"2", "metrics.csv": b"epoch\n1\n2\n"}

    assert differences({"a": b"1", "b": b"3", "c": b""}, expected) == [
        "metrics.csv is missing", "c is left over", "b differs",
    ]  # fmt: skip
    under_way = {".medtools-1-x": b"", "resume.ckpt": b"", "metrics.csv": b"epoch\n"}
    assert half_written({"a": b"", "x": b"", **under_way}, expected) == ["a was half-written", "x should not be there"]
