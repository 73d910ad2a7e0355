"""local-prototype from volumes to scores through the command line, its protocol, its generator and its refusals."""

import json

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from support import call, results

from medtools.core.errors import InputError
from medtools.core.tables import read_tsv
from medtools.io.nifti import write_volume
from medtools.metrics.segmentation import dice
from medtools.nn.resnet import ResNet
from medtools.systems.local_prototype.augmentation import augment
from medtools.systems.local_prototype.cohort import MADE, VISCERAL, Organ, parts
from medtools.systems.local_prototype.items import choose_slices, collect_items
from medtools.systems.local_prototype.model import LocalPrototypeNetwork
from medtools.systems.local_prototype.phantom import make_abdomen
from medtools.systems.local_prototype.preparation import combine, find_visceral
from medtools.systems.local_prototype.protocol import SliceRange, chunks, organ_range, pairing
from medtools.systems.local_prototype.scoring import by_level
from medtools.systems.local_prototype.segmentation import segment_organ
from medtools.systems.local_prototype.slices import SliceGrid, Stack, back_to_slices, masks_at, stretch
from medtools.training.checkpoint import read_params

TRAIN = ("--width", "0.0625", "--iterations", "4", "--epochs", "2", "--batch", "2", "--held-out", "liver,kidney")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Seven made abdomens of 64 pixels and 6 slices, prepared at 64 pixels."""
    folder = tmp_path_factory.mktemp("organs")
    words = ("--size", "64", "--slices", "6", "--train", "4", "--queries", "2", "--shift", "6")
    assert call("demo", "local-prototype", "--out", folder / "data", *words).code == 0
    outcome = call(
        *("preprocess", "local-prototype", "slices", folder / "data" / "manifest.tsv"),
        *("--size", "64", "--out", folder / "slices"),
    )
    assert outcome.code == 0, outcome.err
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


def stack(image_size=64, seed=0, slices=3, **changes):
    made = make_abdomen(np.random.default_rng(seed), image_size, slices, **changes)
    shape = (image_size, image_size, slices)
    grid = SliceGrid.of(shape, np.diag([-3.0, -3.0, -5.0, 1.0]))
    return Stack(f"v{seed}", "query", stretch(made.image, image_size), made.labels, grid)


# The protocol (check 11).


def test_thirty_slices_make_the_cards_chunks_and_picks():
    assert chunks(30)[:3] == [(0, 2), (2, 5), (5, 7)]
    assert chunks(30)[-1] == (27, 30)
    assert sorted(set(pairing(SliceRange(0, 29), SliceRange(0, 29)).values())) == [
        *(1, 3, 6, 8, 11, 13, 16, 18, 21, 23, 26, 28)
    ]


def test_fewer_slices_than_chunks_make_as_many_chunks():
    pairs = pairing(SliceRange(4, 6), SliceRange(10, 30))

    assert sorted(pairs) == list(range(10, 31))
    assert sorted(set(pairs.values())) == [4, 5, 6]


def test_the_range_of_an_organ_is_from_its_first_to_its_last_slice_of_enough_pixels():
    mask = np.zeros((6, 512, 512), dtype=bool)
    mask[1:5, :15, :15] = True
    mask[3] = False
    mask[5, :14, :14] = True

    assert organ_range(mask) == SliceRange(1, 4)
    assert organ_range(mask[:, ::4, ::4]) is not None
    assert organ_range(0 * mask) is None


# The method on the card's generator.


def test_local_prototypes_beat_global_ones_and_copying_at_a_shift_of_12():
    # The card's table at t = 12: copying .19-.24, alpha 1 .23, 1/4 .52-.56, 1/8 .62-.64, 1/8 apart .46-.56.
    support = stack(128, seed=0)
    shifts = [(-12, 0), (12, 0), (0, -12), (0, 12)]
    queries = [stack(128, seed=i, shift=shift) for i, shift in enumerate(shifts, start=1)]
    middle, found = SliceRange(1, 1), {}
    networks = {
        "copy": None,
        **{name: LocalPrototypeNetwork("intensity", size=128, alpha=alpha, overlap=overlap).eval()
           for name, alpha, overlap in (("1", 1, True), ("1/4", 1 / 4, True), ("1/8", 1 / 8, True),
                                        ("1/8 apart", 1 / 8, False))},
    }  # fmt: skip
    for name, network in networks.items():
        values = []
        for query in queries:
            for organ in MADE:
                mask = segment_organ(network, [support], query, organ, middle, whole=True).mask[1]
                values.append(dice(query.mask(organ)[1], mask))
        found[name] = float(np.mean(values))

    assert found["1/8"] > found["1/4"] > found["1"]
    assert found["1/8"] > found["1/8 apart"] > found["copy"]
    assert found["1/8"] == pytest.approx(0.64, abs=0.06)
    assert found["1"] == pytest.approx(0.23, abs=0.03)
    assert found["copy"] == pytest.approx(0.21, abs=0.04)


def test_the_generator_repeats_and_moves_as_asked():
    one, other = (make_abdomen(np.random.default_rng(1), 64, 4, shift=shift) for shift in ((0, 0), (5, -3)))

    assert set(np.unique(one.labels)) == set(range(7))
    assert np.array_equal(np.roll(one.labels, (5, -3), (1, 2)), other.labels)
    assert np.array_equal(np.roll(one.image, (5, -3), (1, 2)), other.image)


# Slices and items.


def test_slices_are_stretched_each_for_itself_and_a_constant_one_is_zero():
    values = np.stack([np.full((8, 8), 7.0), np.arange(64.0).reshape(8, 8)])

    found = stretch(values, 8)

    assert not found[0].any()
    assert (found[1].min(), found[1].max()) == (0, 255)
    with pytest.raises(InputError, match="not a finite number"):
        stretch(np.array([[[np.nan, 1.0]]]), 8)


def test_slices_that_are_not_square_come_back_to_their_own_pixels():
    mask = np.zeros((1, 40, 64), dtype=bool)
    mask[0, 5:20, 30:50] = True

    returned = back_to_slices(masks_at(mask, 128), 40, 64)

    assert np.array_equal(returned.numpy() > 0.5, mask)


def test_items_are_the_slices_that_show_enough():
    mask = np.zeros((40, 64, 64), dtype=bool)
    mask[:, :3, :3] = True  # 9 pixels of 64 x 64 are 576 of 512 x 512
    rng = np.random.default_rng(0)

    assert len(choose_slices(mask, rng)) == 5
    assert choose_slices(mask[:10], rng).tolist() == list(range(9))
    mask[:, :2] = False  # 3 pixels: 192
    mask[4, 2, 1:] = False  # 1 pixel: 64
    assert choose_slices(mask[:10], rng).tolist() == [0, 1, 2, 3, 5, 6, 7, 8]


def test_an_item_shows_one_organ_and_all_else_is_background():
    items = collect_items([stack(slices=5)], [MADE[0], MADE[2]], seed=0)

    assert set(items.organs) == {"liver", "right kidney"}
    assert items.masks.dtype == bool
    assert len(items.images) == len(items.masks) == len(items.organs)
    sizes = {name: items.masks[items.organs == name].sum((1, 2)).mean() for name in set(items.organs)}
    assert sizes["liver"] > 3 * sizes["right kidney"]


def test_augmentation_stays_in_range_and_often_changes_the_image():
    image = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    found = [augment(image, np.random.default_rng(seed)) for seed in range(64)]

    assert all(one.min() >= 0 and one.max() <= 1 for one in found)
    # All three are left out with chance 1/8.
    assert 2 <= sum(np.array_equal(one, image) for one in found) <= 18


def test_levels_average_pairs_first():
    rows = [
        {"id": "q", "organ": name, "group": group, "dice": value}
        for name, group, value in (
            ("liver", "liver", 0.9),
            ("right kidney", "kidney", 0.5),
            ("left kidney", "kidney", 0.3),
        )
    ]

    levels = by_level(rows)

    assert levels["kidney"]["q"] == pytest.approx(0.4)
    assert levels["mean"]["q"] == pytest.approx(0.65)


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


def test_two_supports_are_two_shots(prepared):
    manifest = prepared / "slices" / "manifest.tsv"

    outcome = call(
        *("infer", "local-prototype", manifest, "--method", "intensity", "--organs", "liver"),
        *("--support", "support-01,train-01", "--out", prepared / "shots"),
    )

    assert outcome.code == 0, outcome.err
    assert read_tsv(prepared / "shots" / "predictions.tsv")[1][0]["support"] == "train-01,support-01"


# Layouts and bad input.


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


def test_a_mask_of_other_values_is_refused():
    mask = np.full((2, 4, 4), 3.0)

    with pytest.raises(InputError, match="holds the value 3"):
        combine([(Organ(1, "liver", "liver"), mask, "liver.nii.gz")])


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


def test_a_support_without_the_organ_is_named(prepared):
    empty = stack()
    bare = Stack("bare", "support", empty.image, 0 * empty.labels, empty.grid)

    with pytest.raises(InputError, match="bare: the support shows no liver"):
        segment_organ(None, [bare], empty, MADE[0], SliceRange(0, 2))


def test_the_made_cohort_is_known_before_it_is_made(prepared):
    _, rows = read_tsv(prepared / "data" / "manifest.tsv")

    assert {row["id"]: row["split"] for row in rows} == parts(4, 2)
    assert json.loads((prepared / "data" / "demo.json").read_text())["status"] == "complete"
