"""A folder of DICOM studies through the workflow: scores, pictures and a report, without the one that is broken."""

import os
from pathlib import Path

import pytest
from support import call, configure, snakemake

from medtools.core.tables import read_tsv

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Three studies of the demo as a user's own data, one of them with a cut-off slice."""
    folder = tmp_path_factory.mktemp("severity")
    outcome = call(
        *("demo", "covid-severity", "--scans", "3", "--size", "96", "--slices", "16", "--out", folder / "study")
    )
    assert outcome.code == 0, outcome.err
    image = sorted((folder / "study" / "scans" / "phantom-002").rglob("*.dcm"))[3]
    os.truncate(image, image.stat().st_size // 2)
    entry = {
        "name": "ct",
        "system": "covid-severity",
        "source": "study",
        "batch": 2,
        "params": {"infer": {"viewer": False, "vessels": False}, "score": {"resamples": 100}},
    }
    configure(folder, entry)
    run = snakemake(folder)
    assert run.returncode == 0, run.stderr
    return folder


def test_scores_and_agreement_of_the_readable_studies_stand(finished):
    results = finished / "results" / "ct"
    _, rows = read_tsv(results / "severity" / "predictions.tsv")
    assert [row["id"] for row in rows] == ["phantom-001", "phantom-003"]
    _, rows = read_tsv(results / "severity_scores" / "scores.tsv")
    assert "grade_qwk" in {row["metric"] for row in rows}
    assert (results / "severity" / "phantom-001" / "montage.png").is_file()


def test_the_broken_study_is_listed_with_the_file_at_fault(finished):
    _, rows = read_tsv(finished / "results" / "ct" / "severity" / "failures.tsv")
    assert [row["id"] for row in rows] == ["phantom-002"]
    assert ".dcm" in rows[0]["cause"]


def test_the_report_has_scores_and_methods(finished):
    run = snakemake(finished, "--report", "report.html")
    assert run.returncode == 0, run.stderr
    page = (finished / "report.html").read_text()
    for words in ("1 CT severity scores", "2 Agreement with grades", "9 Methods and citations"):
        assert words in page
