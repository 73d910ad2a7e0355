"""Libraries find a place for their caches on machines without a home and with a read-only installation."""

import os
import tempfile
from pathlib import Path

import pytest

from medtools.core import caches

NOWHERE = "/proc/nowhere"  # cannot be written, not even by the superuser


@pytest.fixture(autouse=True)
def _places(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, "x")  # so that whatever is set below is taken back afterwards
        monkeypatch.delenv(name)


def test_nothing_is_set_where_home_can_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    caches.make_writable()
    assert "NUMBA_CACHE_DIR" not in os.environ
    assert not list(tmp_path.iterdir())


def test_without_a_home_a_private_folder_serves(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", NOWHERE)
    monkeypatch.setattr(caches, "_PACKAGE", Path(NOWHERE))
    caches.make_writable()
    folder = Path(os.environ["NUMBA_CACHE_DIR"])
    assert folder == Path(os.environ["MPLCONFIGDIR"]) == tmp_path / f"medtools-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_the_user_set_stands(monkeypatch):
    monkeypatch.setenv("HOME", NOWHERE)
    monkeypatch.setattr(caches, "_PACKAGE", Path(NOWHERE))
    monkeypatch.setenv("NUMBA_CACHE_DIR", "/mine")
    caches.make_writable()
    assert os.environ["NUMBA_CACHE_DIR"] == "/mine"


@pytest.mark.parametrize("trap", ["file", "link", "open"])
def test_a_folder_that_others_could_have_filled_is_not_used(tmp_path, monkeypatch, trap):
    # Compiled code is loaded from it: somebody else's would run with this user's rights.
    monkeypatch.setenv("HOME", NOWHERE)
    monkeypatch.setattr(caches, "_PACKAGE", Path(NOWHERE))
    planted = tmp_path / f"medtools-{os.getuid()}"
    if trap == "file":
        planted.write_text("")
    elif trap == "link":
        (tmp_path / "theirs").mkdir()
        planted.symlink_to("theirs")
    else:
        planted.mkdir()
        planted.chmod(0o777)
    caches.make_writable()
    used = Path(os.environ["NUMBA_CACHE_DIR"])
    assert used != planted
    assert used.stat().st_mode & 0o777 == 0o700
