"""A folder of structures, one of them cut off, through the workflow: pockets, pictures, scores."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support import configure, subprocess_environment

from medtools.core.tables import read_tsv
from medtools.io.molecules import write_molecules
from medtools.io.structure_writers import write_structure
from medtools.systems.drivpocket.cohort import find_samples, sample_ids, structure_words
from medtools.systems.drivpocket.demo import globule
from medtools.workflow import load_data_sets

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
ENTRY = {
    "name": "folder",
    "system": "drivpocket",
    "source": "structures",
    "batch": 2,
    "params": {"infer": {"grid_pockets": 1, "pockets": 2}, "score": {}},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """Two globules with their ligands and a file that ends early, run to the end."""
    folder = tmp_path_factory.mktemp("pockets")
    for name, seed in (("one", 1), ("two", 2)):
        made = globule(np.random.default_rng([3, seed]))
        write_structure(folder / "structures" / f"{name}.pdb", made.structure)
        write_molecules(folder / "structures" / f"{name}_ligand.mol2", [made.ligand], "LIG")
    text = (folder / "structures" / "one.pdb").read_text()
    (folder / "structures" / "cut.pdb").write_text(text[:5030])
    configure(folder, ENTRY)
    command = [Path(sys.executable).with_name("snakemake"), "--cores", "2", "--snakefile", ROOT / "Snakefile"]
    run = subprocess.run(
        [*command, "--directory", folder], capture_output=True, text=True, env=subprocess_environment(), check=False
    )
    assert run.returncode == 0, run.stderr
    return folder / "results" / "folder"


def test_a_folder_of_structures_becomes_pockets_and_pictures_in_batches(finished):
    assert {path.name for path in (finished / "batches" / "pockets").iterdir()} == {"1-of-2.done", "2-of-2.done"}
    _, rows = read_tsv(finished / "pockets" / "predictions.tsv")
    assert [row["id"] for row in rows] == ["one", "two"]
    for name in ("one", "two"):
        assert (finished / "pockets" / name / "pockets.png").stat().st_size > 1000
    page = (finished / "pockets" / "index.html").read_text()
    assert page.count("<img") == 2
    assert (finished / "pockets" / "overview.png").stat().st_size > 1000


def test_a_structure_that_cannot_be_read_is_listed_with_its_cause_and_stops_nothing(finished):
    _, rows = read_tsv(finished / "pockets" / "failures.tsv")
    assert [row["id"] for row in rows] == ["cut"]
    assert "truncated" in rows[0]["cause"]


def test_sites_known_from_files_are_scored(finished):
    _, rows = read_tsv(finished / "pocket_scores" / "scores.tsv")
    assert {row["n"] for row in rows} == {"2"}
    assert {row["metric"] for row in rows} >= {"DCA top-n", "DCA top-(n+2)", "candidate within 4 A"}


def test_samples_are_known_before_any_job_runs(tmp_path):
    assert sample_ids({"proteins": 2}) == ["globule-0001", "globule-0002"]
    assert len(sample_ids({})) == 24
    made = globule(np.random.default_rng(0))
    write_structure(tmp_path / "structures" / "a.pdb", made.structure)
    write_molecules(tmp_path / "structures" / "a_ligand.mol2", [made.ligand], "LIG")
    found = find_samples(tmp_path / "structures")
    assert [Path(file).name for file in found["a"]] == ["a.pdb", "a_ligand.mol2"]
    entry = ENTRY | {"source": str(tmp_path / "structures")}
    assert list(load_data_sets({"datasets": [entry]}, SCHEMA)["folder"].samples) == ["a"]


def test_preparation_reads_structures_as_inference_does():
    assert structure_words({"chains": ["A"], "pockets": 3, "order": "score"}) == (
        """--set 'chains=["A"]' --set 'order="score"'"""
    )
