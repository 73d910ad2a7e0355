"""`medtools preprocess images`: class folders, NIfTI slices, DICOM; what cannot be read is named, the rest goes on."""

import numpy as np
import pydicom
import pytest
from PIL import Image
from support import call, contents

from medtools.core.tables import read_tsv, write_tsv
from medtools.io.images import read_image, write_image
from medtools.io.nifti import write_volume
from medtools.io.write_dicom import write_ct


def picture(path, value=0, shape=(40, 30)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(value).integers(0, 255, shape).astype(np.uint8)
    write_image(path, pixels)
    return pixels


@pytest.fixture
def kaggle(tmp_path):
    """Class folders below train/ and test/, as the AD data set has them."""
    folder = tmp_path / "kaggle"
    for part, label, name in [
        ("train", "Non", "a"),
        ("train", "Mild", "b"),
        ("test", "Non", "a"),
        ("test", "Mild", "c"),
    ]:
        picture(folder / part / label / f"OAS1_{ord(name):04d}_MR1_{name}.png", ord(name))
    return folder


def table(folder):
    return {row["id"]: row for row in read_tsv(folder / "manifest.tsv")[1]}


def test_class_folders_become_a_manifest_with_train_and_test_merged(kaggle, tmp_path):
    done = call("preprocess", "images", kaggle, "--size", "20", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    rows = table(tmp_path / "o")
    assert [row["label"] for row in rows.values()] == ["Mild", "Non", "Mild", "Non"]
    assert "train_Non_OAS1_0097_MR1_a" in rows
    assert read_image(tmp_path / "o" / rows["test_Mild_OAS1_0099_MR1_c"]["image"]).shape == (20, 20)


def test_subjects_come_from_file_names_when_asked(kaggle, tmp_path):
    done = call("preprocess", "images", kaggle, "--subject-pattern", r"(OAS1_\d+)", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    assert {row["subject"] for row in table(tmp_path / "o").values()} == {"OAS1_0097", "OAS1_0098", "OAS1_0099"}


def test_data_sets_are_merged_and_classes_renamed_and_capped(kaggle, tmp_path):
    other = tmp_path / "adni"
    for number in range(3):
        picture(other / "CI" / f"{number}.png", number)
    words = ("--relabel", "Non=CN,Mild=CI", "--cap", "CI=2", "--size", "16")
    done = call("preprocess", "images", kaggle, other, *words, "--out", tmp_path / "o")
    assert done.code == 0, done.err
    labels = [row["label"] for row in table(tmp_path / "o").values()]
    assert sorted(labels) == ["CI", "CI", "CN", "CN"]
    done = call("preprocess", "images", kaggle, "--relabel", "Severe=AD", "--out", tmp_path / "x")
    assert done.code == 2
    assert "no class 'Severe'" in done.err


def test_one_bad_image_of_a_cohort_is_named_and_the_rest_is_done(kaggle, tmp_path):
    bad = kaggle / "train" / "Non" / "bad.png"
    bad.write_bytes((kaggle / "train/Mild/OAS1_0098_MR1_b.png").read_bytes()[:60])
    done = call("preprocess", "images", kaggle, "--size", "16", "--out", tmp_path / "o")
    assert done.code == 3
    assert "truncated or damaged" in (tmp_path / "o/failures.tsv").read_text()
    assert len(table(tmp_path / "o")) == 4


def test_an_empty_class_folder_is_refused(kaggle, tmp_path):
    (kaggle / "train" / "Moderate").mkdir()
    done = call("preprocess", "images", kaggle, "--out", tmp_path / "o")
    assert done.code == 2
    assert "Moderate: an empty class folder" in done.err


def test_slices_of_a_volume_stand_as_a_radiologist_sees_them(tmp_path):
    """A bright right side lies on the left of the picture and a bright front at its top, however axes are stored."""
    body = np.zeros((12, 10, 8), dtype=np.float32)  # right, anterior, superior
    body[9:, :, :] += 50
    body[:, 7:, :] += 100
    affine = np.eye(4)
    write_volume(tmp_path / "ras.nii.gz", body, affine)
    write_volume(tmp_path / "lps.nii.gz", body[::-1, ::-1], np.diag([-1.0, -1, 1, 1]))
    words = ("--slices", "2:5", "--size", "24", "--out")
    for name in ("ras", "lps"):
        done = call("preprocess", "images", tmp_path / f"{name}.nii.gz", *words, tmp_path / name)
        assert done.code == 0, done.err
        rows = table(tmp_path / name)
        assert list(rows) == [f"{name}_z002", f"{name}_z003", f"{name}_z004"]
        assert {row["subject"] for row in rows.values()} == {name}
    image = read_image(tmp_path / "ras" / "ras_z003.png").astype(int)
    assert image[:, 0].mean() > image[:, -1].mean()
    assert image[0].mean() > image[-1].mean()
    assert (image == read_image(tmp_path / "lps" / "lps_z003.png")).all()


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ((), "choose slices by --slices"),
        (("--slices", "2:50"), "--slices asks for 2:50"),
        (("--slices", "5:2"), "first below last"),
    ],
)
def test_slices_that_are_not_there_are_refused(tmp_path, words, cause):
    write_volume(tmp_path / "v.nii.gz", np.ones((4, 4, 4), dtype=np.float32), np.eye(4))
    done = call("preprocess", "images", tmp_path / "v.nii.gz", *words, "--out", tmp_path / "o")
    assert done.code == 2
    assert cause in done.err


def test_planar_dicom_is_read_without_its_patient(tmp_path):
    values = np.arange(2 * 6 * 8).reshape(2, 6, 8) * 10
    paths = write_ct(tmp_path / "d", values, (5, 1, 1), name="CANARY^NAME", description="CANARY")
    inverted = pydicom.dcmread(paths[0])
    inverted.PhotometricInterpretation = "MONOCHROME1"
    inverted.save_as(paths[0])
    done = call("preprocess", "images", tmp_path / "d", "--size", "8", "--out", tmp_path / "o", "-v")
    assert done.code == 0, done.err
    first, second = (read_image(tmp_path / "o" / row["image"]) for row in table(tmp_path / "o").values())
    assert first[0, 0] > first[-1, -1]
    assert second[0, 0] < second[-1, -1]
    assert not any(b"CANARY" in content for content in contents(tmp_path / "o").values())
    assert "CANARY" not in done.err


def test_a_manifest_keeps_subjects_labels_and_splits(tmp_path):
    picture(tmp_path / "a.png")
    rows = [{"id": "s1", "subject": "p1", "image": "a.png", "label": "Non", "split": "test"}]
    write_tsv(tmp_path / "manifest.tsv", list(rows[0]), rows)
    done = call("preprocess", "images", tmp_path / "manifest.tsv", "--size", "16", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    assert table(tmp_path / "o")["s1"] == rows[0] | {"image": "s1.png"}


def test_colour_images_stay_in_colour(tmp_path):
    (tmp_path / "c").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 9, 3)).astype(np.uint8)).save(tmp_path / "c/x.jpg")
    done = call("preprocess", "images", tmp_path / "c", "--size", "9", "--out", tmp_path / "o")
    assert done.code == 0, done.err
    assert read_image(tmp_path / "o/x.png").shape == (9, 9, 3)
