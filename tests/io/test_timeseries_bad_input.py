"""Files that are no ROI series: one line that names file, place and remedy, and no allocation on a header's word."""

import io
import os
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
import scipy.io

from medtools.core.errors import InputError
from medtools.io.timeseries import make_series, read_series

VALUES = np.random.default_rng(3).standard_normal((4, 30))
TABLE = "a\tb\tc\n" + "".join(f"{i}.5\t{i * i}.25\t{i % 7}.125\n" for i in range(9))


def with_cell(*cells):
    """The table with other numbers in column b of lines 5 and 6 (samples 4 and 5)."""
    return TABLE.replace("\t9.25\t", f"\t{cells[0]}\t").replace("\t16.25\t", f"\t{(*cells, '16.25')[1]}\t")


def npy(values=VALUES):
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def npz(**values):
    stream = io.BytesIO()
    np.savez_compressed(stream, **(values or {"series": VALUES}))
    return stream.getvalue()


def mat(compress=False, **values):
    stream = io.BytesIO()
    scipy.io.savemat(stream, values or {"tc": VALUES}, do_compression=compress)
    return stream.getvalue()


def npy_header(shape, descr="<f8", data=b""):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape!r}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def mat_declaring(rows, columns):
    content = bytearray(mat())
    content[160:168] = struct.pack("<ii", rows, columns)  # 128 header, 8 tag, 16 flags, 8 tag of the dimensions
    return bytes(content)


def mat_bomb(n_bytes):
    """A compressed variable that unpacks to `n_bytes` zeros."""
    packed = zlib.compress(struct.pack("<II", 14, n_bytes) + bytes(n_bytes), 1)
    return mat()[:128] + struct.pack("<II", 15, len(packed)) + packed


CASES = {
    "empty.tsv": (b"", "the file is empty"),
    "blank.tsv": (b"\n\n", "no numbers"),
    "only_comments.csv": (b"# nothing\n# here\n", "no numbers"),
    "header_only.tsv": (b"a\tb\tc\n", "a header and no rows"),
    "ragged.tsv": (TABLE.replace("4.5\t16.25\t", "4.5\t").encode(), "line 6 has 2 columns, the lines above have 3"),
    "ragged_headerless.csv": (b"1.5,2.5\n3.5,4.5\n5.5\n", "line 3 has 1 columns"),
    "gap.tsv": (TABLE.replace("\n3.5", "\n\n3.5").encode(), "line 5 is empty"),
    "word.tsv": (with_cell("n/a").encode(), r"line 5, column 2 \('b'\): 'n/a' is not a number"),
    "hole.tsv": (with_cell("").encode(), r"line 5, column 2 \('b'\): '' is not a number"),
    "nan.tsv": (with_cell("NaN").encode(), r"ROI 'b' \(number 2\) is nan at sample 4"),
    "inf.tsv": (with_cell("-inf").encode(), "ROI 'b' .* is -inf at sample 4"),
    "two_nans.tsv": (with_cell("nan", "nan").encode(), "and 1 more"),
    "overflowing.tsv": (with_cell("1e200").encode(), "ROI 'b' .* is 1e[+]200 at sample 4"),
    "beyond_double.tsv": (with_cell("1e999").encode(), "ROI 'b' .* is inf at sample 4"),
    "duplicate.tsv": (TABLE.replace("a\tb\tc", "a\tb\ta").encode(), "ROI name 'a' appears 2 times"),
    "nameless.tsv": (TABLE.replace("a\tb\tc", "a\t\tc").encode(), "ROI 2 has no name"),
    "half_header.tsv": (TABLE.replace("a\tb\tc", "a\t0.5\tc").encode(), "line 1 mixes numbers .'0.5'. and text .'a'."),
    "commas.tsv": (TABLE.replace("\t", ",").encode(), "separated by commas, but .tsv promises tabs"),
    "tabs.csv": (TABLE.encode(), "separated by tabs, but .csv promises commas"),
    "semicolons.csv": (TABLE.replace("\t", ";").encode(), "separated by semicolons, but .csv promises commas"),
    "decimal_commas.csv": (TABLE.replace("\t", ";").replace(".", ",").encode(), "separated by semicolons"),
    "spaces.tsv": (b"0.5 1.5 2.5\n3.5 4.5 5.5\n", "separated by spaces"),
    "bars.csv": (TABLE.replace("\t", "|").encode(), "separated by vertical bars"),
    "not_utf8.tsv": (TABLE.replace("b", "b\xe9").encode("latin-1"), "byte 0xe9 in line 1 is not UTF-8"),
    "utf16.tsv": (TABLE.encode("utf-16"), "byte 0xff in line 1 is not UTF-8"),
    "binary.csv": (b"1,2\x00,3\n", "NUL characters"),
    "numbered_or_not.csv": (b"0,1,2\n4,5,6\n7,8,9\n", r"whole numbers \(0, 1, ...\): column labels or samples"),
    "aal_codes.csv": (b"2001,2002,2101\n0.5,1.5,2.5\n1.5,0.5,3.5\n", "column labels or samples"),
    "open_quote.csv": (b'"a,b\n1.5,2.5\n', "line 2: "),
    "long_field.csv": (b"x" * 200_000 + b",1\n", "line 1: field larger"),
    "correlation.tsv": (
        "\n".join("\t".join(map(repr, row)) for row in np.corrcoef(VALUES).tolist()).encode(),
        "looks like a correlation matrix: 4x4",
    ),
    "correlation.npy": (npy(np.corrcoef(VALUES)), "looks like a correlation matrix"),
    "distances.npy": (npy(np.abs(np.subtract.outer(VALUES[0], VALUES[0]))), "looks like a distance matrix"),
    "covariance.mat": (mat(c=np.cov(VALUES)), "looks like a connectivity matrix"),
    "cut.npy": (npy()[:-100], "damaged: declares 4x30 float64"),
    "cut_header.npy": (npy()[:40], "not a .npy array"),
    "longer.npy": (npy() + b"12345678", "damaged: declares"),
    "text.npy": (b"1,2,3\n", "not a .npy array"),
    "huge.npy": (npy_header((2**40, 2**20)), "declares 1099511627776x1048576"),
    "negative.npy": (npy_header((-4, -30), data=VALUES.tobytes()), "declares -4x-30"),
    "none.npy": (npy_header((0, 2**60)), "holds no values"),
    "objects.npy": (npy(np.array([[1, None]], dtype=object)), "Python objects"),
    "objects.npz": (npz(a=np.array([[1, None]], dtype=object)), "Python objects"),
    "complex.npy": (npy(VALUES * 1j), "complex numbers"),
    "complex.mat": (mat(tc=VALUES * 1j), r"no matrix of real numbers, found tc \(complex 4x30\)"),
    "logical.npy": (npy(VALUES > 0), "bool values"),
    "words.npy": (npy(np.array([["a", "b"]])), "holds text"),
    "records.npy": (npy(np.zeros(3, dtype=[("a", "f8")])), r"\[\('a', '<f8'\)\] values"),
    "four_d.npy": (npy(np.zeros((2, 3, 4, 5))), "found 4 axes"),
    "three_d.npz": (npz(bold=np.zeros((2, 3, 4))), r"no matrix of real numbers, found bold \(float64 2x3x4\)"),
    "three_d.mat": (mat(bold=np.ones((2, 3, 4))), r"no matrix of real numbers, found bold \(double 2x3x4\)"),
    "names.npz": (npz(x=VALUES, roi_names=np.arange(4)), "roi_names is not a list of text"),
    "few_names.npz": (npz(x=VALUES, roi_names=np.array(["a", "b"])), "2 ROI names for 30 ROIs"),
    "tr.npz": (npz(x=VALUES, tr_ms=np.array([1.0, 2.0])), "tr_ms is not a single number"),
    "absurd_tr.npz": (npz(x=VALUES, tr_ms=np.nan), "repetition time nan ms is not one of a scan"),
    "cut.npz": (npz()[:-60], "damaged or truncated .npz"),
    "text.npz": (b"hello", "damaged or truncated .npz"),
    "cut.mat": (mat()[:-100], "damaged or truncated .mat"),
    "cut_compressed.mat": (mat(compress=True)[:-20], "damaged or truncated .mat"),
    "cut_header.mat": (mat()[:100], "not a MATLAB 5 file"),
    "huge.mat": (mat_declaring(2**30, 2**30), "declares 1073741824x1073741824 numbers and holds 120"),
    "negative.mat": (mat_declaring(-4, -30), "stored in no known way"),
    "v73.mat": (b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n", "save it with `save -v7`"),
    "bomb.mat": (mat_bomb(2**28 + 8), "unpacks to more than 256 MiB"),
    "scan.nii.gz": (b"\x1f\x8b", "make series with `medtools preprocess fmri`"),
    "notes.docx": (b"PK", ".docx is not a format of ROI series; known: .tsv, .csv, .mat, .npy, .npz"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_bad_file_is_refused_in_one_line_that_names_it_and_the_cause(tmp_path, name):
    content, cause = CASES[name]
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InputError, match=cause) as caught:
        read_series(tmp_path / name)

    assert str(caught.value).startswith(str(tmp_path / name))
    assert "\n" not in str(caught.value)


def test_a_zip_that_would_unpack_to_gigabytes_is_refused_before_it_is_unpacked(tmp_path):
    archive = zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with archive, archive.open("a.npy", "w") as stream:
        for _ in range(2**8 + 1):
            stream.write(bytes(2**20))

    tracemalloc.start()
    with pytest.raises(InputError, match=r"holds or declares 257 MiB"):
        read_series(tmp_path / "bomb.npz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 20 * 2**20


@pytest.mark.parametrize("name", ["huge.npy", "none.npy", "huge.mat"])
def test_a_header_allocates_nothing(tmp_path, name):
    (tmp_path / name).write_bytes(CASES[name][0])

    tracemalloc.start()
    with pytest.raises(InputError):
        read_series(tmp_path / name)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 2**20


def test_a_sparse_file_of_a_terabyte_is_refused_before_it_is_read(tmp_path):
    with (tmp_path / "a.tsv").open("wb") as stream:
        stream.truncate(2**40)

    with pytest.raises(InputError, match="1,048,576 MiB"):
        read_series(tmp_path / "a.tsv")


def test_a_missing_file_a_folder_and_a_pipe_are_refused_without_waiting(tmp_path):
    (tmp_path / "folder.tsv").mkdir()
    os.mkfifo(tmp_path / "pipe.tsv")

    for name, cause in (("none.tsv", "no such file"), ("folder.tsv", "is a folder"), ("pipe.tsv", "regular file")):
        with pytest.raises(InputError, match=cause):
            read_series(tmp_path / name)


def test_a_name_of_any_bytes_is_shown_on_one_line(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9\n.tsv")

    with pytest.raises(InputError, match=r"caf\\xe9\\n.tsv: no such file") as caught:
        read_series(path)

    str(caught.value).encode("utf-8")


def test_an_unknown_layout_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(InputError, match="auto, tsv, authors"):
        read_series(tmp_path / "a.tsv", layout="bids")


@pytest.mark.parametrize(
    ("sidecar", "cause"),
    [
        ("{", "not valid JSON"),
        ("[3.0]", "expected a JSON object"),
        ('{"RepetitionTime": "3"}', "expected seconds as a number"),
        ('{"RepetitionTime": true}', "expected seconds as a number"),
        ('{"RepetitionTime": 0}', "not one of a scan"),
        ('{"RepetitionTime": -3}', "not one of a scan"),
        ('{"RepetitionTime": NaN}', "not one of a scan"),
        ('{"RepetitionTime": 1' + "0" * 400 + "}", "not one of a scan"),
        ("[" * 100_000, "not valid JSON"),
        (b'{"RepetitionTime": 3, "x": "\xff"}', "not UTF-8"),
    ],
)
def test_a_bad_sidecar_is_named(tmp_path, sidecar, cause):
    (tmp_path / "a.tsv").write_text(TABLE)
    (tmp_path / "a.json").write_bytes(sidecar if isinstance(sidecar, bytes) else sidecar.encode())

    with pytest.raises(InputError, match=cause) as caught:
        read_series(tmp_path / "a.tsv")

    assert "a.json" in str(caught.value)


def test_pickles_are_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    np.save(tmp_path / "a.npy", np.array([[Bomb()]], dtype=object))
    np.savez(tmp_path / "a.npz", a=np.array([[Bomb()]], dtype=object))

    for name in ("a.npy", "a.npz"):
        with pytest.raises(InputError, match="could run code"):
            read_series(tmp_path / name)

    assert not (tmp_path / "run").exists()


def mutated(content, rng):
    changed = bytearray(content)
    where = int(rng.integers(min(len(changed), 400) if rng.random() < 0.5 else len(changed)))
    match int(rng.integers(5)):
        case 0:
            del changed[where:]
        case 1:
            changed[where] = int(rng.integers(256))
        case 2:
            del changed[where : where + int(rng.integers(1, 30))]
        case 3:
            changed[where:where] = rng.bytes(8)
        case _:
            changed[where // 4 * 4 : where // 4 * 4 + 4] = struct.pack("<I", int(rng.choice([0, 2**31 - 1, 2**32 - 1])))
    return bytes(changed)


@pytest.mark.parametrize(
    ("suffix", "content"),
    [(".tsv", TABLE.encode()), (".npy", npy()), (".npz", npz()), (".mat", mat()), (".mat", mat(compress=True))],
    ids=["tsv", "npy", "npz", "mat", "mat-compressed"],
)
def test_damaged_files_are_read_or_refused_and_nothing_else(tmp_path, suffix, content):
    rng = np.random.default_rng(len(content))
    for _ in range(300):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(mutated(content, rng))
        try:
            series = read_series(path)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 (most files are refused, some are still good)
        else:
            assert np.isfinite(series.values).all()


def test_an_array_that_would_not_fit_as_double_is_refused():
    stretched = np.broadcast_to(np.zeros(1, dtype=np.int8), (2**15, 2**15))

    with pytest.raises(InputError, match="8,192 MiB"):
        make_series(stretched, None, None, "x")
