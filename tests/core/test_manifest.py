"""The manifest: labels, and identifiers that can name files (its faults are tested through the command line)."""

import pytest

from medtools.core.errors import InputError
from medtools.core.manifest import check_recordable, read_manifest, safe_name, write_manifest


def write(path, *rows):
    path.write_text("\n".join("\t".join(row) for row in rows) + "\n")
    return path


def test_labels_come_in_order_and_unknown_ones_are_refused(tmp_path):
    header = ("id", "subject", "group")
    manifest = read_manifest(write(tmp_path / "m.tsv", header, ("a", "a", "HC"), ("b", "b", "MCI")))
    assert manifest.labels("group", ["HC", "MCI"]) == ["HC", "MCI"]
    with pytest.raises(InputError, match="row 'b': unknown group 'MCI'; known: HC"):
        manifest.labels("group", ["HC"])
    with pytest.raises(InputError, match="no column 'diagnosis'; columns are id, subject, group"):
        manifest.labels("diagnosis")


@pytest.mark.parametrize("missing", ["n/a", ""])
def test_a_missing_label_names_its_row(tmp_path, missing):
    manifest = read_manifest(write(tmp_path / "m.tsv", ("id", "subject", "group"), ("a", "a", missing)))
    assert manifest.rows[0].get("group") is None
    with pytest.raises(InputError, match="row 'a' has no value in column 'group'"):
        manifest.labels("group")


def test_sessions_of_a_subject_may_share_its_split(tmp_path):
    rows = [("id", "subject", "split"), ("a1", "a", "train"), ("a2", "a", "train"), ("b", "b", "n/a")]
    assert len(read_manifest(write(tmp_path / "m.tsv", *rows)).rows) == 3


def test_paths_are_stored_relative_to_the_manifest_and_read_back(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.tsv").write_text("1")
    path = tmp_path / "m.tsv"
    write_manifest(
        path, ["id", "subject", "series"], [{"id": "a", "subject": "a", "series": tmp_path / "data" / "x.tsv"}]
    )
    assert path.read_text() == "id\tsubject\tseries\na\ta\tdata/x.tsv\n"
    assert read_manifest(path, ["series"]).rows[0].paths["series"] == tmp_path / "data" / "x.tsv"


@pytest.mark.parametrize("name", ["sub-01", "Zoë", "a b", "被験者", "x" * 200, "a.b", "it's"])
def test_names_that_can_name_files(name):
    assert safe_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", ".hidden", "-v", "a/b", "a\\b", "a\tb", "a\nb", "a\0", "x" * 201, "ж" * 101, "\udcff"]
)
def test_names_that_cannot(name):
    assert not safe_name(name)


def test_paths_with_control_characters_are_not_recordable(tmp_path):
    check_recordable(tmp_path / "ünï cödé\u00a0\u3000")
    for name in ("a\nb", "a\udcff", "a\x1b"):
        with pytest.raises(InputError, match="rename it"):
            check_recordable(tmp_path / name)


def test_optional_paths_may_be_absent_but_are_checked_where_they_are_given(tmp_path):
    (tmp_path / "a.nii").touch()
    (tmp_path / "mask.nii").touch()
    rows = ("s1\tp1\ta.nii\tmask.nii", "s2\tp2\ta.nii\tn/a")
    (tmp_path / "manifest.tsv").write_text("\n".join(["id\tsubject\timage\tlabels", *rows, ""]))

    first, second = read_manifest(tmp_path / "manifest.tsv", ("image",), ("labels", "landmarks")).rows

    assert set(first.paths) == {"image", "labels"}
    assert set(second.paths) == {"image"}
    (tmp_path / "mask.nii").unlink()
    with pytest.raises(InputError, match=r"row 's1', column 'labels': no such file mask\.nii"):
        read_manifest(tmp_path / "manifest.tsv", ("image",), ("labels",))
