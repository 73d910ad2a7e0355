"""The workflow itself, run by Snakemake on a small cohort: to figures and a report, through kills and changes."""

import json
import os
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from support import (
    CEREBELLUM,
    ROOT,
    configure,
    partial_files,
    results,
    series,
    snakemake,
    subprocess_environment,
    write_series,
)

from medtools.core.tables import read_tsv
from medtools.io.matrices import read_matrix

STUDY = "a study's data"  # a blank and a quote on purpose
PEOPLE = ("sub-1", "sub-2", "it's me", "sub-4", "sub-5")
DEAD = "sub-2"


def write_study(folder, **changes):
    rows = ["id\tsubject\tseries\tgroup"]
    for number, person in enumerate(PEOPLE):
        values = series(number)
        if person == DEAD:
            values[1] = 0.0
        write_series(folder / STUDY / f"{number}.tsv", values)
        rows.append(f"{person}\t{person}\t{number}.tsv\t{('HC', 'MCI')[number % 2]}")
    (folder / STUDY / "manifest.tsv").write_text("\n".join(rows) + "\n")
    write_config(folder, **changes)


def write_config(folder, **changes):
    entry = {
        "name": "study",
        "system": "mci-homology",
        "source": STUDY,
        "networks": ["cerebellum"],
        "batch": 3,
        "params": {
            "homology": {"max_dim": 0, "tr": 3000},
            "plot": {"dpi": 40, "subjects": ["sub-1"], "rois": [CEREBELLUM[0]]},
        },
    }
    configure(folder, entry | changes)


def command(folder, *words):
    return ["snakemake", "--cores", "2", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), *words]


def done_jobs(run):
    """Return the rules that ran, in the words of Snakemake's own messages."""
    lines = [line for line in run.stderr.splitlines() if line.startswith(("rule ", "localrule "))]
    return sorted(line.split()[-1].rstrip(":") for line in lines)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The study, run once to the end."""
    folder = tmp_path_factory.mktemp("finished")
    write_study(folder)
    run = snakemake(folder)
    assert run.returncode == 0, run.stderr
    return folder


def test_every_step_of_the_chain_has_its_results(finished):
    results = finished / "results" / "study"
    assert {path.stem for path in (results / "homology" / "diagrams").glob("*.npz")} == set(PEOPLE) - {DEAD}
    names, _ = read_matrix(results / "homology" / "PR" / "it's me" / "CB_H0.tsv")
    assert names == CEREBELLUM
    assert len(list((results / "homology" / "PS" / "CB").glob("*_H0.tsv"))) == 4
    figures = sorted(path.relative_to(results / "figures").as_posix() for path in results.rglob("figures/**/*.png"))
    assert figures == ["PR/sub-1/CB_H0.png", "PS/CB_H0.png", "betti/CB.png", "subjects/sub-1/inf-cerebellum-121.png"]
    assert not partial_files(finished)


def test_a_subject_with_a_dead_region_is_left_out_and_listed_with_the_cause(finished):
    _, rows = read_tsv(finished / "results" / "study" / "homology" / "PS" / "CB" / "subjects.tsv")
    causes = {row["id"]: row["left_out_because"] for row in rows}
    assert list(causes) == list(PEOPLE)
    assert "ROI 'inf cerebellum 122' is 0 in all 24 samples" in causes.pop(DEAD)
    assert set(causes.values()) == {"n/a"}


def test_every_job_has_a_log(finished):
    logs = {path.relative_to(finished / "logs" / "study").as_posix() for path in finished.glob("logs/study/**/*.log")}
    assert logs == {"homology/1-of-2.log", "homology/2-of-2.log", "ps/CB.log", "figures.log", "about.log"}
    assert "subject left out" in (finished / "logs" / "study" / "homology" / "1-of-2.log").read_text()


def test_a_second_run_does_nothing(finished):
    before = {path: path.stat().st_mtime_ns for path in (finished / "results").rglob("*")}
    run = snakemake(finished)
    assert run.returncode == 0
    assert "Nothing to be done" in run.stderr
    assert {path: path.stat().st_mtime_ns for path in (finished / "results").rglob("*")} == before


def test_the_report_is_one_page_with_figures_and_captions_made_offline(finished):
    run = snakemake(finished, "--report", "report.html")
    assert run.returncode == 0, run.stderr
    page = (finished / "report.html").read_text()
    for words in (
        "1 From signal to topology",
        "sub-1",
        "inf-cerebellum-121",
        "Long bars are robust",
        "Nothing here is a",
    ):
        assert words in page
    assert page.count('"data:image/png') == 4


def test_killing_it_and_starting_again_gives_the_same_bytes(finished, tmp_path):
    write_study(tmp_path)
    process = subprocess.Popen(
        command(tmp_path), stderr=subprocess.DEVNULL, env=subprocess_environment(), start_new_session=True
    )
    limit = time.monotonic() + 120
    while not list(tmp_path.rglob("*.npz")) and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -9
    run = snakemake(tmp_path)
    assert run.returncode == 0, run.stderr
    assert results(tmp_path / "results") == results(finished / "results")
    assert not partial_files(tmp_path)


def test_what_changed_is_computed_again_and_nothing_else(finished, tmp_path):
    study = tmp_path / "moved"
    shutil.copytree(finished, study)
    target = "results/study/homology/PS/CB/ps.json"
    matrix = study / "results" / "study" / "homology" / "PS" / "CB" / "inf-cerebellum-121_H0.tsv"
    first = matrix.read_bytes()
    assert "Nothing to be done" in snakemake(study, target).stderr

    write_series(study / STUDY / "4.tsv", series(77))
    run = snakemake(study, target)
    assert run.returncode == 0, run.stderr
    assert done_jobs(run) == ["homology", "ps"]
    second = matrix.read_bytes()
    assert second != first

    write_config(study, params={"homology": {"max_dim": 0, "lag": 2}})
    run = snakemake(study, target)
    assert run.returncode == 0, run.stderr
    assert done_jobs(run) == ["homology", "homology", "ps"]
    assert matrix.read_bytes() not in (first, second)
    record = json.loads((study / "results" / "study" / "homology" / "diagrams" / "sub-1.json").read_text())
    assert record["params"]["lag"] == 2


def test_a_cohort_of_which_nobody_is_left_fails_with_a_clear_line(tmp_path):
    write_study(tmp_path, batch=5)
    for number in range(1, 5):
        write_series(tmp_path / STUDY / f"{number}.tsv", np.ones((4, 24)))
    run = snakemake(tmp_path, "results/study/homology/PS/CB/ps.json", "--retries", "0")
    assert run.returncode == 1
    log = (tmp_path / "logs" / "study" / "ps" / "CB.log").read_text().splitlines()
    assert len(log) == 1
    assert "1 of the 5 subjects" in log[0]


def test_a_mistake_in_the_configuration_is_one_line_before_any_job(tmp_path):
    write_study(tmp_path, networks=["CBB"])
    run = snakemake(tmp_path)
    assert run.returncode == 1
    lines = [line for line in run.stderr.splitlines() if "rror" in line]
    assert lines == ["error: config: datasets[0].networks: unknown network 'CBB'; known: CB, CO, DMN, FP, OP, SM, all"]
    assert "Traceback" not in run.stderr
    assert not (tmp_path / "results").exists()


def test_lint_finds_nothing():
    run = subprocess.run(
        ["snakemake", "--lint"], capture_output=True, text=True, cwd=ROOT, env=subprocess_environment(), check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_shipped_configuration_makes_a_plan(tmp_path):
    run = snakemake(tmp_path, "--dry-run", "--configfile", str(ROOT / "config" / "config.yaml"))
    assert run.returncode == 0, run.stderr
    for rule in ("demo", "homology", "ps", "figures"):
        assert f"\n{rule} " in run.stdout
