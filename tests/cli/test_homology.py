"""`medtools homology`: what it writes, from whatever it is given."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest
from support import (
    CEREBELLUM,
    contents,
    partial_files,
    results,
    series,
    write_cohort,
    write_series,
)

from medtools.core.tables import read_tsv
from medtools.io.diagrams import read_diagrams
from medtools.io.matrices import read_matrix


def test_every_subject_gets_diagrams_matrices_a_record_and_a_row(done):
    out = done / "out"
    names, matrix = read_matrix(out / "PR" / "sub-2" / "CB_H1.tsv")
    assert names == CEREBELLUM
    assert matrix.shape == (4, 4)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert [row["id"] for row in read_tsv(out / "manifest.tsv")[1]] == ["sub-1", "sub-2", "sub-3"]
    assert read_diagrams(out / "diagrams" / "sub-3.npz").roi_names == CEREBELLUM
    assert sorted(path.name for path in (out / "PR" / "sub-1").iterdir()) == [f"CB_H{k}.tsv" for k in range(3)]
    assert not (out / "failures.tsv").exists()
    assert not partial_files(done)


def test_a_ramp_has_nine_bars_that_die_at_twice_the_root_of_three(medtools, tmp_path):
    # Card, check 1: v = 2t + 5, 12 samples.
    ramp = 2.0 * np.arange(12) + 5
    write_series(tmp_path / "ramp.tsv", np.array([ramp, ramp[::-1] + 1]), ["up", "down"])
    assert medtools("homology", "ramp.tsv", "--standardize", "none", "--out", "out").code == 0
    bars = read_diagrams(tmp_path / "out" / "diagrams" / "ramp.npz").diagrams[0]
    np.testing.assert_allclose(bars[0], np.tile([0, 2 * np.sqrt(3)], (9, 1)), rtol=1e-12)
    assert len(bars[1]) == len(bars[2]) == 0
    _, matrix = read_matrix(tmp_path / "out" / "PR" / "ramp" / "all_H0.tsv")
    np.testing.assert_allclose(matrix, 0, atol=1e-9)  # a series and its time-reverse are identical (check 6)


def test_the_record_says_what_made_the_outputs(done):
    record = json.loads((done / "out" / "diagrams" / "sub-1.json").read_text())
    assert record["stage"] == "homology"
    assert record["params"]["tr"] == 3000
    assert record["command"][:2] == ["medtools", "homology"]
    assert {"medtools", "seed", "device", "packages", "wall_seconds", "peak_memory_mib"} <= record.keys()
    assert [entry["path"] for entry in record["inputs"]] == [
        "../../data/sub-1_timeseries.tsv",
        "../../data/sub-1_timeseries.json",
    ]
    assert all(len(entry["sha256"]) == 64 for entry in record["inputs"] + record["outputs"])


def test_one_and_two_threads_give_the_same_bytes(done, medtools):
    assert medtools("homology", "data", "--tr", "3000", "--out", "two", "--threads", "2").code == 0
    assert medtools("homology", "data", "--tr", "3000", "--out", "one", "--threads", "1").code == 0
    assert results(done / "one") == results(done / "two")


def test_formats_that_hold_the_same_series_give_the_same_matrices(medtools, tmp_path):
    values = series(5)
    write_series(tmp_path / "t.tsv", values, tr_s=None)
    write_series(tmp_path / "c.csv", values, tr_s=None)
    np.savez(tmp_path / "z.npz", series=values, roi_names=np.array(CEREBELLUM), tr_ms=3000)
    assert medtools("homology", "t.tsv", "c.csv", "z.npz", "--out", "out").code == 0
    found = [contents(tmp_path / "out" / "PR" / name) for name in "tcz"]
    assert found[0] == found[1] == found[2]


def test_a_file_without_names_of_another_parcellation_makes_one_network(medtools, tmp_path):
    np.save(tmp_path / "x.npy", series(1))
    assert medtools("homology", "x.npy", "--out", "out").code == 0
    assert read_matrix(tmp_path / "out" / "PR" / "x" / "all_H0.tsv")[0] == ("ROI001", "ROI002", "ROI003", "ROI004")


def test_the_current_folder_is_searched_where_no_input_is_named(medtools, tmp_path):
    write_cohort(tmp_path)
    outcome = medtools("homology", "--tr", "3000")
    assert outcome.code == 0
    assert "INFO: no INPUT given: found 3 subjects in the current folder" in outcome.lines
    assert outcome.err.count("no INPUT") == 1
    assert (tmp_path / "homology" / "diagrams" / "sub-1.npz").is_file()


def test_results_in_the_current_folder_are_not_taken_for_series(medtools, tmp_path):
    for number in (1, 2):
        write_series(tmp_path / f"s{number}.tsv", series(number))
    write_series(tmp_path / "dead.tsv", np.ones((4, 24)))
    assert medtools("homology", "--max-dim", "0").code == 3
    assert medtools("homology", "ps", "homology", "--out", "homology").code == 0
    outcome = medtools("homology", "--max-dim", "0")
    assert outcome.code == 3
    assert "found 3 subjects" in outcome.err
    assert "2 of 3 samples complete" in outcome.err


def test_an_empty_current_folder_is_refused_with_what_was_looked_for(medtools):
    outcome = medtools("homology")
    assert outcome.code == 2
    assert len(outcome.lines) == 1
    assert "*_timeseries.tsv" in outcome.err
    assert ".mat" in outcome.err


def test_png_images_have_the_authors_size(medtools, tmp_path):
    write_series(tmp_path / "a.tsv", series(1))
    assert medtools("homology", "a.tsv", "--png", "--out", "out", "--max-dim", "0").code == 0
    header = (tmp_path / "out" / "PR" / "a" / "CB_H0.png").read_bytes()[16:26]
    assert header == (224).to_bytes(4, "big") * 2 + b"\x08\x00"  # 8 bits, grey


@pytest.mark.parametrize("name", ["Übung 1", "with 'quotes'", "数据", "a b;c&d", "nb\u00a0space", "x" * 150])
def test_unusual_names_work_everywhere(medtools, tmp_path, name):
    write_cohort(tmp_path / name, 2)
    assert medtools("homology", tmp_path / name, "--out", f"{name} out", "--max-dim", "0").code == 0
    assert medtools("homology", "ps", f"{name} out", "--out", f"{name} out").code == 0
    again = medtools("homology", tmp_path / name, "--out", f"{name} out", "--max-dim", "0")
    assert "all up to date" in again.err


def test_unusual_identifiers_name_files(medtools, tmp_path):
    write_series(tmp_path / ("ж" * 90 + ".tsv"), series(1))
    write_series(tmp_path / "it's.tsv", series(2))
    outcome = medtools("homology", ".", "--out", tmp_path.parent / f"{tmp_path.name}-out", "--max-dim", "0")
    assert outcome.code == 0, outcome.err


def test_no_socket_is_opened(medtools, tmp_path, monkeypatch):
    def refuse(*_args, **_options):
        raise AssertionError("a socket was asked for")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert medtools("demo", "mci-homology", "--rois", "18", "--per-group", "1", "--samples", "30").code == 0
    assert medtools("homology", "demo", "--max-dim", "0").code == 0
    assert medtools("homology", "ps", "homology").code == 0


def test_the_record_of_a_link_keeps_the_links_name(medtools, tmp_path):
    real = write_series(tmp_path / "store" / "MD5-1234.tsv", series(1), tr_s=None)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "sub-1_timeseries.tsv").symlink_to(real)
    assert medtools("homology", "data", "--out", "out").code == 0
    record = json.loads((tmp_path / "out" / "diagrams" / "sub-1.json").read_text())
    assert Path(record["inputs"][0]["path"]).name == "sub-1_timeseries.tsv"
