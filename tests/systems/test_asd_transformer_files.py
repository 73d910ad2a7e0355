"""What users bring: matrices, series, community tables, ABIDE's own files; and what is refused (card 04, check 12)."""

import io
import pickle

import nibabel
import numpy as np
import pytest

from medtools.core.errors import InputError
from medtools.systems.asd_transformer.abide import read_archive, read_phenotypes
from medtools.systems.asd_transformer.connectivity import pearson
from medtools.systems.asd_transformer.files import (
    Connectivity,
    read_communities,
    read_connectivity,
    read_roi_series,
    write_connectivity,
)
from medtools.systems.asd_transformer.pickled_arrays import load_arrays
from medtools.systems.asd_transformer.preparation import majority_overlap

ROIS = ("left", "right", "third")


def matrix(seed=0, n=3):
    return pearson(np.random.default_rng(seed).standard_normal((n, 20)))[0].astype(np.float32)


def test_a_written_matrix_comes_back_with_names_and_series(tmp_path):
    series = np.ones((3, 5), np.float32)
    write_connectivity(tmp_path / "a.npz", Connectivity(matrix(), ROIS, series))
    found = read_connectivity(tmp_path / "a.npz", "s")
    assert np.array_equal(found.matrix, matrix())
    assert found.rois == ROIS
    assert np.array_equal(found.series, series)


def test_matrices_of_other_formats_are_read_alike(tmp_path):
    np.save(tmp_path / "a.npy", matrix())
    np.savetxt(tmp_path / "a.csv", matrix(), delimiter=",", header="left,right,third", comments="")
    assert np.allclose(read_connectivity(tmp_path / "a.npy", "s").matrix, matrix())
    named = read_connectivity(tmp_path / "a.csv", "s")
    assert named.rois == ROIS
    assert np.allclose(named.matrix, matrix())


@pytest.mark.parametrize(
    ("place", "value", "cause"),
    [
        ((0, 1), np.nan, r"subject s7.*ROI right has connectivity that is no number"),
        ((0, 1), 0.9, "not symmetric"),
        ((slice(None), slice(None)), 3.0, r"holds 3, a correlation lies in \[-1, 1\].*Fisher"),
    ],
)
def test_matrices_that_are_no_correlations_are_refused(tmp_path, place, value, cause):
    bad = np.array(matrix())
    bad[place] = value
    if np.isnan(value):
        bad[2, 1] = value
    np.savez(tmp_path / "a.npz", matrix=bad, roi_names=np.array(ROIS))
    with pytest.raises(InputError, match=cause):
        read_connectivity(tmp_path / "a.npz", "s7")


def test_series_are_told_apart_from_matrices(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((3, 20)))
    with pytest.raises(InputError, match="expected a square matrix, found 3x20"):
        read_connectivity(tmp_path / "a.npy", "s")


def test_abides_1d_files_have_a_column_per_roi(tmp_path):
    path = tmp_path / "NYU_0050952_rois_cc200.1D"
    path.write_text("#1\t#2\t#3\n1.0\t2.0\t3.5\n4\t5\t6\n7\t8\t9\n1 1 1\n")
    series = read_roi_series(path)
    assert series.values.shape == (3, 4)
    assert series.values[2].tolist() == [3.5, 6, 9, 1]
    assert series.roi_names == ("1", "2", "3")
    path.write_text("#1\t#2\n1\t2\n3\n")
    with pytest.raises(InputError, match="different lengths"):
        read_roi_series(path)


def test_communities_are_found_by_name_or_number_in_the_order_of_their_numbers(tmp_path):
    path = tmp_path / "c.tsv"
    path.write_text("roi\tcommunity\nright\t2\nleft\t7\nthird\t2\n")
    found = read_communities(path, ROIS)
    assert found.number.tolist() == [1, 0, 0]
    assert found.names == ("somatomotor", "default")
    path = tmp_path / "c.csv"
    path.write_text("roi,community,name\n2,1,b\n1,0,a\n3,1,b\n")
    assert read_communities(path, ROIS).number.tolist() == [0, 1, 1]
    assert read_communities(path, ROIS).names == ("a", "b")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("roi\tcommunity\nleft\t0\nright\t1\n", "names 2 ROIs, the data have 3"),
        ("roi\tcommunity\nleft\t0\nright\t1\nfourth\t1\n", "has no ROI 'left'"),
        ("roi\tcommunity\nleft\t0\nright\tvisual\nthird\t1\n", "no whole number"),
        ("roi\tnetwork\nleft\t0\nright\t1\nthird\t1\n", "columns roi and community"),
    ],
)
def test_tables_of_another_atlas_are_refused(tmp_path, text, cause):
    path = tmp_path / "c.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=cause):
        read_communities(path, ROIS)


def phenotypes(folder, *rows):
    path = folder / "Phenotypic_V1_0b_preprocessed1.csv"
    path.write_text("SUB_ID,FILE_ID,SITE_ID,DX_GROUP\n" + "".join(f"{row}\n" for row in rows))
    return path


def test_abides_phenotypes_give_label_site_and_series(tmp_path):
    (tmp_path / "NYU_1_rois_cc200.1D").write_text("#1\t#2\n1\t2\n")
    (tmp_path / "UCLA_2_rois_cc200.1D").write_text("#1\t#2\n1\t2\n")
    path = phenotypes(tmp_path, "1,NYU_1,NYU,1", "2,UCLA_2,UCLA_2,2", "3,no_filename,PITT,1")
    rows = read_phenotypes(path, None, "group", "site")
    assert [(r.id, r.cells["group"], r.cells["site"]) for r in rows] == [
        ("NYU_1", "ASD", "NYU"),
        ("UCLA_2", "NC", "UCLA_2"),
    ]
    with pytest.raises(InputError, match="unknown DX_GROUP '3'"):
        read_phenotypes(phenotypes(tmp_path, "1,NYU_1,NYU,3"), None, "group", "site")
    with pytest.raises(InputError, match=r"0 files KKI_9_rois_\*.1D"):
        read_phenotypes(phenotypes(tmp_path, "1,KKI_9,KKI,1"), None, "group", "site")


def archive(**changes):
    count = 2
    content = {
        "timeseires": np.zeros((count, 3, 10)), "corr": np.stack([matrix(i) for i in range(count)]),
        "label": np.array([1, 0]), "site": np.array(["NYU", "KKI"], dtype=object),
    }  # fmt: skip
    return {**content, **changes}


def test_the_base_codes_dictionary_is_read_and_its_labels_checked(tmp_path):
    np.save(tmp_path / "abide.npy", archive(), allow_pickle=True)
    found = read_archive(tmp_path / "abide.npy")
    assert found.groups == ("ASD", "NC")
    assert found.sites == ("NYU", "KKI")
    assert found.connectivity.shape == (2, 3, 3)
    np.save(tmp_path / "abide.npy", archive(label=np.array([1, 2])), allow_pickle=True)
    with pytest.raises(InputError, match="unknown label 2"):
        read_archive(tmp_path / "abide.npy")


class Harmful:
    """Would run code when a careless reader loads it."""

    def __reduce__(self):
        return print, ("ran",)


def test_a_dictionary_that_holds_code_is_refused_unread(tmp_path, capsys):
    np.save(tmp_path / "abide.npy", archive(site=np.array([Harmful(), 1], dtype=object)), allow_pickle=True)
    with pytest.raises(InputError, match="could run code"):
        read_archive(tmp_path / "abide.npy")
    assert capsys.readouterr().out == ""
    (tmp_path / "abide.npy").write_bytes(pickle.dumps(archive()))
    with pytest.raises(InputError, match="no dictionary of arrays"):
        read_archive(tmp_path / "abide.npy")


def test_a_roi_belongs_to_the_network_of_most_of_its_voxels_on_another_grid():
    atlas = np.zeros((4, 4, 4), np.float32)
    atlas[:2], atlas[2:, :2], atlas[2:, 2:] = 5, 6, 9
    networks = np.zeros((8, 8, 8), np.float32)
    networks[:4], networks[:3, :2] = 3, 1
    networks[4:, :3] = 7
    fine = nibabel.affines.from_matvec(np.eye(3) * 1.0, [-0.5, -0.5, -0.5])
    labels, found = majority_overlap(atlas, np.diag([2.0, 2, 2, 1]), networks, fine)
    assert labels.tolist() == [5, 6, 9]
    assert found.tolist() == [3, 7, 0]
    with pytest.raises(InputError, match="label image"):
        majority_overlap(atlas + 0.5, np.eye(4), networks, fine)


def test_arrays_of_every_kind_come_out_of_a_pickle_as_they_went_in():
    arrays = (
        np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.array(["a", "bb"]),
        np.array(["a", "bb"], dtype=object), np.arange(3, dtype=">i4"), np.array([True, False]), np.array(2.5),
    )  # fmt: skip
    for protocol in (2, 4):
        found = load_arrays(io.BytesIO(pickle.dumps({"arrays": list(arrays), "n": np.int64(3)}, protocol=protocol)))
        assert found["n"] == 3
        for one, other in zip(found["arrays"], arrays, strict=True):
            np.testing.assert_array_equal(one, other)
            assert one.dtype == other.dtype


def state_of(code, state, content=b"\0" * 8, shape=(1,)):
    """A pickle of an array whose type has been given another state."""
    return [
        b"\x80\x04cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR(K\x01",
        pickle.dumps(shape)[2:-1], b"cnumpy\ndtype\n", pickle.dumps((code, False, True))[2:-1], b"R",
        pickle.dumps(state)[2:-1], b"b\x89", pickle.dumps(content)[2:-1], b"tb.",
    ]  # fmt: skip


@pytest.mark.parametrize("shape", [(2,), (2**40,), (-1,), (2**62, 2**62)])
def test_an_array_of_another_size_than_its_bytes_is_refused_before_it_is_made(shape):
    good = (3, "<", None, None, None, -1, -1, 0)
    assert load_arrays(io.BytesIO(b"".join(state_of("f8", good)))).tolist() == [0.0]
    with pytest.raises(ValueError, match="another size"):
        load_arrays(io.BytesIO(b"".join(state_of("f8", good, shape=shape))))


def test_bytes_declared_to_be_python_objects_are_refused():
    # Given to NumPy itself, these flags make it take the numbers for addresses of objects.
    harmless = load_arrays(io.BytesIO(b"".join(state_of("f8", (3, "<", None, None, None, -1, -1, 63)))))
    assert harmless.dtype == np.float64
    with pytest.raises(ValueError, match="another size"):
        load_arrays(io.BytesIO(b"".join(state_of("O8", (3, "|", None, None, None, -1, -1, 63)))))


@pytest.mark.parametrize("name", ["../NYU_1", "/etc/NYU", "*", ""])
def test_a_subject_of_the_phenotype_table_names_a_file_beside_it_only(tmp_path, name):
    (tmp_path / "NYU_1_rois_cc200.1D").write_text("1\t2\n")
    with pytest.raises(InputError):
        read_phenotypes(phenotypes(tmp_path, f"1,{name},NYU,1"), None, "group", "site")


def test_a_short_row_of_the_phenotype_table_is_named(tmp_path):
    with pytest.raises(InputError, match="line 2 has 2 cells"):
        read_phenotypes(phenotypes(tmp_path, "1,NYU_1"), None, "group", "site")
