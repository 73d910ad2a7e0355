"""local-prototype from volumes to scores through the command line, and its refusals."""

import nibabel as nib
import numpy as np
import pytest
from made_abdomens import prepare
from PIL import Image
from safetensors.torch import save_file
from support import call, imagenet_weights, results

from medtools.core.tables import read_tsv, write_tsv
from medtools.nn.resnet import ResNet
from medtools.training.checkpoint import read_params

TRAIN = ("--width", "0.0625", "--iterations", "4", "--epochs", "2", "--batch", "2", "--held-out", "liver,kidney")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Seven made abdomens of 64 pixels and 6 slices, prepared at 64 pixels."""
    folder = tmp_path_factory.mktemp("organs")
    prepare(folder, slices=6, train=4, queries=2, shift=6)
    return folder


@pytest.fixture(scope="module")
def trained(prepared):
    """Two folds, of two epochs each."""
    outcome = call("train", "local-prototype", prepared / "slices", *TRAIN, "--out", prepared / "run")
    assert outcome.code == 0, outcome.err
    return prepared / "run"


@pytest.fixture(scope="module")
def segmented(prepared, trained):
    """The queries, segmented by both folds and by copying."""
    manifest = prepared / "slices" / "manifest.tsv"
    for words in (("--model", trained), ("--method", "copy-mask", "--organs", "liver,kidney")):
        out = prepared / ("network" if "--model" in words else "copied")
        outcome = call("infer", "local-prototype", manifest, *words, "--out", out)
        assert outcome.code == 0, outcome.err
    return prepared / "network"


# Through the command line.


def test_a_fold_is_never_trained_on_its_held_out_class(trained):
    stored = read_params(trained / "folds" / "kidney" / "model.ckpt")

    assert stored["held_out"] == ["right kidney", "left kidney"]
    assert stored["trained"] == ["liver"]
    assert stored["start"] == "random"
    assert {path.name for path in (trained / "folds").iterdir()} == {"liver", "kidney"}


def test_a_test_class_among_the_training_classes_is_refused(prepared):
    outcome = call(
        *("train", "local-prototype", prepared / "slices", *TRAIN, "--train-organs", "left kidney,spleen"),
        *("--out", prepared / "refused"),
    )

    assert outcome.code == 2
    assert "left kidney is also held out with kidney" in outcome.err


@pytest.mark.parametrize("select", ["training", "test"])
def test_the_best_epoch_can_be_kept_and_choosing_it_on_the_test_is_warned_of(prepared, select):
    out = prepared / f"select-{select}"

    outcome = call(
        "train", "local-prototype", prepared / "slices", *TRAIN, "--sample", "kidney", "--select", select, "--out", out
    )

    assert outcome.code == 0, outcome.err
    assert ("optimistic" in outcome.err) == (select == "test")
    lines = (out / "folds" / "kidney" / "metrics.csv").read_text().splitlines()
    column = lines[0].split(",").index("val_dice")
    assert all(0 <= float(line.split(",")[column]) <= 1 for line in lines[1:])


def test_panet_is_one_cell_and_the_regulariser(prepared):
    out = prepared / "panet"

    outcome = call(
        *("train", "local-prototype", prepared / "slices", *TRAIN, "--sample", "kidney", "--out", out),
        *("--alpha", "1", "--alignment", "1", "--authors", "--shots", "2", "--no-augment"),
    )

    assert outcome.code == 0, outcome.err
    stored = read_params(out / "folds" / "kidney" / "model.ckpt")
    assert (stored["alpha"], stored["min_pixels"]) == (1, 10)
    assert "alignment" in (out / "folds" / "kidney" / "metrics.csv").read_text().splitlines()[0]


def test_a_start_from_a_weight_file_is_said(prepared):
    weights = prepared / "resnet50.safetensors"
    save_file(ResNet("bottleneck", (3, 4, 6, 3), classes=3, width=0.0625).state_dict(), weights)
    out = prepared / "started"

    outcome = call(
        *("train", "local-prototype", prepared / "slices", *TRAIN, "--sample", "liver", "--out", out),
        *("--weights", weights, "--added-classes"),
    )

    assert outcome.code == 0, outcome.err
    assert "starts from weights" in outcome.err
    stored = read_params(out / "folds" / "liver" / "model.ckpt")
    assert stored["trained"] == ["spleen", "right kidney", "left kidney", "right psoas", "left psoas"]


def test_imagenet_weights_segment_without_any_training(prepared):
    manifest, weights = prepared / "slices" / "manifest.tsv", imagenet_weights()
    words = ("infer", "local-prototype", manifest, "--organs", "liver", "--encoder", "efficientnet-lite0")

    done = call(*words, "--method", "pretrained", "--weights", weights, "--out", prepared / "pretrained")
    lacking = call(*words, "--method", "pretrained", "--out", prepared / "x")
    wrong = call(*words, "--method", "intensity", "--weights", weights, "--out", prepared / "x")
    other = call(*words[:-2], "--method", "pretrained", "--weights", weights, "--out", prepared / "x")

    assert done.code == 0, done.err
    assert {row["organ"] for row in read_tsv(prepared / "pretrained" / "predictions.tsv")[1]} == {"liver"}
    with np.load(prepared / "pretrained" / "prototypes.npz") as prototypes:
        assert prototypes["liver"].shape == (2, 225, 40 + 112)
    assert (lacking.code, wrong.code, other.code) == (2, 2, 2)
    assert "--weights: is needed where no --model is" in lacking.err
    assert "are not used by --method intensity" in wrong.err
    assert "do not fit the model" in other.err


def test_the_lighter_trunk_is_trained_stored_and_applied(prepared):
    out = prepared / "light"
    words = ("--encoder", "efficientnet-lite0", "--weights", imagenet_weights(), "--sample", "liver", "--out", out)

    outcome = call("train", "local-prototype", prepared / "slices", *TRAIN, *words)
    applied = call("infer", "local-prototype", prepared / "slices", "--model", out, "--out", prepared / "by-light")

    assert outcome.code == 0, outcome.err
    assert "efficientnet-lite0 starts from weights" in outcome.err
    assert read_params(out / "folds" / "liver" / "model.ckpt")["encoder"] == "efficientnet-lite0"
    assert applied.code == 0, applied.err


def test_masks_lie_on_the_querys_own_grid(prepared, segmented):
    image = nib.load(prepared / "data" / "image" / "query-01.nii.gz")

    for organ in ("liver", "right-kidney", "left-kidney"):
        mask = nib.load(segmented / "query-01" / f"{organ}.nii.gz")
        assert mask.shape == image.shape
        assert np.allclose(mask.affine, image.affine)
        assert set(np.unique(mask.dataobj)) <= {0, 1}
    with np.load(segmented / "prototypes.npz") as prototypes:
        assert prototypes["liver"].shape == (2, 225, 16)


def test_scores_alignment_comparison_and_figures(prepared, segmented):
    outcome = call(
        *("score", "local-prototype", prepared / "slices", "--predictions", segmented),
        *("--against", prepared / "copied", "--published", "ours", "--resamples", "200", "--out", prepared / "scores"),
    )

    assert outcome.code == 0, outcome.err
    _, dices = read_tsv(prepared / "scores" / "dice.tsv")
    _, scores = read_tsv(prepared / "scores" / "scores.tsv")
    value = {row["level"]: float(row["value"]) for row in scores}
    assert len(dices) == 6
    assert value["mean"] == pytest.approx((value["liver"] + value["kidney"]) / 2)
    _, pairs = read_tsv(prepared / "scores" / "alignment.tsv")
    assert all(0 <= float(row["alignment_dice"]) <= 1 for row in pairs)
    _, compared = read_tsv(prepared / "scores" / "comparison.tsv")
    assert {row["level"]: row["published"] for row in compared}["liver"] == "0.779"
    _, differences = read_tsv(prepared / "scores" / "difference.tsv")
    assert {row["level"] for row in differences} >= {"liver", "kidney", "mean"}
    for name in ("dice", "overlays", "alignment"):
        assert Image.open(prepared / "scores" / f"{name}.png").width > 300


def test_copying_a_mask_onto_itself_is_perfect(prepared):
    _, rows = read_tsv(prepared / "copied" / "pairs.tsv")

    assert all(row["alignment_dice"] == row["segmentation_dice"] for row in rows)


def test_two_threads_and_a_second_run_give_the_same_bytes(prepared, trained):
    again = prepared / "again"

    outcome = call(
        *("train", "local-prototype", prepared / "slices", *TRAIN, "--out", again, "--threads", "2"),
        *("--sample", "liver"),
    )

    assert outcome.code == 0, outcome.err
    for name in ("model.ckpt", "metrics.csv"):
        assert (again / "folds" / "liver" / name).read_bytes() == (trained / "folds" / "liver" / name).read_bytes()
    assert results(again / "folds" / "liver") == results(trained / "folds" / "liver")


def test_an_explanation_names_the_cells_that_decided(prepared, trained):
    outcome = call(
        *("explain", "local-prototype", prepared / "slices", "--model", trained, "--organ", "liver"),
        *("--out", prepared / "explain"),
    )

    assert outcome.code == 0, outcome.err
    with np.load(prepared / "explain" / "maps.npz") as maps:
        assert maps["winning_cell"].shape == maps["organ_similarity"].shape == (64, 64)
        assert maps["winning_cell"].max() < 225
        inside = int(maps["query_mask"].sum())
    _, cells = read_tsv(prepared / "explain" / "cells.tsv")
    assert sum(int(row["pixels_decided"]) for row in cells) == inside
    assert Image.open(prepared / "explain" / "maps.png").width > 900


def test_imagenet_features_are_explained_without_a_model(prepared, trained):
    words = ("explain", "local-prototype", prepared / "slices", "--encoder", "efficientnet-lite0")

    outcome = call(*words, "--weights", imagenet_weights(), "--out", prepared / "seen")
    nothing = call(*words, "--out", prepared / "y")
    both = call(*words, "--weights", imagenet_weights(), "--model", trained, "--out", prepared / "y")

    assert outcome.code == 0, outcome.err
    assert Image.open(prepared / "seen" / "maps.png").width > 900
    assert (nothing.code, both.code) == (2, 2)
    assert "--weights: are not used with --model" in both.err
    assert "is needed where no --model is" in nothing.err


def test_whole_volumes_and_given_slices_need_no_truth(prepared, trained):
    manifest = prepared / "slices" / "manifest.tsv"
    table = prepared / "ranges.tsv"
    table.write_text("id\torgan\tfirst\tlast\nquery-02\tliver\t2\t3\n")
    words = ("infer", "local-prototype", manifest, "--method", "copy-mask", "--organs", "liver")

    whole = call(*words, "--range", "full", "--out", prepared / "whole")
    given = call(*words, "--range", "file", "--ranges", table, "--out", prepared / "given")

    assert (whole.code, given.code) == (0, 0), whole.err + given.err
    assert {(r["first"], r["last"]) for r in read_tsv(prepared / "whole" / "predictions.tsv")[1]} == {("0", "5")}
    rows = read_tsv(prepared / "given" / "predictions.tsv")[1]
    assert [(r["id"], r["first"], r["last"]) for r in rows] == [("query-02", "2", "3")]
    table.write_text("id\torgan\tfirst\tlast\nquery-2\tliver\t2\t3\n")
    wrong = call(*words, "--range", "file", "--ranges", table, "--out", prepared / "wrong")
    assert wrong.code == 2
    assert "query-2, liver: no such query or organ" in wrong.err


def test_two_supports_are_two_shots(prepared):
    manifest = prepared / "slices" / "manifest.tsv"

    outcome = call(
        *("infer", "local-prototype", manifest, "--method", "intensity", "--organs", "liver"),
        *("--support", "support-01,train-01", "--out", prepared / "shots"),
    )

    assert outcome.code == 0, outcome.err
    assert read_tsv(prepared / "shots" / "predictions.tsv")[1][0]["support"] == "train-01,support-01"


def test_an_organ_that_no_fold_knows_is_segmented_by_one_that_was_not_trained_on_it(prepared, trained):
    manifest = prepared / "slices" / "manifest.tsv"

    new = call("infer", "local-prototype", manifest, "--model", trained, "--organs", "spleen,liver", "--out",
               prepared / "new")  # fmt: skip

    assert new.code == 0, new.err
    rows = read_tsv(prepared / "new" / "predictions.tsv")[1]
    assert {row["organ"] for row in rows} == {"spleen", "liver"}
    # The liver is still the work of the fold that holds it out.
    for query in ("query-01", "query-02"):
        masks = [prepared / run / query / "liver.nii.gz" for run in ("new", "network")]
        if masks[1].is_file():
            assert np.array_equal(*(nib.load(mask).get_fdata() for mask in masks))


def test_an_organ_that_every_fold_was_trained_on_is_refused(prepared):
    out = prepared / "one"
    words = (*TRAIN[:-1], "liver", "--train-organs", "spleen", "--out", out)
    assert call("train", "local-prototype", prepared / "slices", *words).code == 0

    outcome = call("infer", "local-prototype", prepared / "slices", "--model", out, "--organs", "spleen", "--out",
                   prepared / "x")  # fmt: skip

    assert outcome.code == 2
    assert "was trained on spleen" in outcome.err


def test_a_query_needs_no_label_map_and_then_has_no_dice(prepared, trained):
    columns, rows = read_tsv(prepared / "data" / "manifest.tsv")
    write_tsv(
        prepared / "data" / "bare.tsv",
        columns,
        [{**row, "labels": "n/a" if row["split"] == "query" else row["labels"]} for row in rows],
    )
    slices = prepared / "bare"
    done = call(
        "preprocess", "local-prototype", "slices", prepared / "data" / "bare.tsv", "--size", "64", "--out", slices
    )
    assert done.code == 0, done.err
    words = ("infer", "local-prototype", slices, "--method", "intensity", "--organs", "liver")

    truth = call(*words, "--out", slices / "truth")
    whole = call(*words, "--range", "full", "--out", slices / "whole")
    scored = call("score", "local-prototype", slices, "--predictions", slices / "whole", "--out", slices / "scores")

    assert truth.code == 2
    assert whole.code == 0, whole.err
    mask = nib.load(slices / "whole" / "query-01" / "liver.nii.gz")
    assert mask.shape == nib.load(prepared / "data" / "image" / "query-01.nii.gz").shape
    assert np.asarray(mask.dataobj).any()
    assert scored.code == 2
    assert "query-01 was prepared without a label map" in scored.err


def test_a_volume_does_not_support_itself(prepared):
    words = ("infer", "local-prototype", prepared / "slices", "--method", "copy-mask", "--organs", "liver")

    one = call(*words, "--support", "query-01", "--out", prepared / "own")
    both = call(*words, "--support", "query-01,query-02", "--out", prepared / "nobody")

    assert one.code == 0, one.err
    assert "query-01 supports, so it is left out" in one.err
    assert [row["id"] for row in read_tsv(prepared / "own" / "predictions.tsv")[1]] == ["query-02"]
    assert both.code == 2
    assert "every query is a support" in both.err
