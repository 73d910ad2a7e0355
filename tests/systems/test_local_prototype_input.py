"""What local-prototype takes: layouts of cohorts, orders of axes, groups of organs; and what it refuses."""

import json

import nibabel as nib
import numpy as np
import pytest
from made_abdomens import prepare
from support import call

from medtools.core.errors import InputError
from medtools.core.tables import read_tsv, write_tsv
from medtools.io.nifti import write_volume
from medtools.systems.local_prototype.cohort import VISCERAL, parts
from medtools.systems.local_prototype.phantom import make_abdomen
from medtools.systems.local_prototype.preparation import find_visceral


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Seven made abdomens of 64 pixels and 6 slices, prepared."""
    folder = tmp_path_factory.mktemp("organs")
    prepare(folder, slices=6, train=4, queries=2, shift=6)
    return folder


def test_supports_and_training_volumes_need_a_label_map(prepared):
    columns, rows = read_tsv(prepared / "data" / "manifest.tsv")
    path = prepared / "data" / "lacking.tsv"
    for part, cell, cause in (("support", "n/a", "has no file in column 'labels'"), ("query", "../x.nii", "outside"),
                              ("query", "x.nii", "no such file")):  # fmt: skip
        write_tsv(path, columns, [{**row, "labels": cell if row["split"] == part else row["labels"]} for row in rows])
        outcome = call("preprocess", "local-prototype", "slices", path, "--size", "64", "--out", prepared / "lacking")
        assert outcome.code == 2
        assert cause in outcome.err


def test_groups_can_be_given_with_the_organs(prepared):
    outcome = call("preprocess", "local-prototype", "slices", prepared / "data", "--size", "64", "--out",
                   prepared / "grouped", "--organs", "liver=1,right kidney=3/kidney,left kidney=4/kidney")  # fmt: skip

    assert outcome.code == 0, outcome.err
    rows = read_tsv(prepared / "grouped" / "organs.tsv")[1]
    assert [(row["value"], row["group"]) for row in rows] == [("1", "liver"), ("3", "kidney"), ("4", "kidney")]


def test_a_folder_in_viscerals_layout_needs_no_manifest(tmp_path):
    grid = np.diag([-2.0, -2.0, -4.0, 1.0])
    made = make_abdomen(np.random.default_rng(0), 64, 4)
    liver = next(number for number, organ in VISCERAL.items() if organ.name == "liver")
    for name in ("10000132", "10000100", "10000007"):
        write_volume(tmp_path / "in" / f"{name}_1_CTce_ThAb.nii.gz", made.image.transpose(2, 1, 0), grid)
        mask = (made.labels == 1).astype(np.uint8).transpose(2, 1, 0)
        write_volume(tmp_path / "in" / f"{name}_1_CTce_ThAb_{liver}_4.nii.gz", mask, grid)

    outcome = call(
        "preprocess", "local-prototype", "slices", tmp_path / "in", "--size", "64", "--out", tmp_path / "out"
    )

    assert outcome.code == 0, outcome.err
    _, rows = read_tsv(tmp_path / "out" / "manifest.tsv")
    assert {row["id"]: row["split"] for row in rows} == {
        "10000132": "support", "10000100": "query", "10000007": "train",
    }  # fmt: skip
    assert len(read_tsv(tmp_path / "out" / "organs.tsv")[1]) == 20
    with np.load(tmp_path / "out" / "slices" / "10000132.npz") as found:
        assert np.array_equal(found["labels"], (made.labels == 1).astype(np.uint8))
    (tmp_path / "bare").mkdir()
    write_volume(tmp_path / "bare" / "10000001_1_CTce_ThAb.nii.gz", made.image.transpose(2, 1, 0), grid)
    with pytest.raises(InputError, match="no mask belongs to this volume"):
        find_visceral(tmp_path / "bare", "10000132")


def test_the_order_of_a_files_axes_does_not_matter(prepared, tmp_path):
    for kind in ("image", "labels"):
        image = nib.load(prepared / "data" / kind / "query-01.nii.gz")
        turn = nib.orientations.axcodes2ornt(("S", "L", "P"))
        turned = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), turn))
        write_volume(tmp_path / f"{kind}.nii.gz", np.asarray(turned.dataobj), turned.affine)
    rows = "id\tsubject\timage\tlabels\tsplit\nquery-01\tq\timage.nii.gz\tlabels.nii.gz\tquery\n"
    (tmp_path / "manifest.tsv").write_text(rows)
    (tmp_path / "organs.tsv").write_bytes((prepared / "data" / "organs.tsv").read_bytes())

    outcome = call("preprocess", "local-prototype", "slices", tmp_path, "--size", "64", "--out", tmp_path / "out")

    assert outcome.code == 0, outcome.err
    with (
        np.load(tmp_path / "out" / "slices" / "query-01.npz") as found,
        np.load(prepared / "slices" / "slices" / "query-01.npz") as expected,
    ):
        assert np.array_equal(found["image"], expected["image"])
        assert np.array_equal(found["labels"], expected["labels"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--method", "network"), "--model: is needed by --method network"),
        (("--method", "copy-mask", "--organs", "spline"), "no organ 'spline'"),
        (("--method", "copy-mask", "--support", "nobody"), "no volume 'nobody' in it"),
        (("--method", "intensity", "--alpha", "0.3"), "0.3 does not divide 64 pixels"),
    ],
)
def test_bad_options_are_one_clear_line(prepared, tmp_path, words, message):
    outcome = call("infer", "local-prototype", prepared / "slices", *words, "--out", tmp_path / "out")

    assert outcome.code == 2
    assert message in outcome.err
    assert len(outcome.lines) <= 5


@pytest.mark.parametrize("stage", ["train", "infer", "score", "explain"])
def test_a_missing_input_is_one_clear_line(tmp_path, stage):
    words = {"score": ("--predictions", tmp_path), "explain": ("--model", tmp_path)}.get(stage, ())

    outcome = call(stage, "local-prototype", *words, "--out", tmp_path / "out")

    assert outcome.code == 2
    assert "expected one manifest" in outcome.err or "INPUT" in outcome.err


def test_the_made_cohort_is_known_before_it_is_made(prepared):
    _, rows = read_tsv(prepared / "data" / "manifest.tsv")

    assert {row["id"]: row["split"] for row in rows} == parts(4, 2)
    assert json.loads((prepared / "data" / "demo.json").read_text())["status"] == "complete"
