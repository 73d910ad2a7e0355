"""Records: what decides a result, and whether it still stands."""

import json
import shutil

import pytest

from medtools.core import provenance
from medtools.core.errors import InputError
from medtools.core.provenance import Fingerprint, holds, read_record, write_record


@pytest.fixture
def made(tmp_path):
    """One output of two inputs with its record, and the fingerprint that made it."""
    inputs = [tmp_path / "data" / name for name in ("a.tsv", "b.tsv")]
    (tmp_path / "data").mkdir()
    (tmp_path / "out").mkdir()
    for path in inputs:
        path.write_text(path.name)
    fingerprint = Fingerprint("stage", {"x": 1}, provenance.hash_inputs(inputs), 0)
    output = tmp_path / "out" / "r.txt"
    output.write_text("result")
    write_record(tmp_path / "out" / "stage.json", fingerprint, [output])
    return tmp_path, fingerprint


def test_a_record_holds_until_something_that_decides_changes(made):
    folder, fingerprint = made
    record = folder / "out" / "stage.json"
    assert holds(record, fingerprint)
    inputs = fingerprint.inputs
    for changed in (
        Fingerprint("stage", {"x": 2}, inputs, 0),
        Fingerprint("stage", {"x": 1, "y": 1}, inputs, 0),
        Fingerprint("stage", {}, inputs, 0),
        Fingerprint("stage", {"x": 1}, inputs, 1),
        Fingerprint("stage", {"x": 1}, inputs, 0, version="99"),
        Fingerprint("stage", {"x": 1}, dict(reversed(inputs.items())), 0),
        Fingerprint("stage", {"x": 1}, dict(list(inputs.items())[:1]), 0),
        Fingerprint("stage", {"x": 1}, dict.fromkeys(inputs, "0" * 64), 0),
    ):
        assert not holds(record, changed)
    assert holds(record, Fingerprint("stage", {"x": 1, "new": None}, inputs, 0))


@pytest.mark.parametrize("damage", ["missing", "longer", "flipped"])
def test_a_record_does_not_hold_without_its_outputs(made, damage):
    folder, fingerprint = made
    output = folder / "out" / "r.txt"
    {
        "missing": output.unlink,
        "longer": lambda: output.write_text("result!"),
        "flipped": lambda: output.write_text("resulT"),
    }[damage]()
    assert not holds(folder / "out" / "stage.json", fingerprint)


def test_a_record_holds_after_everything_moved(made, tmp_path_factory):
    folder, fingerprint = made
    new = tmp_path_factory.mktemp("new") / "place"
    shutil.move(folder, new)
    inputs = provenance.hash_inputs([new / "data" / name for name in ("a.tsv", "b.tsv")])
    assert holds(new / "out" / "stage.json", Fingerprint("stage", {"x": 1}, inputs, 0))
    assert json.loads((new / "out" / "stage.json").read_text())["inputs"][0]["path"] == "../data/a.tsv"
    assert fingerprint.inputs.keys() != inputs.keys()


def test_differences_are_told_in_words(made):
    folder, _ = made
    record = read_record(folder / "out" / "stage.json")
    other = Fingerprint("stage", {"x": 2, "z": "q"}, {}, 5, version="2")
    assert other.differences(record) == [
        "x was 1, now 2",
        "z was None, now 'q'",
        "seed was 0, now 5",
        f"medtools was {record['medtools']}, now 2",
    ]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "nonsense", '{"format": 1}', '{"format": 1, "status": "failed"}', '{"format": 99}', "[" * 9999],
)
def test_what_is_no_record_is_none(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    assert read_record(path) is None
    assert read_record(tmp_path / "missing.json") is None
    assert not holds(path, Fingerprint("s", {}, {}))


def test_a_record_that_lacks_any_part_is_not_trusted(made):
    folder, _ = made
    path = folder / "out" / "stage.json"
    whole = json.loads(path.read_text())
    for key in ("format", "stage", "status", "medtools", "params", "seed", "inputs", "outputs"):
        path.write_text(json.dumps({k: v for k, v in whole.items() if k != key}))
        assert read_record(path) is None, key
        path.write_text(json.dumps(whole | {key: 7}))
        if key not in ("stage", "seed", "medtools"):
            assert read_record(path) is None, key


def test_dropping_a_record_removes_its_outputs_below_the_root_only(made):
    folder, _ = made
    path = folder / "out" / "stage.json"
    record = json.loads(path.read_text())
    record["outputs"].append({"path": "../data/a.tsv", "bytes": 5, "sha256": "0" * 64})
    path.write_text(json.dumps(record))
    provenance.drop(path, folder / "out")
    assert sorted(p.name for p in folder.rglob("*") if p.is_file()) == ["a.tsv", "b.tsv"]


def test_folders_are_hashed_file_by_file_in_order(tmp_path):
    for name in ("b/2.txt", "a/1.txt", "c.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    found = provenance.hash_inputs([tmp_path])
    assert [key.removeprefix(f"{tmp_path}/") for key in found] == ["a/1.txt", "b/2.txt", "c.txt"]


def test_the_hash_is_sha256(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    # FIPS 180-2, example B.1.
    assert provenance.sha256(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_an_unreadable_input_is_named(tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        provenance.hash_inputs([tmp_path / "none"])


def test_dropping_a_record_leaves_stages_within_it_to_judge_for_themselves(made):
    folder, fingerprint = made
    path = folder / "out" / "outer.json"
    inner = folder / "out" / "rows" / "train.json"
    model, table = folder / "out" / "rows" / "model.ckpt", folder / "out" / "table.tsv"
    for file in (model, table):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("made")
    provenance.write_record(inner, fingerprint, [model], command=["medtools"])
    provenance.write_record(path, fingerprint, [inner, model, table], command=["medtools"])

    provenance.drop(path, folder / "out")

    assert not path.exists()
    assert not table.exists()
    assert inner.exists()
    assert model.exists()
