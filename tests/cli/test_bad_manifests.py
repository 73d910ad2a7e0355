"""Manifests, folders and names that cannot be worked with: exit 2 and one line, before any work."""

import os
import shutil

import pytest
from support import series, write_series

GOOD = series(1)

MANIFESTS = {
    "points outside": ("id\tsubject\tseries\ns1\ts1\t../secret.tsv\n", "outside the manifest's folder"),
    "absolute path": ("id\tsubject\tseries\ns1\ts1\t/etc/passwd\n", "outside the manifest's folder"),
    "missing file": ("id\tsubject\tseries\ns1\ts1\tnone.tsv\n", "no such file none.tsv"),
    "duplicate id": ("id\tsubject\tseries\ns1\ts1\ta.tsv\ns1\ts1\ta.tsv\n", "'s1' appears more than once"),
    "unusable id": ("id\tsubject\tseries\n../s1\ts1\ta.tsv\n", "'../s1' cannot name files"),
    "option as id": ("id\tsubject\tseries\n--out\ts1\ta.tsv\n", "'--out' cannot name files"),
    "no subject": ("id\tsubject\tseries\ns1\tn/a\ta.tsv\n", "no value in column 'subject'"),
    "no file": ("id\tsubject\tseries\ns1\ts1\tn/a\n", "no file in column 'series'"),
    "no series column": ("id\tsubject\tbold\ns1\ts1\ta.tsv\n", "no column 'series'; columns are id, subject, bold"),
    "no rows": ("id\tsubject\tseries\n", "no rows"),
    "empty": ("", "empty"),
    "ragged": ("id\tsubject\tseries\ns1\ts1\n", "line 2 has 2 cells, the header has 3"),
    "commas": ("id,subject,series\ns1,s1,a.tsv\n", "no column 'id'"),
    "repeated column": ("id\tid\tsubject\tseries\ns1\ts1\ts1\ta.tsv\n", "column 'id' appears more than once"),
    "two splits": (
        "id\tsubject\tseries\tsplit\na\ts1\ta.tsv\ttrain\nb\ts1\ta.tsv\ttest\n",
        "subject 's1' is in splits 'train' and 'test'",
    ),
    "NUL in a path": ("id\tsubject\tseries\ns1\ts1\ta\0.tsv\n", "is no path"),
    "link to itself": ("id\tsubject\tseries\ns1\ts1\tloop.tsv\n", "loop.tsv"),
    "link outside": ("id\tsubject\tseries\ns1\ts1\tlink.tsv\n", "outside the manifest's folder"),
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_bad_manifest_is_refused_before_any_work(medtools, tmp_path, kind):
    text, expected = MANIFESTS[kind]
    folder = tmp_path / "data"
    write_series(folder / "a.tsv", GOOD)
    write_series(tmp_path / "secret.tsv", GOOD)
    (folder / "loop.tsv").symlink_to("loop.tsv")
    (folder / "link.tsv").symlink_to(tmp_path / "secret.tsv")
    (folder / "manifest.tsv").write_text(text)
    outcome = medtools("homology", "data/manifest.tsv", "--out", "out")
    assert outcome.code == 2
    assert len(outcome.lines) == 1
    assert "manifest.tsv" in outcome.err
    assert expected in outcome.err
    assert not (tmp_path / "out").exists()


def test_a_manifest_in_another_encoding_is_refused(medtools, tmp_path):
    (tmp_path / "manifest.tsv").write_bytes("id\tsubject\tseries\nMüller\ts\ta.tsv\n".encode("latin-1"))
    outcome = medtools("homology", "manifest.tsv")
    assert outcome.code == 2
    assert "UTF-8" in outcome.err


def test_a_manifest_with_windows_line_ends_and_byte_order_mark_is_read(medtools, tmp_path):
    write_series(tmp_path / "a.tsv", GOOD)
    (tmp_path / "manifest.tsv").write_bytes(b"\xef\xbb\xbfid\tsubject\tseries\r\ns1\ts1\ta.tsv\r\n")
    assert medtools("homology", "manifest.tsv", "--out", "out", "--max-dim", "0").code == 0


def test_two_files_of_one_subject_name_each_other(medtools, tmp_path):
    for folder in ("one", "two"):
        write_series(tmp_path / folder / "sub-1_timeseries.tsv", GOOD)
    outcome = medtools("homology", "one", "two", "--out", "out")
    assert outcome.code == 2
    assert "one/sub-1_timeseries.tsv" in outcome.err
    assert "two/sub-1_timeseries.tsv" in outcome.err


@pytest.mark.parametrize("name", ["missing.tsv", "missing"])
def test_missing_input_is_named(medtools, name):
    outcome = medtools("homology", name, "--out", "out")
    assert outcome.code == 2
    assert outcome.err == f"error: {name}: no such file or folder\n"


def test_a_scan_is_sent_to_preprocessing(medtools, tmp_path):
    (tmp_path / "bold.nii.gz").write_bytes(b"\x1f\x8b")
    outcome = medtools("homology", "bold.nii.gz", "--out", "out")
    assert outcome.code == 2
    assert "medtools preprocess fmri" in outcome.err


@pytest.mark.parametrize("name", [b"s\xfcb.tsv", b"new\nline.tsv", b"esc\x1b[31m.tsv"])
def test_names_that_no_table_could_hold_are_refused_in_one_line(medtools, tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    write_series(tmp_path / "a.tsv", GOOD, tr_s=None).rename(path)
    for source in (path, tmp_path):
        outcome = medtools("homology", source, "--out", "out")
        assert outcome.code == 2
        assert len(outcome.lines) == 1
        assert "\x1b" not in outcome.err
        assert "rename" in outcome.err


def test_folders_whose_names_are_not_utf8_are_refused(medtools, tmp_path):
    folder = tmp_path / os.fsdecode(b"d\xff")
    write_series(folder / "a.tsv", GOOD)
    outcome = medtools("homology", folder, "--out", "out")
    assert outcome.code == 2
    assert "UTF-8" in outcome.err
    outcome = medtools("homology", folder / "a.tsv", "--out", folder)
    assert outcome.code == 2
    (tmp_path / "above").mkdir()
    shutil.move(folder, tmp_path / "above")
    outcome = medtools("homology", "above", "--out", "out")
    assert outcome.code == 2
    assert len(outcome.lines) == 1
    assert "UTF-8" in outcome.err


def test_regions_whose_files_would_overwrite_each_other_are_refused(medtools, tmp_path):
    for number in (1, 2):
        write_series(tmp_path / "data" / f"sub-{number}_timeseries.tsv", series(number), ["a b", "a-b", "c", "d"])
    assert medtools("homology", "data", "--out", "out", "--max-dim", "0").code == 0
    outcome = medtools("homology", "ps", "out", "--out", "out")
    assert outcome.code == 2
    assert "'a b' and 'a-b' would share a file" in outcome.err
