"""From demo to scores and pictures through the command line (card 33, checks 8 and 13)."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom.data import get_testdata_file
from support import call, contents

from medtools.core.params import check
from medtools.core.tables import read_tsv, write_tsv
from medtools.io.dicom_image import read_planar
from medtools.io.images import read_image
from medtools.io.nifti import open_volume
from medtools.systems import registry
from medtools.systems.dspic.calls import choose_tau
from medtools.systems.dspic.classification import check_protocol, make_splits
from medtools.systems.dspic.cohort import D1, TARGETS, fold_names, sample_ids
from medtools.systems.dspic.data import Scans, simple_features
from medtools.systems.dspic.params import ReproduceParams, TrainParams
from medtools.systems.dspic.phantom import draw_patient, draw_view
from medtools.systems.dspic.reproduction import ROWS, lend_gans, settings_of
from medtools.training.predictions import read_fold

SIZE = ("--height", "128", "--width", "32")
LIGHT = ("--height", "64", "--width", "64")
ONCE = ("--epochs", "1", "--device", "cpu", "--no-curves")
TINY = (*SIZE, "--head-pool", "1x1", *ONCE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("scans")
    made = call("demo", "dspic", "--patients", "0.15", "--scale", "8", "--out", path / "data")
    assert made.code == 0, made.err
    done = call("preprocess", "spect", path / "data", "--out", path / "spect")
    assert done.code == 0, done.err
    words = ("--augment", "geometry", "--inner-validation", "0.3", *TINY)
    trained = call("train", "dspic", path / "spect/manifest.tsv", "--out", path / "run", *words)
    assert trained.code == 0, trained.err
    return path


def described(counts):
    labels = np.repeat(list(counts), list(counts.values()))
    names = np.array([f"i{n}" for n in range(len(labels))])
    subjects = np.array([f"p{n // 2}" for n in range(len(labels))])
    return Scans(names, subjects, labels, np.full(len(labels), ""), np.zeros((len(labels), 1, 1), dtype=np.float32))


@pytest.mark.parametrize(
    ("counts", "sizes"), [(D1, (538, 230)), (TARGETS["geometry"], (1051, 451)), (TARGETS["dcgan"], (896, 384))]
)
def test_the_papers_division_is_7_to_3_by_rounding(counts, sizes):
    (split,) = make_splits(described(counts), TrainParams(split="paper"), 0)
    assert (len(split.train), len(split.test)) == sizes
    (split,) = make_splits(described(counts), TrainParams(), 0)
    subjects = described(counts).subjects
    assert not set(subjects[split.train]) & set(subjects[split.test])


def test_the_run_keeps_patients_apart_and_tests_real_images_only(folder):
    rows = read_tsv(folder / "run/splits.tsv")[1]
    side = {part: {r["subject"] for r in rows if r["split"] == part} for part in ("train", "validation", "test")}
    assert not side["train"] & side["test"]
    assert not side["validation"] & (side["train"] | side["test"])
    real = {r["id"] for r in read_tsv(folder / "spect/manifest.tsv")[1]}
    assert {r["id"] for r in read_tsv(folder / "run/folds/r1f1/predictions.tsv")[1]} <= real
    assert json.loads((folder / "run/model_card.json").read_text())["split"] == "no patient on both sides"


def test_test_images_influence_no_weight(folder):
    """Test scans are exchanged: whatever augmentation and training made must keep its bytes."""
    test = sorted({r["id"] for r in read_tsv(folder / "run/splits.tsv")[1] if r["split"] == "test"})
    columns, rows = read_tsv(folder / "spect/manifest.tsv")
    paths = {r["id"]: r["image"] for r in rows}
    exchanged = dict(zip(test, test[::-1], strict=True))
    changed = [{**r, "image": paths[exchanged.get(r["id"], r["id"])]} for r in rows]
    write_tsv(folder / "spect/oracle.tsv", columns, changed)
    words = ("--augment", "geometry", "--inner-validation", "0.3", "--sample", "r1f1", *TINY)
    done = call("train", "dspic", folder / "spect/oracle.tsv", "--out", folder / "oracle", *words)
    assert done.code == 0, done.err
    for name in ("model.ckpt", "metrics.csv"):
        assert (folder / "oracle/folds/r1f1" / name).read_bytes() == (folder / "run/folds/r1f1" / name).read_bytes()
    tables = [(folder / run / "folds/r1f1/predictions.tsv").read_bytes() for run in ("oracle", "run")]
    assert tables[0] != tables[1]


def test_scores_have_three_classes_four_labels_and_a_test_against_another_run(folder):
    other = folder / "majority"
    done = call("train", "dspic", folder / "spect/manifest.tsv", "--model", "majority", "--inner-validation", "0.3",
                "--out", other, *TINY)  # fmt: skip
    assert done.code == 0, done.err
    done = call("score", "dspic", folder / "run", "--against", other, "--published", "--resamples", "30",
                "--out", folder / "s")  # fmt: skip
    assert done.code == 0, done.err
    metrics = {r["metric"] for r in read_tsv(folder / "s/scores.tsv")[1] if r["level"] == "test"}
    assert {"accuracy", "f1_of_means", "f1_macro", "specificity_macro", "auroc_macro", "auroc_micro",
            "accuracy_oracle_top2", "accuracy_top1_of_4", "accuracy_threshold_of_4"} <= metrics  # fmt: skip
    published = {r["metric"]: float(r["published"]) for r in read_tsv(folder / "s/comparison.tsv")[1]}
    assert published["accuracy"] == 0.7747
    assert 0 < float(read_tsv(folder / "s/mcnemar.tsv")[1][0]["p"]) <= 1
    assert {"confusion.png", "roc.png"} <= contents(folder / "s").keys()


def test_the_papers_protocol_warns_and_marks_its_scores(folder):
    out = folder / "paper"
    done = call("train", "dspic", folder / "spect/manifest.tsv", "--split", "paper", "--augment", "geometry", "--model",
                "logistic-regression", "--out", out, *TINY)  # fmt: skip
    assert done.code == 0, done.err
    assert "scores are inflated" in done.err
    rows = read_tsv(out / "splits.tsv")[1]
    sides = [{r["subject"] for r in rows if r["split"] == part} for part in ("train", "test")]
    assert sides[0] & sides[1]
    assert call("score", "dspic", out, "--resamples", "0", "--out", out / "s").code == 0
    levels = {r["level"] for r in read_tsv(out / "s/scores.tsv")[1]}
    assert "test" not in levels
    assert any("copies of test images" in level for level in levels)


def test_an_enlarged_set_is_written_and_refused_for_a_division_by_patients(folder):
    done = call("preprocess", "dspic", "augment", folder / "spect/manifest.tsv", *SIZE, "--out", folder / "d2")
    assert done.code == 0, done.err
    rows = read_tsv(folder / "d2/manifest.tsv")[1]
    made = [r for r in rows if r["made"] == "geometry"]
    assert made
    assert {r["label"] for r in made} <= {"M", "A", "MA"}
    assert read_image(folder / "d2" / made[0]["image"]).shape == (128, 32)
    refused = call("train", "dspic", folder / "d2/manifest.tsv", "--out", folder / "x", *TINY)
    assert refused.code == 2
    assert "images are made ones" in refused.err


def test_new_scans_are_classified_and_both_diseases_called_by_a_threshold(folder):
    done = call("infer", "dspic", folder / "spect/manifest.tsv", "--model", folder / "run", "--call", "threshold",
                "--tau", "0.001", "--out", folder / "i")  # fmt: skip
    assert done.code == 0, done.err
    rows = read_tsv(folder / "i/predictions.tsv")[1]
    assert all(sum(float(r[f"p_{c}"]) for c in "NMA") == pytest.approx(1) for r in rows)
    assert {r["called"] for r in rows} <= {"N", "M", "A", "MA"}


def test_the_threshold_is_chosen_on_validation_images_where_none_is_given(folder):
    words = ("--call", "threshold", "--out")
    done = call("infer", "dspic", folder / "spect/manifest.tsv", "--model", folder / "run", *words, folder / "it")
    assert done.code == 0, done.err
    _, held = read_fold(folder / "run/folds/r1f1/validation.tsv")
    expected = choose_tau(held.truth.tolist(), held.probabilities)
    assert json.loads((folder / "it/call.json").read_text()) == {"call": "threshold", "tau": expected}
    (folder / "bare").mkdir()
    (folder / "bare/model.ckpt").hardlink_to(folder / "run/model.ckpt")
    refused = call("infer", "dspic", folder / "spect/manifest.tsv", "--model", folder / "bare", *words, folder / "x")
    assert refused.code == 2
    assert "no validation images to choose it by" in refused.err


@pytest.mark.parametrize("name", ["JPEG2000", "JPGExtended", "JPEG-LL"])
def test_a_real_bone_scan_goes_through_preprocessing_and_inference(folder, name):
    """One whole-body scan in three encodings: the first two come with pydicom, the lossless one with pydicom-data."""
    real = get_testdata_file(f"{name}.dcm", download=False)
    frames = read_planar(real).frames
    assert frames.shape == (1, 1024, 256)
    if name == "JPEG-LL":
        assert frames.sum(dtype=np.float64) == 3_596_452  # CountsAccumulated in its header
    assert call("preprocess", "spect", real, "--out", folder / name).code == 0
    assert json.loads((folder / name / f"{name}.json").read_text()) == {"PixelSpacing": [2.26, 2.26]}
    done = call("infer", "dspic", folder / name, "--model", folder / "run", "--out", folder / f"{name}-i")
    assert done.code == 0, done.err
    (row,) = read_tsv(folder / f"{name}-i/predictions.tsv")[1]
    assert sum(float(row[f"p_{label}"]) for label in "NMA") == pytest.approx(1)


@pytest.fixture(scope="module")
def explained(folder):
    done = call("explain", "dspic", folder / "spect/manifest.tsv", "--model", folder / "run", "--images", "1",
                "--out", folder / "e")  # fmt: skip
    assert done.code == 0, done.err
    return folder / "e"


def test_explain_draws_attention_maps_and_features(explained):
    names = contents(explained).keys()
    assert {"attention.png", "gradcam.png", "channels.tsv", "embedding.png", "lesions.tsv"} <= names
    assert len(read_tsv(explained / "channels.tsv")[1]) == 96


def test_maps_lie_on_the_grid_of_the_scan(folder, explained, tmp_path):
    """The scan written beside the maps is read back by `preprocess spect` as the image that went in."""
    shown = [path.name.removesuffix("_scan.nii.gz") for path in sorted((explained / "maps").glob("*_scan.nii.gz"))]
    assert len(shown) == 4
    for kind in ("attention", "gradcam", "scan"):
        volume = open_volume(explained / "maps" / f"{shown[0]}_{kind}.nii.gz")
        assert volume.data.shape == (32, 128, 1)
        assert np.allclose(volume.affine, np.diag([18.08, 18.08, 1, 1]), atol=1e-4)  # 8 times 2.26 mm
        assert 0 <= volume.data.min() <= volume.data.max() <= 1
    done = call("preprocess", "spect", explained / "maps" / f"{shown[0]}_scan.nii.gz", "--out", tmp_path)
    assert done.code == 0, done.err
    before = read_image(folder / "spect" / f"{shown[0]}.png").astype(int)
    assert np.abs(before - read_image(next(tmp_path.glob("*_scan.png")))).max() <= 1
    assert json.loads(next(tmp_path.glob("*_scan.json")).read_text())["PixelSpacing"] == pytest.approx([18.08] * 2)


def test_explain_says_how_much_of_each_map_lies_in_lesions(folder, explained):
    rows = read_tsv(explained / "lesions.tsv")[1]
    lesions = {r["id"]: r["lesions"] for r in read_tsv(folder / "spect/manifest.tsv")[1] if r["lesions"] != "n/a"}
    test = {r["id"] for r in read_tsv(folder / "run/folds/r1f1/predictions.tsv")[1]}
    assert {r["id"] for r in rows} == set(lesions) & test
    mask = read_image(folder / "spect" / lesions[rows[0]["id"]]) > 0
    assert float(rows[0]["area"]) == pytest.approx(mask.mean())
    summary = {r["map"]: r for r in read_tsv(explained / "lesion_shares.tsv")[1]}
    ratio = sum(float(r["attention"]) for r in rows) / sum(float(r["area"]) for r in rows)
    assert float(summary["attention"]["ratio"]) == pytest.approx(ratio)
    assert float(summary["attention"]["ci_low"]) <= ratio <= float(summary["attention"]["ci_high"])


def test_rows_of_the_tables_come_from_one_command_and_are_made_once(folder):
    words = ("reproduce", "dspic", folder / "spect/manifest.tsv", *LIGHT, "--epochs", "1",
             "--resamples", "20", "--device", "cpu")  # fmt: skip
    chosen = ("--rows", "si-clf-d2,si-clf-am-d2,majority", "--out", folder / "tables")
    done = call(*words, *chosen)
    assert done.code == 0, done.err
    rows = {(r["row"], r["split"]): r for r in read_tsv(folder / "tables/table.tsv")[1]}
    assert set(rows) == {
        (row, split) for row in ("si-clf-d2", "si-clf-am-d2", "majority") for split in ("patient", "paper")
    }
    plain, attended = (rows[name, "paper"] for name in ("si-clf-d2", "si-clf-am-d2"))
    assert (plain["set"], plain["published_auroc_macro"], attended["published_auroc_macro"]) == (
        "D_2",
        "0.8904",
        "0.9105",
    )
    assert int(attended["parameters"]) - int(plain["parameters"]) == 80_624_027 - 80_614_787  # two attention modules
    assert rows["majority", "patient"]["n"] == rows["si-clf-d2", "patient"]["n"]
    assert int(plain["n"]) > int(rows["majority", "paper"]["n"])  # made images are tested on
    assert 0 < float(rows["si-clf-am-d2", "patient"]["mcnemar_p"]) <= 1
    assert attended["mcnemar_p"] == "n/a"
    model = folder / "tables/runs/si-clf-d2-patient/folds/r1f1/model.ckpt"
    made = model.stat().st_mtime_ns
    (folder / "tables/table.tsv").unlink()
    again = call(*words, *chosen)
    assert again.code == 0, again.err
    assert (folder / "tables/table.tsv").is_file()
    assert model.stat().st_mtime_ns == made
    wrong = call(*words, "--rows", "am-d9", "--out", folder / "x")
    assert wrong.code == 2
    assert "no row 'am-d9'" in wrong.err


def test_every_row_of_the_papers_tables_can_be_named():
    assert {f"{m}-{d}" for m in ("am", "rm", "none") for d in ("d1", "d2", "d3")} <= ROWS.keys()
    assert {
        "am-no-pools-d2",
        "si-clf-d2",
        "si-clf-am-d2",
        "si-clf-rm-d2",
        "si-clf-am-rm-d2",
        "alexnet-d2",
    } <= ROWS.keys()
    settings = settings_of(check(ReproduceParams, {}), "am-no-pools-d2", "paper")
    assert (settings.pools, settings.augment, settings.split, settings.epochs) == (False, "geometry", "paper", 300)


def test_a_finished_gan_is_lent_to_other_rows_of_its_division(tmp_path):
    job = SimpleNamespace(out=tmp_path)
    for row, finished in (("am-d3-patient", False), ("rm-d3-patient", True), ("rm-d3-paper", True)):
        inner = tmp_path / "runs" / row / ("gan" if row.endswith("paper") else "folds/r1f1/gan") / "M"
        inner.mkdir(parents=True)
        (inner / ("model.ckpt" if finished else "resume.ckpt")).write_text(row)
    for split, inner in (("patient", "folds/r1f1/gan"), ("paper", "gan")):
        out = tmp_path / "runs" / f"none-d3-{split}"
        lend_gans(job, out, split)
        assert (out / inner / "M/model.ckpt").read_text() == f"rm-d3-{split}"
    lend_gans(job, tmp_path / "runs/am-d3-patient", "patient")  # what a killed training left is not replaced
    assert not (tmp_path / "runs/am-d3-patient/folds/r1f1/gan/M/model.ckpt").exists()


def test_a_gan_learns_from_training_patients_only(folder):
    """Test scans are exchanged: the DCGAN must keep its bytes."""
    columns, rows = read_tsv(folder / "spect/manifest.tsv")
    rows = [r for r in rows if r["label"] in "NM"]
    paths, exchanged, found = {r["id"]: r["image"] for r in rows}, {}, []
    for name in ("gan", "gan2"):
        table = write_tsv(folder / f"spect/{name}.tsv", columns,
                          [{**r, "image": paths[exchanged.get(r["id"], r["id"])]} for r in rows])  # fmt: skip
        done = call("train", "dspic", table, *LIGHT, "--model", "si-clf", "--no-final", "--augment", "dcgan",
                    "--gan-epochs", "1", *ONCE, "--out", folder / name)  # fmt: skip
        assert done.code == 0, done.err
        assert "it can only learn them by heart" in done.err
        test = sorted({r["id"] for r in read_tsv(folder / name / "splits.tsv")[1] if r["split"] == "test"})
        exchanged = dict(zip(test, test[::-1], strict=True))
        found.append(contents(folder / name / "folds/r1f1/gan", ".ckpt", ".png"))
    assert {"M/model.ckpt", "M/generated.png"} <= found[0].keys()
    assert found[0] == found[1]
    card = json.loads((folder / "gan/model_card.json").read_text())
    assert (card["set"], card["split"]) == ("D_3", "no patient on both sides")


@pytest.mark.parametrize(
    ("change", "words", "cause"),
    [
        (lambda row: {**row, "label": "X"}, (), "unknown label 'X'"),
        (lambda row: {**row, "label": "N"}, (), "one class only (N)"),
        (lambda row: row, ("--width", "30"), "greater than or equal to 31"),
        (lambda row: row, ("--head-pool", "12"), "expected ROWSxCOLUMNS"),
        (lambda row: row, ("--label", "diagnosis"), "no column 'diagnosis'"),
    ],
)
def test_wrong_input_is_named_in_one_line(folder, tmp_path, change, words, cause):
    columns, rows = read_tsv(folder / "spect/manifest.tsv")
    write_tsv(folder / "spect/wrong.tsv", columns, [change(dict(row)) for row in rows])
    done = call("train", "dspic", folder / "spect/wrong.tsv", "--out", tmp_path, *TINY, *words)
    assert done.code == 2
    assert any(cause in line for line in done.lines), done.err


def test_the_demo_is_named_beforehand_and_the_same_each_time(folder, tmp_path):
    assert [r["id"] for r in read_tsv(folder / "data/manifest.tsv")[1]] == sample_ids({"patients": 0.15})
    assert call("demo", "dspic", "--patients", "0.15", "--scale", "8", "--out", tmp_path).code == 0
    assert contents(tmp_path, ".dcm") == contents(folder / "data", ".dcm")
    assert fold_names({"protocol": "cv", "folds": 3}) == ["r1f1", "r1f2", "r1f3"]


def test_metastases_are_hot_and_arthritis_is_at_joints():
    rng = np.random.default_rng(0)
    scans = {
        label: [draw_view(rng, draw_patient(rng, label), "anterior", 8).counts for _ in range(12)] for label in "NMA"
    }
    knees = {label: np.mean([s[92:102].sum() / s.sum() for s in views]) for label, views in scans.items()}
    assert knees["A"] > knees["N"]
    peaks = {label: np.mean([s[25:60].max() / np.median(s[s > 0]) for s in views]) for label, views in scans.items()}
    assert peaks["M"] > peaks["N"]
    assert simple_features(np.stack(scans["N"]).astype(np.float32)).shape == (12, 3)


def test_made_images_are_refused_in_a_division_by_patients():
    scans = described({"N": 2, "M": 2})
    check_protocol(scans, TrainParams())
    assert set(registry.card("dspic").stages) == set(registry.stages("dspic"))
