"""The packaged Dosenbach-160 table, and tables of the user's own."""

import numpy as np
import pytest

from medtools.core.errors import InputError
from medtools.io.atlas import NETWORKS, load_atlas, network_abbreviation, networks

ATLAS = load_atlas("dosenbach160")


def test_the_networks_have_the_sizes_of_the_paper_and_160_regions_in_all():
    sizes = {network: len(rows) for network, rows in networks(ATLAS).items()}

    assert sizes == {"CB": 18, "CO": 32, "DMN": 34, "FP": 21, "OP": 22, "SM": 33}
    assert list(sizes) == list(NETWORKS)
    assert sum(sizes.values()) == 160
    assert [n * (n - 1) // 2 for n in sizes.values()] == [153, 496, 561, 210, 231, 528]  # 2,179 pairs per subject


def test_the_named_regions_of_the_paper_stand_in_their_rows():
    dmn = [ATLAS.names[row] for row in networks(ATLAS)["DMN"]]
    by_name = dict(zip(ATLAS.names, ATLAS.networks, strict=True))

    assert dmn.index("post cingulate 108") == 17
    assert dmn.index("vlPFC 15") == 28
    assert {name: by_name[name] for name in ("inf cerebellum 121", "IPL 96", "occipital 106", "pre-SMA 41")} == {
        "inf cerebellum 121": "CB",
        "IPL 96": "FP",
        "occipital 106": "OP",
        "pre-SMA 41": "SM",
    }
    assert by_name["post cingulate 80"] == "CO"


def test_two_posterior_cingulate_spheres_overlap():
    names = list(ATLAS.names)
    first, second = ATLAS.xyz[names.index("post cingulate 115")], ATLAS.xyz[names.index("post cingulate 108")]

    assert np.linalg.norm(first - second) == pytest.approx(8.49, abs=0.005)  # mm; spheres have 10 mm diameter


def test_the_table_is_that_of_nilearn_in_its_order():
    datasets = pytest.importorskip("nilearn.datasets")
    theirs = datasets.fetch_coords_dosenbach_2010(ordered_regions=True)

    assert list(ATLAS.names) == list(theirs["labels"])
    assert np.array_equal(ATLAS.xyz, np.asarray(theirs["rois"], dtype=float))
    assert list(ATLAS.networks) == [network_abbreviation(name) for name in theirs["networks"]]


def test_networks_are_chosen_by_abbreviation_or_name_in_the_order_asked_for():
    assert list(networks(ATLAS, wanted=["SM", "cerebellum", "default"])) == ["SM", "CB", "DMN"]


def test_an_unknown_network_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match=r"unknown network 'VIS'.*CB, CO, DMN, FP, OP, SM"):
        networks(ATLAS, wanted=["DMN", "VIS"])


def test_rows_count_in_a_subjects_own_regions_when_these_are_given():
    names = ["vlPFC 15", "elsewhere", "IPL 96", "post cingulate 108"]

    assert networks(ATLAS, roi_names=names) == {"DMN": [0, 3], "FP": [2]}


@pytest.mark.parametrize(("suffix", "delimiter"), [(".tsv", "\t"), (".csv", ",")])
def test_a_table_of_ones_own_is_read_with_or_without_coordinates(tmp_path, suffix, delimiter):
    rows = [["name", "network", "x", "y", "z"], ["a", "N1", "1", "-2.5", "3"], ["b", "N2", "4", "5", "6"]]
    path, short = tmp_path / f"mine{suffix}", tmp_path / f"short{suffix}"
    path.write_text("# from somewhere\n" + "".join(delimiter.join(row) + "\n" for row in rows))
    short.write_text("".join(delimiter.join(row[:2]) + "\n" for row in rows))

    atlas = load_atlas(path)

    assert (atlas.name, atlas.names, atlas.networks) == ("mine", ("a", "b"), ("N1", "N2"))
    assert atlas.xyz.tolist() == [[1.0, -2.5, 3.0], [4.0, 5.0, 6.0]]
    assert load_atlas(short).xyz is None
    assert networks(atlas) == {"N1": [0], "N2": [1]}


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("name\tlobe\na\tx\n", "one column 'network'"),
        ("name\tname\tnetwork\na\tb\tN\n", "one column 'name'"),
        ("name\tnetwork\n", "column 'name' has no value in row 1"),
        ("name\tnetwork\na\tN\n\tN\n", "column 'name' has no value in row 2"),
        ("name\tnetwork\na\t\n", "column 'network' has no value in row 1"),
        ("name\tnetwork\na\tN\na\tM\n", "region 'a' appears more than once"),
        ("name\tnetwork\na\n", "row 1 has 1 cells, the header has 2"),
        ("name\tnetwork\tx\ty\tz\na\tN\t1\t2\tn/a\n", "a coordinate is no number"),
        ("name\tnetwork\tx\ty\tz\na\tN\t1\t2\tinf\n", "region 1 has no finite coordinates"),
        ("# only a comment\n", "one column 'name', found nothing"),
        ("", "the file is empty"),
    ],
)
def test_a_bad_table_is_refused_with_its_cause(tmp_path, text, cause):
    (tmp_path / "mine.tsv").write_text(text)

    with pytest.raises(InputError, match=cause):
        load_atlas(tmp_path / "mine.tsv")


@pytest.mark.parametrize("which", ["schaefer", "atlas.nii.gz"])
def test_an_unknown_atlas_is_refused_with_what_is_known(which):
    with pytest.raises(InputError, match=r"give dosenbach160, power264, seitzman300, or a .tsv or .csv file"):
        load_atlas(which)


@pytest.mark.parametrize(
    ("which", "first", "n_networks"), [("power264", (-25, -98, -12), 1), ("seitzman300", (-49.77, -34.36, 25.74), 14)]
)
def test_nilearns_tables_of_coordinates_are_known_by_name(which, first, n_networks):
    atlas = load_atlas(which)

    assert len(atlas.names) == len(atlas.xyz) == int(which[-3:])
    np.testing.assert_allclose(atlas.xyz[0], first)
    assert len(set(atlas.networks)) == n_networks
