"""What starting costs: help at once, nothing heavy imported before its stage runs."""

import json
import os
import subprocess
import sys

import pytest
from support import series, subprocess_environment, write_series

HEAVY = (
    "torch", "lightning", "monai", "numpy", "scipy", "sklearn", "pandas", "nilearn", "nibabel", "SimpleITK",
    "matplotlib", "numba", "gudhi", "ripser", "persim", "snakemake", "pydantic", "yaml",
)  # fmt: skip
MAX_HELP_CPU_SECONDS = 0.35

REPORT = """
import atexit, json, sys
atexit.register(lambda: print(json.dumps(sorted({m.partition(".")[0] for m in sys.modules})), file=sys.stderr))
"""


def run(code, *words):
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, env=subprocess_environment(), check=False
    )


def modules_after(*words):
    done = run(f"{REPORT}\nfrom medtools.cli.main import run\nrun()", *words)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1])), done.stdout


def cpu_seconds(*words):
    before = os.times()
    run("from medtools.cli.main import run; run()", *words)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_help_answers_within_the_promised_time():
    # The best of several runs: this is about the program, not about what else the machine is doing.
    best = min(cpu_seconds("--help") for _ in range(4))
    assert best < MAX_HELP_CPU_SECONDS


@pytest.mark.parametrize("words", [["--help"], ["--version"]])
def test_help_and_version_import_nothing_heavy(words):
    modules, out = modules_after(*words)
    assert not modules & set(HEAVY)
    assert "medtools" in out


def test_importing_the_package_imports_nothing_heavy():
    done = run(f"{REPORT}\nimport medtools")
    assert not set(json.loads(done.stderr)) & {*HEAVY, "rich", "typer"}


@pytest.mark.parametrize(
    "words",
    [
        ["homology", "--help"],
        ["demo", "--help"],
        ["preprocess", "--help"],
        ["train", "--help"],
        ["systems"],
        ["systems", "show", "mci-homology"],
    ],
)
def test_help_of_a_stage_imports_no_science(words):
    modules, _ = modules_after(*words)
    assert not modules & {"torch", "lightning", "monai", "scipy", "sklearn", "pandas", "nilearn", "matplotlib", "numba"}


def test_help_of_every_command_names_its_options_and_defaults(medtools):
    for step in ([], ["ps"], ["plot"]):
        outcome = medtools("homology", *step, "--help")
        assert outcome.code == 0
        for option in ("--out", "--config", "--set", "--seed", "--threads", "--overwrite", "--dry-run", "--log-json"):
            assert option in outcome.out
    assert "milliseconds" in medtools("homology", "-h").out


def test_a_computation_starts_quickly_enough_for_batches(tmp_path):
    # Matplotlib, torch and scikit-learn have no business in a job that computes diagrams.
    write_series(tmp_path / "a.tsv", series(1))
    modules, _ = modules_after("homology", str(tmp_path / "a.tsv"), "--out", str(tmp_path / "out"), "--max-dim", "0")
    assert not modules & {"matplotlib", "torch", "sklearn", "pandas", "nilearn", "ripser", "persim"}
