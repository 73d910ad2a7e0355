"""The folders and matrices of the method's authors."""

import numpy as np
import pytest

from medtools.core.errors import InputError
from medtools.io.atlas import load_atlas, networks
from medtools.io.authors import read_authors_matrix
from medtools.io.timeseries import read_series

pd = pytest.importorskip("pandas")
RNG = np.random.default_rng(5)


def save_series(root, group, network, n_rois, n_samples=187):
    path = root / group / network / "s1.csv"
    path.parent.mkdir(parents=True)
    values = RNG.standard_normal((n_rois, n_samples))
    pd.DataFrame(values).to_csv(path, header=False, index=False)
    return path, values


@pytest.mark.parametrize(
    ("folder", "network", "n_rois"), [("DMN", "DMN", 34), ("default_mode", "DMN", 34), ("cerebellum", "CB", 18)]
)
def test_rows_are_rois_named_by_the_folder_of_their_network(tmp_path, folder, network, n_rois):
    path, values = save_series(tmp_path, "HC", folder, n_rois)
    atlas = load_atlas()

    series = read_series(path, layout="authors")

    assert np.array_equal(series.values, values)
    assert series.roi_names == tuple(atlas.names[row] for row in networks(atlas)[network])


@pytest.mark.parametrize(("folder", "n_rois"), [("DMN", 12), ("elsewhere", 34)])
def test_other_numbers_of_rois_and_other_folders_are_counted(tmp_path, folder, n_rois):
    path, _ = save_series(tmp_path, "HC", folder, n_rois)

    series = read_series(path, layout="authors")

    assert not series.named
    assert series.roi_names[:2] == ("ROI001", "ROI002")


def test_without_the_layout_the_authors_files_are_refused_as_transposed(tmp_path):
    path, _ = save_series(tmp_path, "HC", "DMN", 34)

    with pytest.raises(InputError, match=r"187 ROIs with 34 samples.*--layout authors"):
        read_series(path)


def test_a_header_contradicts_the_authors_layout(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1.5,2.5\n")

    with pytest.raises(InputError, match="drop --layout authors"):
        read_series(path, layout="authors")


@pytest.mark.parametrize("name", ["s1_h1.csv", "s1.csv_h1.csv"])
def test_matrices_are_read_with_what_their_path_says(tmp_path, name):
    points = RNG.standard_normal((34, 3))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    path = tmp_path / "DMN" / "MCI" / name
    path.parent.mkdir(parents=True)
    pd.DataFrame(distances.tolist()).to_csv(path)  # as persis_homo.py of the authors does

    matrix = read_authors_matrix(path)

    assert np.array_equal(matrix.values, distances)
    assert (matrix.network, matrix.group, matrix.subject, matrix.dim) == ("DMN", "MCI", "s1", 1)


@pytest.mark.parametrize(
    ("name", "values", "cause"),
    [
        ("s1.csv", np.zeros((3, 3)), "not named"),
        ("s1_h0.csv", np.ones((3, 4)), "3 rows and 4 columns"),
        ("s1_h0.csv", np.triu(np.ones((3, 3))), "symmetric"),
        ("s1_h0.csv", -np.ones((3, 3)), "non-negative"),
        ("s1_h0.csv", np.full((3, 3), np.inf), "finite"),
    ],
)
def test_other_matrices_are_refused(tmp_path, name, values, cause):
    pd.DataFrame(values).to_csv(tmp_path / name)

    with pytest.raises(InputError, match=cause):
        read_authors_matrix(tmp_path / name)
