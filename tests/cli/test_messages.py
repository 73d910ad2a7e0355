"""What `medtools homology` says: plans, estimates, refusals, log lines."""

import json

import pytest
from support import (
    contents,
    partial_files,
    write_cohort,
)


def test_a_dry_run_writes_nothing(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    before = contents(tmp_path)
    outcome = medtools("homology", "data", "--out", "out", "--tr", "3000", "--dry-run")
    assert outcome.code == 0
    assert "tr: 3000.0" in outcome.out
    assert "state: to be run" in outcome.out
    assert contents(tmp_path) == before
    assert not (tmp_path / "out").exists()


def test_an_estimate_names_memory_and_time_and_writes_nothing(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    outcome = medtools("homology", "data", "--out", "out", "--estimate")
    assert outcome.code == 0
    assert "MiB" in outcome.out
    assert "3 subjects" in outcome.out
    assert not (tmp_path / "out").exists()


def test_the_estimate_does_not_rest_on_a_subject_that_cannot_be_read(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    (tmp_path / "data" / "sub-1_timeseries.tsv").write_bytes(b"\xff\xfe")
    assert medtools("homology", "data", "--out", "out").code == 3


def test_too_little_memory_is_refused_before_work(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    outcome = medtools("homology", "data", "--out", "out", "--max-mem", "10M")
    assert outcome.code == 4
    assert len(outcome.lines) == 1
    assert "--max-mem" in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_time_limit_stops_the_work_and_keeps_what_is_finished(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    outcome = medtools("homology", "data", "--out", "out", "--timeout", "1e-9")
    assert outcome.code == 4
    assert "--timeout" in outcome.err
    assert not partial_files(tmp_path)


@pytest.mark.parametrize(
    "words", [["--timeout", "-1"], ["--timeout", "nan"], ["--max-mem", "lots"], ["--max-mem", "0"]]
)
def test_nonsense_limits_are_usage_errors(medtools, tmp_path, words):
    write_cohort(tmp_path / "data")
    outcome = medtools("homology", "data", *words)
    assert outcome.code == 2
    assert len(outcome.lines) <= 5


def test_json_messages_are_one_object_a_line(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    (tmp_path / "data" / "sub-2_timeseries.tsv").write_text("a\n\n")
    outcome = medtools("homology", "data", "--out", "out", "--log-json", "-v")
    assert outcome.code == 3
    messages = [json.loads(line) for line in outcome.lines]
    assert all({"time", "level", "message"} <= message.keys() for message in messages)
    assert [m["sample"] for m in messages if m["level"] == "warning"] == ["sub-2"]
    assert messages[-1]["level"] == "error"
    failed = medtools("homology", "nowhere", "--out", "out", "--log-json")
    assert [json.loads(line)["level"] for line in failed.lines] == ["error"]


def test_quiet_leaves_warnings_only(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    assert medtools("homology", "data", "--out", "out", "-q").err == ""


def test_results_go_to_files_and_messages_to_stderr(done, medtools):
    assert medtools("homology", "data", "--tr", "3000", "--out", "other").out == ""


def test_debug_shows_the_trace(medtools):
    outcome = medtools("homology", "nowhere", "--debug")
    assert outcome.code == 2
    assert "Traceback" in outcome.err
