"""Files appear complete or not at all."""

import contextlib
import errno
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtools.core import atomic
from medtools.core.errors import InputError
from medtools.core.manifest import read_manifest, write_manifest


def test_a_failure_keeps_what_stood_there_and_leaves_no_trace(tmp_path):
    final = tmp_path / "x.tsv"
    final.write_text("old")
    with contextlib.suppress(RuntimeError), atomic.atomic_path(final) as partial:
        partial.write_text("half")
        assert partial.parent == final.parent
        assert partial.suffix == ".tsv"
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["x.tsv"]
    assert final.read_text() == "old"


def test_missing_folders_are_made(tmp_path):
    atomic.write_text(tmp_path / "a" / "b" / "x.txt", "y\n")
    assert (tmp_path / "a" / "b" / "x.txt").read_bytes() == b"y\n"


@pytest.mark.parametrize("name", ["ж" * 100 + ".json", "数" * 80 + ".npz", "x" * 240])
def test_names_as_long_as_file_systems_take_work(tmp_path, name):
    atomic.write_text(tmp_path / name, "y")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_equal_file_is_left_with_its_date(tmp_path):
    path = tmp_path / "x"
    atomic.write_bytes(path, b"same")
    os.utime(path, ns=(1, 1))
    atomic.write_bytes(path, b"same")
    assert path.stat().st_mtime_ns == 1
    atomic.write_bytes(path, b"else")
    assert path.stat().st_mtime_ns > 1


def test_files_get_the_usual_permissions(tmp_path):
    previous = os.umask(0o027)
    try:
        atomic.write_text(tmp_path / "x", "y")
    finally:
        os.umask(previous)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_errors_of_the_system_name_the_final_file(tmp_path):
    def full(_path, _content):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space") as caught, atomic.atomic_path(tmp_path / "x.tsv") as partial:
        full(partial, b"")
    assert caught.value.filename == str(tmp_path / "x.tsv")


def test_a_file_system_that_cannot_flush_folders_is_fine(tmp_path, monkeypatch):
    flush = os.fsync

    def refuse_folders(descriptor):
        if os.fstat(descriptor).st_mode & 0o040000:
            raise OSError(errno.EINVAL, "Invalid argument")
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    atomic.write_text(tmp_path / "x", "y")
    assert (tmp_path / "x").read_text() == "y"


def test_orphans_of_dead_processes_go_and_others_stay(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = atomic._HOST
    (tmp_path / "deep").mkdir()
    orphan = tmp_path / "deep" / f".medtools-{host}-{dead.pid}-0123abcd-x.npz"
    others = [
        tmp_path / f".medtools-{host}-{os.getpid()}-0123abcd-x.npz",
        tmp_path / f".medtools-elsewhere{host}-{dead.pid}-0123abcd-x.npz",
        tmp_path / ".medtools-notes",
        tmp_path / "x.npz",
    ]
    for path in [orphan, *others]:
        path.write_text("")
    assert atomic.remove_orphans(tmp_path) == 1
    assert not orphan.exists()
    assert all(path.exists() for path in others)


@given(st.binary(max_size=200))
def test_what_is_written_is_read(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("x") / "x"
    atomic.write_bytes(path, content)
    assert path.read_bytes() == content


def test_json_refuses_what_is_no_json(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())


def test_relative_paths_follow_folders_but_not_the_file_itself(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "MD5-1").write_text("")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.tsv").symlink_to("../store/MD5-1")
    (tmp_path / "link").symlink_to("data")
    assert atomic.relative_path(tmp_path / "link" / "x.tsv", tmp_path / "out") == "../data/x.tsv"
    assert atomic.relative_path(tmp_path / "data", tmp_path / "data") == "."


def test_a_manifest_of_links_can_be_read_back(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "MD5-1").write_text("1")
    (tmp_path / "x.tsv").symlink_to("store/MD5-1")
    write_manifest(tmp_path / "m.tsv", ["id", "subject", "series"], [
        {"id": "a", "subject": "a", "series": tmp_path / "x.tsv"},
    ])  # fmt: skip
    row = read_manifest(tmp_path / "m.tsv", ["series"]).rows[0]
    assert row.get("series") == "x.tsv"
    assert row.paths["series"].read_text() == "1"


def test_a_linked_manifest_is_relative_to_where_the_link_lies(tmp_path):
    (tmp_path / ".store").mkdir()
    (tmp_path / ".store" / "m").write_text("id\tsubject\tseries\na\ta\tx.tsv\n")
    (tmp_path / "x.tsv").write_text("1")
    (tmp_path / "m.tsv").symlink_to(".store/m")
    assert read_manifest(tmp_path / "m.tsv", ["series"]).rows[0].paths["series"].read_text() == "1"
    with pytest.raises(InputError, match="no such file"):
        read_manifest(tmp_path / ".store" / "m", ["series"])
