"""A results folder described for archives: every file claimed once, made by an action, nothing of the machine."""

import json

import pytest
from rocrate.rocrate import ROCrate
from support import call, write_cohort

from medtools.core.lineage import find_steps


@pytest.fixture(scope="module")
def crate(tmp_path_factory):
    """The results of a small run, with their description."""
    folder = tmp_path_factory.mktemp("crate")
    write_cohort(folder / "private" / "data")
    outcome = call("homology", folder / "private" / "data", "--tr", "3000", "--max-dim", "0", "--out", folder / "out")
    assert outcome.code == 0, outcome.err
    outcome = call("provenance", folder / "out", "--ro-crate", "--methods", folder / "out" / "methods.html")
    assert outcome.code == 0, outcome.err
    return folder / "out"


def test_the_reference_library_reads_it_and_finds_every_file(crate):
    read = ROCrate(crate)
    files = {entity.id for entity in read.get_entities() if "File" in entity.type}
    outputs = {path for step in find_steps(crate) for path, _ in step.outputs()}
    assert files == {path.relative_to(crate).as_posix() for path in outputs}


def test_every_result_has_the_action_software_and_inputs_that_made_it(crate):
    read = ROCrate(crate)
    actions = [entity for entity in read.get_entities() if entity.type == "CreateAction"]
    assert len(actions) == len(find_steps(crate))
    sample = next(action for action in actions if "sub-1" in action.id)
    assert sample["instrument"]["name"] == "medtools"
    assert {"sub-1_timeseries.tsv", "sub-1_timeseries.json"} <= {part["name"] for part in sample["object"]}
    assert {"max_dim", "tr"} <= {part["name"] for part in sample["object"]}
    assert all(part["sha256"] for part in sample["result"])


def test_it_does_not_say_where_on_a_machine_data_lie(crate):
    text = (crate / "ro-crate-metadata.json").read_text()
    assert str(crate.parent) not in text
    assert "private" not in text


def test_it_is_the_same_whenever_it_is_made(crate):
    before = json.loads((crate / "ro-crate-metadata.json").read_text())
    call("provenance", crate, "--ro-crate")
    assert json.loads((crate / "ro-crate-metadata.json").read_text()) == before


def test_the_methods_page_has_text_parameters_versions_and_citation(crate):
    page = (crate / "methods.html").read_text()
    wanted = ("Vietoris-Rips", "medtools homology", "<td>max_dim</td><td>0</td>", "numpy ", "@inproceedings{aithal")
    for words in wanted:
        assert words in page
    assert "{version}" not in page
