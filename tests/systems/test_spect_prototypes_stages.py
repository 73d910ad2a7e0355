"""spect-prototypes through the command line: from made hearts to scores, new classes, other runs and bad input."""

import json

import numpy as np
import pytest
import torch
from made_hearts import PREPROCESS, SMALL, make_study, rows_of, train
from safetensors.torch import save_file
from scipy import stats
from support import call, imagenet_weights, results

from medtools.core.tables import read_tsv, write_tsv
from medtools.io.arrays import read_npz
from medtools.nn.resnet import ResNet
from medtools.systems.spect_prototypes import baselines, evaluation, scoring
from medtools.systems.spect_prototypes.cohort import sample_ids
from medtools.systems.spect_prototypes.crops import read_crops
from medtools.systems.spect_prototypes.learning import make_splits
from medtools.systems.spect_prototypes.params import TrainParams
from medtools.training.checkpoint import load_checkpoint, read_params


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve made hearts, as plain and as hard crops, and a run of three episodes on the hard ones."""
    folder = tmp_path_factory.mktemp("hearts")
    make_study(folder, modes=("plain", "hard"))
    return folder


def test_the_demo_writes_who_the_workflow_expects(folder):
    assert [row["id"] for row in rows_of(folder / "data" / "manifest.tsv")] == sample_ids({}) == [
        f"sub-{n:02d}" for n in range(1, 13)
    ]  # fmt: skip


def test_plain_crops_are_image_times_mask_one_per_tissue(folder):
    rows = rows_of(folder / "plain" / "manifest.tsv")
    assert len(rows) == 36
    crops = read_crops([folder / "plain"])
    assert crops.classes == ("liver", "myocardium", "ventricle")
    assert crops.images.shape == (36, 64, 64)
    assert not crops.images[~crops.masks].any()
    means = {
        name: crops.images[crops.labels == name][crops.masks[crops.labels == name]].mean() for name in crops.classes
    }
    assert means["ventricle"] < means["liver"] < means["myocardium"]


def test_hard_crops_are_three_of_each_tissue_and_subject(folder):
    rows = rows_of(folder / "hard" / "manifest.tsv")
    assert len(rows) == 108
    assert len({(row["subject"], row["label"]) for row in rows}) == 36


def test_a_training_keeps_subjects_apart_and_says_which_crops_were_used(folder):
    record = json.loads((folder / "run" / "folds" / "r1f1" / "episodes.json").read_text())
    subject = {row["id"]: row["subject"] for row in rows_of(folder / "hard" / "manifest.tsv")}
    used = {
        part: {
            subject[name]
            for one in record[part]
            for names in (*one["support"].values(), one["query"])
            for name in names
        }
        for part in ("train", "validation")
    }
    assert (len(record["train"]), len(record["validation"])) == (3, 10)
    assert not used["train"] & used["validation"]
    assert len(used["validation"]) == 3
    for one in record["train"] + record["validation"]:
        support = [name for names in one["support"].values() for name in names]
        assert (len(support), len(one["query"]), len({*support, *one["query"]})) == (9, 18, 27)
    predicted = rows_of(folder / "run" / "folds" / "r1f1" / "predictions.tsv")
    assert [row["id"] for row in predicted] == [name for one in record["validation"] for name in one["query"]]


def test_metrics_have_a_row_per_episode_and_curves_are_drawn(folder):
    run = folder / "run" / "folds" / "r1f1"
    lines = (run / "metrics.csv").read_text().splitlines()
    assert lines[0].split(",") == ["epoch", "step", "lr", "loss", "accuracy"]
    assert len(lines) == 4
    assert (run / "curves.png").is_file()
    stored = read_params(run / "model.ckpt")
    assert (stored["start"], stored["bn_recalibrated"], stored["distance"]) == ("random", True, "euclidean")


def test_training_again_gives_the_same_bytes(folder, tmp_path):
    outcome = train(folder / "hard", tmp_path / "run", "--threads", "2", "--checkpoint-seconds", "0")
    assert outcome.code == 0, outcome.err
    ours, theirs = results(tmp_path / "run"), results(folder / "run")
    assert ours == theirs
    models = [load_checkpoint(path / "folds/r1f1/model.ckpt").tensors for path in (tmp_path / "run", folder / "run")]
    assert all(np.array_equal(models[0][name], models[1][name]) for name in models[1])


def test_scores_are_counts_of_the_predictions(folder, tmp_path):
    outcome = call("score", "spect-prototypes", folder / "run", "--published", "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    predicted = rows_of(folder / "run" / "folds" / "r1f1" / "predictions.tsv")
    names = ("liver", "myocardium", "ventricle")
    right = [max(names, key=lambda name: float(row[f"p_{name}"])) == row["truth"] for row in predicted]
    scores = {(row["metric"], row["level"]): row for row in rows_of(tmp_path / "scores.tsv")}
    assert float(scores["accuracy", "validation"]["value"]) == pytest.approx(np.mean(right))
    assert scores["accuracy", "validation"]["n"] == "180"
    assert float(scores["right", "validation"]["value"]) == sum(right)
    learned = (folder / "run" / "folds" / "r1f1" / "metrics.csv").read_text().splitlines()[1:]
    counted = sum(round(float(line.split(",")[-1]) * 18) for line in learned)
    assert float(scores["right", "train, while learning"]["value"]) == counted
    assert scores["accuracy", "train, while learning"]["n"] == "54"
    each = np.reshape(right, (10, 18)).mean(axis=1)
    low, high = stats.t.interval(0.95, 9, each.mean(), stats.sem(each))
    over_episodes = scores["accuracy", "validation, mean over episodes"]
    assert float(over_episodes["ci_low"]) == pytest.approx(low)
    assert float(over_episodes["ci_high"]) == pytest.approx(high)
    assert scores["accuracy", "validation, subjects resampled"]["n"] == "3"
    called = [hit for hit, row in zip(right, predicted, strict=True) if row["truth"] == "liver"]
    assert float(scores["sensitivity", "validation, class liver"]["value"]) == pytest.approx(np.mean(called))
    compared = {(row["metric"], row["level"]): float(row["published"]) for row in rows_of(tmp_path / "comparison.tsv")}
    assert compared == {
        ("accuracy", "train, while learning"): 0.9667,
        ("loss", "train, while learning"): 0.486,
        ("accuracy", "validation"): 0.9333,
        ("loss", "validation"): 0.366,
    }
    assert (tmp_path / "confusion.png").is_file()


def test_a_run_on_other_episodes_is_no_comparison(folder, tmp_path):
    assert train(folder / "hard", tmp_path / "other", "--seed", "1").code == 0
    outcome = call(
        "score", "spect-prototypes", folder / "run", "--against", tmp_path / "other", "--out", tmp_path / "s"
    )
    assert outcome.code == 2
    assert "answered other episodes" in outcome.err


def test_without_a_support_the_training_crops_give_the_prototypes(folder, tmp_path):
    splits = {row["id"]: row["split"] for row in rows_of(folder / "run" / "splits.tsv")}
    columns, rows = read_tsv(folder / "hard" / "manifest.tsv")
    kept = [row for row in rows if splits[row["id"]] == "train"]
    write_tsv(folder / "hard" / "few.tsv", columns, kept)
    for name, words in (("own", ()), ("given", ("--support", folder / "hard" / "few.tsv"))):
        outcome = call(
            *("infer", "spect-prototypes", folder / "plain", "--model", folder / "run", *words),
            *("--out", tmp_path / name),
        )
        assert outcome.code == 0, outcome.err
    own, given = (read_npz(tmp_path / name / "prototypes.npz")["prototypes"] for name in ("own", "given"))
    assert np.allclose(own, given, atol=1e-5)
    rows = rows_of(tmp_path / "own" / "predictions.tsv")
    assert len(rows) == 36
    assert all(abs(sum(float(value) for key, value in row.items() if key.startswith("p_")) - 1) < 1e-9 for row in rows)


def test_new_classes_need_no_training(folder, tmp_path):
    columns, rows = read_tsv(folder / "plain" / "manifest.tsv")
    new = {"liver": "lung", "ventricle": "cavity"}
    write_tsv(
        folder / "plain" / "new.tsv",
        columns,
        [row | {"label": new[row["label"]]} for row in rows if row["label"] in new],
    )
    queries = [row for row in rows if row["subject"] == "sub-01"]
    write_tsv(folder / "plain" / "asked.tsv", [c for c in columns if c != "label"], queries)
    outcome = call(
        *("infer", "spect-prototypes", folder / "plain" / "asked.tsv", "--model", folder / "run"),
        *("--support", folder / "plain" / "new.tsv", "--out", tmp_path),
    )
    assert outcome.code == 0, outcome.err
    found, rows = read_tsv(tmp_path / "predictions.tsv")
    assert found == ["id", "subject", "called", "p_cavity", "p_lung"]
    assert len(rows) == 3
    assert "2 queries are in the support too" in outcome.err


def test_leaving_each_subject_out_asks_everyone_once_and_leaves_a_network_for_new_data(folder, tmp_path):
    columns, rows = read_tsv(folder / "plain" / "manifest.tsv")
    write_tsv(folder / "plain" / "three.tsv", columns, [r for r in rows if r["subject"] <= "sub-03"])
    words = (*SMALL, "--episodes", "1", "--shot", "1", "--query", "1", "--loso", "--val-episodes", "2", "--no-curves")
    outcome = call("train", "spect-prototypes", folder / "plain" / "three.tsv", *words, "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    found = {path.name: rows_of(path / "predictions.tsv") for path in sorted((tmp_path / "run" / "folds").iterdir())}
    assert {name: {row["subject"] for row in rows} for name, rows in found.items()} == {
        f"r1f{n}": {f"sub-{n:02d}"} for n in range(1, 4)
    }
    assert {len(rows) for rows in found.values()} == {6}
    assert (tmp_path / "run" / "model.ckpt").is_file()
    assert call("score", "spect-prototypes", tmp_path / "run", "--out", tmp_path / "scores").code == 0
    assert rows_of(tmp_path / "scores" / "scores.tsv")[0]["n"] == "18"
    infer = call("infer", "spect-prototypes", folder / "plain", "--model", tmp_path / "run", "--out", tmp_path / "p")
    assert infer.code == 0, infer.err


def test_the_table_has_every_row_once_and_the_row_of_a_run_is_that_run(folder, tmp_path):
    words = (*SMALL, "--shots", "3", "--episodes", "0,3", "--distances", "euclidean", "--no-repeat-ok")
    command = ("reproduce", "spect-prototypes", folder / "hard", *words, "--out", tmp_path)
    outcome = call(*command)
    assert outcome.code == 0, outcome.err
    rows = rows_of(tmp_path / "table.tsv")
    names = [(row["start"], row["episodes"], row["batch_norm"]) for row in rows]
    assert names == [
        ("chance", "n/a", "n/a"), ("pixels", "n/a", "n/a"), ("shape", "n/a", "n/a"), ("shape-all", "n/a", "n/a"),
        ("random", "0", "as trained"), ("random", "0", "re-estimated"),
        ("random", "3", "as trained"), ("random", "3", "re-estimated"),
    ]  # fmt: skip
    predicted = rows_of(folder / "run" / "folds" / "r1f1" / "predictions.tsv")
    typed = [{key: float(v) if key.startswith("p_") else v for key, v in row.items()} for row in predicted]
    accuracy, loss = evaluation.accuracy_and_loss(typed, ("liver", "myocardium", "ventricle"))
    assert float(rows[-1]["accuracy"]) == accuracy
    assert float(rows[-1]["loss"]) == pytest.approx(loss, rel=1e-9)
    assert not list(tmp_path.rglob("model.ckpt"))
    (tmp_path / "rows" / "pixels-s3" / "row.tsv").unlink()
    before = (tmp_path / "rows" / "random-euclidean-s3-e3" / "row.json").stat().st_mtime_ns
    assert call(*command).code == 0
    assert (tmp_path / "rows" / "random-euclidean-s3-e3" / "row.json").stat().st_mtime_ns == before
    assert rows_of(tmp_path / "table.tsv") == rows


def test_hard_crops_leave_nothing_to_pixels_and_everything_to_shape(folder):
    # The card: nearest mean of raw pixels .34 in hard mode. The masks are given, so their shape tells the tissue.
    crops = read_crops([folder / "hard"])
    params = TrainParams(val_episodes=40, val_subjects=6)
    (split,) = make_splits([folder / "hard"], crops, params, 0)
    tasks = evaluation.validation_tasks(crops, split, params, 3, 0)

    def accuracy(answer):
        return evaluation.accuracy_and_loss(evaluation.answers(crops, tasks, answer, crops.classes), crops.classes)[0]

    assert accuracy(baselines.nearest_pixels(crops)) == pytest.approx(0.34, abs=0.06)
    assert accuracy(baselines.by_shape(baselines.shape_features(crops), crops, None, 0)) > 0.9


def test_the_pictures_are_of_the_episode_asked_for(folder, tmp_path):
    words = ("explain", "spect-prototypes", folder / "hard", "--model", folder / "run", "--episode", "2")
    outcome = call(*words, "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    rows = rows_of(tmp_path / "embedding.tsv")
    assert [row["part"] for row in rows].count("prototype") == 3
    assert {row["subject"] for row in rows if row["part"] == "validation"} == {
        row["subject"] for row in rows_of(folder / "run" / "splits.tsv") if row["split"] == "validation"
    }
    assert (tmp_path / "episode.png").stat().st_size > 5000
    assert "no validation episode 11" in call(*words[:-1], "11", "--out", tmp_path / "x").err


def test_weights_in_torchvisions_layout_start_the_network_and_others_are_refused(folder, tmp_path):
    tensors = {
        name: value.contiguous()
        for name, value in ResNet("basic", (2, 2, 2, 2), width=0.0625, classes=5).state_dict().items()
    }
    save_file(tensors, tmp_path / "good.safetensors")
    outcome = train(folder / "hard", tmp_path / "run", "--weights", tmp_path / "good.safetensors")
    assert outcome.code == 0, outcome.err
    stored = read_params(tmp_path / "run" / "folds" / "r1f1" / "model.ckpt")
    assert (stored["start"], stored["standardise"], stored["bn_recalibrated"]) == ("weights", True, False)
    del tensors["layer3.0.conv1.weight"]
    save_file(tensors, tmp_path / "bad.safetensors")
    refused = train(folder / "hard", tmp_path / "other", "--weights", tmp_path / "bad.safetensors")
    assert refused.code == 2
    assert "layer3.0.conv1.weight" in refused.err


def test_imagenet_weights_out_of_a_package_start_the_other_trunk(folder, tmp_path):
    words = ("--encoder", "efficientnet-lite0", "--weights", imagenet_weights())
    outcome = train(folder / "hard", tmp_path / "run", *words)
    assert outcome.code == 0, outcome.err
    assert "efficientnet-lite0 starts from" in outcome.err
    stored = read_params(tmp_path / "run" / "folds" / "r1f1" / "model.ckpt")
    assert (stored["encoder"], stored["standardise"]) == ("efficientnet-lite0", True)
    words = ("--model", tmp_path / "run", "--out", tmp_path / "called")
    called = call("infer", "spect-prototypes", folder / "hard" / "manifest.tsv", *words)
    assert called.code == 0, called.err
    refused = train(folder / "hard", tmp_path / "other", "--weights", imagenet_weights())
    assert refused.code == 2
    assert "do not fit" in refused.err


def test_rows_of_a_random_start_are_the_same_with_and_without_weights(folder, tmp_path):
    torch.manual_seed(7)
    weights = ResNet("basic", (2, 2, 2, 2), width=0.0625).state_dict()
    save_file({name: value.contiguous() for name, value in weights.items()}, tmp_path / "w.safetensors")
    words = (*SMALL, "--shots", "3", "--episodes", "2", "--distances", "euclidean")
    tables = []
    for out, more in (("without", ()), ("with", ("--weights", tmp_path / "w.safetensors"))):
        outcome = call("reproduce", "spect-prototypes", folder / "hard", *words, *more, "--out", tmp_path / out)
        assert outcome.code == 0, outcome.err
        tables.append({(row["start"], row["batch_norm"]): row for row in rows_of(tmp_path / out / "table.tsv")})
    without, both = tables
    assert {key: both[key] for key in without} == without
    assert both["weights", "as trained"]["loss"] != both["random", "as trained"]["loss"]


@pytest.mark.slow
def test_thirty_episodes_beat_the_nearest_mean_of_pixels_on_unseen_subjects(tmp_path):
    # Card, hard mode: nearest mean .34, .78-.86 after 30 episodes with re-estimated batch norm.
    assert call("demo", "spect-prototypes", "--subjects", "16", "--out", tmp_path / "data").code == 0
    assert call(*PREPROCESS, tmp_path / "data", "--mode", "hard", "--out", tmp_path / "hard").code == 0
    words = ("--episodes", "30", "--val-subjects", "4", "--out", tmp_path / "run")
    outcome = call("train", "spect-prototypes", tmp_path / "hard", *words)
    assert outcome.code == 0, outcome.err
    crops = read_crops([tmp_path / "hard"])
    params = TrainParams(val_subjects=4)
    (split,) = make_splits([tmp_path / "hard"], crops, params, 0)
    tasks = evaluation.validation_tasks(crops, split, params, 3, 0)
    rows = evaluation.answers(crops, tasks, baselines.nearest_pixels(crops), crops.classes)
    pixels, _ = evaluation.accuracy_and_loss(rows, crops.classes)
    assert scoring.read_decisions(tmp_path / "run").right.mean() > pixels + 0.2
