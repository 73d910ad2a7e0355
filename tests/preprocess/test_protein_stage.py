"""`medtools preprocess protein` from files on disk: what it writes, and what it says of bad ones."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from protein_samples import AMINO_ACIDS, peptide
from support import contents

from medtools.core.tables import read_tsv
from medtools.io.candidates import read_candidates
from medtools.io.molecules import write_molecules
from medtools.io.structure import Structure, read_structure
from medtools.io.structure_writers import write_structure
from medtools.systems.drivpocket.demo import Globule, globule


@pytest.fixture(scope="module")
def made() -> Globule:
    return globule(np.random.default_rng([0, 0]))


def write_complex(folder: Path, made: Globule, name: str = "protein.pdb") -> None:
    write_structure(folder / name, made.structure)
    write_molecules(folder / "ligand.mol2", [made.ligand], "LIG")
    write_molecules(folder / "cavity6.mol2", [made.cavity], "CAV")


def failure(medtools, path: Path) -> str:
    outcome = medtools("preprocess", "protein", path, "--out", "out")
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert len(outcome.lines) <= 5
    return outcome.err


def test_a_folder_becomes_one_folder_per_protein_and_a_manifest(medtools, tmp_path, made):
    write_complex(tmp_path / "data" / "1abc_1", made)
    assert medtools("preprocess", "protein", "data", "--out", "out").code == 0
    _, rows = read_tsv(tmp_path / "out" / "manifest.tsv")
    assert (rows[0]["id"], rows[0]["subject"]) == ("1abc_1", "1abc")
    assert int(rows[0]["n_positive"]) == 1
    names = {path.name for path in (tmp_path / "out" / "1abc_1").iterdir()}
    assert names == {
        "protein.pdb", "candidates.tsv", "alpha_spheres.pqr", "ligands.mol2", "cavities.mol2", "findings.json",
        "preprocess.json",
    }  # fmt: skip
    positive = [c for c in read_candidates(tmp_path / "out" / "1abc_1" / "candidates.tsv") if c.label]
    assert np.linalg.norm(np.array(positive[0].centre) - made.pockets[0]) < 4


def test_the_order_of_atoms_in_the_file_changes_no_byte(medtools, tmp_path, made):
    rng = np.random.default_rng(0)
    for name, order in (("a", np.arange(len(made.structure))), ("b", rng.permutation(len(made.structure)))):
        write_structure(tmp_path / name / "x.pdb", made.structure.select(order))
        assert medtools("preprocess", "protein", name, "--out", f"out_{name}").code == 0
    kinds = (".pdb", ".tsv", ".pqr")
    assert contents(tmp_path / "out_a", *kinds) == contents(tmp_path / "out_b", *kinds)


def test_numbering_insertion_codes_and_chains_reach_the_output(medtools, tmp_path):
    protein = peptide(AMINO_ACIDS * 2)
    protein = dataclasses.replace(
        protein,
        number=protein.number - 7,
        insertion=np.where(protein.number % 5 == 0, "B", ""),
        chain=np.where(protein.number > 20, "H", "L"),
    )
    write_structure(tmp_path / "x.pdb", protein)
    assert medtools("preprocess", "protein", "x.pdb", "--out", "out").code == 0
    found = read_structure(tmp_path / "out" / "x" / "protein.pdb")
    assert set(found.residue_labels().tolist()) == set(protein.residue_labels().tolist())
    assert medtools("preprocess", "protein", "x.pdb", "--out", "only", "--chains", "H").code == 0
    assert set(read_structure(tmp_path / "only" / "x" / "protein.pdb").chain) == {"H"}


def test_assemblies_with_long_chain_names_are_written_as_mmcif(medtools, tmp_path):
    protein = peptide(AMINO_ACIDS * 2)
    write_structure(tmp_path / "x.cif", dataclasses.replace(protein, chain=np.full(len(protein), "LA0")))
    assert medtools("preprocess", "protein", "x.cif", "--out", "out").code == 0
    assert set(read_structure(tmp_path / "out" / "x" / "protein.cif").chain) == {"LA0"}


def test_gzip_and_ensembles_are_read_and_said(medtools, tmp_path, made):
    write_structure(tmp_path / "x.pdb", made.structure)
    body = (tmp_path / "x.pdb").read_text().removesuffix("END\n")
    text = "".join(f"MODEL     {i:4d}\n{body}ENDMDL\n" for i in (1, 2, 3)) + "END\n"
    (tmp_path / "nmr.pdb.gz").write_bytes(gzip.compress(text.encode()))
    assert medtools("preprocess", "protein", "nmr.pdb.gz", "--out", "out").code == 0
    _, (row,) = read_tsv(tmp_path / "out" / "qc.tsv")
    assert (row["status"], row["models"]) == ("WARN", "3")
    assert "first of 3 models used" in row["notes"]


def test_one_bad_file_of_three_is_named_and_the_others_are_complete(medtools, tmp_path, made):
    for name in ("a", "b"):
        write_structure(tmp_path / "data" / f"{name}.pdb", made.structure)
    (tmp_path / "data" / "c.cif").write_text("data_x\nloop_\n_atom_site.id\n")
    outcome = medtools("preprocess", "protein", "data", "--out", "out")
    assert outcome.code == 3
    _, failures = read_tsv(tmp_path / "out" / "failures.tsv")
    assert [row["id"] for row in failures] == ["c"]
    assert [row["id"] for row in read_tsv(tmp_path / "out" / "manifest.tsv")[1]] == ["a", "b"]


def test_a_second_run_does_nothing(medtools, tmp_path, made):
    write_structure(tmp_path / "x.pdb", made.structure)
    assert medtools("preprocess", "protein", "x.pdb", "--out", "out").code == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "x").iterdir()}
    assert medtools("preprocess", "protein", "x.pdb", "--out", "out").code == 0
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "x").iterdir()}


def test_a_protein_without_candidates_stays_in_the_manifest(medtools, tmp_path):
    write_structure(tmp_path / "x.pdb", peptide(["GLY"] * 40))
    assert medtools("preprocess", "protein", "x.pdb", "--out", "out").code == 0
    _, (row,) = read_tsv(tmp_path / "out" / "manifest.tsv")
    assert row["n_candidates"] == "0"
    assert "no candidate found" in read_tsv(tmp_path / "out" / "qc.tsv")[1][0]["notes"]


def test_types_lists_give_labelled_candidates(medtools, tmp_path, made):
    write_complex(tmp_path / "data" / "10mh_1", made)
    lines = [
        f"{label} {x:.4f} {y:.4f} {z:.4f} 10mh_1/protein_0.gninatypes 10mh_1/cavity6.mol2"
        for label, (x, y, z) in zip((1, 0, 0), made.pockets, strict=True)
    ]
    (tmp_path / "x.types").write_text("\n".join(lines) + "\n")
    assert medtools("preprocess", "protein", "data", "--types", "x.types", "--out", "out").code == 0
    found = read_candidates(tmp_path / "out" / "10mh_1" / "candidates.tsv")
    assert [c.label for c in found] == [1, 0, 0]
    np.testing.assert_allclose([c.centre for c in found], made.pockets, atol=1e-3)
    (tmp_path / "x.types").write_text(lines[0].replace("cavity6", "cavity7") + "\n")
    outcome = medtools("preprocess", "protein", "data", "--types", "x.types", "--out", "other")
    assert outcome.code == 2
    assert "cavity7.mol2 is missing" in outcome.err


def changed(structure: Structure, **columns) -> Structure:
    return dataclasses.replace(structure, **columns)


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        (changed(peptide(["ALA"] * 40), residue=np.full(200, "DA")), "no standard amino acid, only nucleic acids"),
        (changed(peptide(["ALA"] * 40), residue=np.full(200, "LIG"), hetero=np.ones(200, bool)), "only LIG"),
        (peptide(["ALA"] * 20), "100 protein atoms, at least 128 are needed"),
        (changed(peptide(["ALA"] * 150), atom=np.full(750, "CA")), "has C-alpha atoms only"),
    ],
)
def test_structures_without_a_usable_protein_are_refused_in_one_line(medtools, tmp_path, structure, expected):
    write_structure(tmp_path / "x.pdb", structure)
    assert expected in failure(medtools, tmp_path / "x.pdb")


def test_coordinates_that_are_not_numbers_are_refused(medtools, tmp_path):
    write_structure(tmp_path / "x.pdb", peptide(["ALA"] * 40))
    text = (tmp_path / "x.pdb").read_text().splitlines()
    text[10] = text[10][:30] + "     nan" + text[10][38:]
    (tmp_path / "x.pdb").write_text("\n".join(text))
    assert "are not finite numbers" in failure(medtools, tmp_path / "x.pdb")


def test_a_truncated_cif_is_refused(medtools, tmp_path):
    write_structure(tmp_path / "x.cif", peptide(["ALA"] * 40))
    text = (tmp_path / "x.cif").read_text()
    (tmp_path / "x.cif").write_text(text[: len(text) // 2 - 3])
    assert "truncated" in failure(medtools, tmp_path / "x.cif")


@pytest.mark.parametrize(("n", "limit"), [(2, 5000), pytest.param(50, 40_000, marks=pytest.mark.slow)])
def test_an_assembly_beyond_the_limit_is_refused_with_the_limit_named(medtools, tmp_path, n, limit):
    one = peptide(["LEU"] * 500)
    fields = [f.name for f in dataclasses.fields(one) if f.name != "n_models"]
    huge = changed(one, **{name: np.concatenate([getattr(one, name)] * n) for name in fields})
    shift = np.repeat(np.arange(n), len(one))[:, None] * [0.0, 0.0, 60.0]
    huge = changed(huge, xyz=huge.xyz + shift, chain=np.repeat([f"C{i:02d}" for i in range(n)], len(one)))
    write_structure(tmp_path / "huge.cif", huge)
    outcome = medtools("preprocess", "protein", "huge.cif", "--max-atoms", limit, "--out", "out")
    assert outcome.code == 2
    assert f"{4000 * n} protein atoms, the limit max_atoms is {limit}" in outcome.err
    assert "--chains" in outcome.err


def test_an_unknown_chain_is_refused_with_those_that_are_there(medtools, tmp_path):
    write_structure(tmp_path / "x.pdb", peptide(["ALA"] * 40))
    outcome = medtools("preprocess", "protein", "x.pdb", "--chains", "Q", "--out", "out")
    assert outcome.code == 2
    assert "no chain 'Q'; chains are A" in outcome.err


def test_findings_account_for_every_atom_left_out(medtools, tmp_path):
    protein = peptide(AMINO_ACIDS * 2)
    water = changed(
        protein.select(np.arange(3)),
        residue=np.full(3, "HOH"), number=np.arange(900, 903), hetero=np.ones(3, bool), xyz=protein.xyz[:3] + 99,
    )  # fmt: skip
    fields = [f.name for f in dataclasses.fields(protein) if f.name != "n_models"]
    whole = changed(protein, **{k: np.concatenate([getattr(protein, k), getattr(water, k)]) for k in fields})
    write_structure(tmp_path / "x.pdb", whole)
    assert medtools("preprocess", "protein", "x.pdb", "--out", "out").code == 0
    findings = json.loads((tmp_path / "out" / "x" / "findings.json").read_text())
    assert findings["atoms"] + findings["waters"] == len(whole)
