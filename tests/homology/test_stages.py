"""`medtools homology ps` and `plot`, and the networks and inputs that all steps share."""

import json

import numpy as np
import pytest
from support import CEREBELLUM, results, series, write_cohort, write_series

from medtools.core.errors import InputError
from medtools.core.tables import read_tsv
from medtools.homology import layout, wasserstein
from medtools.homology.inputs import assign_networks, find_subjects
from medtools.io.diagrams import read_diagrams, write_diagrams
from medtools.io.matrices import read_matrix
from medtools.io.timeseries import RoiSeries

FAST = ("--max-dim", "0")


@pytest.fixture
def done(medtools, tmp_path):
    """A cohort of four with H0 diagrams in `out`."""
    write_cohort(tmp_path / "data", 4)
    assert medtools("homology", "data", "--out", "out", *FAST).code == 0
    return tmp_path


# PS


def test_ps_compares_each_region_between_subjects(done, medtools):
    outcome = medtools("homology", "ps", "data/manifest.tsv", "--out", "out")
    assert outcome.code == 0
    subjects, matrix = read_matrix(done / "out" / "PS" / "CB" / "inf-cerebellum-140_H0.tsv")
    assert subjects == ("sub-1", "sub-2", "sub-3", "sub-4")
    row = CEREBELLUM.index("inf cerebellum 140")
    bars = [read_diagrams(done / "out" / "diagrams" / f"{name}.npz").diagrams[row][0] for name in subjects]
    np.testing.assert_allclose(matrix[0, 3], wasserstein.distance(bars[0], bars[3]), rtol=1e-12)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert len(list((done / "out" / "PS" / "CB").glob("*_H?.tsv"))) == len(CEREBELLUM)


def test_ps_reads_the_manifest_that_homology_wrote(done, medtools):
    for number, source in enumerate(("out/manifest.tsv", "out", "data")):
        outcome = medtools("homology", "ps", source, "--out", f"ps{number}", "--diagrams", "out/diagrams")
        assert outcome.code == 0, outcome.err
    matrices = [results(done / f"ps{number}" / "PS") for number in range(3)]
    assert matrices[0] == matrices[1] == matrices[2]


def test_ps_does_not_compute_diagrams_again(done, medtools, monkeypatch):
    from medtools.homology import rips

    def refuse(*_args, **_options):
        raise AssertionError("diagrams were asked for")

    monkeypatch.setattr(rips, "diagrams_batch", refuse)
    assert medtools("homology", "ps", "out", "--out", "out").code == 0


def test_ps_is_skipped_until_a_subject_changes(done, medtools):
    words = ("homology", "ps", "data/manifest.tsv", "--out", "out")
    assert medtools(*words).code == 0
    assert "all up to date" in medtools(*words).err
    before = results(done / "out" / "PS")
    write_series(done / "data" / "sub-1_timeseries.tsv", series(50))
    assert medtools("homology", "data", "--out", "out", *FAST).code == 0
    assert "all up to date" not in medtools(*words).err
    assert results(done / "out" / "PS") != before


def test_ps_notices_that_two_subjects_were_swapped(done, medtools):
    words = ("homology", "ps", "data/manifest.tsv", "--out", "out")
    assert medtools(*words).code == 0
    _, before = read_matrix(done / "out" / "PS" / "CB" / "inf-cerebellum-121_H0.tsv")
    write_series(done / "data" / "sub-1_timeseries.tsv", series(2))
    write_series(done / "data" / "sub-2_timeseries.tsv", series(1))
    assert medtools("homology", "data", "--out", "out", *FAST).code == 0
    assert medtools(*words).code == 0
    _, after = read_matrix(done / "out" / "PS" / "CB" / "inf-cerebellum-121_H0.tsv")
    order = [1, 0, 2, 3]
    np.testing.assert_allclose(after, before[np.ix_(order, order)], rtol=1e-12)


def test_ps_leaves_out_who_failed_and_says_why(medtools, tmp_path):
    write_cohort(tmp_path / "data", 4)
    dead = series(2)
    dead[0] = 0
    write_series(tmp_path / "data" / "sub-2_timeseries.tsv", dead)
    assert medtools("homology", "data", "--out", "out", "--tolerate", *FAST).code == 0
    outcome = medtools("homology", "ps", "data", "--out", "out")
    assert outcome.code == 0
    assert "leaves out 1 of 4" in outcome.err
    _, rows = read_tsv(tmp_path / "out" / "PS" / "CB" / "subjects.tsv")
    causes = {row["id"]: row["left_out_because"] for row in rows}
    assert "is 0 in all 24 samples" in causes.pop("sub-2")
    assert set(causes.values()) == {"n/a"}
    assert read_matrix(tmp_path / "out" / "PS" / "CB" / "inf-cerebellum-121_H0.tsv")[0] == ("sub-1", "sub-3", "sub-4")


def test_ps_of_one_and_two_threads_are_the_same_bytes(done, medtools):
    for threads in "12":
        words = ("--out", f"t{threads}", "--threads", threads, "--diagrams", "out/diagrams")
        assert medtools("homology", "ps", "out", *words).code == 0
    assert results(done / "t1") == results(done / "t2")


def test_ps_of_chosen_networks_only(medtools, tmp_path):
    names = ["inf cerebellum 121", "inf cerebellum 122", "IPL 96", "occipital 106"]
    for number in (1, 2):
        write_series(tmp_path / "data" / f"sub-{number}_timeseries.tsv", series(number), names)
    assert medtools("homology", "data", "--out", "out", *FAST).code == 0
    outcome = medtools("homology", "ps", "out", "--out", "out", "--networks", "OP,all")
    assert outcome.code == 0
    assert sorted(path.name for path in (tmp_path / "out" / "PS").iterdir()) == ["OP", "all"]
    assert len(list((tmp_path / "out" / "PS" / "all").glob("*_H0.tsv"))) == 4


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], "expected one manifest, found 0"),
        (["data", "data"], "expected one manifest, found 2"),
        (["none.tsv"], "none.tsv: no such file"),
        (["data", "--diagrams", "nowhere"], "0 of the 4 subjects"),
        (["data", "--networks", "OP"], "has no ROI of network OP"),
        (["data", "--networks", "nope"], "unknown network 'nope'"),
        (["data", "--order", "0"], "--order"),
    ],
)
def test_what_ps_cannot_do_is_one_line(done, medtools, words, expected):
    outcome = medtools("homology", "ps", *words, "--out", "out")
    assert outcome.code == 2
    assert outcome.err.count("rror:") == 1
    assert expected in outcome.err
    assert not list((done / "out").glob("PS/**/*.tsv"))


def test_ps_refuses_diagrams_that_were_made_differently(done, medtools):
    words = ("homology", "data", "--out", "out", *FAST, "--lag", "2", "--sample", "sub-3", "--overwrite")
    assert medtools(*words).code == 0
    outcome = medtools("homology", "ps", "out", "--out", "out")
    assert outcome.code == 2
    assert "made with lag 2, the diagrams of sub-1 with 1" in outcome.err


def test_ps_refuses_subjects_of_different_parcellations(medtools, tmp_path):
    write_series(tmp_path / "data" / "sub-1_timeseries.tsv", series(1))
    write_series(tmp_path / "data" / "sub-2_timeseries.tsv", series(2)[:3], CEREBELLUM[:3])
    assert medtools("homology", "data", "--out", "out", *FAST).code == 0
    outcome = medtools("homology", "ps", "out", "--out", "out")
    assert outcome.code == 2
    assert "sub-2" in outcome.err
    assert "one parcellation" in outcome.err


def test_damaged_diagrams_are_named(done, medtools):
    path = done / "out" / "diagrams" / "sub-2.npz"
    whole = path.read_bytes()
    for damage in (b"", whole[:-30], whole[:60] + b"\0" * 8 + whole[68:], b"PK" + b"\0" * 40):
        path.write_bytes(damage)
        outcome = medtools("homology", "ps", "data", "--out", "out")
        assert outcome.code == 2
        assert outcome.lines[-1].startswith("error: out/diagrams/sub-2.npz: not a diagram file of medtools, or damaged")


# Figures


def test_figures_are_drawn_once_and_labelled_with_the_distance_of_their_matrices(done, medtools, monkeypatch):
    from medtools.homology import figures

    distances = []
    draw = figures.matrices.ps_grid

    def note(*args, **options):
        distances.append(options["distance"])
        return draw(*args, **options)

    monkeypatch.setattr(figures.matrices, "ps_grid", note)
    assert medtools("homology", "ps", "out", "--out", "out", "--ground", "linf", "--order", "2").code == 0
    words = ("homology", "plot", "out", "--homology", "out", "--out", "figures", "--subjects", "sub-1", "--dpi", "40")
    assert medtools(*words).code == 0
    assert distances == ["Wasserstein distance (q = 2, L∞)"]
    drawn = sorted(path.relative_to(done / "figures").as_posix() for path in (done / "figures").rglob("*.png"))
    assert [name for name in drawn if not name.startswith("subjects")] == [
        "PR/sub-1/CB_H0.png",
        "PS/CB_H0.png",
        "betti/CB.png",
    ]
    assert len(drawn) == 4
    assert "up to date in figures" in medtools(*words).err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--homology", "nowhere"], "holds no diagrams"),
        (["--homology", "out", "--subjects", "sub-9"], "no subject 'sub-9'"),
        (["--homology", "out", "--rois", "nose"], "no ROI 'nose'"),
        (["--homology", "out", "--networks", "nope"], "unknown network 'nope'"),
        (["--homology", "out", "--dpi", "1"], "--dpi"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(done, medtools, words, expected):
    outcome = medtools("homology", "plot", "data/manifest.tsv", *words, "--out", "figures")
    assert outcome.code == 2
    assert outcome.err.count("rror:") == 1
    assert expected in outcome.err
    assert not (done / "figures" / "plot.json").exists()


def test_a_record_of_another_version_is_refused_not_a_crash(done, medtools):
    path = done / "out" / "diagrams" / "sub-1.json"
    record = json.loads(path.read_text())
    record["params"]["window"] = 3
    path.write_text(json.dumps(record))
    outcome = medtools("homology", "plot", "data", "--homology", "out", "--out", "figures")
    assert outcome.code == 2
    assert "sub-1.json" in outcome.err
    assert "window" in outcome.err


# Inputs


def named(*names):
    return RoiSeries(np.empty((len(names), 0)), names, None, "x.tsv")


def test_rois_of_the_atlas_are_grouped_by_network_and_all_is_theirs_on_request():
    regions = assign_networks(named("post cingulate 108", "occipital 106", "nose"), "dosenbach160", ())
    assert regions.networks == {"DMN": [0], "OP": [1]}
    assert assign_networks(named("post cingulate 108", "nose"), "dosenbach160", ["all"]).networks == {"all": [0, 1]}
    assert assign_networks(named("post cingulate 108", "nose"), "dosenbach160", ["default"]).networks == {"DMN": [0]}


def test_other_parcellations_make_up_one_network():
    assert assign_networks(named("a", "b"), "dosenbach160", ()).networks == {"all": [0, 1]}
    with pytest.raises(InputError, match="its only network is 'all'"):
        assign_networks(named("a", "b"), "dosenbach160", ["DMN"])


def test_a_nameless_matrix_of_160_rows_takes_the_atlas_names():
    nameless = RoiSeries(np.empty((160, 0)), tuple(f"ROI{i:03d}" for i in range(160)), None, "x.npy", named=False)
    regions = assign_networks(nameless, "dosenbach160", ())
    # Card, check 10.
    assert {name: len(rows) for name, rows in regions.networks.items()} == {
        "CB": 18, "CO": 32, "DMN": 34, "FP": 21, "OP": 22, "SM": 33,
    }  # fmt: skip


def test_manifests_files_and_folders_mix(tmp_path):
    manifest = write_cohort(tmp_path / "cohort", 2)
    file = write_series(tmp_path / "one.csv", series(8))
    write_series(tmp_path / "folder" / "sub-7_timeseries.tsv", series(7))
    found = find_subjects([manifest, file, tmp_path / "folder"])
    assert [subject.id for subject in found] == ["sub-1", "sub-2", "one", "sub-7"]
    assert found[0].cells["group"] == "MCI"


def test_the_authors_folders_are_read_on_request(medtools, tmp_path):
    for group, seed in (("HC", 1), ("MCI", 2)):
        values = np.vstack([series(seed), series(seed + 10)])
        path = tmp_path / "authors" / group / "DMN" / "s01.csv"
        path.parent.mkdir(parents=True)
        np.savetxt(path, values, delimiter=",")
    outcome = medtools("homology", "authors", "--layout", "authors", "--tr", "3000", "--out", "out", *FAST)
    assert outcome.code == 0, outcome.err
    _, rows = read_tsv(tmp_path / "out" / "manifest.tsv")
    assert [row["id"] for row in rows] == ["HC_DMN_s01", "MCI_DMN_s01"]
    assert len(read_diagrams(tmp_path / "out" / "diagrams" / "HC_DMN_s01.npz").diagrams) == 8


def test_names_become_words_of_files_and_collisions_are_refused():
    assert layout.file_word("post cingulate 108") == "post-cingulate-108"
    assert layout.file_word("../../etc/passwd") == "etc-passwd"
    assert layout.file_word("Ω") == "Ω"
    layout.check_distinct(["a b", "a b", "c"], "x.tsv", "ROIs")
    for pair in (["a b", "a-b"], ["IPL", "ipl"], ["*", "?"]):
        with pytest.raises(InputError, match="would share a file"):
            layout.check_distinct(pair, "x.tsv", "ROIs")


def test_diagrams_survive_a_round_trip_with_empty_dimensions(tmp_path):
    bars = [[np.array([[0.0, 1.5]]), np.empty((0, 2))], [np.empty((0, 2)), np.array([[1.0, 2.0], [1.0, 3.0]])]]
    write_diagrams(tmp_path / "x.npz", ["a", "b"], bars)
    write_diagrams(tmp_path / "y.npz", ["a", "b"], bars)
    stored = read_diagrams(tmp_path / "x.npz")
    for expected, found in zip(bars, stored.diagrams, strict=True):
        for one, other in zip(expected, found, strict=True):
            np.testing.assert_array_equal(one, other)
    assert (tmp_path / "x.npz").read_bytes() == (tmp_path / "y.npz").read_bytes()
