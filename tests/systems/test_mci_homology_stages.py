"""Statistics, training, scores and inference of mci-homology, through the command line on a small planted cohort."""

import csv
from pathlib import Path

import numpy as np
import pytest
from support import call, contents

from medtools.systems.mci_homology.scoring import published_accuracy

ROIS, PER_GROUP = 18, 10


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of the card's generator with its homology, made once."""
    folder = tmp_path_factory.mktemp("study")
    made = call("demo", "mci-homology", "--rois", ROIS, "--per-group", PER_GROUP, "--out", folder / "data")
    assert made.code == 0, made.err
    done = call("homology", folder / "data", "--tr", 3000, "--max-dim", 1, "--out", folder / "homology")
    assert done.code == 0, done.err
    return folder


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def train(study: Path, out: str, *words: object) -> Path:
    manifest = study / "data" / "manifest.tsv"
    folder = study / out
    common = ("--homology", study / "homology", "--network", "CB", "--out", folder)
    done = call("train", "mci-homology", manifest, *common, *words)
    assert done.code == 0, done.err
    return folder


def score(run: Path) -> dict[tuple[str, str], float]:
    done = call("score", "mci-homology", run, "--out", run / "scores", "--resamples", 50)
    assert done.code == 0, done.err
    return {
        (row["metric"], row["level"]): float(row["value"].replace("n/a", "nan"))
        for row in table(run / "scores" / "scores.tsv")
    }


def test_statistics_find_the_planted_hubs_and_count_what_chance_would(study):
    done = call(
        "stats", "mci-homology", study / "data" / "manifest.tsv", "--homology", study / "homology",
        "--comparisons", "HC:EMCI,HC:LMCI", "--out", study / "stats",
    )  # fmt: skip
    assert done.code == 0, done.err
    summary = {(row["dimension"], row["comparison"]): row for row in table(study / "stats" / "summary.tsv")}
    # 153 pairs of 18 ROIs at 0.01.
    assert float(summary["H0", "HC vs LMCI"]["expected_false_positives"]) == pytest.approx(1.53)
    degrees = [r for r in table(study / "stats" / "degrees.tsv") if r["dimension"] == "H0"]
    top = {r["roi"] for r in [r for r in degrees if r["comparison"] == "HC vs LMCI"][:2]}
    first = (study / "data" / "sub-0001_atlas-dosenbach160_timeseries.tsv").read_text().split("\n")[0].split("\t")
    assert top == set(first[:2])


@pytest.mark.parametrize("task", ["HC", "HC:HC", "HC:Nobody"])
def test_a_task_that_is_not_two_groups_of_the_manifest_is_refused(study, task):
    manifest = study / "data" / "manifest.tsv"
    refused = call(
        "train", "mci-homology", manifest, "--homology", study / "homology", "--network", "CB", "--task", task,
        "--out", study / "refused",
    )  # fmt: skip
    assert refused.code == 2
    assert refused.lines[-1].startswith("error: --task: ")


def test_pr_tells_the_groups_apart_where_correlation_cannot(study):
    words = ("--model", "logistic-regression", "--task", "HC:LMCI", "--repeats", 2)
    topology = score(train(study, "pr", *words))
    correlation = score(train(study, "fc", *words, "--features", "fc"))
    # The card's prototype, 40 per class: 0.99 against 0.44-0.50; 10 per class leaves room for chance.
    assert topology["accuracy", "test"] >= 0.85
    assert correlation["accuracy", "test"] <= 0.75


def test_no_subject_is_trained_and_tested_in_one_fold(study):
    run = train(study, "splits", "--model", "majority", "--task", "HC:LMCI", "--repeats", 2)
    sides: dict[tuple[str, str, str], set[str]] = {}
    for row in table(run / "splits.tsv"):
        sides.setdefault((row["repeat"], row["fold"], row["subject"]), set()).add(row["split"])
    assert all(len(found) == 1 for found in sides.values())
    tested = [row["subject"] for row in table(run / "splits.tsv") if row["split"] == "test"]
    assert sorted(tested) == sorted(2 * [f"sub-{n:04d}" for n in (*range(1, 11), *range(21, 31))])


def test_the_network_is_trained_stored_and_applied_to_new_subjects(study):
    words = ("--task", "HC:LMCI", "--epochs", 12, "--batch", 8, "--protocol", "paper")
    run = train(study, "cnn", *words)
    scores = score(run)
    assert ("accuracy", "best epoch on test (optimistic)") in scores
    applied = call(
        "infer", "mci-homology", study / "data" / "manifest.tsv", "--homology", study / "homology", "--model", run,
        "--out", study / "applied",
    )  # fmt: skip
    assert applied.code == 0, applied.err
    rows = table(study / "applied" / "predictions.tsv")
    assert len(rows) == 3 * PER_GROUP
    assert all(float(row["p_HC"]) + float(row["p_LMCI"]) == pytest.approx(1) for row in rows)


def test_folds_run_alone_are_the_same_bytes_as_together(study):
    words = ("--task", "HC:LMCI", "--epochs", 2, "--folds", 2, "--repeats", 1)
    together = train(study, "together", *words)
    apart = train(study, "apart", *words, "--sample", "r1f2", "--threads", 1)
    apart = train(study, "apart", *words, "--sample", "r1f1", "--threads", 2)
    for fold in ("r1f1", "r1f2"):
        left, right = (contents(run / "folds" / fold, ".ckpt", ".tsv", ".csv", ".png") for run in (together, apart))
        assert left == right
        assert "model.ckpt" in left


def test_infer_refuses_subjects_of_another_network_size(study):
    run = train(study, "other", "--task", "HC:LMCI", "--epochs", 1, "--protocol", "paper", "--sample", "final")
    made = call("demo", "mci-homology", "--rois", 21, "--per-group", 1, "--samples", 40, "--out", study / "fp")
    assert made.code == 0, made.err
    assert call("homology", study / "fp", "--max-dim", 0, "--out", study / "fp-homology").code == 0
    refused = call(
        "infer", "mci-homology", study / "fp" / "manifest.tsv", "--homology", study / "fp-homology", "--model", run,
        "--out", study / "no",
    )  # fmt: skip
    assert refused.code == 2
    assert "network CB" in refused.lines[-1]


def test_infer_refuses_homology_made_with_other_parameters(study):
    run = train(study, "lags", "--task", "HC:LMCI", "--epochs", 1, "--protocol", "paper", "--sample", "final")
    other = study / "lag2"
    assert call("homology", study / "data", "--lag", 2, "--max-dim", 0, "--out", other).code == 0
    refused = call(
        "infer", "mci-homology", study / "data" / "manifest.tsv", "--homology", other, "--model", run,
        "--out", study / "no",
    )  # fmt: skip
    assert refused.code == 2
    assert "lag 1" in refused.lines[-1]


def test_permuted_labels_score_no_better_than_chance_and_true_ones_do(study):
    words = ("--model", "logistic-regression", "--protocol", "permutation", "--permutations", 19, "--folds", 3)
    scores = score(train(study, "permuted", "--task", "HC:LMCI", *words))
    assert scores["permutation_p", "accuracy over folds"] == pytest.approx(1 / 20)


def test_the_published_table_is_the_papers():
    assert published_accuracy("ADNI", "HC:LMCI", 0, "DMN") == pytest.approx(0.911)
    assert published_accuracy("TLSA", "HC:MCI", 0, "SM") == pytest.approx(0.85)
    assert published_accuracy("ADNI", "HC:Nobody", 0, "DMN") is None


def test_provenance_leads_from_a_matrix_back_to_the_scan_and_notices_a_change(study):
    target = study / "homology" / "PR" / "sub-0001" / "CB_H0.tsv"
    shown = call("provenance", study, "--file", target, "--verify")
    assert shown.code == 0, shown.err
    assert "medtools homology" in shown.out
    assert "demo mci-homology" in shown.out
    before = target.read_bytes()
    try:
        target.write_bytes(before + b" ")
        changed = call("provenance", study, "--file", target, "--verify")
    finally:
        target.write_bytes(before)
    assert changed.code == 2
    assert "has changed" in changed.lines[-1]


def test_scores_hold_the_pooled_confusion_of_every_test_subject(study):
    run = train(study, "majority", "--model", "majority", "--task", "HC:LMCI", "--repeats", 1)
    scores = score(run)
    cells = [value for (metric, level), value in scores.items() if " called " in metric and level == "test"]
    assert np.sum(cells) == 2 * PER_GROUP


def test_reproduce_sets_the_cohorts_accuracy_beside_the_published_one(study):
    done = call(
        "reproduce", "mci-homology", study / "data" / "manifest.tsv", "--homology", study / "homology",
        "--models", "random-forest,cnn", "--tasks", "HC:LMCI", "--dims", "0", "--protocol", "paper", "--epochs", 2,
        "--out", study / "paper",
    )  # fmt: skip
    assert done.code == 0, done.err
    rows = {row["model"]: row for row in table(study / "paper" / "table1.tsv")}
    # The paper's Table 1, HC vs LMCI, CB, H0: 71.4 %.
    assert float(rows["cnn"]["published_accuracy"]) == pytest.approx(0.714)
    assert float(rows["random-forest"]["accuracy"]) >= 0.75
    assert {row["model"] for row in table(study / "paper" / "table2.tsv")} == {"random-forest", "cnn"}
    assert (study / "paper" / "stats" / "figures" / "pplot_CB.png").is_file()
