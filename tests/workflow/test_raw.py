"""From 4-D images to scores in one workflow, with a run that cannot be read."""

import os
from pathlib import Path

import pytest
import yaml
from support import configure, snakemake

from medtools.core.errors import InputError
from medtools.core.tables import read_tsv
from medtools.io.atlas import load_atlas
from medtools.preprocess.fmri.demo import write_dataset, write_run
from medtools.preprocess.fmri.simulate import Scanner, simulate_bold
from medtools.systems.mci_homology.demo import cohort
from medtools.workflow import load_data_sets

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
COARSE = Scanner(shape=(32, 32, 20), voxel_mm=(6.8, 6.8, 7.4))
BROKEN = "sub-0003_task-rest"
ENTRY = {
    "name": "raw",
    "system": "mci-homology",
    "source": "bids",
    "networks": ["CB"],
    "batch": 6,
    "params": {
        "preprocess": {"tr": 3000, "voxel": 5, "figures": False},
        "homology": {"networks": ["CB"], "max_dim": 0},
        "plot": {"dpi": 40, "subjects": ["sub-0001_task-rest"], "rois": ["inf cerebellum 121"]},
        "train": {"network": "CB", "task": "HC:LMCI", "model": "logistic-regression", "folds": 2, "repeats": 1},
        "score": {"resamples": 0},
    },
}


def load(**changes):
    return load_data_sets({"datasets": [ENTRY | changes]}, SCHEMA)["raw"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two runs in each of three groups, one of them cut off."""
    folder = tmp_path_factory.mktemp("raw")
    atlas, subjects = load_atlas(), cohort(18, 2, n_samples=24)
    places = dict(zip(atlas.names, atlas.xyz, strict=True))
    for number, subject in enumerate(subjects):
        coordinates = [places[name] for name in subject.series.roi_names]
        bold = simulate_bold(subject.series.values, coordinates, number, COARSE)
        write_run(folder / "bids", subject.id, bold, subject.series.roi_names)
    write_dataset(folder / "bids", {subject.id: subject.group for subject in subjects})
    image = next((folder / "bids" / "sub-0003").rglob("*.nii.gz"))
    os.truncate(image, image.stat().st_size // 2)
    configure(folder, ENTRY)
    run = snakemake(folder)
    assert run.returncode == 0, run.stderr
    return folder / "results" / "raw"


def test_images_become_scores(study):
    _, rows = read_tsv(study / "scores" / "scores.tsv")
    assert {"accuracy", "auroc"} <= {row["metric"] for row in rows}


def test_a_run_that_cannot_be_read_is_listed_with_its_cause_and_nowhere_else(study):
    _, rows = read_tsv(study / "preprocess" / "qc.tsv")
    failed = [row for row in rows if row["status"] == "FAIL"]
    assert [row["id"] for row in failed] == [BROKEN]
    assert "bold.nii.gz" in failed[0]["reasons"]
    assert len(rows) == 6
    _, rows = read_tsv(study / "preprocess" / "manifest.tsv")
    assert len(rows) == 5
    assert BROKEN not in {row["id"] for row in rows}
    _, rows = read_tsv(study / "homology" / "PS" / "CB" / "subjects.tsv")
    assert len(rows) == 5
    page = (study / "preprocess" / "index.html").read_text()
    assert page.index(f"<h2>{BROKEN}</h2>") < page.index("<h2>sub-0001_task-rest</h2>")


def test_runs_of_the_users_own_are_known_by_their_bids_names(study, monkeypatch):
    monkeypatch.chdir(study.parents[1])
    found = load()
    assert found.is_raw
    assert list(found.samples)[2] == BROKEN
    assert [Path(file).name for file in found.samples[BROKEN]] == [f"{BROKEN}_bold.nii.gz", f"{BROKEN}_bold.json"]
    assert found.given == "bids"
    assert found.manifest == "results/raw/preprocess/manifest.tsv"


def test_the_shipped_configuration_of_raw_data_is_valid():
    config = yaml.safe_load((ROOT / "config" / "raw-fmri.yaml").read_text())
    (found,) = load_data_sets(config, SCHEMA).values()
    assert found.is_raw
    assert found.given == "results/demo-bold/data/manifest.tsv"
    assert len(found.samples) == 30


def test_preprocessing_of_a_demo_without_images_is_a_mistake():
    with pytest.raises(InputError, match=r"params.preprocess: demo makes series; set params.demo.bold: true"):
        load(source="demo")


def test_training_asks_for_a_gpu_where_the_configuration_requires_one(study, tmp_path):
    (tmp_path / "gpu.yaml").write_text(yaml.safe_dump({"datasets": [ENTRY | {"device": "cuda"}]}))
    words = ("--configfile", tmp_path / "gpu.yaml", "--dry-run", "--printshellcmds", "--forcerun", "train_fold")
    run = snakemake(study.parents[1], *words)
    assert run.returncode == 0, run.stderr
    shown = run.stdout + run.stderr
    assert shown.count("gpu=1") == 2
    assert shown.count("--device cuda") == 2
