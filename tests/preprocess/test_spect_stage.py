"""`medtools preprocess spect`: Eq. 1, and DICOM NM as it comes (card 33, checks 1 and 13)."""

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from support import call, contents

from medtools.core.tables import read_tsv
from medtools.io.dicom_image import read_planar
from medtools.io.images import read_image, write_image
from medtools.io.nifti import write_volume
from medtools.io.write_planar import write_nm
from medtools.preprocess.spect.normalise import min_max, to_levels

COUNTS = np.random.default_rng(0).poisson(5, (2, 64, 16)).astype(np.uint16)


def rows_of(folder):
    return {row["id"]: row for row in read_tsv(folder / "manifest.tsv")[1]}


def test_equation_1():
    assert min_max([[2, 4], [6, 10]]).tolist() == [[0, 0.25], [0.5, 1]]
    assert (min_max(np.full((3, 3), 7)) == 0).all()
    assert min_max(np.array([65535, 0], dtype=np.uint16)).tolist() == [1, 0]
    assert min_max(np.array([-30, 245], dtype=np.int16)).tolist() == [0, 1]
    assert to_levels(np.array([0, 1.0])).tolist() == [0, 65535]


def test_frames_become_views_by_their_detectors(tmp_path):
    write_nm(tmp_path / "scan.dcm", COUNTS, ("anterior", "posterior"), 2.26, name="p")
    done = call("preprocess", "spect", tmp_path / "scan.dcm", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    rows = rows_of(tmp_path / "o")
    assert {name: row["view"] for name, row in rows.items()} == {
        "scan_anterior": "anterior", "scan_posterior": "posterior",
    }  # fmt: skip
    pixels = read_image(tmp_path / "o/scan_posterior.png")
    assert np.allclose(pixels / 65535, min_max(COUNTS[1]), atol=1e-5)


def test_views_in_file_names_share_a_patient(tmp_path):
    for view in ("ANT", "POST"):
        write_nm(tmp_path / "s" / f"p07_{view}.dcm", COUNTS[:1], ("",), 2.26, name="p")
    done = call("preprocess", "spect", tmp_path / "s", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    found = [(row["subject"], row["view"]) for row in rows_of(tmp_path / "o").values()]
    assert found == [("p07", "anterior"), ("p07", "posterior")]


def test_labels_csv_png_and_nifti_are_read(tmp_path):
    write_image(tmp_path / "a.png", COUNTS[0])
    write_volume(tmp_path / "b.nii.gz", COUNTS[1].T[:, ::-1, None].astype(np.float32), np.eye(4))
    (tmp_path / "labels.csv").write_text("patient,view,file,label\np1,Anterior,a.png,M&A\np1,Posterior,b.nii.gz,N\n")
    done = call("preprocess", "spect", tmp_path, "--out", tmp_path / "o")
    assert done.code == 0, done.err
    rows = rows_of(tmp_path / "o")
    assert {row["label"] for row in rows.values()} == {"MA", "N"}
    assert np.allclose(read_image(tmp_path / "o/b.png") / 65535, min_max(COUNTS[1]), atol=1e-5)


def test_nothing_of_the_patient_gets_out(tmp_path):
    write_nm(tmp_path / "scan.dcm", COUNTS[:1], ("anterior",), 2.26, name="CANARY")
    done = call("preprocess", "spect", tmp_path / "scan.dcm", "--out", tmp_path / "o", "-v")
    assert done.code == 0, done.err
    assert not any(b"CANARY" in content for content in contents(tmp_path / "o").values())
    assert "CANARY" not in done.err


def test_a_lying_body_is_turned_on_request_only(tmp_path):
    write_image(tmp_path / "lying.png", np.rot90(COUNTS[0], -1))
    refused = call("preprocess", "spect", tmp_path / "lying.png", "--out", tmp_path / "o")
    assert refused.code == 2
    assert "a body lies on its side" in refused.err
    done = call("preprocess", "spect", tmp_path / "lying.png", "--turn", "--out", tmp_path / "t")
    assert done.code == 0, done.err
    assert np.allclose(read_image(tmp_path / "t/lying.png") / 65535, min_max(COUNTS[0]), atol=1e-5)


def test_images_are_resampled_when_asked(tmp_path):
    write_nm(tmp_path / "scan.dcm", COUNTS[:1], ("anterior",), 2.26, name="p")
    words = ("--height", "32", "--width", "16")
    assert call("preprocess", "spect", tmp_path / "scan.dcm", *words, "--out", tmp_path / "o").code == 0
    assert read_image(tmp_path / "o/scan.png").shape == (32, 16)


def broken(change):
    def make(path):
        write_nm(path, COUNTS[:1], ("anterior",), 2.26, name="p")
        change(path)

    return make


def retagged(**tags):
    def change(path):
        image = pydicom.dcmread(path)
        for name, value in tags.items():
            setattr(image, name, value)
        image.save_as(path)

    return broken(change)


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda path: path.write_bytes(b""), "not a DICOM file"),
        (broken(lambda path: path.write_bytes(path.read_bytes()[:-200])), "truncated"),
        (retagged(Rows=60_000, Columns=60_000), "MiB"),
        (retagged(NumberOfFrames=7), "truncated"),
        (retagged(SamplesPerPixel=3), "colour"),
    ],
)
def test_damaged_files_are_named_in_one_line(tmp_path, make, cause):
    make(tmp_path / "x.dcm")
    done = call("preprocess", "spect", tmp_path / "x.dcm", "--out", tmp_path / "o")
    assert done.code == 2
    assert any(cause in line for line in done.lines), done.err


@pytest.fixture(scope="module")
def real():
    """A real whole-body bone scan that pydicom ships, lossily compressed."""
    path = get_testdata_file("JPGExtended.dcm", download=False)
    if path is None:
        pytest.skip("this pydicom ships no test files")
    return path


def test_a_real_bone_scan_is_read_and_scaled(real, tmp_path):
    image = read_planar(real)
    assert image.frames.shape == (1, 1024, 256)
    assert image.modality == "NM"
    assert image.spacing_mm == pytest.approx((2.26, 2.26), abs=0.01)
    done = call("preprocess", "spect", real, "--out", tmp_path)
    assert done.code == 0, done.err
    pixels = read_image(tmp_path / "JPGExtended.png")
    assert (pixels.shape, pixels.min(), pixels.max()) == ((1024, 256), 0, 65535)


def test_a_missing_decoder_is_named(real, monkeypatch, tmp_path):
    from pydicom.pixels.decoders import JPEGExtended12BitDecoder

    monkeypatch.setattr(JPEGExtended12BitDecoder, "_available", {})
    done = call("preprocess", "spect", real, "--out", tmp_path)
    assert done.code == 2
    assert "pylibjpeg" in done.err
