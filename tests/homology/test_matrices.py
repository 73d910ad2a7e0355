"""PR and PS: one matrix for each homology dimension."""

import numpy as np
import pytest

from medtools.core.errors import InputError
from medtools.homology import matrices, rips, wasserstein
from medtools.homology.embedding import sliding_window


def items(n: int) -> list[rips.Diagrams]:
    rng = np.random.default_rng(0)
    return rips.diagrams_batch([sliding_window(rng.standard_normal(40)) for _ in range(n)])


def test_each_dimension_has_the_matrix_of_its_diagrams():
    stored = items(5)
    found = matrices.by_dimension(stored, ground="linf", order=2.0)
    assert len(found) == 3
    for dim, matrix in enumerate(found):
        assert np.array_equal(matrix, wasserstein.matrix([d[dim] for d in stored], ground="linf", order=2.0))


def test_no_items_have_no_matrices():
    assert matrices.by_dimension([]) == []


def test_items_of_different_dimensions_are_refused():
    stored = items(3)
    with pytest.raises(InputError, match=r"\[2, 3\] homology dimensions"):
        matrices.by_dimension([stored[0], stored[1][:2], stored[2]])
