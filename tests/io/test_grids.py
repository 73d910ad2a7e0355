"""Grids come back as written, and other programs read them."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtools.core.errors import InputError, RefusedError
from medtools.io.grids import Grid, read_grid, write_grid

SUFFIXES = [".dx", ".mrc", ".npz"]


def grid(seed: int = 0, shape=(3, 4, 5)) -> Grid:
    rng = np.random.default_rng(seed)
    return Grid(rng.random(shape, dtype=np.float32), np.round(rng.uniform(-50, 50, 3), 3), 0.5)


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(seed=st.integers(0, 10**6), shape=st.tuples(*[st.integers(1, 6)] * 3))
@settings(max_examples=10, deadline=None)
def test_what_is_written_is_read_back(tmp_path_factory, suffix, seed, shape):
    made = grid(seed, shape)
    path = tmp_path_factory.mktemp("g") / f"x{suffix}"
    write_grid(path, made)
    found = read_grid(path)
    np.testing.assert_allclose(found.values, made.values, rtol=1e-5)
    np.testing.assert_allclose(found.origin, made.origin, atol=1e-4)
    assert found.spacing == pytest.approx(0.5)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_grid_gives_the_same_bytes(tmp_path, suffix):
    for name in ("a", "b"):
        write_grid(tmp_path / f"{name}{suffix}", grid())
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_mrcfile_validates_and_reads_our_mrc(tmp_path):
    mrcfile = pytest.importorskip("mrcfile")
    made = grid()
    write_grid(tmp_path / "x.mrc", made)
    assert mrcfile.validate(str(tmp_path / "x.mrc"))
    with mrcfile.open(tmp_path / "x.mrc") as opened:
        np.testing.assert_array_equal(opened.data, made.values.transpose(2, 1, 0))
        origin = opened.header.origin
        np.testing.assert_allclose([origin.x, origin.y, origin.z], made.origin, atol=1e-4)
        np.testing.assert_allclose(opened.voxel_size.x, 0.5)


def test_opendx_runs_fastest_along_z(tmp_path):
    write_grid(tmp_path / "x.dx", Grid(np.arange(8, dtype=np.float32).reshape(2, 2, 2), np.zeros(3), 1.0))
    lines = (tmp_path / "x.dx").read_text().splitlines()
    assert lines[0] == "object 1 class gridpositions counts 2 2 2"
    assert " ".join(lines[7:10]).split() == [str(i) for i in range(8)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_truncated_grids_are_refused(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    write_grid(path, grid())
    whole = path.read_bytes()
    for end in range(1, len(whole) - 70, 41):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError):
            read_grid(path)


def test_a_header_that_declares_gigabytes_is_refused_before_they_are_allocated(tmp_path):
    path = tmp_path / "x.mrc"
    write_grid(path, grid())
    content = bytearray(path.read_bytes())
    content[:12] = struct.pack("<3i", 4000, 4000, 4000)
    path.write_bytes(bytes(content))
    with pytest.raises(RefusedError, match="declares"):
        read_grid(path)
    path = tmp_path / "x.dx"
    path.write_text(
        "object 1 class gridpositions counts 9999 9999 9999\norigin 0 0 0\ndelta 1 0 0\ndelta 0 1 0\ndelta 0 0 1\n"
        "object 3 class array type double rank 0 items 1 data follows\n1\n"
    )
    with pytest.raises(RefusedError, match="declares"):
        read_grid(path)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.ccp4", b"1", "expected a grid"),
        ("x.mrc", b"x" * 2000, "not an MRC file"),
        ("x.npz", b"PK nothing", "npz"),
        ("x.dx", b"object 1 class gridpositions counts a b c\n", "not an OpenDX grid"),
    ],
)
def test_foreign_files_are_refused(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=expected):
        read_grid(path)


def test_missing_files_nan_and_skewed_grids_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_grid(tmp_path / "none.dx")
    bad = grid()
    bad.values[1, 1, 1] = np.nan
    write_grid(tmp_path / "nan.mrc", bad)
    with pytest.raises(InputError, match="not a finite number"):
        read_grid(tmp_path / "nan.mrc")
    write_grid(tmp_path / "skew.dx", grid())
    text = (tmp_path / "skew.dx").read_text().replace("delta 0 0.500000 0", "delta 0.1 0.500000 0")
    (tmp_path / "skew.dx").write_text(text)
    with pytest.raises(InputError, match="not cubes"):
        read_grid(tmp_path / "skew.dx")
    with pytest.raises(InputError, match="grids are written as"):
        write_grid(tmp_path / "x.txt", grid())
