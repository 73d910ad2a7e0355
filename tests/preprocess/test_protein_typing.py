"""Atom types, cleaning and their account, against the card's table and its bad inputs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from protein_samples import AMINO_ACIDS, peptide

from medtools.core.errors import InputError
from medtools.preprocess.protein.atom_types import RADII, TEMPLATES, atom_channels, one_hot
from medtools.preprocess.protein.cleaning import clean


@pytest.mark.parametrize(
    ("residue", "atom", "channel"),
    [
        ("GLY", "N", 6), ("GLY", "CA", 1), ("GLY", "C", 1), ("GLY", "O", 7), ("PRO", "N", 5), ("PHE", "CZ", 2),
        ("TYR", "OH", 8), ("TYR", "CZ", 3), ("MET", "SD", 9), ("CYS", "SG", 9), ("HIS", "ND1", 5), ("HIS", "NE2", 6),
        ("THR", "CG2", 0), ("THR", "CB", 1), ("TRP", "CE2", 3), ("ASP", "OD1", 7), ("ALA", "OXT", 7), ("ALA", "H", -1),
    ],
)  # fmt: skip
def test_channels_are_those_of_the_card(residue, atom, channel):
    assert atom_channels(np.array([residue]), np.array([atom])).tolist() == [channel]


def test_a_peptide_of_all_twenty_residues_has_no_untyped_atom():
    protein, findings = clean(peptide(AMINO_ACIDS), min_atoms=20)
    assert len(TEMPLATES) == 20
    assert findings.unknown_atoms == {}
    assert findings.missing_atoms == {}
    assert (protein.channels >= 0).all()
    assert len(protein) == sum(len(t) for t in TEMPLATES.values()) - 20  # OXT is only at chain ends


def test_radii_are_those_of_libmolgrid_for_the_channels_of_proteins():
    # Read from molgrid 0.5.5's default receptor typer.
    np.testing.assert_allclose(RADII[:10], [1.9, 1.9, 1.9, 1.9, 1.8, 1.8, 1.8, 1.7, 1.7, 2.0])


def test_one_hot_marks_the_channel():
    np.testing.assert_array_equal(one_hot(np.array([6, 0])).argmax(axis=1), [6, 0])
    assert one_hot(np.array([6, 0])).sum() == 2


def test_waters_ligands_metals_hydrogens_and_nucleotides_go_and_are_counted():
    protein = peptide(AMINO_ACIDS * 2)
    extra = protein.select(np.arange(5))
    extra = dataclasses.replace(
        extra,
        residue=np.array(["HOH", "ATP", "ZN", "DA", "GLY"]),
        element=np.array(["O", "C", "ZN", "P", "H"]),
        atom=np.array(["O", "C1", "ZN", "P", "HA2"]),
        number=np.arange(900, 905),
        xyz=extra.xyz + 200.0,
    )
    cleaned, findings = clean(merged(protein, extra))
    assert len(cleaned) == len(protein)
    assert (findings.waters, findings.hydrogens, findings.nucleic_acids) == (1, 1, 1)
    assert findings.others_removed == {"ATP": 1, "ZN": 1}


def test_the_alternate_location_of_highest_occupancy_stays_and_a_before_b_among_equals():
    protein = peptide(AMINO_ACIDS * 2)
    row = int(np.flatnonzero(protein.atom == "CB")[0])
    for occupancies, kept in (((0.4, 0.6), "B"), ((0.5, 0.5), "A")):
        other = protein.select(np.array([row]))
        other = dataclasses.replace(
            other, altloc=np.array(["B"]), occupancy=np.array([occupancies[1]]), xyz=other.xyz + 0.7
        )
        first = dataclasses.replace(
            protein,
            altloc=np.where(np.arange(len(protein)) == row, "A", ""),
            occupancy=np.where(np.arange(len(protein)) == row, occupancies[0], 1.0),
        )
        cleaned, findings = clean(merged(first, other))
        assert findings.alternate_locations == 1
        same = (cleaned.structure.number == protein.number[row]) & (cleaned.structure.atom == "CB")
        assert cleaned.structure.altloc[same].tolist() == [kept]


def test_of_two_residues_in_one_place_only_the_more_occupied_stays():
    protein = peptide(["ALA"] * 40)
    serine = peptide(["SER"] * 40)
    protein = dataclasses.replace(
        protein, altloc=np.where(protein.number == 5, "A", ""), occupancy=np.where(protein.number == 5, 0.3, 1.0)
    )
    minor = serine.select(serine.number == 5)
    minor = dataclasses.replace(
        minor, altloc=np.full(len(minor), "B"), occupancy=np.full(len(minor), 0.7), xyz=minor.xyz + 0.2
    )
    cleaned, _ = clean(merged(protein, minor))
    assert set(cleaned.structure.residue[cleaned.structure.number == 5]) == {"SER"}


def test_names_that_force_fields_give_are_understood():
    protein = peptide(["HIS", "CYS", "ILE", "ALA"] * 8)
    renamed = dataclasses.replace(
        protein,
        residue=np.array([{"HIS": "HIE", "CYS": "CYX"}.get(r, r) for r in protein.residue]),
        atom=np.array(
            ["CD" if (r, a) == ("ILE", "CD1") else a for r, a in zip(protein.residue, protein.atom, strict=True)]
        ),
    )
    np.testing.assert_array_equal(clean(renamed)[0].channels, clean(protein)[0].channels)


def test_selenomethionine_is_left_out_and_named_or_becomes_methionine_when_asked():
    protein = peptide(["ALA", "MET", "LYS", "TYR"] * 8)
    selenium = dataclasses.replace(
        protein,
        residue=np.where(protein.residue == "MET", "MSE", protein.residue),
        atom=np.where((protein.residue == "MET") & (protein.atom == "SD"), "SE", protein.atom),
        hetero=protein.residue == "MET",
    )
    dropped, findings = clean(selenium)
    assert findings.modified_residues == {"MSE": 8}
    assert "holes" in findings.notes[0]
    assert "MET" not in dropped.structure.residue
    kept, _ = clean(selenium, modified="parent")
    np.testing.assert_array_equal(kept.channels, clean(protein)[0].channels)


def test_missing_atoms_are_listed_by_residue():
    protein = peptide(AMINO_ACIDS * 2)
    whole = protein.select(~((protein.number == 2) & np.isin(protein.atom, ["CZ", "NH1"])))
    _, findings = clean(whole)
    assert findings.missing_atoms == {f"A:2:{AMINO_ACIDS[1]}": "CZ NH1"}


def test_the_order_of_atoms_in_the_file_changes_nothing():
    protein = peptide(AMINO_ACIDS * 2)
    shuffled = protein.select(np.random.default_rng(0).permutation(len(protein)))
    a, b = clean(protein)[0], clean(shuffled)[0]
    np.testing.assert_array_equal(a.structure.xyz, b.structure.xyz)
    np.testing.assert_array_equal(a.channels, b.channels)


def test_chains_that_share_a_letter_keep_all_their_atoms():
    protein = peptide(["LEU"] * 30)
    twin = dataclasses.replace(protein, xyz=protein.xyz + 60.0)
    assert len(clean(merged(protein, twin))[0]) == 2 * len(protein)


def test_an_atom_written_twice_counts_once():
    protein = peptide(["LEU"] * 30)
    assert len(clean(merged(protein, protein.select(np.arange(4))))[0]) == len(protein)


@pytest.mark.parametrize(
    ("structure", "expected"),
    [
        (dataclasses.replace(peptide(["ALA"] * 40), residue=np.full(200, "DA")), "only nucleic acids"),
        (dataclasses.replace(peptide(["ALA"] * 40), residue=np.full(200, "LIG")), "only LIG"),
        (dataclasses.replace(peptide(["ALA"] * 40), residue=np.full(200, "HOH")), "only water"),
        (peptide(["ALA"] * 5), "25 protein atoms, at least 128"),
    ],
)
def test_files_without_a_usable_protein_are_refused(structure, expected):
    with pytest.raises(InputError, match=expected):
        clean(structure, where="x.pdb")


def test_a_model_of_c_alphas_is_refused():
    protein = peptide(["ALA"] * 200)
    with pytest.raises(InputError, match="C-alpha atoms only"):
        clean(protein.select(protein.atom == "CA"))


def merged(a, b):
    fields = [f.name for f in dataclasses.fields(a) if f.name != "n_models"]
    return dataclasses.replace(a, **{name: np.concatenate([getattr(a, name), getattr(b, name)]) for name in fields})
