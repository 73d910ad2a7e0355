"""`medtools preprocess spect`: Eq. 1, and DICOM NM as it comes (card 33, checks 1 and 13)."""

import json

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
    assert read_image(tmp_path / "o/scan_anterior.png").shape == (32, 16)


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


def outlined(path, points, **others):
    shape = {"label": "M", "points": points, "shape_type": "polygon"}
    content = {"shapes": [shape], "imageHeight": 64, "imageWidth": 16, **others}
    path.write_text(json.dumps(content), encoding="utf-8")


def with_lesions(folder, points, **others):
    folder.mkdir()
    write_nm(folder / "a.dcm", COUNTS[:1], ("anterior",), 2.0, name="p")
    write_nm(folder / "b.dcm", COUNTS[1:], ("posterior",), 2.0, name="p")
    outlined(folder / "a.json", points, **others)
    (folder / "labels.csv").write_text(
        "patient,view,file,label,lesions\np1,anterior,a.dcm,M,a.json\np1,posterior,b.dcm,N,\n", encoding="utf-8"
    )
    return folder


BOX = [[2, 8], [6, 8], [6, 20], [2, 20]]


def test_outlined_lesions_become_masks_on_the_grid_of_the_image(tmp_path):
    source = with_lesions(tmp_path / "s", BOX)
    assert call("preprocess", "spect", source, "--out", tmp_path / "o").code == 0
    rows = rows_of(tmp_path / "o")
    assert (rows["a"]["lesions"], rows["b"]["lesions"]) == ("lesions/a.png", "n/a")
    mask = read_image(tmp_path / "o/lesions/a.png")
    expected = np.zeros((64, 16), dtype=np.uint8)
    expected[8:20, 2:6] = 255
    assert np.array_equal(mask, expected)
    words = ("--height", "128", "--width", "32", "--out", tmp_path / "twice")
    assert call("preprocess", "spect", source, *words).code == 0
    assert np.array_equal(read_image(tmp_path / "twice/lesions/a.png"), expected.repeat(2, axis=0).repeat(2, axis=1))
    assert json.loads((tmp_path / "twice/a.json").read_text()) == {"PixelSpacing": [1.0, 1.0]}
    outlined(source / "a.json", [[0, 0], [1, 0], [1, 1], [0, 1]])
    assert call("preprocess", "spect", source, "--out", tmp_path / "o").code == 0  # other outlines, other mask
    assert read_image(tmp_path / "o/lesions/a.png").sum() == 255


def test_lesions_turn_with_their_scan(tmp_path):
    """Outlines are drawn on the scan as stored, lying on its side."""
    source = tmp_path / "s"
    source.mkdir()
    write_image(source / "a.png", np.rot90(COUNTS[0], -1))
    outlined(source / "a.json", [[44, 2], [56, 2], [56, 6], [44, 6]], imageHeight=16, imageWidth=64)
    (source / "manifest.tsv").write_text("id\tsubject\timage\tlesions\na\tp\ta.png\ta.json\n", encoding="utf-8")
    assert call("preprocess", "spect", source, "--turn", "--out", tmp_path / "o").code == 0
    assert np.array_equal(read_image(tmp_path / "o/a.png"), to_levels(min_max(COUNTS[0])))
    mask = read_image(tmp_path / "o/lesions/a.png") > 0
    assert np.array_equal(mask[8:20, 2:6], np.ones((12, 4), dtype=bool))  # BOX of the upright scan
    assert mask.sum() == 48


@pytest.mark.parametrize(
    ("points", "others", "cause"),
    [
        (BOX[:2], {}, "2 points enclose no area"),
        (BOX, {"imageWidth": 64}, "was drawn on 64×64 pixels, the image has 64×16"),
        (BOX, {"shapes": None}, "no list `shapes`"),
    ],
)
def test_a_damaged_annotation_fails_its_scan_only(tmp_path, points, others, cause):
    done = call("preprocess", "spect", with_lesions(tmp_path / "s", points, **others), "--out", tmp_path / "o")
    assert done.code == 3
    assert any(cause in line for line in done.lines), done.err
    assert list(rows_of(tmp_path / "o")) == ["b"]


def test_an_annotation_that_is_missing_or_belongs_to_several_views_is_refused(tmp_path):
    source = with_lesions(tmp_path / "s", BOX)
    (source / "a.json").rename(source / "c.json")
    missing = call("preprocess", "spect", source, "--out", tmp_path / "o")
    assert missing.code == 2
    assert "line 2: no such file a.json" in missing.err
    write_nm(source / "a.dcm", COUNTS, ("anterior", "posterior"), 2.0, name="p")
    (source / "c.json").rename(source / "a.json")
    done = call("preprocess", "spect", source, "--out", tmp_path / "o")
    assert done.code == 3
    assert "lesions are outlined for a file of 2 views" in done.err


def test_the_first_scans_of_each_label_are_drawn(tmp_path):
    assert call("preprocess", "spect", with_lesions(tmp_path / "s", BOX), "--out", tmp_path / "o").code == 0
    assert read_image(tmp_path / "o/overview.png").ndim == 3
