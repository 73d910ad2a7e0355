"""Ligands, cavities and candidate lists: formats, truncation, and which file belongs to which protein."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medtools.core.errors import InputError
from medtools.io.candidates import (
    Candidate,
    read_candidates,
    read_spheres,
    read_types,
    write_candidates,
    write_spheres,
)
from medtools.io.molecules import read_molecules, read_points, write_molecules
from medtools.io.structure_files import find_structures

SDF = """name
  program 3D

  3  2  0  0  0  0  0  0  0  0999 V2000
    1.0000    2.0000    3.0000 C   0  0
   -1.5000    0.2500    9.7500 O   0  0
    0.0000    0.0000    0.0000 H   0  0
  1  2  1  0
M  END
$$$$
"""
V3000 = """name
  program 3D

  0  0  0     0  0            999 V3000
M  V30 BEGIN CTAB
M  V30 COUNTS 2 1 0 0 0
M  V30 BEGIN ATOM
M  V30 1 C 1.0 2.0 3.0 0
M  V30 2 H 4.0 5.0 6.0 0
M  V30 END ATOM
M  V30 END CTAB
M  END
$$$$
"""
PDB = "HETATM    1  C1  LIG A   1       1.000   2.000   3.000  1.00  0.00           C\n"


def test_mol2_clouds_come_back_as_written(tmp_path):
    clouds = [np.round(np.random.default_rng(i).uniform(-90, 90, (n, 3)), 4) for i, n in enumerate((12, 433))]
    write_molecules(tmp_path / "x.mol2", clouds, "CAV")
    found = read_molecules(tmp_path / "x.mol2")
    assert len(found) == 2
    for a, b in zip(found, clouds, strict=True):
        np.testing.assert_array_equal(a, b)
    assert len(read_points(tmp_path / "x.mol2")) == 445


@pytest.mark.parametrize(
    ("name", "content", "sizes"),
    [
        ("x.sdf", SDF, [2]),
        ("x.sdf", SDF + SDF, [2, 2]),
        ("x.sdf", V3000, [1]),
        ("x.mol", SDF.replace("$$$$\n", ""), [2]),
        ("x.pdb", PDB, [1]),
    ],
)
def test_heavy_atoms_of_every_molecule_are_read(tmp_path, name, content, sizes):
    (tmp_path / name).write_text(content)
    found = read_molecules(tmp_path / name)
    assert [len(m) for m in found] == sizes
    np.testing.assert_array_equal(found[0][0], [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.sdf", "\n".join(SDF.splitlines()[:5]), "has 1 of 3 atoms"),
        ("x.sdf", "\n".join(V3000.splitlines()[:8]), "no END ATOM"),
        ("x.sdf", SDF.replace("  3  2", "  x  2"), "counts line"),
        ("x.sdf", SDF.replace("    1.0000", "       nan"), "not a finite"),
        ("x.mol2", "@<TRIPOS>ATOM\n1 C 1.0 2.0\n", "needs id, name"),
        ("x.mol2", "@<TRIPOS>MOLECULE\nx\n", "no atom"),
        ("x.mol2", "@<TRIPOS>ATOM\n1 C 1.0 2.0 x C.3\n", "three coordinates"),
        ("x.txt", "1", "expected .mol2"),
        ("x.sdf", "", "empty"),
    ],
)
def test_damaged_molecules_are_refused(tmp_path, name, content, expected):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=expected):
        read_molecules(tmp_path / name)


def test_types_lists_of_the_authors_are_read(tmp_path):
    path = tmp_path / "x.types"
    path.write_text(
        "1 -18.1619 32.6068 85.3224 10mh_1/protein_0.gninatypes 10mh_1/cavity6.mol2\n"
        "0 14.1989 9.9725 25.0795 12gs_1/protein_0.gninatypes\n"
    )
    first, second = read_types(path)
    assert first.candidate == Candidate((-18.1619, 32.6068, 85.3224), label=1) or first.candidate.label == 1
    assert first.candidate.centre == (-18.1619, 32.6068, 85.3224)
    assert (first.receptor, first.cavity) == ("10mh_1/protein_0.gninatypes", "10mh_1/cavity6.mol2")
    assert (second.candidate.label, second.cavity) == (0, None)


@pytest.mark.parametrize("line", ["2 1 2 3 r", "1 1 2 r", "1 1 2 x r", "1 1 2 nan r", "1 1 2 3 r c d", ""])
def test_other_lines_in_a_types_list_are_refused(tmp_path, line):
    path = tmp_path / "x.types"
    path.write_text(line + "\n")
    with pytest.raises(InputError):
        read_types(path)


def test_candidates_and_spheres_come_back_as_written(tmp_path):
    made = [Candidate((1.0, -2.5, 3.25), 0.5, 0.75, 120.0, 30, 1), Candidate((4.0, 5.0, 6.0))]
    write_candidates(tmp_path / "c.tsv", made)
    found = read_candidates(tmp_path / "c.tsv")
    assert found[0] == made[0]
    assert found[1].centre == made[1].centre
    assert found[1].label is None
    spheres = [np.array([[1.0, 2.0, 3.0, 4.5], [1.0, 2.0, 4.0, 3.5]]), np.array([[-9.0, 8.0, 7.0, 6.0]])]
    write_spheres(tmp_path / "s.pqr", spheres)
    for rank, group in read_spheres(tmp_path / "s.pqr").items():
        np.testing.assert_array_equal(group, spheres[rank - 1])


def test_a_candidate_table_of_centres_alone_is_enough_and_a_bad_cell_is_named(tmp_path):
    path = tmp_path / "c.tsv"
    path.write_text("x\ty\tz\n1\t2\t3\n")
    assert read_candidates(path)[0].centre == (1.0, 2.0, 3.0)
    for text, expected in (("x\ty\n1\t2\n", "no column 'z'"), ("x\ty\tz\n1\t2\tq\n", "is not a number"),
                           ("x\ty\tz\n1\t2\tnan\n", "finite")):  # fmt: skip
        path.write_text(text)
        with pytest.raises(InputError, match=expected):
            read_candidates(path)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")


def test_scpdb_pdbbind_and_plain_folders_are_understood(tmp_path):
    touch(tmp_path, "10mh_1/protein.mol2", "10mh_1/cavity6.mol2", "10mh_1/ligand.mol2", "10mh_1/site.mol2")
    touch(tmp_path, "1a4k/1a4k_protein.pdb", "1a4k/1a4k_ligand.mol2", "1a4k/1a4k_ligand.sdf", "1a4k/1a4k_pocket.pdb")
    touch(tmp_path, "plain/3eml.cif.gz", "plain/ABL1_target.pdbqt", "plain/notes.txt", "plain/.hidden.pdb")
    found = {entry.id: entry for entry in find_structures([tmp_path])}
    assert list(found) == ["10mh_1", "1a4k", "3eml", "ABL1"]
    assert found["10mh_1"].subject == "10mh"
    assert [p.name for p in found["10mh_1"].cavities] == ["cavity6.mol2"]
    assert [p.name for p in found["10mh_1"].ligands] == ["ligand.mol2"]
    assert [p.name for p in found["1a4k"].ligands] == ["1a4k_ligand.mol2", "1a4k_ligand.sdf"]
    assert [p.name for p in found["1a4k"].cavities] == ["1a4k_pocket.pdb"]
    assert found["3eml"].ligands == ()


def test_a_manifest_may_leave_labels_empty_but_not_name_missing_or_foreign_files(tmp_path):
    touch(tmp_path, "a.pdb", "b.pdb", "c.mol2")
    manifest = tmp_path / "manifest.tsv"
    header = "id\tsubject\tstructure\tcavity\n"
    manifest.write_text(header + "a\ta\ta.pdb\tc.mol2\nb\tb\tb.pdb\tn/a\n")
    a, b = find_structures([manifest])
    assert (len(a.cavities), len(b.cavities)) == (1, 0)
    manifest.write_text(header + "a\ta\ta.pdb\tnone.mol2\n")
    with pytest.raises(InputError, match=r"row 'a', column 'cavity': no such file none\.mol2"):
        find_structures([manifest])
    manifest.write_text(header + "a\ta\ta.pdb\t../../etc/passwd\n")
    with pytest.raises(InputError, match="outside the manifest's folder"):
        find_structures([manifest])


def test_folders_without_structures_and_repeated_ids_are_refused(tmp_path):
    with pytest.raises(InputError, match="no structure in this folder"):
        find_structures([tmp_path])
    touch(tmp_path, "x/1abc.pdb", "y/1abc.cif")
    with pytest.raises(InputError, match="is also"):
        find_structures([tmp_path])
    with pytest.raises(InputError, match="no such file"):
        find_structures([tmp_path / "none.pdb"])
