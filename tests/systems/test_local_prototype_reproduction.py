"""The paper's rows of local-prototype by one command (card 32, "Rows to regenerate")."""

from __future__ import annotations

import pytest
from made_abdomens import prepare
from support import call, imagenet_weights, results

from medtools.core.tables import read_tsv, write_tsv
from medtools.systems import registry
from medtools.systems.local_prototype.params import TrainParams
from medtools.systems.local_prototype.reproduction import ROWS

TINY = ("--width", "0.0625", "--iterations", "2", "--epochs", "1", "--batch", "2", "--held-out", "liver,kidney")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Made abdomens of 64 pixels and 4 slices, prepared."""
    place = tmp_path_factory.mktemp("rows")
    prepare(place, slices=4, train=2, queries=1, shift=4)
    return place


def reproduce(folder, rows, out):
    words = ("--rows", rows, *TINY, "--resamples", "100", "--out", folder / out)
    return call("reproduce", "local-prototype", folder / "slices" / "manifest.tsv", *words)


def test_rows_stand_beside_the_papers_and_share_a_network_where_only_its_use_differs(folder):
    done = reproduce(folder, "ours,vote-mean,copy-mask", "table")
    assert done.code == 0, done.err
    rows = {(r["row"], r["level"]): r for r in read_tsv(folder / "table" / "table.tsv")[1]}
    assert [name for name, level in rows if level == "mean"] == ["ours", "vote-mean", "copy-mask"]
    assert rows["ours", "liver"]["published"] == "0.779"
    assert rows["vote-mean", "mean"]["published"] == rows["copy-mask", "mean"]["published"] == "n/a"
    assert [path.name for path in (folder / "table" / "networks").iterdir()] == ["ours"]
    before = results(folder / "table")
    (folder / "table" / "rows" / "copy-mask" / "scores" / "scores.tsv").write_text("damaged")
    assert reproduce(folder, "ours,vote-mean,copy-mask", "table").code == 0
    assert results(folder / "table") == before


def test_rows_with_nothing_trained_stand_for_imagenet_features(folder):
    words = ("--rows", "pretrained,pretrained-global", *TINY, "--encoder", "efficientnet-lite0", "--resamples", "100")
    start = ("reproduce", "local-prototype", folder / "slices" / "manifest.tsv", *words)
    done = call(*start, "--weights", imagenet_weights(), "--out", folder / "features")
    lacking = call(*start, "--out", folder / "none")
    assert done.code == 0, done.err
    dice = {r["row"]: float(r["dice"]) for r in read_tsv(folder / "features" / "table.tsv")[1] if r["level"] == "mean"}
    assert dice["pretrained"] > dice["pretrained-global"]
    assert lacking.code == 2
    assert "--weights: is needed" in lacking.err


def test_the_rows_of_figure_3_are_trained_with_their_own_cells_and_the_added_classes():
    ablation = registry.card("local-prototype").content["published"]["ablation"]
    assert {row.published for row in ROWS.values()} >= set(ablation)
    for name in ablation:
        params = TrainParams(**ROWS[name].training)
        assert params.added_classes
        assert params.overlap == (name != "no-overlap")
        assert params.alpha == {"alpha-1/16": 1 / 16, "alpha-1/4": 0.25, "alpha-1": 1.0}.get(name, 0.125)
    panet = TrainParams(**ROWS["panet"].training)
    assert (panet.alpha, panet.alignment, panet.added_classes) == (1.0, 1.0, False)


@pytest.mark.parametrize(
    ("rows", "cause"), [("ours,alpnet", "no row 'alpnet'"), ("shots-5", "needs 5 support volumes, there are 1")]
)
def test_rows_that_cannot_be_made_are_refused_before_any_work(folder, rows, cause):
    done = reproduce(folder, rows, "refused")
    assert done.code == 2
    assert cause in done.err
    assert not (folder / "refused" / "networks").exists()


def test_a_workflow_knows_queries_without_a_label_map(folder, monkeypatch):
    from pathlib import Path

    from medtools.workflow import load_data_sets

    columns, rows = read_tsv(folder / "data" / "manifest.tsv")
    unlabelled = [{**row, "labels": "n/a" if row["split"] == "query" else row["labels"]} for row in rows]
    write_tsv(folder / "data" / "unlabelled.tsv", columns, unlabelled)
    schema = Path(__file__).parents[2] / "workflow" / "schemas" / "config.schema.yaml"
    entry = {"name": "x", "system": "local-prototype", "source": str(folder / "data" / "unlabelled.tsv")}
    (found,) = load_data_sets({"datasets": [entry]}, schema).values()
    assert sorted(len(files) for files in found.samples.values())[0] == 1
