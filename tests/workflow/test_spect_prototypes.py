"""A BIDS-like folder of SPECT studies through the workflow: crops, a small training, scores, pictures, the table."""

import pytest
from support import call, configure, snakemake

from medtools.core.tables import read_tsv

SMALL = {"width": 0.0625, "size": 32}
ENTRY = {
    "name": "hearts",
    "system": "spect-prototypes",
    "source": "study",
    "params": {
        "crops": {"mode": "hard"},
        "train": {"episodes": 2, "val_subjects": 3, **SMALL},
        "reproduce": {"episodes": [0], "shots": [1], "distances": ["euclidean"], **SMALL},
    },
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Eight studies without a manifest."""
    folder = tmp_path_factory.mktemp("spect")
    made = call("demo", "spect-prototypes", "--subjects", "8", "--out", folder / "study")
    assert made.code == 0, made.err
    (folder / "study" / "manifest.tsv").unlink()
    configure(folder, ENTRY)
    return folder


def test_the_plan_is_one_command_a_stage(study):
    plan = snakemake(study, "--dry-run", "--printshellcmds")
    assert plan.returncode == 0, plan.stderr
    shown = plan.stdout + plan.stderr
    assert "medtools preprocess spect-prototypes study --out results/hearts/crops --set 'mode=\"hard\"'" in shown
    for words in ("train", "score", "explain", "reproduce"):
        assert f"medtools {words} spect-prototypes results/hearts/" in shown


@pytest.mark.slow
def test_studies_become_scores_pictures_and_a_table(study):
    run = snakemake(study)
    assert run.returncode == 0, run.stderr
    results = study / "results" / "hearts"
    assert len(read_tsv(results / "crops" / "manifest.tsv")[1]) == 8 * 3 * 3
    _, rows = read_tsv(results / "prototypes" / "scores" / "scores.tsv")
    assert (rows[0]["metric"], rows[0]["n"]) == ("accuracy", "180")
    _, rows = read_tsv(results / "prototypes" / "table" / "table.tsv")
    assert [row["start"] for row in rows] == ["chance", "pixels", "shape", "shape-all", "random", "random"]
    again = snakemake(study)
    assert "Nothing to be done" in again.stdout + again.stderr
