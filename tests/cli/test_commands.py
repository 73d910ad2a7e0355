"""The groups of commands: what is listed, what is shown, and what a mistake is answered with."""

import csv
import io
import json

import pytest
import yaml

import medtools as package
from medtools.cli.stage_command import stage_command
from medtools.core.params import Params
from medtools.core.stage import Stage
from medtools.systems import registry


def test_the_version_is_one_line(medtools):
    assert medtools("--version").out == f"medtools {package.__version__}\n"


def test_no_words_at_all_show_the_help(medtools):
    outcome = medtools()
    assert outcome.code == 2
    assert "homology" in outcome.out + outcome.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["homolgy"], "Did you mean 'homology'?"),
        (["demo", "mci-homologi"], "Did you mean 'mci-homology'?"),
        (["systems", "show", "mci-homolgy"], "did you mean mci-homology?"),
        (["systems", "show", "qqqq"], "there are: "),
        (["systems", "--format", "xml"], "xml"),
        (["systems", "shwo"], "shwo"),
    ],
)
def test_a_mistyped_word_names_the_closest(medtools, words, expected):
    outcome = medtools(*words)
    assert outcome.code == 2
    assert expected in outcome.err
    assert len(outcome.lines) <= 5
    assert outcome.out == ""


def test_systems_are_listed_as_table_tsv_and_json(medtools):
    table, tsv, text = (medtools("systems", "--format", form).out for form in ("table", "tsv", "json"))
    names = registry.names()
    assert all(name in table for name in names)
    assert [row["name"] for row in csv.DictReader(io.StringIO(tsv), delimiter="\t")] == names
    assert [row["name"] for row in json.loads(text)] == names


@pytest.mark.parametrize("name", registry.names())
def test_every_system_shows_its_card_and_defaults_as_yaml(medtools, name):
    outcome = medtools("systems", "show", name)
    assert outcome.code == 0
    content = yaml.safe_load(outcome.out) or {}
    sections = {stage.section: stage.params for stage in registry.stages(name).values()}
    assert content.keys() <= sections.keys()
    for section, values in content.items():
        required = {key for key, field in sections[section].model_fields.items() if field.is_required()}
        assert values is None or values.keys() | required == set(sections[section].model_fields)


@pytest.mark.parametrize("name", registry.names())
def test_every_system_is_cited_with_bibtex_and_a_paragraph(medtools, name):
    outcome = medtools("systems", "cite", name)
    assert outcome.code == 0
    assert outcome.out.startswith("@")
    assert package.__version__ in outcome.out.split("\n\n")[-1]


@pytest.mark.parametrize("name", registry.names())
def test_every_stage_that_a_card_names_has_a_command(name):
    card = registry.card(name)
    assert set(card.stages) == set(registry.stages(name))
    assert all(isinstance(stage, Stage) for stage in registry.stages(name).values())


def test_a_parameter_may_not_take_the_name_of_a_shared_option():
    class Clashing(Params):
        seed: int = 1

    with pytest.raises(TypeError, match="seed"):
        stage_command(Stage(name="x", summary="x", params=Clashing, run=lambda job: None))


def test_the_demo_is_the_same_for_the_same_seed_and_complete(medtools, tmp_path):
    words = ("demo", "mci-homology", "--rois", "18", "--per-group", "1", "--samples", "30")
    for out, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        assert medtools(*words, "--out", out, "--seed", seed).code == 0
    files = {out: {p.name: p.read_bytes() for p in (tmp_path / out).glob("*.tsv")} for out in "abc"}
    assert files["a"] == files["b"] != files["c"]
    assert (tmp_path / "a" / "demo.json").is_file()
    again = medtools(*words, "--out", "a")
    assert again.lines == ["INFO: demo mci-homology: up to date in a (use --overwrite to redo it)"]
    assert medtools(*words, "--out", "a", "--seed", "3").code == 4


def test_the_demo_refuses_sizes_without_a_network(medtools):
    outcome = medtools("demo", "mci-homology", "--rois", "17")
    assert outcome.code == 2
    assert len(outcome.lines) == 1
    assert "18, 32, 34, 21, 22, 33" in outcome.err
