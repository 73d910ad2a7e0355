"""Persistence diagrams come back as written, and what does not fit together is refused."""

import numpy as np
import pytest

from medtools.core.errors import InputError
from medtools.io.diagrams import read_diagrams, write_diagrams

NAMES = ["a", "b", "c"]


def bars(*counts):
    rng = np.random.default_rng(0)
    return [np.sort(rng.random((count, 2)), axis=1) for count in counts]


@pytest.fixture
def arrays(tmp_path):
    """The arrays of a good file, to be spoilt."""
    write_diagrams(tmp_path / "x.npz", NAMES, [bars(3, 1), bars(2, 0), bars(0, 0)])
    with np.load(tmp_path / "x.npz") as stored:
        return dict(stored)


def test_diagrams_come_back_also_where_a_region_has_none(tmp_path):
    written = [bars(3, 0), bars(2, 0), bars(0, 0)]
    write_diagrams(tmp_path / "x.npz", NAMES, written)

    found = read_diagrams(tmp_path / "x.npz")

    assert found.roi_names == tuple(NAMES)
    assert found.max_dim == 1
    assert all(np.array_equal(a, b) for one, two in zip(found.diagrams, written, strict=True) for a, b in zip(one, two))  # noqa: B905


@pytest.mark.parametrize(
    "changes",
    [
        {"H0_offsets": np.array([0, 9, 3, 5])},
        {"H0_offsets": np.array([0, 3, 5])},
        {"H0_offsets": np.array([0, 3, 5, 2**40])},
        {"H0_offsets": np.array([0.0, 3, 5, 5])},
        {"H0": np.zeros((5, 3))},
        {"H0": np.zeros((5, 2), dtype=complex)},
        {"roi_names": np.array(["a", "b"])},
        {"roi_names": np.array(0)},
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(tmp_path, arrays, changes):
    np.savez(tmp_path / "x.npz", **{**arrays, **changes})

    with pytest.raises(InputError, match="not a diagram file of medtools, or damaged"):
        read_diagrams(tmp_path / "x.npz")


def test_a_file_without_diagrams_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", roi_names=np.array(NAMES))

    with pytest.raises(InputError, match="holds no diagrams"):
        read_diagrams(tmp_path / "x.npz")
