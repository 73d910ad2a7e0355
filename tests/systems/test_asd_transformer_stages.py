"""From demo to scores and figures through the command line, and the protocol's promises (card 04, checks 4, 11, 12)."""

import numpy as np
import pytest
from support import call, contents

from medtools.core.params import read_yaml
from medtools.core.tables import read_tsv, write_tsv
from medtools.metrics.classification import accuracy, auroc, confusion_matrix, sensitivity, specificity

TINY = ("--epochs", "1", "--batch", "8", "--repeats", "2", "--stratify", "class", "--device", "cpu", "--no-curves")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("asd")
    made = call("demo", "asd-transformer", "--subjects", "40", "--sites", "2", "--rois", "16", "--out", path / "data")
    assert made.code == 0, made.err
    trained = call("train", "asd-transformer", path / "data/manifest.tsv", "--out", path / "run", *TINY)
    assert trained.code == 0, trained.err
    return path


def rewritten(folder, name, change):
    """Copy the demo's manifest with its rows changed."""
    columns, rows = read_tsv(folder / "data/manifest.tsv")
    path = folder / "data" / name
    changed = [change(dict(row)) for row in rows]
    write_tsv(path, columns, changed)
    return path


def test_a_run_holds_folds_a_final_model_and_the_parameters_as_used(folder):
    names = contents(folder / "run").keys()
    for fold in ("folds/r1f1", "folds/r2f1"):
        assert {f"{fold}/{name}" for name in ("model.ckpt", "predictions.tsv", "harmonisation.npz")} <= names
    assert {"model.ckpt", "harmonisation.npz", "splits.tsv", "params.yaml"} <= names
    used = read_yaml(folder / "run/params.yaml")
    assert (used["harmonise"], used["weighting"], used["interaction"], used["readout"]) == (
        "train", "efficiency", "add", "softmax",
    )  # fmt: skip


def test_parts_are_7_1_2_with_one_training_part(folder):
    rows = read_tsv(folder / "run/splits.tsv")[1]
    parts = {(r["repeat"], p): {x["id"] for x in rows if x["repeat"] == r["repeat"] and x["split"] == p}
             for r in rows for p in ("train", "validation", "test")}  # fmt: skip
    for repeat in "01":
        sizes = [len(parts[repeat, p]) for p in ("train", "validation", "test")]
        assert sum(sizes) == 40
        assert sizes == pytest.approx([28, 4, 8], abs=1)  # whole subjects
    assert parts["0", "train"] == parts["1", "train"]
    assert parts["0", "test"] != parts["1", "test"]


def test_scores_have_mean_and_spread_over_runs_beside_the_published_row(folder):
    done = call("score", "asd-transformer", folder / "run", "--against", folder / "run", "--out", folder / "s",
                "--resamples", "50")  # fmt: skip
    assert done.code == 0, done.err
    levels = {(r["metric"], r["level"]) for r in read_tsv(folder / "s/scores.tsv")[1]}
    assert {("auroc", "mean over folds"), ("auroc", "standard deviation over folds")} <= levels
    published = {r["metric"]: float(r["published"]) for r in read_tsv(folder / "s/comparison.tsv")[1]}
    assert published == pytest.approx({"accuracy": 0.734, "auroc": 0.7997, "sensitivity": 0.681, "specificity": 0.7863})
    assert [float(r["difference"]) for r in read_tsv(folder / "s/difference.tsv")[1]] == [0, 0]
    assert {"confusion.png", "roc.png"} <= contents(folder / "s").keys()


def test_metrics_are_those_of_the_card():
    truth, score = np.array([1, 1, 0, 0]), np.array([0.9, 0.4, 0.6, 0.1])
    table = confusion_matrix(truth, (score > 0.5).astype(int), 2)
    assert float(accuracy(table)) == 0.5
    assert float(sensitivity(table)[1]) == float(specificity(table)[1]) == 0.5
    assert float(auroc(truth == 1, score)) == 0.75


def test_explain_writes_attention_nodes_and_sites(folder):
    done = call("explain", "asd-transformer", folder / "data/manifest.tsv", "--model", folder / "run", "--out",
                folder / "e")  # fmt: skip
    assert done.code == 0, done.err
    assert "Warning" not in done.err
    nodes = read_tsv(folder / "e/nodes.tsv")[1]
    assert len(nodes) == 16
    between = [r for r in read_tsv(folder / "e/attention.tsv")[1] if r["to"] != "its prompt"]
    assert len(between) == 2 * 64
    states = [r["connectivity"] for r in read_tsv(folder / "e/site_predictability.tsv")[1]]
    assert states == ["as measured", "after ComBat"]
    assert {"attention.png", "nodes.png", "sites.png"} <= contents(folder / "e").keys()


def test_new_subjects_are_classified_and_others_refused(folder):
    manifest = folder / "data/manifest.tsv"
    done = call("infer", "asd-transformer", manifest, "--model", folder / "run", "--out", folder / "i")
    assert done.code == 0, done.err
    rows = read_tsv(folder / "i/predictions.tsv")[1]
    assert len(rows) == 40
    assert all(float(r["p_NC"]) + float(r["p_ASD"]) == pytest.approx(1) for r in rows)
    other = folder / "other"
    assert call("demo", "asd-transformer", "--subjects", "8", "--rois", "24", "--sites", "1", "--out", other).code == 0
    refused = call("infer", "asd-transformer", other / "manifest.tsv", "--model", folder / "run", "--out", folder / "x")
    assert refused.code == 2
    assert "was trained on 16 ROIs, these subjects have 24" in refused.err
    unseen = rewritten(folder, "unseen.tsv", lambda row: {**row, "site": "new"})
    refused = call("infer", "asd-transformer", unseen, "--model", folder / "run", "--out", folder / "y")
    assert refused.code == 2
    assert "site new was not in the training part" in refused.err


def test_test_subjects_influence_neither_weights_nor_the_chosen_epoch(folder):
    """Their labels are turned round and their matrices exchanged: everything learnt must keep its bytes."""
    words = ("--sample", "r1f1", "--epochs", "2", "--batch", "8", "--repeats", "1", "--device", "cpu", "--no-curves")

    def train(manifest, name):
        done = call("train", "asd-transformer", manifest, "--out", folder / name, *words)
        assert done.code == 0, done.err
        return contents(folder / name / "folds/r1f1", ".csv", ".npz", ".ckpt")

    before = train(folder / "data/manifest.tsv", "before")
    test = [r["id"] for r in read_tsv(folder / "before/splits.tsv")[1] if r["split"] == "test"]
    path = {r["id"]: r["connectivity"] for r in read_tsv(folder / "data/manifest.tsv")[1]}
    exchanged = {one: path[other] for one, other in zip(test, test[::-1], strict=True)}
    turned = {"NC": "ASD", "ASD": "NC"}

    def change(row):
        here = row["id"] in exchanged
        return {**row, "connectivity": exchanged[row["id"]], "group": turned[row["group"]]} if here else row

    after = train(rewritten(folder, "oracle.tsv", change), "after")
    assert len(before) == 3
    assert before == after
    predictions = [(folder / name / "folds/r1f1/predictions.tsv").read_bytes() for name in ("before", "after")]
    assert predictions[0] != predictions[1]


@pytest.mark.parametrize("model", ["comtf", "mean-fc", "site-only", "majority", "logistic-regression", "brainnetcnn"])
def test_every_row_of_the_tables_is_a_parameter(folder, model):
    out = folder / f"run-{model}"
    done = call("train", "asd-transformer", folder / "data/manifest.tsv", "--out", out, "--model", model, "--sample",
                "r1f1", *TINY)  # fmt: skip
    assert done.code == 0, done.err
    test = [r["id"] for r in read_tsv(out / "splits.tsv")[1] if (r["repeat"], r["split"]) == ("0", "test")]
    assert [r["id"] for r in read_tsv(out / "folds/r1f1/predictions.tsv")[1]] == test


def test_fbnetgen_learns_a_graph_from_the_series(folder):
    words = ("--model", "fbnetgen", "--sample", "r1f1", "--series-samples", "40", *TINY)
    done = call("train", "asd-transformer", folder / "data/manifest.tsv", "--out", folder / "run-fb", *words)
    assert done.code == 0, done.err
    header = (folder / "run-fb/folds/r1f1/metrics.csv").read_text().splitlines()[0]
    assert {"cross_entropy", "group_loss", "sparsity_loss", "val_auroc"} <= set(header.split(","))


@pytest.mark.parametrize("protocol", [("cv", "--folds", "2"), ("site", "--unseen", "pooled")])
def test_other_protocols_have_a_fold_per_part_and_site(folder, protocol):
    out = folder / f"run-{protocol[0]}"
    done = call("train", "asd-transformer", folder / "data/manifest.tsv", "--out", out, "--model", "mean-fc",
                "--harmonise", "train", "--protocol", *protocol, "--repeats", "1")  # fmt: skip
    assert done.code == 0, done.err
    assert sorted(path.name for path in (out / "folds").iterdir()) == ["r1f1", "r1f2"]


def test_a_left_out_site_is_refused_unless_told_what_to_do(folder):
    done = call("train", "asd-transformer", folder / "data/manifest.tsv", "--out", folder / "z", "--model", "mean-fc",
                "--harmonise", "train", "--protocol", "site")  # fmt: skip
    assert done.code == 2
    assert "--unseen pooled" in done.err


@pytest.mark.parametrize(
    ("change", "words", "cause"),
    [
        (lambda row: {**row, "group": "3"}, (), "unknown group '3'"),
        (lambda row: row, ("--site", "scanner"), "no column 'scanner'"),
        (lambda row: {**row, "connectivity": "nowhere.npz"}, (), "no such file nowhere.npz"),
        (lambda row: row, ("--task", "NC"), "expected first:second"),
        (lambda row: row, ("--heads", "5"), "5 heads do not divide 16 ROIs"),
        (lambda row: row, ("--clusters", "17"), "17 cluster centres for 16 nodes"),
        (lambda row: row, ("--batch", "64"), "batch_size: 64 is more than the"),
    ],
)
def test_wrong_input_is_named_in_one_line(folder, tmp_path, change, words, cause):
    manifest = rewritten(folder, "wrong.tsv", change)
    done = call("train", "asd-transformer", manifest, "--out", tmp_path / "out", *TINY, *words)
    assert done.code == 2
    assert any(cause in line for line in done.lines), done.err


def test_a_site_of_one_class_is_warned_of(folder, tmp_path):
    manifest = rewritten(folder, "single.tsv", lambda row: {**row, "site": f"of {row['group']}"})
    done = call("train", "asd-transformer", manifest, "--out", tmp_path, "--model", "site-only", *TINY)
    assert done.code == 0
    assert "site of ASD has subjects of ASD only" in done.err


def test_connectivity_from_series_goes_through_preprocess_and_names_who_failed(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for number, shape in enumerate([(4, 30), (4, 30), (4, 2)], start=1):
        np.save(tmp_path / f"s{number}.npy", rng.standard_normal(shape))
        rows.append({"id": f"s{number}", "subject": f"s{number}", "series": f"s{number}.npy", "group": "NC"})
    write_tsv(tmp_path / "manifest.tsv", ["id", "subject", "series", "group"], rows)
    write_tsv(tmp_path / "communities.tsv", ["roi", "community"], [{"roi": i, "community": i % 2} for i in range(1, 5)])
    done = call("preprocess", "asd-transformer", "connectivity", tmp_path / "manifest.tsv", "--layout", "authors",
                "--out", tmp_path / "fc")  # fmt: skip
    assert done.code == 3, done.err
    assert "2 samples per ROI" in (tmp_path / "fc/failures.tsv").read_text()
    columns, written = read_tsv(tmp_path / "fc/manifest.tsv")
    assert columns == ["id", "subject", "connectivity", "group"]
    assert [row["id"] for row in written] == ["s1", "s2"]
    assert read_tsv(tmp_path / "fc/communities.tsv")[1][3]["community"] == "0"


def test_the_same_seed_gives_the_same_bytes_whatever_the_threads(folder, tmp_path):
    done = call("train", "asd-transformer", folder / "data/manifest.tsv", "--out", tmp_path, "--sample", "r1f1",
                "--threads", "3", *TINY)  # fmt: skip
    assert done.code == 0, done.err
    kinds = (".tsv", ".ckpt", ".csv", ".npz")
    assert contents(tmp_path / "folds/r1f1", *kinds) == contents(folder / "run/folds/r1f1", *kinds)


def test_abides_own_files_become_a_cohort(tmp_path):
    rng = np.random.default_rng(0)
    write_tsv(tmp_path / "communities.tsv", ["roi", "community"], [{"roi": i, "community": i % 2} for i in range(1, 5)])
    series = rng.standard_normal((3, 4, 12))
    matrices = np.stack([np.corrcoef(one) for one in series])
    labels, sites = np.array([1, 0, 1]), np.array(["NYU", "NYU", "KKI"])
    np.save(tmp_path / "abide.npy", {"timeseires": series, "corr": matrices, "label": labels, "site": sites})
    lines = ["SUB_ID,FILE_ID,SITE_ID,DX_GROUP"]
    for index, (label, site) in enumerate(zip(labels, sites, strict=True)):
        path = tmp_path / f"{site}_{index}_rois_cc200.1D"
        np.savetxt(path, series[index].T, header="#1\t#2\t#3\t#4", comments="", delimiter="\t")
        lines.append(f"{index},{site}_{index},{site},{2 - label}")
    (tmp_path / "phenotypes.csv").write_text("\n".join(lines) + "\n")
    for source in ("abide.npy", "phenotypes.csv"):
        done = call("preprocess", "asd-transformer", "connectivity", tmp_path / source, "--out", tmp_path / source[:5])
        assert done.code == 0, done.err
        rows = read_tsv(tmp_path / source[:5] / "manifest.tsv")[1]
        assert [(row["group"], row["site"]) for row in rows] == [("ASD", "NYU"), ("NC", "NYU"), ("ASD", "KKI")]
        for row, expected in zip(rows, matrices, strict=True):
            stored = np.load(tmp_path / source[:5] / row["connectivity"])
            assert np.allclose(stored["matrix"], expected, atol=1e-6)
            assert stored["series"].shape == (4, 12)
