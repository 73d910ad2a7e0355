"""Folders of pictures and of scintigrams as they come, through preprocessing to scores, by one command."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from support import call, configure, snakemake

from medtools.core.tables import read_tsv
from medtools.workflow import load_data_sets

SCHEMA = Path(__file__).parents[2] / "workflow" / "schemas" / "config.schema.yaml"
HEADS = {
    "name": "heads",
    "system": "ad-lite-net",
    "source": "heads",
    "batch": 60,
    "params": {
        "preprocess": {"size": 32, "subject_pattern": "(sub-[0-9]+)", "relabel": ["Moderate=Mild"]},
        "train": {"model": "logistic-regression", "size": 32},
        "score": {"resamples": 0},
    },
}
BONES = {"name": "bones", "system": "dspic", "source": "bones", "params": {"train": {"height": 128, "width": 32}}}


def load(entry):
    return load_data_sets({"datasets": [entry]}, SCHEMA)[entry["name"]]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Class folders without a manifest, one picture of which is none."""
    folder = tmp_path_factory.mktemp("images")
    made = call("demo", "ad-lite-net", "--size", "32", "--slices", "2", "--out", folder / "heads")
    assert made.code == 0, made.err
    (folder / "heads" / "manifest.tsv").unlink()
    (folder / "heads" / "Mild" / "sub-9999_z0.png").write_text("no picture")
    configure(folder, HEADS)
    run = snakemake(folder)
    assert run.returncode == 0, run.stderr
    return folder


def test_class_folders_become_scores_without_the_broken_picture(study):
    results = study / "results" / "heads"
    _, rows = read_tsv(results / "preprocess" / "manifest.tsv")
    assert len(rows) == 112
    assert {row["label"] for row in rows} == {"Non", "VeryMild", "Mild"}
    assert len({row["subject"] for row in rows}) == 56
    _, rows = read_tsv(results / "preprocess" / "failures.tsv")
    assert [row["id"] for row in rows] == ["Mild_sub-9999_z0"]
    _, rows = read_tsv(results / "adlite" / "scores" / "scores.tsv")
    assert "accuracy" in {row["metric"] for row in rows}


def test_a_baseline_without_a_network_is_not_explained(study):
    assert not (study / "results" / "heads" / "adlite" / "explain").exists()


def test_pictures_are_divided_into_jobs_by_the_files_that_decide_them(study, monkeypatch):
    monkeypatch.chdir(study)
    found = load(HEADS)
    assert found.modality == "images"
    assert {name: len(part) for name, part in found.batches.items()} == {"1-of-2": 60, "2-of-2": 53}
    assert found.samples["Non_sub-0001_z0"] == ("heads/Non/sub-0001_z0.png",)


def test_images_of_one_size_need_no_preprocessing(study, monkeypatch):
    monkeypatch.chdir(study)
    call("demo", "ad-lite-net", "--size", "32", "--slices", "1", "--out", "ready")
    found = load(HEADS | {"source": "ready", "params": {"train": {"size": 32}}})
    assert not found.is_raw
    assert found.manifest == "ready/manifest.tsv"


def test_a_folder_of_scintigrams_is_normalised_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = call("demo", "dspic", "--scale", "8", "--patients", "0.1", "--out", "bones")
    assert made.code == 0, made.err
    _, rows = read_tsv(tmp_path / "bones" / "manifest.tsv")
    (tmp_path / "bones" / "manifest.tsv").unlink()
    with (tmp_path / "bones" / "labels.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["patient", "view", "file", "label"])
        table.writerows([row["subject"], row["view"], row["image"], row["label"]] for row in rows)
    configure(tmp_path, BONES)

    found = load(BONES)
    plan = snakemake(tmp_path, "--dry-run", "--printshellcmds")

    assert found.modality == "spect"
    assert len(found.samples) == len(rows)
    shown = plan.stdout + plan.stderr
    assert plan.returncode == 0, plan.stderr
    assert "medtools preprocess spect bones --sample" in shown
    assert "medtools train dspic results/bones/preprocess/manifest.tsv" in shown
