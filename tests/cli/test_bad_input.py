"""Bad input through `medtools homology`: exit 2 and one line that says which file, what was found, what to do."""

import numpy as np
import pytest
import scipy.io
from support import CEREBELLUM, contents, partial_files, series, write_cohort, write_series

GOOD = series(1)


def with_value(value):
    values = GOOD.copy()
    values[2, 10] = value
    return values


def write_nan(folder):
    write_series(folder / "a.tsv", with_value(np.nan))


def write_infinite(folder):
    write_series(folder / "a.tsv", with_value(-np.inf))


def write_constant(folder):
    values = GOOD.copy()
    values[1] = 7.5
    write_series(folder / "a.tsv", values)


def write_zero(folder):
    values = GOOD.copy()
    values[3] = 0.0
    write_series(folder / "a.tsv", values)


def write_single_zero(folder):
    write_series(folder / "a.tsv", with_value(0.0))


def write_too_short(folder):
    write_series(folder / "a.tsv", GOOD[:, :3])


def write_ragged(folder):
    write_series(folder / "a.tsv", GOOD)
    path = folder / "a.tsv"
    lines = path.read_text().splitlines()
    lines[5] += "\t1.0"
    path.write_text("\n".join(lines))


def write_duplicate_roi(folder):
    write_series(folder / "a.tsv", GOOD, ["x", "y", "x", "z"])


def write_colliding_roi(folder):
    write_series(folder / "a.tsv", GOOD, ["x", "y", "tab\there", "z"])
    text = (folder / "a.tsv").read_text()
    (folder / "a.tsv").write_text(text.replace("tab\there", '"tab\there"', 1))


def write_wrong_delimiter(folder):
    write_series(folder / "a.csv", GOOD)
    (folder / "a.csv").rename(folder / "a.tsv")


def write_empty(folder):
    (folder / "a.tsv").write_bytes(b"")


def write_header_only(folder):
    (folder / "a.tsv").write_text("\t".join(CEREBELLUM) + "\n")


def write_text(folder):
    write_series(folder / "a.tsv", GOOD)
    text = (folder / "a.tsv").read_text()
    (folder / "a.tsv").write_text(text.replace(repr(float(GOOD[0, 0])), "high", 1))


def write_latin_names(folder):
    text = "Präcuneus\tb\n" + "1.5\t2.5\n" * 20
    (folder / "a.tsv").write_bytes(text.encode("latin-1"))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-40])


def write_truncated_npz(folder):
    np.savez(folder / "a.npz", series=GOOD)
    truncate(folder / "a.npz")


def write_truncated_npy(folder):
    np.save(folder / "a.npy", GOOD)
    truncate(folder / "a.npy")


def write_truncated_mat(folder):
    scipy.io.savemat(folder / "a.mat", {"tc": GOOD}, do_compression=True)
    truncate(folder / "a.mat")


def write_objects(folder):
    np.save(folder / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)


def write_correlations(folder):
    np.save(folder / "a.npy", np.corrcoef(GOOD))


def write_many_axes(folder):
    np.save(folder / "a.npy", np.zeros((3, 4, 5)))


def write_two_matrices(folder):
    np.savez(folder / "a.npz", first=GOOD, second=GOOD)


def write_transposed(folder):
    write_series(folder / "a.tsv", GOOD.T, None)


def write_wrong_tr(folder):
    write_series(folder / "a.tsv", GOOD, tr_s=2.0)


def write_bad_sidecar(folder):
    write_series(folder / "a.tsv", GOOD)
    (folder / "a.json").write_text('{"RepetitionTime": ')


BAD_FILES = {
    "NaN": (write_nan, ["'inf cerebellum 140'", "nan at sample 11"]),
    "infinite": (write_infinite, ["'inf cerebellum 140'", "-inf at sample 11"]),
    "constant ROI": (write_constant, ["'inf cerebellum 122' is constant"]),
    "all-zero ROI": (write_zero, ["'lat cerebellum 113' is 0 in all 24 samples"]),
    "single zero": (write_single_zero, ["exactly 0 in 1 of 24", "--keep-zeros"]),
    "too few samples": (write_too_short, ["3 samples", "needs 4"]),
    "ragged rows": (write_ragged, ["line 6 has 5 columns", "4"]),
    "duplicate ROI": (write_duplicate_roi, ["'x' appears 2 times"]),
    "tab in a name": (write_colliding_roi, ["tab"]),
    "wrong delimiter": (write_wrong_delimiter, ["commas"]),
    "empty": (write_empty, ["empty"]),
    "header only": (write_header_only, ["header and no rows"]),
    "text in a cell": (write_text, ["line 2, column 1", "'high' is not a number"]),
    "names not UTF-8": (write_latin_names, ["line 1", "UTF-8"]),
    "truncated npz": (write_truncated_npz, ["truncated"]),
    "truncated npy": (write_truncated_npy, ["damaged"]),
    "truncated mat": (write_truncated_mat, ["truncated"]),
    "pickled objects": (write_objects, ["Python objects"]),
    "correlation matrix": (write_correlations, ["correlation matrix"]),
    "three axes": (write_many_axes, ["3 axes"]),
    "two matrices": (write_two_matrices, ["first, second"]),
    "transposed": (write_transposed, ["transposed"]),
    "TR mismatch": (write_wrong_tr, ["2000 ms", "3000 ms", "--force-tr"]),
    "damaged side-car": (write_bad_sidecar, ["a.json", "JSON"]),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_one_line_and_leaves_nothing(medtools, tmp_path, kind):
    write, expected = BAD_FILES[kind]
    write(tmp_path)
    source = next(path for path in sorted(tmp_path.iterdir()) if path.suffix != ".json")
    outcome = medtools("homology", source.name, "--tr", "3000", "--out", "out")
    assert outcome.code == 2
    assert len(outcome.lines) == 1
    assert len(outcome.err) < 400
    assert "a." in outcome.err
    assert all(words in outcome.err for words in expected), outcome.err
    assert not contents(tmp_path / "out", ".npz", ".tsv", ".png", ".json") or (tmp_path / "out/failures.tsv").exists()
    assert not list((tmp_path / "out").rglob("*.npz"))
    assert not partial_files(tmp_path)


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_does_not_stop_the_others(medtools, tmp_path, kind):
    write, _ = BAD_FILES[kind]
    (tmp_path / "data").mkdir()
    write(tmp_path / "data")
    for number in (1, 2):
        write_series(tmp_path / "data" / f"good{number}.tsv", series(number))
    outcome = medtools("homology", "data", "--tr", "3000", "--out", "out", "--max-dim", "0")
    assert outcome.code == 3, outcome.err
    assert sorted(path.stem for path in (tmp_path / "out" / "diagrams").glob("*.npz")) == ["good1", "good2"]
    assert (tmp_path / "out" / "failures.tsv").read_text().splitlines()[1].startswith("a\t")


def test_rounded_data_pass_when_the_user_says_so(medtools, tmp_path):
    write_single_zero(tmp_path)
    assert medtools("homology", "a.tsv", "--keep-zeros", "--out", "out", "--max-dim", "0").code == 0


def test_a_forced_repetition_time_is_believed(medtools, tmp_path):
    write_wrong_tr(tmp_path)
    assert medtools("homology", "a.tsv", "--tr", "3000", "--force-tr", "--out", "out", "--max-dim", "0").code == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--tr", "3"], "is 3 in milliseconds? (3 s is --tr 3000)"),
        (["--tr", "3000", "--lag-ms", "4000"], "1.333 samples at TR 3000 ms"),
        (["--lag-ms", "4000"], "1.333 samples at TR 3000 ms"),
        (["--networks", "DMN"], "has no ROI of network DMN"),
        (["--networks", "XX"], "unknown network 'XX'; dosenbach160 has CB, CO, DMN, FP, OP, SM"),
        (["--dimension", "30"], "20"),
        (["--dimension", "20", "--lag", "2"], "needs 42"),
        (["--key", "x"], ""),
    ],
)
def test_parameters_that_do_not_fit_the_data_are_refused(medtools, tmp_path, words, expected):
    write_series(tmp_path / "a.tsv", GOOD)
    outcome = medtools("homology", "a.tsv", *words, "--out", "out", "--max-dim", "0")
    if not expected:
        assert outcome.code == 0  # a table has no keys to choose from
        return
    assert outcome.code == 2
    assert expected in outcome.err
    assert len([line for line in outcome.lines if line.lower().startswith(("error", "warning"))]) == 1


def test_a_lag_in_ms_needs_a_repetition_time(medtools, tmp_path):
    write_series(tmp_path / "a.tsv", GOOD, tr_s=None)
    outcome = medtools("homology", "a.tsv", "--lag-ms", "3000", "--out", "out")
    assert outcome.code == 2
    assert "a.tsv" in outcome.err
    assert "give --tr" in outcome.err
    assert len(outcome.lines) == 1


def test_a_wrong_option_is_said_once_for_a_whole_cohort(medtools, tmp_path):
    write_cohort(tmp_path / "data", 5)
    outcome = medtools("homology", "data", "--tr", "3000", "--lag-ms", "4000", "--out", "out")
    assert outcome.code == 2
    assert len(outcome.lines) == 1
