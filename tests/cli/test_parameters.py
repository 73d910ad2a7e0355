"""Parameters from options, `--set` and files: which wins, and how mistakes are told."""

import json

import pytest
from support import (
    write_cohort,
)


def test_the_defaults_that_systems_show_prints_are_a_configuration(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    (tmp_path / "defaults.yaml").write_text(medtools("systems", "show", "mci-homology").out)
    assert medtools("homology", "data", "--out", "out").code == 0
    outcome = medtools("homology", "data", "--out", "out", "--config", "defaults.yaml")
    assert outcome.code == 0
    assert "all up to date" in outcome.err


def test_options_override_set_and_set_overrides_the_file(medtools, tmp_path):
    write_cohort(tmp_path / "data")
    (tmp_path / "c.yaml").write_text("homology: {order: 2, lag: 2, dimension: 3}\n")
    words = ("homology", "data", "--config", "c.yaml", "--set", "lag=3", "--set", "dimension=4", "--dimension", "1")
    outcome = medtools(*words, "--dry-run")
    assert {"order: 2.0", "lag: 3", "dimension: 1"} <= set(outcome.out.splitlines())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("homology: {oder: 2}", "unknown key 'oder'; did you mean 'order'?"),
        ("max-dims: 1", "did you mean 'max_dim'?"),
        ("order: [", "not valid YAML at line 2, column 1"),
        ("order: fast", "order: input should be a valid number"),
        ("order: 0.5", "order: input should be greater than or equal to 1"),
        ("- order", "expected a mapping"),
        ("homology: 3", "section 'homology' must be a mapping"),
        ("order: 2024-02-31", "not valid YAML"),
        ("tr: .nan", "finite"),
        ("order: !!python/object/apply:os.system [true]", "not valid YAML"),
        ("\0", "not valid YAML"),
    ],
)
def test_mistakes_in_a_configuration_name_file_and_key(medtools, tmp_path, text, expected):
    write_cohort(tmp_path / "data")
    (tmp_path / "c.yaml").write_text(text)
    outcome = medtools("homology", "data", "--config", "c.yaml")
    assert outcome.code == 2
    assert len(outcome.lines) == 1
    assert "c.yaml" in outcome.err
    assert expected in outcome.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--set", "oder=2"], "did you mean 'order'?"),
        (["--set", "order"], "expected key=value"),
        (["--set", "order=["], "not YAML"),
        (["--config", "missing.yaml"], "missing.yaml: no such file"),
        (["--config", "."], "is a folder"),
        (["--tr", "3"], "is 3 in milliseconds?"),
        (["--tr", "nan"], "--tr"),
        (["--max-dim", "3"], "--max-dim"),
        (["--networks", "XYZ"], "unknown network 'XYZ'"),
        (["--atlas", "nosuch"], "unknown atlas"),
        (["--atlas", "nosuch.tsv"], "nosuch.tsv: no such file"),
        (["--engine", "magic"], "magic"),
        (["--ordre", "2"], "--order"),
    ],
)
def test_mistakes_on_the_command_line_are_named_before_any_work(medtools, tmp_path, words, expected):
    write_cohort(tmp_path / "data")
    outcome = medtools("homology", "data", "--out", "out", *words)
    assert outcome.code == 2
    assert len(outcome.lines) <= 4
    assert expected in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_shell_variable_of_slurm_sets_the_threads(medtools, tmp_path, monkeypatch):
    write_cohort(tmp_path / "data")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "2")
    assert medtools("homology", "data", "--out", "out").code == 0
    assert json.loads((tmp_path / "out" / "homology.json").read_text())["threads"] == 2
