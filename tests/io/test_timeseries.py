"""Reading ROI series: every format gives the same bits, the names and the repetition time it states."""

import json
import time

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medtools.core.errors import InputError
from medtools.io.timeseries import RoiSeries, check_series, make_series, read_series
from medtools.io.write_series import write_series

VALUES = np.random.default_rng(2).standard_normal((5, 40))
NAMES = ("post cingulate 108", "vlPFC 15", "IPL 96", "pre-SMA 41", "occipital 106")


def write_table(path, values, delimiter, names=None):
    lines = [] if names is None else [delimiter.join(names)]
    lines += [delimiter.join(map(repr, row)) for row in values.T.tolist()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(("name", "delimiter"), [("a.tsv", "\t"), ("a.csv", ","), ("A.CSV", ",")])
def test_a_table_with_a_header_gives_names_and_the_same_bits(tmp_path, name, delimiter):
    series = read_series(write_table(tmp_path / name, VALUES, delimiter, NAMES))

    assert series.roi_names == NAMES
    assert series.named
    assert series.values.dtype == np.float64
    assert np.array_equal(series.values, VALUES)


def test_a_table_without_header_counts_its_rois(tmp_path):
    series = read_series(write_table(tmp_path / "a.csv", VALUES, ","))

    assert series.roi_names == ("ROI001", "ROI002", "ROI003", "ROI004", "ROI005")
    assert not series.named
    assert np.array_equal(series.values, VALUES)


def test_the_values_cannot_be_changed(tmp_path):
    series = read_series(write_table(tmp_path / "a.csv", VALUES, ","))

    with pytest.raises(ValueError, match="read-only"):
        series.values[0, 0] = 1.0


@pytest.mark.parametrize("ending", ["\r\n", "\r"])
def test_windows_line_endings_a_byte_order_mark_and_blank_last_lines_do_not_matter(tmp_path, ending):
    plain = write_table(tmp_path / "a.tsv", VALUES, "\t", NAMES).read_text()
    (tmp_path / "b.tsv").write_bytes(b"\xef\xbb\xbf" + (plain + "\n\n").replace("\n", ending).encode())

    series = read_series(tmp_path / "b.tsv")

    assert series.roi_names == NAMES
    assert np.array_equal(series.values, VALUES)


def test_names_may_be_quoted_and_hold_the_delimiter_or_any_script(tmp_path):
    (tmp_path / "a.csv").write_text('"insula, left","扣带回"\n0.5,1.5\n2.5,3.5\n', encoding="utf-8")

    assert read_series(tmp_path / "a.csv").roi_names == ("insula, left", "扣带回")


def test_what_pandas_writes_by_default_is_read_without_its_index_and_column_numbers(tmp_path):
    pd = pytest.importorskip("pandas")
    pd.DataFrame(VALUES.T).to_csv(tmp_path / "index.csv")
    pd.DataFrame(VALUES.T).to_csv(tmp_path / "no_index.csv", index=False)
    pd.DataFrame(VALUES.T, columns=NAMES).to_csv(tmp_path / "named.csv")

    assert np.array_equal(read_series(tmp_path / "index.csv").values, VALUES)
    assert np.array_equal(read_series(tmp_path / "no_index.csv").values, VALUES)
    assert read_series(tmp_path / "named.csv").roi_names == NAMES


def test_whole_numbers_throughout_are_samples(tmp_path):
    (tmp_path / "a.csv").write_text("7,-3\n8,2\n9,4\n")

    assert read_series(tmp_path / "a.csv").values.tolist() == [[7.0, 8.0, 9.0], [-3.0, 2.0, 4.0]]


def test_what_savetxt_writes_is_read_with_its_commented_header(tmp_path):
    np.savetxt(tmp_path / "a.tsv", VALUES.T, delimiter="\t", header="\t".join(NAMES), fmt="%.17g")

    series = read_series(tmp_path / "a.tsv")

    assert series.roi_names == NAMES
    assert np.array_equal(series.values, VALUES)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("dtype", ["f8", "f4", "i2", "u1", "i8"])
def test_matlab_files_are_read_as_scipy_wrote_them(tmp_path, compress, dtype):
    values = (VALUES * 100).astype(dtype)
    content = {"tc": values, "subject": "somebody", "tr": 3.0, "c": np.array([[1, "x"]], dtype=object)}
    scipy.io.savemat(tmp_path / "a.mat", content, do_compression=compress)

    series = read_series(tmp_path / "a.mat")

    assert np.array_equal(series.values, values.astype(float))
    assert np.array_equal(series.values, scipy.io.loadmat(tmp_path / "a.mat")["tc"])


def test_one_of_several_matrices_is_named_by_its_key(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"tc": VALUES, "motion": VALUES[:3]})
    np.savez(tmp_path / "a.npz", tc=VALUES, motion=VALUES[:3])

    for name in ("a.mat", "a.npz"):
        assert np.array_equal(read_series(tmp_path / name, key="tc").values, VALUES)
        with pytest.raises(InputError, match="2 matrices"):
            read_series(tmp_path / name)
        with pytest.raises(InputError, match=r"named 'bold', found tc .*5x40"):
            read_series(tmp_path / name, key="bold")


@pytest.mark.parametrize("order", ["C", "F"])
def test_numpy_arrays_hold_one_roi_per_row_in_either_order(tmp_path, order):
    np.save(tmp_path / "a.npy", np.asarray(VALUES, order=order).astype(">f8"))

    assert np.array_equal(read_series(tmp_path / "a.npy").values, VALUES)


def test_an_npz_may_bring_names_and_repetition_time_and_then_either_orientation(tmp_path):
    for name, values in (("a.npz", VALUES), ("b.npz", VALUES.T)):
        np.savez_compressed(tmp_path / name, series=values, roi_names=np.array(NAMES), tr_ms=3200)

        series = read_series(tmp_path / name)

        assert series.roi_names == NAMES
        assert series.tr_ms == 3200
        assert np.array_equal(series.values, VALUES)


def test_a_file_without_names_and_with_more_rois_than_samples_is_refused_until_the_layout_is_said(tmp_path):
    wide = np.random.default_rng(0).standard_normal((50, 20))  # 50 ROIs
    write_table(tmp_path / "a.csv", wide, ",")
    np.save(tmp_path / "a.npy", wide)

    for name, layout in (("a.csv", "tsv"), ("a.npy", "authors")):
        with pytest.raises(InputError, match=r"50 ROIs with 20 samples.*transposed"):
            read_series(tmp_path / name)
        assert np.array_equal(read_series(tmp_path / name, layout=layout).values, wide)


def test_a_file_with_names_may_have_more_rois_than_samples(tmp_path):
    path = write_table(tmp_path / "a.tsv", VALUES[:, :3], "\t", NAMES)

    assert read_series(path).values.shape == (5, 3)


@pytest.mark.parametrize(("text", "tr_ms"), [("3.0", 3000), ("0.72", 720), ("3200", 3200), ("null", None)])
def test_the_sidecar_says_the_repetition_time_in_seconds(tmp_path, text, tr_ms):
    path = write_table(tmp_path / "sub-1_timeseries.tsv", VALUES, "\t", NAMES)
    (tmp_path / "sub-1_timeseries.json").write_text(f'{{"RepetitionTime": {text}}}')

    assert read_series(path).tr_ms == tr_ms


@pytest.mark.parametrize(
    ("comment", "tr_ms"),
    [
        ("# RepetitionTime: 3.0", 3000),
        ("# TR = 2.5 s", 2500),
        ("#TR: 720 ms", 720),
        ("# TR: 3200", 3200),
        ("# x", None),
    ],
)
def test_a_leading_comment_says_the_repetition_time(tmp_path, comment, tr_ms):
    path = write_table(tmp_path / "a.tsv", VALUES, "\t", NAMES)
    path.write_text(f"{comment}\n{path.read_text()}")

    series = read_series(path)

    assert series.tr_ms == tr_ms
    assert series.roi_names == NAMES


def test_a_sidecar_that_contradicts_the_comment_is_refused_with_both_values(tmp_path):
    path = write_table(tmp_path / "a.tsv", VALUES, "\t", NAMES)
    path.write_text(f"# RepetitionTime: 3.0\n{path.read_text()}")
    (tmp_path / "a.json").write_text('{"RepetitionTime": 3.2}')

    with pytest.raises(InputError, match=r"3000 ms .* 3200 ms"):
        read_series(path)


@settings(max_examples=30, deadline=None)
@given(
    values=arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(5, 9)), elements=st.floats(-1e100, 1e100)),
    tr_ms=st.sampled_from([None, 720.0, 3000.0, 3200.0, 2000.0]),
)
def test_writing_and_reading_gives_the_same_bits_back(tmp_path_factory, values, tr_ms):
    names = tuple(f"region {i}" for i in range(len(values)))
    path = tmp_path_factory.mktemp("series") / "sub-1_timeseries.tsv"
    write_series(path, RoiSeries(values, names, tr_ms, "test"))

    series = read_series(path)

    assert series.values.tobytes() == values.tobytes()
    assert (series.roi_names, series.tr_ms) == (names, tr_ms)


def test_a_written_sidecar_is_bids_in_seconds(tmp_path):
    write_series(tmp_path / "a.tsv", RoiSeries(VALUES, NAMES, 3000.0, "x"), description="made up")

    assert json.loads((tmp_path / "a.json").read_text()) == {"RepetitionTime": 3.0, "Description": "made up"}


def test_a_zero_anywhere_and_a_constant_exclude_the_subject_and_are_named():
    values = VALUES.copy()
    values[0] = 0.0
    values[2, [3, 7]] = 0.0
    values[3] = 4.5

    problems = check_series(make_series(values, NAMES, None, "x"))

    assert [str(problem) for problem in problems] == [
        "ROI 'post cingulate 108' is 0 in all 40 samples",
        "ROI 'IPL 96' is exactly 0 in 2 of 40 samples",
        "ROI 'pre-SMA 41' is constant (4.5)",
    ]
    assert [problem.row for problem in problems] == [0, 2, 3]


def test_a_usable_subject_has_no_problems():
    assert check_series(make_series(VALUES, NAMES, None, "x")) == []


def test_160_rois_of_187_samples_are_read_in_a_quarter_of_a_second(tmp_path):
    path = write_table(tmp_path / "a.csv", np.random.default_rng(0).standard_normal((160, 187)), ",")

    start = time.process_time()
    read_series(path)

    assert time.process_time() - start < 0.25
