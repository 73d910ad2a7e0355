"""The stages of drivpocket on globules: files in, files out, and what they refuse."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from support import Outcome, call, contents

from medtools.core.tables import read_tsv, write_tsv
from medtools.io.grids import read_grid
from medtools.io.structure import read_structure
from medtools.systems.drivpocket.scoring import read_masks

PICTURES = ("pockets.png", "pockets.html", "view.pml", "view.cxc")


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """Four globules, prepared, and both networks trained for one epoch."""
    folder = tmp_path_factory.mktemp("drivpocket")
    for words in (
        ("demo", "drivpocket", "--proteins", 4, "--out", folder / "raw"),
        ("preprocess", "protein", folder / "raw" / "manifest.tsv", "--out", folder / "pre"),
        ("train", "drivpocket", "rank", folder / "pre", "--preset", "cpu", "--epochs", 1, "--batch-size", 4,
         "--out", folder / "rank"),
        ("train", "drivpocket", "segment", folder / "pre", "--preset", "cpu", "--epochs", 1, "--batch-size", 2,
         "--out", folder / "segment"),
    ):  # fmt: skip
        outcome = call(*words)
        assert outcome.code == 0, outcome.err
    return folder


@pytest.fixture(scope="module")
def predicted(work) -> Path:
    outcome = infer(work, "predicted")
    assert outcome.code == 0, outcome.err
    return work / "predicted"


def infer(work: Path, out: str, *words: object, source: str = "pre/manifest.tsv") -> Outcome:
    models = ("--segmenter", work / "segment" / "model.ckpt", "--ranker", work / "rank" / "model.ckpt")
    return call("infer", "drivpocket", work / source, *models, "--batch-size", 2, "--out", work / out, *map(str, words))


def test_the_demo_has_the_layout_of_scpdb_and_the_same_bytes_each_time(work, tmp_path):
    assert call("demo", "drivpocket", "--proteins", 2, "--out", tmp_path / "again").code == 0
    again, first = contents(tmp_path / "again", ".pdb", ".mol2"), contents(work / "raw", ".pdb", ".mol2")
    assert again == {name: first[name] for name in again}
    assert {Path(name).name for name in again} == {"protein.pdb", "ligand.mol2", "cavity6.mol2"}
    _, rows = read_tsv(work / "raw" / "manifest.tsv")
    assert [row["split"] for row in rows] == ["train"] * 3 + ["test"]


def test_globules_have_the_cards_size_and_lining():
    from medtools.preprocess.protein.cleaning import clean
    from medtools.systems.drivpocket.demo import globule

    for number in range(4):
        made = globule(np.random.default_rng([1, number]))
        protein, _ = clean(made.structure)
        assert 800 <= len(protein) == len(made.structure) <= 1800
        gaps = np.linalg.norm(protein.structure.xyz[:, None] - made.pockets, axis=-1)
        shells = [protein.channels[gap < 7.0] for gap in gaps.T]
        assert np.isin(shells[0], (2, 8)).mean() > 0.6
        assert max(np.isin(shell, (2, 8)).mean() for shell in shells[1:]) < 0.2
        assert np.linalg.norm(made.cavity[:, None] - protein.structure.xyz, axis=-1).min() >= 2 - 2e-3


def test_training_writes_models_curves_and_splits_without_test_proteins(work):
    for part in ("rank", "segment"):
        names = {path.name for path in (work / part).iterdir()}
        assert {"model.ckpt", "metrics.csv", "curves.png", "splits.tsv", f"{part}.json"} <= names
        _, rows = read_tsv(work / part / "splits.tsv")
        assert {row["split"] for row in rows} == {"train", "validation", "test"}
        assert [row["split"] for row in rows][3:] == ["test"]


def test_training_twice_gives_the_same_model(work, tmp_path):
    words = ("train", "drivpocket", "rank", work / "pre", "--preset", "cpu", "--epochs", 1, "--batch-size", 4)
    assert call(*words, "--threads", 2, "--out", tmp_path / "again").code == 0
    assert (tmp_path / "again" / "model.ckpt").read_bytes() == (work / "rank" / "model.ckpt").read_bytes()


def test_inference_writes_a_ranked_list_with_residues_of_the_input(work, predicted):
    _, rows = read_tsv(predicted / "globule-0001" / "pockets.tsv")
    structure = read_structure(work / "pre" / "globule-0001" / "protein.pdb")
    labels = set(structure.residue_labels().tolist())
    assert [int(row["rank"]) for row in rows] == list(range(1, len(rows) + 1))
    scores = [float(row["score"]) for row in rows]
    assert scores == sorted(scores, reverse=True)
    for row in rows:
        assert (row["ranked_by"], row["shaped_by"]) == ("classifier", "network")
        assert set(row["residues"].split()) <= labels
        assert len(row["residues"].split()) == int(row["n_residues"]) > 0
        assert float(row["volume"]) > 0


def test_atoms_carry_probabilities_as_b_factors_and_keep_their_numbers(work, predicted):
    found = read_structure(predicted / "globule-0001" / "globule-0001_atoms.pdb")
    source = read_structure(work / "pre" / "globule-0001" / "protein.pdb")
    np.testing.assert_array_equal(found.residue_labels(), source.residue_labels())
    assert found.b_factor.min() >= 0
    assert found.b_factor.max() <= 1
    assert 0 < (found.b_factor > 0).sum() < len(found)


def test_grids_masks_and_table_describe_the_same_pocket(predicted):
    folder = predicted / "globule-0001"
    _, rows = read_tsv(folder / "pockets.tsv")
    pockets, candidates, _ = read_masks(folder / "masks.npz")
    assert len(pockets) == len(rows)
    for row, voxels in zip(rows, pockets, strict=True):
        np.testing.assert_allclose(voxels.mean(axis=0), [float(row[c]) for c in "xyz"], atol=1e-3)
        assert len(voxels) == pytest.approx(float(row["volume"]), abs=0.1)  # voxels of 1 cubic angstrom
    for suffix in ("dx", "mrc"):
        grid = read_grid(folder / f"pocket_1.{suffix}")
        assert grid.values.shape == (33, 33, 33)
        inside = grid.values[tuple(np.round((pockets[0] - grid.origin) / grid.spacing).astype(int).T)]
        assert (inside >= 0.5).mean() > 0.7  # closing adds a few voxels
        middle = grid.origin + 16 * grid.spacing
        assert np.linalg.norm(candidates - middle, axis=1).min() < 1e-2


def test_viewers_name_files_that_are_there_and_pages_need_no_network(predicted):
    folder = predicted / "globule-0001"
    for name in PICTURES:
        assert (folder / name).stat().st_size > 500
    for script in ("view.pml", "view.cxc"):
        text = (folder / script).read_text()
        for name in re.findall(r"(?:load|open) (\S+\.(?:pdb|dx|mrc))", text):
            assert (folder / name).is_file()
        assert "globule-0001_atoms.pdb" in text
    page = (folder / "pockets.html").read_text()
    assert "http" not in page.replace("http-equiv", "")
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)[1])
    assert len(data["pockets"]) == len(read_tsv(folder / "pockets.tsv")[1])


def test_hostile_names_do_not_become_part_of_the_page():
    from medtools.preprocess.protein.cleaning import clean
    from medtools.systems.drivpocket.demo import globule
    from medtools.systems.drivpocket.inference import View
    from medtools.systems.drivpocket.viewers import html_page

    protein, _ = clean(globule(np.random.default_rng(0)).structure)
    page = html_page(View("</script><img src=x>", protein, [], np.zeros(len(protein))), [])
    assert "<img" not in page
    assert page.count("</script>") == 2


def test_inference_twice_and_with_more_threads_gives_the_same_bytes(work, predicted):
    assert infer(work, "again", "--threads", 2, "--sample", "globule-0001").code == 0
    kinds = (".tsv", ".pdb", ".dx", ".mrc", ".npz", ".png", ".html", ".pml", ".cxc")
    assert contents(predicted / "globule-0001", *kinds) == contents(work / "again" / "globule-0001", *kinds)


def test_a_pdb_file_alone_gives_pockets_and_says_that_nothing_was_learnt(work, tmp_path):
    outcome = call("infer", "drivpocket", work / "raw" / "globule-0002" / "protein.pdb", "--out", tmp_path / "out")
    assert outcome.code == 0
    assert "nothing learnt" in outcome.err
    _, rows = read_tsv(tmp_path / "out" / "globule-0002" / "pockets.tsv")
    assert len(rows) >= 2
    assert {(row["ranked_by"], row["shaped_by"]) for row in rows} == {("finder", "alpha spheres")}
    for name in PICTURES:
        assert (tmp_path / "out" / "globule-0002" / name).is_file()


def test_prepared_candidates_and_raw_structures_give_the_same_pockets(work, tmp_path):
    for source, name in (("pre/manifest.tsv", "a"), ("raw/manifest.tsv", "b")):
        words = ("infer", "drivpocket", work / source, "--out", tmp_path / name, "--no-pictures", "--grid-pockets", 0)
        assert call(*words, "--sample", "globule-0001").code == 0
    a, b = (read_tsv(tmp_path / name / "globule-0001" / "pockets.tsv")[1] for name in "ab")
    for left, right in zip(a, b, strict=True):
        # Alpha spheres are kept to 0.001 angstrom on disk.
        np.testing.assert_allclose([float(left[c]) for c in "xyz"], [float(right[c]) for c in "xyz"], atol=0.05)


def test_scores_count_every_site_and_stand_beside_the_published_rows(work, predicted):
    out = work / "scores"
    outcome = call("score", "drivpocket", work / "pre", "--predictions", predicted, "--split", "all", "--out", out)
    assert outcome.code == 0, outcome.err
    _, scores = read_tsv(out / "scores.tsv")
    found = {(row["metric"], row["level"]): row for row in scores}
    assert found["DCC", "drivpocket"]["n"] == found["DCA top-n", "fpocket score"]["n"] == "4"
    assert all(0 <= float(row["ci_low"]) <= float(row["value"]) <= float(row["ci_high"]) <= 100 for row in scores)
    _, comparison = read_tsv(out / "comparison.tsv")
    published = {(row["set"], row["method"]): row for row in comparison}
    assert published["coach420 (published)", "DRIVPocket"]["DCC"] == "93.68"
    assert published["pdbbind (published)", "GLPocket"]["DCA top-(n+2)"] == "76.87"
    assert published["coach420 (published ablation)", "model 5"]["DVO"] == "54.65"
    assert published["sc6k (published ablation)", "model 8"]["DCC"] == "92.65"
    assert (out / "success.png").stat().st_size > 1000


def test_a_protein_without_pockets_is_a_miss_and_not_left_out(work, predicted, tmp_path):
    from medtools.io.grids import write_arrays

    few = tmp_path / "few"
    for name in contents(predicted, ".npz"):
        (few / name).parent.mkdir(parents=True)
        (few / name).write_bytes((predicted / name).read_bytes())
    write_arrays(few / "globule-0001" / "masks.npz", {"sizes": np.array([0, 0])})
    out = tmp_path / "scores"
    assert call("score", "drivpocket", work / "pre", "--predictions", few, "--split", "all", "--out", out).code == 0
    _, sites = read_tsv(out / "sites.tsv")
    missed = [row for row in sites if row["id"] == "globule-0001"]
    assert {row["kind"] for row in missed} == {"cavity", "ligand"}
    assert {row["dcc"] for row in missed if row["kind"] == "cavity"} == {"inf"}
    assert read_tsv(out / "scores.tsv")[1][0]["n"] == "4"


def test_scoring_names_the_protein_that_was_not_predicted(work, tmp_path):
    outcome = call("score", "drivpocket", work / "pre", "--predictions", tmp_path, "--out", tmp_path / "s")
    assert outcome.code == 2
    assert "no prediction of this protein" in outcome.err


def test_models_are_not_mistaken_for_each_other(work, tmp_path):
    outcome = call(
        "infer", "drivpocket", work / "pre", "--segmenter", work / "rank" / "model.ckpt", "--out", tmp_path / "x"
    )
    assert outcome.code == 2
    assert "expected one of `medtools train drivpocket segment`" in outcome.err


def edited(work: Path, name: str, change) -> Path:
    """Write a changed manifest beside the original one."""
    columns, rows = read_tsv(work / "pre" / "manifest.tsv")
    path = work / "pre" / f"{name}.tsv"
    write_tsv(path, columns, [change(i, dict(row)) for i, row in enumerate(rows)])
    return path


@pytest.mark.parametrize(
    ("name", "change", "expected"),
    [
        (
            "nocavity",
            lambda i, r: r | {"cavity": "n/a"} if i == 0 else r,
            "row 'globule-0001' has no file in column 'cavity'",
        ),
        ("lost", lambda i, r: r | {"cavity": "none.mol2"} if i == 0 else r, "no such file none.mol2"),
        ("nocandidates", lambda i, r: r | {"candidates": "n/a"}, "has no file in column 'candidates'"),
        ("word", lambda i, r: r | {"split": "learn"}, "unknown part 'learn'"),
        ("alltest", lambda i, r: r | {"split": "test"}, "no protein is in 'train'"),
    ],
)
def test_manifests_that_cannot_be_trained_on_are_refused(work, tmp_path, name, change, expected):
    outcome = call(
        "train", "drivpocket", "segment", edited(work, name, change), "--preset", "cpu", "--out", tmp_path / "x"
    )
    assert outcome.code == 2
    assert expected in outcome.err
    assert not (tmp_path / "x" / "model.ckpt").exists()


def test_a_candidate_far_from_the_protein_is_refused(work, tmp_path):
    far = work / "pre" / "far.tsv"
    far.write_text("x\ty\tz\n500\t0\t0\n")
    manifest = edited(work, "faraway", lambda i, r: r | {"candidates": "far.tsv"})
    outcome = call(
        "infer", "drivpocket", manifest, "--segmenter", work / "segment" / "model.ckpt", "--out", tmp_path / "x"
    )
    assert outcome.code == 2
    assert "from the nearest atom, at most 16 A expected" in outcome.err


def test_candidates_of_ones_own_need_a_network_to_be_shaped(work, tmp_path):
    (work / "pre" / "own.tsv").write_text("x\ty\tz\n0\t0\t0\n")
    source = read_structure(work / "pre" / "globule-0001" / "protein.pdb")
    x, y, z = source.xyz.mean(axis=0)
    (work / "pre" / "own.tsv").write_text(f"x\ty\tz\n{x}\t{y}\t{z}\n")
    manifest = edited(work, "owncandidates", lambda i, r: r | {"candidates": "own.tsv" if i == 0 else r["candidates"]})
    outcome = call(
        "infer", "drivpocket", manifest, "--out", tmp_path / "x", "--no-pictures", "--sample", "globule-0001"
    )
    assert outcome.code == 2
    assert "give --segmenter" in outcome.err


def test_the_card_names_every_stage_and_lists_its_defaults():
    outcome = call("systems", "show", "drivpocket")
    assert outcome.code == 0
    for stage in ("train drivpocket segment", "train drivpocket rank", "infer drivpocket", "score drivpocket"):
        assert f"medtools {stage}" in outcome.out
    assert "learning_rate: 0.001" in outcome.out
    assert "@inproceedings" in call("systems", "cite", "drivpocket").out


def test_inference_leaves_a_manifest_that_can_be_scored_as_it_is(work, predicted):
    _, rows = read_tsv(predicted / "manifest.tsv")
    assert [row["split"] for row in rows] == ["train"] * 3 + ["test"]
    assert {(predicted / row["ligand"]).name for row in rows} == {"ligands.mol2"}
    out = work / "scored-as-it-is"
    outcome = call("score", "drivpocket", predicted, "--out", out)
    assert outcome.code == 0, outcome.err
    assert "scoring 1 of 4 proteins (split: test)" in outcome.err
    assert {row["n"] for row in read_tsv(out / "scores.tsv")[1]} == {"1"}


def test_the_distance_to_a_known_ligand_stands_in_the_table_and_in_the_page(work, predicted):
    from medtools.io.molecules import read_molecules

    ligand = read_molecules(work / "raw" / "globule-0001" / "ligand.mol2")[0]
    _, rows = read_tsv(predicted / "globule-0001" / "pockets.tsv")
    for row in rows:
        centre = np.array([float(row[c]) for c in "xyz"])
        expected = np.linalg.norm(ligand - centre, axis=1).min()
        assert float(row["ligand_distance"]) == pytest.approx(expected, abs=0.011)
    page = (predicted / "globule-0001" / "pockets.html").read_text()
    data = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S)[1])
    assert len(data["ligands"][0]["atoms"]) == len(ligand)
    assert "from the nearest atom of a known ligand" in data["pockets"][0]["where"]


@pytest.mark.parametrize(
    ("split", "labels", "expected"),
    [("validation", True, "no row has 'validation' in column 'split'"), ("all", False, "none of 4 rows has a file")],
)
def test_there_must_be_something_to_score(work, predicted, tmp_path, split, labels, expected):
    source = work / "pre"
    if not labels:
        source = edited(work, "unlabelled", lambda i, r: r | {"ligand": "n/a", "cavity": "n/a"})
    outcome = call("score", "drivpocket", source, "--predictions", predicted, "--split", split, "--out", tmp_path / "x")
    assert outcome.code == 2
    assert expected in outcome.err


def test_a_structure_of_too_much_text_fails_alone(work, tmp_path, monkeypatch):
    from medtools.core.errors import RefusedError
    from medtools.preprocess.protein import steps

    def refuse(path: Path) -> None:
        raise RefusedError(f"{path}: more than 1024 MiB of text, which is the limit")

    monkeypatch.setattr(steps, "read_structure", refuse)
    outcome = call("infer", "drivpocket", work / "raw" / "globule-0002" / "protein.pdb", "--out", tmp_path / "x")
    assert outcome.code == 2
    assert "which is the limit" in outcome.err


@pytest.mark.slow
def test_a_learnt_ranking_beats_geometry_on_unseen_globules(tmp_path):
    for words in (
        ("demo", "drivpocket", "--proteins", 30, "--seed", 7, "--out", tmp_path / "raw"),
        ("preprocess", "protein", tmp_path / "raw", "--out", tmp_path / "pre"),
        ("train", "drivpocket", "rank", tmp_path / "pre", "--preset", "cpu", "--epochs", 6, "--out", tmp_path / "rank"),
        ("infer", "drivpocket", tmp_path / "pre", "--ranker", tmp_path / "rank" / "model.ckpt", "--no-pictures",
         "--grid-pockets", 0, "--out", tmp_path / "pockets"),
        ("score", "drivpocket", tmp_path / "pockets", "--out", tmp_path / "scores"),
    ):  # fmt: skip
        outcome = call(*words)
        assert outcome.code == 0, outcome.err
    _, rows = read_tsv(tmp_path / "scores" / "scores.tsv")
    rate = {row["level"]: float(row["value"]) for row in rows if row["metric"] == "DCA top-n"}
    assert {row["n"] for row in rows} == {"10"}
    # A third of the sites are first by chance; geometry cannot tell the pockets apart.
    assert rate["drivpocket"] >= max(rate["fpocket score"], rate["fpocket druggability"]) + 20
    assert rate["drivpocket"] >= 80
