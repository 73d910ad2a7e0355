"""Part of a cohort fails: the rest is complete and every cause is listed."""

import json

import numpy as np
from support import (
    series,
    write_cohort,
    write_series,
)

from medtools.core.tables import read_tsv


def test_the_rest_of_a_cohort_is_complete_and_failures_are_listed(medtools, tmp_path):
    write_cohort(tmp_path / "data", 5)
    dead = series(1)
    dead[2] = 0.0
    write_series(tmp_path / "data" / "sub-1_timeseries.tsv", dead)
    (tmp_path / "data" / "sub-3_timeseries.tsv").write_bytes(b"")
    outcome = medtools("homology", "data", "--out", "out")
    assert outcome.code == 3
    assert outcome.lines[-1].startswith("error: 2 of 5 samples failed; out/failures.tsv names each cause")
    _, failures = read_tsv(tmp_path / "out" / "failures.tsv")
    assert [row["id"] for row in failures] == ["sub-1", "sub-3"]
    assert "'inf cerebellum 140' is 0 in all 24 samples" in failures[0]["cause"]
    assert "empty" in failures[1]["cause"]
    _, rows = read_tsv(tmp_path / "out" / "manifest.tsv")
    assert [row["id"] for row in rows] == ["sub-2", "sub-4", "sub-5"]
    assert sorted(path.stem for path in (tmp_path / "out" / "diagrams").glob("*")) == [
        name for name in ("sub-2", "sub-4", "sub-5") for _ in range(2)
    ]


def test_a_repaired_subject_completes_the_cohort(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    write_series(tmp_path / "data" / "sub-2_timeseries.tsv", np.ones((4, 24)))
    assert medtools("homology", "data", "--out", "out").code == 3
    write_series(tmp_path / "data" / "sub-2_timeseries.tsv", series(2))
    assert medtools("homology", "data", "--out", "out").code == 0
    assert not (tmp_path / "out" / "failures.tsv").exists()
    assert len(read_tsv(tmp_path / "out" / "manifest.tsv")[1]) == 3


def test_what_a_failing_subject_had_before_does_not_pass_for_its_result(done, medtools):
    write_series(done / "data" / "sub-2_timeseries.tsv", np.ones((4, 24)))
    assert medtools("homology", "data", "--tr", "3000", "--out", "out").code == 3
    assert not list((done / "out").rglob("*sub-2*.npz"))
    assert not list((done / "out" / "PR" / "sub-2").glob("*"))


def test_a_later_step_keeps_the_list_of_failures(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    write_series(tmp_path / "data" / "sub-2_timeseries.tsv", np.ones((4, 24)))
    assert medtools("homology", "data", "--out", "out").code == 3
    before = (tmp_path / "out" / "failures.tsv").read_bytes()
    assert medtools("homology", "ps", "data/manifest.tsv", "--out", "out").code == 0
    assert (tmp_path / "out" / "failures.tsv").read_bytes() == before


def test_one_subject_that_fails_is_one_line(medtools, tmp_path):
    write_series(tmp_path / "a.tsv", np.ones((4, 24)))
    outcome = medtools("homology", "a.tsv", "--out", "out")
    assert outcome.code == 2
    assert len(outcome.lines) == 1


def test_when_nobody_can_be_used_every_cause_is_listed(medtools, tmp_path):
    write_cohort(tmp_path / "data", 2)
    for number in (1, 2):
        write_series(tmp_path / "data" / f"sub-{number}_timeseries.tsv", np.ones((4, 24)))
    outcome = medtools("homology", "data", "--out", "out")
    assert outcome.code == 2
    assert len(read_tsv(tmp_path / "out" / "failures.tsv")[1]) == 2
    assert not (tmp_path / "out" / "manifest.tsv").exists()


def test_an_array_job_takes_its_sample_alone(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    write_series(tmp_path / "data" / "sub-1_timeseries.tsv", np.ones((4, 24)))
    assert medtools("homology", "data", "--out", "out", "--sample", "sub-2").code == 0
    assert [path.stem for path in (tmp_path / "out" / "diagrams").glob("*.npz")] == ["sub-2"]
    outcome = medtools("homology", "data", "--out", "out", "--sample", "sub-1")
    assert outcome.code == 2
    assert len(outcome.lines) == 1
    outcome = medtools("homology", "data", "--out", "out", "--sample", "sub-1", "--sample", "sub-3")
    assert outcome.code == 3
    assert "1 of 2" in outcome.err
    outcome = medtools("homology", "data", "--out", "out", "--sample", "sub-9")
    assert outcome.code == 2
    assert "no sample 'sub-9'" in outcome.err


def test_tolerated_failures_are_noted_in_the_samples_record(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    write_series(tmp_path / "data" / "sub-1_timeseries.tsv", np.ones((4, 24)))
    assert medtools("homology", "data", "--out", "out", "--sample", "sub-1", "--tolerate").code == 0
    record = json.loads((tmp_path / "out" / "diagrams" / "sub-1.json").read_text())
    assert record["status"] == "failed"
    assert "constant" in record["cause"]


def test_the_workflows_tolerance_lets_a_changed_configuration_replace_results(done, medtools):
    words = ("homology", "data", "--tr", "3000", "--out", "out", "--order", "2", "--sample", "sub-1", "--tolerate")
    assert medtools(*words).code == 0
    assert json.loads((done / "out" / "diagrams" / "sub-1.json").read_text())["params"]["order"] == 2
    assert "all up to date" in medtools(*words).err
