"""Names in manifests, archives, configurations and records lead nowhere outside the folder they belong to."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support import call, contents, write_cohort, write_series

from medtools.core.errors import InputError
from medtools.core.manifest import read_manifest, safe_name
from medtools.core.params import read_yaml
from medtools.core.provenance import Fingerprint, drop, write_record
from medtools.io.arrays import read_npz
from medtools.workflow import load_data_sets

SCHEMA = Path(__file__).parents[2] / "workflow" / "schemas" / "config.schema.yaml"
OUTSIDE = ("../secret.tsv", "data/../../secret.tsv", "/etc/hostname", "link.tsv", "linked/secret.tsv")
IDS = ("../x", "a/b", "/x", "..", ".hidden", "-rf", "a\\b", "x\x00y", "")


@pytest.fixture
def cohort(tmp_path) -> Path:
    """A cohort beside which lies a file that is none of its business, with links that lead there."""
    folder = tmp_path / "cohort"
    write_cohort(folder)
    write_series(tmp_path / "secret.tsv", np.random.default_rng(0).normal(size=(4, 24)))
    (folder / "link.tsv").symlink_to(tmp_path / "secret.tsv")
    (folder / "linked").symlink_to(tmp_path, target_is_directory=True)
    return folder


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_in_a_manifest_stays_in_its_folder(cohort, path):
    (cohort / "manifest.tsv").write_text(f"id\tsubject\tseries\nsub-1\tsub-1\t{path}\n")

    with pytest.raises(InputError, match="lies outside the manifest's folder"):
        read_manifest(cohort / "manifest.tsv", ["series"])
    refused = call("homology", cohort, "--tr", "3000", "--out", cohort.parent / "out")

    assert refused.code == 2
    assert not list((cohort.parent).glob("out/**/*.npz"))


@pytest.mark.parametrize("identifier", IDS)
def test_an_identifier_that_could_name_another_folder_is_refused(cohort, identifier):
    (cohort / "manifest.tsv").write_text(f"id\tsubject\tseries\n{identifier}\tsub-1\tsub-1_timeseries.tsv\n")
    before = contents(cohort.parent)

    refused = call("homology", cohort, "--tr", "3000", "--out", cohort.parent / "deep" / "out")

    assert not safe_name(identifier)
    assert refused.code == 2
    assert contents(cohort.parent) == before


@pytest.mark.parametrize("name", ["../x", "a/b", "/abs", "..", "-x", "", "a b"])
def test_a_data_set_of_the_workflow_cannot_be_named_out_of_results(tmp_path, name):
    config = tmp_path / "config.yaml"
    config.write_text(
        f"datasets:\n  - {{name: {json.dumps(name)}, system: mci-homology, source: demo, networks: [CB]}}\n"
    )

    with pytest.raises(InputError):
        load_data_sets(read_yaml(config), SCHEMA)


def test_what_a_configuration_says_reaches_the_shell_as_one_word(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        "datasets:\n  - {name: x, system: mci-homology, source: demo, networks: [CB],\n"
        "     params: {homology: {key: \"a'; touch ran; echo '\"}}}\n"
    )
    options = load_data_sets(read_yaml(config), SCHEMA)["x"].options("homology")

    assert os.system(f"cd {tmp_path} && true {options}") == 0
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("member", ["../../evil.npy", "/tmp/medtools-evil.npy", "a/../../evil.npy", "..\\evil.npy"])
def test_members_of_an_archive_are_read_in_memory_whatever_their_names(tmp_path, member):
    buffer, folder = io.BytesIO(), tmp_path / "deep" / "deeper"
    folder.mkdir(parents=True)
    np.save(buffer, np.eye(3))
    with zipfile.ZipFile(folder / "x.npz", "w") as archive:
        archive.writestr(zipfile.ZipInfo(member), buffer.getvalue())

    read_npz(folder / "x.npz")

    assert list(contents(tmp_path)) == ["deep/deeper/x.npz"]
    assert not Path("/tmp/medtools-evil.npy").exists()


def test_a_record_that_names_files_elsewhere_deletes_none_of_them(tmp_path):
    (tmp_path / "out").mkdir()
    victims = [tmp_path / "keep.tsv", tmp_path / "out" / "made.tsv"]
    for path in victims:
        path.write_text("a\n1\n")
    record = tmp_path / "out" / "stage.json"
    write_record(record, Fingerprint("stage", {}, {}, 0), [tmp_path / "keep.tsv", tmp_path / "out" / "made.tsv"])
    (tmp_path / "out" / "link").symlink_to(tmp_path)
    content = json.loads(record.read_text())
    content["outputs"].append({**content["outputs"][0], "path": "link/keep.tsv"})
    content["outputs"].append({**content["outputs"][0], "path": str(tmp_path / "keep.tsv")})
    record.write_text(json.dumps(content))

    drop(record, tmp_path / "out")

    assert [path.exists() for path in victims] == [True, False]


def test_a_roi_or_network_named_like_a_path_makes_a_file_of_its_own_folder(tmp_path):
    names = ("../../a", "/etc/b", "..", "c/../../d")
    atlas = tmp_path / "atlas.tsv"
    atlas.write_text("name\tnetwork\n" + "".join(f"{name}\t../../net\n" for name in names))
    for number in (1, 2):
        series = np.random.default_rng(number).normal(size=(4, 24))
        write_series(tmp_path / "data" / f"sub-{number}_timeseries.tsv", series, names)
    before = set(contents(tmp_path))

    out, ps = tmp_path / "a" / "b" / "out", tmp_path / "a" / "b" / "ps"
    made = call("homology", tmp_path / "data", "--atlas", atlas, "--max-dim", "0", "--out", out)
    diagrams = ("--diagrams", out / "diagrams")
    compared = call("homology", "ps", out / "manifest.tsv", "--atlas", atlas, *diagrams, "--out", ps)

    assert made.code == 0, made.err
    assert compared.code == 0, compared.err
    new = set(contents(tmp_path)) - before
    assert all(name.startswith(("a/b/out/", "a/b/ps/")) for name in new)
