"""Structures are read as written, as Biopython reads them, and refused by name when damaged."""

from __future__ import annotations

import dataclasses
import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtools.core.errors import InputError, RefusedError
from medtools.io.structure import Structure, read_structure
from medtools.io.structure_writers import fits_pdb, write_structure

LINE = "ATOM      1  CA  GLY A   1       1.000   2.000   3.000  1.00  0.00           C\n"


def random_structure(rng: np.random.Generator, n: int = 40) -> Structure:
    numbers = np.sort(rng.integers(-5, 60, n))
    return Structure(
        xyz=np.round(rng.uniform(-99, 99, (n, 3)), 3),
        atom=rng.choice(["N", "CA", "C", "O", "CB", "OG1", "O5'"], n),
        residue=rng.choice(["GLY", "TYR", "LYS", "HEM"], n),
        chain=np.sort(rng.choice(["A", "B"], n)),
        number=numbers,
        insertion=rng.choice(["", "", "A", "B"], n),
        altloc=rng.choice(["", "", "A", "B"], n),
        element=rng.choice(["C", "N", "O"], n),
        occupancy=np.round(rng.uniform(0, 1, n), 2),
        b_factor=np.round(rng.uniform(0, 99, n), 2),
        hetero=rng.random(n) < 0.2,
    )


def assert_same(found: Structure, expected: Structure) -> None:
    for field in dataclasses.fields(Structure):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(b, np.ndarray) and b.dtype.kind == "f":
            np.testing.assert_allclose(a, b, atol=1e-9, err_msg=field.name)
        else:
            np.testing.assert_array_equal(a, b, err_msg=field.name)


@pytest.mark.parametrize("suffix", [".pdb", ".cif"])
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_what_is_written_is_read_back_with_its_numbering_and_insertion_codes(tmp_path_factory, suffix, seed):
    structure = random_structure(np.random.default_rng(seed))
    path = tmp_path_factory.mktemp("s") / f"x{suffix}"
    write_structure(path, structure)
    assert_same(read_structure(path), structure)


@pytest.mark.parametrize(("suffix", "parser"), [(".pdb", "PDBParser"), (".cif", "MMCIFParser")])
def test_biopython_reads_the_same_atoms(tmp_path, suffix, parser):
    bio = pytest.importorskip("Bio.PDB")
    structure = random_structure(np.random.default_rng(3))
    # Biopython keeps one residue per place and one atom per name, so both must be unique here.
    n = len(structure)
    structure = dataclasses.replace(
        structure,
        atom=np.array([f"C{i}" for i in range(n)]),
        residue=np.full(n, "GLY"),
        altloc=np.full(n, ""),
        hetero=np.zeros(n, dtype=bool),
    )
    path = tmp_path / f"x{suffix}"
    write_structure(path, structure)
    atoms = list(getattr(bio, parser)(QUIET=True).get_structure("x", path)[0].get_atoms())
    theirs = {
        a.get_name(): (*a.coord.tolist(), a.get_parent().id[1], a.get_parent().id[2].strip(), a.get_full_id()[2])
        for a in atoms
    }
    for name, xyz, number, code, chain in zip(
        structure.atom, structure.xyz, structure.number, structure.insertion, structure.chain, strict=True
    ):
        x, y, z, *identity = theirs[name]
        np.testing.assert_allclose((x, y, z), xyz, atol=1e-3)
        assert identity == [number, code, chain]


def test_files_that_biopython_writes_are_read(tmp_path):
    bio = pytest.importorskip("Bio.PDB")
    source = tmp_path / "a.pdb"
    write_structure(source, random_structure(np.random.default_rng(5)))
    parsed = bio.PDBParser(QUIET=True).get_structure("x", source)
    for suffix, writer in ((".pdb", bio.PDBIO), (".cif", bio.MMCIFIO)):
        out = writer()
        out.set_structure(parsed)
        out.save(str(tmp_path / f"b{suffix}"))
        found = read_structure(tmp_path / f"b{suffix}")
        expected = np.array([a.coord for a in parsed.get_atoms()])
        assert len(found) >= len(expected)
        assert all(np.abs(found.xyz - xyz).sum(axis=1).min() < 3e-3 for xyz in expected)


def test_only_the_first_model_is_read_and_models_are_counted(tmp_path):
    path = tmp_path / "nmr.pdb"
    second = LINE.replace("1.000", "9.000")
    path.write_text(f"MODEL        1\n{LINE}ENDMDL\nMODEL        2\n{second}{second}ENDMDL\nEND\n")
    found = read_structure(path)
    assert found.n_models == 2
    np.testing.assert_array_equal(found.xyz, [[1.0, 2.0, 3.0]])


def test_only_the_first_model_of_mmcif_is_read(tmp_path):
    path = tmp_path / "nmr.cif"
    tags = ["group_PDB", "type_symbol", "label_atom_id", "label_comp_id", "auth_asym_id", "auth_seq_id"]
    tags += ["Cartn_x", "Cartn_y", "Cartn_z", "pdbx_PDB_model_num"]
    header = "data_x\nloop_\n" + "".join(f"_atom_site.{tag}\n" for tag in tags)
    path.write_text(header + "ATOM C CA GLY LA0 7 1.0 2.0 3.0 1\nATOM C CA GLY LA0 7 4.0 5.0 6.0 2\n#\n")
    found = read_structure(path)
    assert (len(found), found.n_models, found.chain[0], found.number[0]) == (1, 2, "LA0", 7)


def test_gzip_is_unpacked_to_its_end(tmp_path):
    path = tmp_path / "x.pdb.gz"
    path.write_bytes(gzip.compress(LINE.encode()))
    assert len(read_structure(path)) == 1
    path.write_bytes(gzip.compress(LINE.encode() * 50)[:-9])
    with pytest.raises(InputError, match="truncated gzip"):
        read_structure(path)


def test_pdbqt_types_become_elements(tmp_path):
    path = tmp_path / "x.pdbqt"
    types = {"C": "C", "A": "C", "OA": "O", "NA": "N", "SA": "S", "HD": "H", "Zn": "ZN", "Cl": "CL"}
    body = LINE.rstrip()[:66]
    path.write_text("".join(f"{body}    +0.000 {kind:<2}\n" for kind in types))
    assert read_structure(path).element.tolist() == list(types.values())


@pytest.mark.parametrize(("text", "number"), [("A000", 10_000), ("A00Z", 10_035), (" -12", -12), ("9999", 9999)])
def test_residue_numbers_beyond_9999_are_read_as_hybrid_36(tmp_path, text, number):
    path = tmp_path / "x.pdb"
    path.write_text(LINE[:22] + text + LINE[26:])
    assert read_structure(path).number.tolist() == [number]


def test_two_letter_chains_of_large_assemblies_are_kept(tmp_path):
    path = tmp_path / "x.pdb"
    path.write_text(LINE[:20] + "QB" + LINE[22:])
    found = read_structure(path)
    assert (found.chain[0], found.residue[0]) == ("QB", "GLY")


def test_elements_are_read_from_atom_names_where_the_column_is_empty(tmp_path):
    path = tmp_path / "x.pdb"
    names = {" CA ": "C", "HG11": "H", " N  ": "N", "CA  ": "CA", "ZN  ": "ZN", "1HB ": "H"}
    lines = [("HETATM" if e in ("CA", "ZN") else "ATOM  ") + LINE[6:12] + n + LINE[16:66] for n, e in names.items()]
    path.write_text("\n".join(lines) + "\n")
    assert read_structure(path).element.tolist() == list(names.values())


def test_proteins_of_scpdb_are_read_from_mol2(tmp_path):
    path = tmp_path / "protein.mol2"
    path.write_text(
        "@<TRIPOS>MOLECULE\np\n2 0 1\nPROTEIN\nNO_CHARGES\n\n@<TRIPOS>ATOM\n"
        "1 N 1.0 2.0 3.0 N.4 1 MET1 0.0\n2 CA 2.0 2.0 3.0 C.3 2 LYS52A 0.0\n"
        "@<TRIPOS>SUBSTRUCTURE\n1 MET1 1 RESIDUE 4 A MET 1\n2 LYS52A 2 RESIDUE 4 B LYS 1\n"
    )
    found = read_structure(path)
    assert found.residue_labels().tolist() == ["A:1:MET", "B:52A:LYS"]
    assert found.element.tolist() == ["N", "C"]


def test_what_pdb_columns_cannot_hold_is_refused_as_pdb_and_written_as_mmcif(tmp_path):
    structure = random_structure(np.random.default_rng(0))
    long_chain = dataclasses.replace(structure, chain=np.full(len(structure), "LA0"))
    assert fits_pdb(structure)
    assert not fits_pdb(long_chain)
    with pytest.raises(InputError, match=r"use \.cif"):
        write_structure(tmp_path / "x.pdb", long_chain)
    write_structure(tmp_path / "x.cif", long_chain)
    assert set(read_structure(tmp_path / "x.cif").chain) == {"LA0"}


def outcome(path) -> Structure | str:
    """Return the structure, or the message of a clean refusal."""
    try:
        return read_structure(path)
    except (InputError, RefusedError) as error:
        return str(error)


def cif_of(structure: Structure, tmp_path) -> str:
    write_structure(tmp_path / "whole.cif", structure)
    return (tmp_path / "whole.cif").read_text()


def test_a_cif_truncated_anywhere_in_its_atoms_is_refused_or_read_as_whole_rows(tmp_path):
    text = cif_of(random_structure(np.random.default_rng(1), 6), tmp_path)
    body = text.index("ATOM") if "ATOM" in text else 0
    path = tmp_path / "cut.cif"
    refused = 0
    for end in range(body, len(text), 7):
        path.write_text(text[:end])
        found = outcome(path)
        refused += isinstance(found, str)
        if isinstance(found, str):
            assert "truncated" in found or "complete" in found or "number" in found
        else:
            assert len(found) <= 6
    assert refused > 10


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.pdb", "", "empty"),
        ("x.pdb", "HEADER\nREMARK nothing\n", "no ATOM"),
        ("x.pdb", LINE[:40], "ends inside the coordinates"),
        ("x.pdb", LINE.replace("   1.000", "     nan"), "not finite"),
        ("x.pdb", LINE.replace("   1.000", "********"), "is not a number"),
        ("x.pdb", LINE.replace("A   1 ", "A  x1 "), "residue number"),
        ("x.cif", "data_x\n_cell.length_a 1\n", "no _atom_site"),
        ("x.cif", "data_x\nloop_\n_atom_site.id\n_atom_site.Cartn_x\n1 2.0\n", "no column"),
        ("x.xyz", "1\n\nC 0 0 0\n", "expected one of"),
        ("protein.mol2", "@<TRIPOS>MOLECULE\nx\n", "no @<TRIPOS>ATOM"),
        ("x.pdb.gz", "not gzip", "damaged or truncated gzip"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, name, content, expected):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=expected) as caught:
        read_structure(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_structure(tmp_path / "none.pdb")
    (tmp_path / "folder.pdb").mkdir()
    with pytest.raises(InputError, match="folder"):
        read_structure(tmp_path / "folder.pdb")


def test_a_small_archive_of_a_huge_text_is_refused_without_unpacking_it(tmp_path):
    path = tmp_path / "bomb.pdb.gz"
    with gzip.open(path, "wb", compresslevel=9) as stream:
        for _ in range(64):
            stream.write(b" " * (1 << 20))
    with pytest.raises(RefusedError, match="limit"):
        read_structure(path, max_bytes=1 << 20)


def test_random_bytes_never_crash_the_readers(tmp_path):
    rng = np.random.default_rng(9)
    for name, base in (
        ("x.pdb", LINE * 5),
        ("x.cif", cif_of(random_structure(rng, 5), tmp_path)),
        ("x.pdbqt", LINE * 3),
    ):
        path = tmp_path / name
        original = base.encode()
        for _ in range(60):
            mutated = bytearray(original)
            for place in rng.integers(0, len(mutated), 8):
                mutated[place] = rng.integers(256)
            path.write_bytes(bytes(mutated[: rng.integers(1, len(mutated) + 1)]))
            found = outcome(path)
            assert isinstance(found, Structure) or "\n" not in found
