"""What is shown of a classifier: a few images of each class in rows that fit, and features with their table."""

from __future__ import annotations

import numpy as np

from medtools.core.tables import read_tsv
from medtools.explain.embedding import in_the_plane
from medtools.explain.figures import Explained, few_of_each, packed, write_embedding


def test_few_of_each_class_are_spread_over_it():
    truth = np.array(["a"] * 9 + ["b"] * 2)

    assert few_of_each(truth, ["b", "a"], 3).tolist() == [9, 10, 0, 4, 8]
    assert few_of_each(truth, ["c", "a"], 1).tolist() == [0]


def test_groups_share_a_row_where_they_fit_and_none_is_divided():
    image = np.zeros((4, 4))
    groups = [[Explained(image, image, f"{name}{n}") for n in range(3)] for name in "abc"]

    rows = packed(groups)

    assert [[one.title for one in row] for row in rows] == [["a0", "a1", "a2", "b0", "b1", "b2"], ["c0", "c1", "c2"]]
    assert [len(row) for row in packed([groups[0] * 3])] == [9]
    assert len(groups[0]) == 3


def test_an_embedding_is_drawn_and_written_with_who_is_where(tmp_path):
    features = np.random.default_rng(0).normal(size=(6, 4))
    truth = np.array(["a", "b"] * 3)

    paths = write_embedding(
        tmp_path, features, [f"s{n}" for n in range(6)], truth, ["a", "b"], how="pca", seed=0, title="t"
    )

    assert [path.name for path in paths] == ["embedding.png", "embedding.tsv"]
    _, rows = read_tsv(tmp_path / "embedding.tsv")
    points = in_the_plane(features, "pca")
    assert [(row["id"], row["truth"]) for row in rows] == [(f"s{n}", truth[n]) for n in range(6)]
    np.testing.assert_allclose([[float(row["x"]), float(row["y"])] for row in rows], points, atol=1e-12)
