"""Labelled proteins from a manifest: typed atoms, candidates and known sites, checked before training or scoring."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from medtools.core.errors import InputError
from medtools.core.progress import track
from medtools.core.seeds import generator
from medtools.io.candidates import Candidate, read_candidates
from medtools.io.structure import read_structure
from medtools.io.structure_files import Entry, find_structures
from medtools.preprocess.protein.cleaning import clean
from medtools.preprocess.protein.steps import known_sites
from medtools.systems.drivpocket.data import Atoms, Example


@dataclasses.dataclass(frozen=True)
class Labelled:
    """One protein of a manifest, with everything that is known of it."""

    entry: Entry
    atoms: Atoms
    candidates: tuple[Candidate, ...]
    ligands: tuple[NDArray[np.float64], ...]
    cavities: tuple[NDArray[np.float64], ...]


def manifest_files(manifest: Path) -> list[Path]:
    """List every file that a manifest leads to, and the manifest."""
    return [manifest, *(path for entry in find_structures([manifest]) for path in entry.files)]


def only_manifest(inputs: Sequence[Path]) -> Path:
    """Return the one manifest that INPUT names.

    Raises
    ------
    InputError
        None, several, or something else.
    """
    if len(inputs) != 1:
        raise InputError("INPUT", f"expected one manifest.tsv, found {len(inputs)} inputs")
    path = inputs[0] / "manifest.tsv" if inputs[0].is_dir() else inputs[0]
    if path.suffix.lower() != ".tsv" or not path.is_file():
        raise InputError(path, "expected a manifest.tsv", "run `medtools preprocess protein` first")
    return path


def read_labelled(manifest: Path, what: str, *, cavities: bool = False) -> list[Labelled]:
    """Read all proteins of a manifest.

    Parameters
    ----------
    manifest : Path
        With the columns `structure` and `candidates`.
    what : str
        Text of the progress bar.
    cavities : bool
        Whether every row must have a cavity.

    Raises
    ------
    InputError
        A row without candidates, or without a cavity where one is needed, naming it.
    """
    entries = find_structures([manifest])
    for entry in entries:
        if cavities and not entry.cavities:
            raise InputError(
                manifest,
                f"row {entry.id!r} has no file in column 'cavity'",
                "training shapes needs cavity files, such as VolSite's cavity6.mol2 in scPDB",
            )
        if entry.candidates is None:
            raise InputError(
                manifest, f"row {entry.id!r} has no file in column 'candidates'", "run `medtools preprocess protein`"
            )
    return [_read(entry) for entry in track(entries, what)]


def _read(entry: Entry) -> Labelled:
    protein, _ = clean(read_structure(entry.structure), where=str(entry.structure), modified="parent")
    candidates = tuple(read_candidates(entry.candidates)) if entry.candidates else ()
    atoms = Atoms(protein.structure.xyz, protein.channels)
    return Labelled(entry, atoms, candidates, tuple(known_sites(entry.ligands)), tuple(known_sites(entry.cavities)))


def split_proteins(proteins: Sequence[Labelled], share: float, seed: int) -> list[str]:
    """Say of each protein whether it is in train, validation or test.

    The manifest's column `split` decides; where it has no validation part, a random share of the training subjects is
    held out.

    Raises
    ------
    InputError
        Another word in the column, or nothing to train on.
    """
    words = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
    given = [protein.entry.cells.get("split", "train") for protein in proteins]
    unknown = [part for part in given if part not in words]
    if unknown:
        raise InputError("column 'split'", f"unknown part {unknown[0]!r}", "known: train, validation, test")
    parts = [words[part] for part in given]
    if "validation" not in parts and share > 0:
        subjects = sorted({p.entry.subject for p, part in zip(proteins, parts, strict=True) if part == "train"})
        count = min(max(1, round(share * len(subjects))), len(subjects) - 1)
        held_out = {subjects[i] for i in generator(seed, "validation").permutation(len(subjects))[: max(count, 0)]}
        parts = ["validation" if p.entry.subject in held_out and part == "train" else part
                 for p, part in zip(proteins, parts, strict=True)]  # fmt: skip
    if "train" not in parts:
        raise InputError("column 'split'", "no protein is in 'train'")
    return parts


def ranking_examples(proteins: Sequence[Labelled], chosen: Sequence[int]) -> list[Example]:
    """Return every labelled candidate of the chosen proteins."""
    return [
        Example(i, np.array(candidate.centre), candidate.label)
        for i in chosen
        for candidate in proteins[i].candidates
        if candidate.label is not None
    ]


def segmentation_examples(proteins: Sequence[Labelled], chosen: Sequence[int]) -> list[Example]:
    """Return every positive candidate of the chosen proteins with the cavity that lies nearest to it."""
    examples = []
    for i in chosen:
        for candidate in proteins[i].candidates:
            if candidate.label == 1:
                centre = np.array(candidate.centre)
                cavity = min(proteins[i].cavities, key=lambda points: cKDTree(points).query(centre)[0])
                examples.append(Example(i, centre, 1, cavity))
    return examples
