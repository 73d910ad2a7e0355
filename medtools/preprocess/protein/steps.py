"""The work of `medtools preprocess protein`: one folder per structure, and the manifest that later stages read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medtools.core.atomic import write_json
from medtools.core.errors import InputError, RefusedError
from medtools.core.manifest import write_manifest
from medtools.core.stage import Job, Sample
from medtools.core.tables import write_tsv
from medtools.io.candidates import (
    Candidate,
    TypesLine,
    read_candidates,
    read_types,
    write_candidates,
    write_spheres,
)
from medtools.io.molecules import read_molecules, write_molecules
from medtools.io.structure import Structure, read_structure
from medtools.io.structure_files import Entry, find_structures
from medtools.io.structure_writers import fits_pdb, write_structure
from medtools.preprocess.protein.candidates import find_candidates
from medtools.preprocess.protein.cleaning import Findings, Protein, clean
from medtools.preprocess.protein.ligands import find_ligands, touches
from medtools.preprocess.protein.params import PreprocessParams, StructureParams

_SAME_MOLECULE = 0.1
CARRIED = ("split", "site", "group")
"""Columns of a manifest that pass from stage to stage."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A protein ready for the network, its candidates best first with their alpha spheres, and the file as read."""

    protein: Protein
    findings: Findings
    candidates: tuple[Candidate, ...]
    spheres: tuple[NDArray[np.float64], ...]
    raw: Structure


def run(job: Job) -> None:
    """Prepare every structure; write `manifest.tsv` and `qc.tsv`."""
    entries = {entry.id: (entry, lines) for entry, lines in _entries(job)}
    shared = [job.params.types] if job.params.types else []
    samples = [Sample(e.id, (*e.files, *shared), job.out / e.id / "preprocess.json") for e, _ in entries.values()]
    done = job.for_each(samples, lambda sample: _one(job, *entries[sample.id]), "cleaning, candidates")
    if not job.only and done:
        _write_tables(job, [entries[sample.id][0] for sample in done])


def prepare(entry: Entry, params: StructureParams) -> Prepared:
    """Read and clean one structure and find its candidates, unless the entry brings its own.

    Raises
    ------
    InputError
        Whatever is wrong with the file, by name.
    """
    try:
        raw = read_structure(entry.structure)
    except RefusedError as error:  # too large a file is one structure's fault, not the cohort's
        raise InputError(entry.structure, "too large", str(error)) from error
    if params.chains:
        raw = _chosen_chains(entry, raw, params.chains)
    protein, findings = clean(raw, where=str(entry.structure), modified=params.modified_residues)
    if entry.candidates is not None:
        return Prepared(protein, findings, tuple(read_candidates(entry.candidates)), (), raw)
    if len(protein) > params.max_atoms:
        raise InputError(
            entry.structure,
            f"{len(protein)} protein atoms, the limit max_atoms is {params.max_atoms}",
            "choose --chains, or raise --max-atoms and be patient",
        )
    found = find_candidates(protein.structure, finder=params.finder, order=params.order)
    columns = (found.centres.tolist(), found.scores, found.druggability, found.volumes, found.spheres)
    candidates = [
        Candidate(tuple(centre), float(score), float(druggability), float(volume), len(spheres))
        for centre, score, druggability, volume, spheres in zip(*columns, strict=True)
    ]
    return Prepared(protein, findings, tuple(candidates), found.spheres, raw)


def known_sites(paths: Sequence[Path]) -> list[NDArray[np.float64]]:
    """Read the molecules of ligand or cavity files, one site each; a molecule that several files repeat counts once."""
    sites: list[NDArray[np.float64]] = []
    for path in paths:
        for molecule in read_molecules(path):
            centre = molecule.mean(axis=0)
            if all(np.linalg.norm(centre - site.mean(axis=0)) > _SAME_MOLECULE for site in sites):
                sites.append(molecule)
    return sites


def labelled_sites(
    entry: Entry, prepared: Prepared, labels: Literal["auto", "files", "structure", "none"]
) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Return the known ligands and cavities, (n, 3) float64 in angstrom each, by the rule of `labels`."""
    from_files = labels in ("auto", "files")
    ligands = known_sites(entry.ligands) if from_files else []
    cavities = known_sites(entry.cavities) if from_files else []
    if labels == "structure" or (labels == "auto" and not ligands and not cavities):
        ligands = list(find_ligands(prepared.raw, prepared.protein.structure.xyz).values())
    return ligands, cavities


def write_sites(
    folder: Path, ligands: Sequence[NDArray[np.float64]], cavities: Sequence[NDArray[np.float64]]
) -> Iterable[Path]:
    """Write `ligands.mol2` and `cavities.mol2` where there are any, and name each as soon as it is written."""
    for name, sites in (("ligands", ligands), ("cavities", cavities)):
        if sites:
            path = folder / f"{name}.mol2"
            write_molecules(path, sites, name[:3].upper())
            yield path


def site_files(folder: Path) -> dict[str, Path]:
    """Return what `write_sites` left in a folder, by column of a manifest."""
    optional = {"ligand": folder / "ligands.mol2", "cavity": folder / "cavities.mol2"}
    return {column: path for column, path in optional.items() if path.is_file()}


def _entries(job: Job) -> list[tuple[Entry, list[TypesLine]]]:
    params: PreprocessParams = job.params
    if params.types is None:
        return [(entry, []) for entry in find_structures(job.inputs)]
    if len(job.inputs) != 1 or not job.inputs[0].is_dir():
        raise InputError("INPUT", "--types needs one folder", "give the folder that its receptors are relative to")
    return list(_of_types(params.types, job.inputs[0]))


def _of_types(types: Path, root: Path) -> Iterable[tuple[Entry, list[TypesLine]]]:
    """Group the lines of a `.types` file by receptor; the structure lies in the receptor's folder."""
    groups: dict[str, list[TypesLine]] = {}
    for line in read_types(types):
        groups.setdefault(line.receptor, []).append(line)
    for receptor, lines in sorted(groups.items()):
        folder = (root / receptor).parent
        if not folder.resolve().is_relative_to(root.resolve()):
            raise InputError(types, f"receptor {receptor} lies outside {root}")
        if not folder.is_dir():
            raise InputError(types, f"receptor {receptor}: no folder {folder}")
        entry = find_structures([folder])[0]
        cavities = tuple(sorted({root / line.cavity for line in lines if line.cavity}))
        for path in cavities:
            if not path.is_file():
                raise InputError(types, f"cavity file {path} is missing", "each labelled candidate needs its cavity")
        yield dataclasses.replace(entry, id=folder.name, cavities=cavities or entry.cavities), lines


def _one(job: Job, entry: Entry, lines: list[TypesLine]) -> Iterable[Path]:
    params: PreprocessParams = job.params
    folder = job.out / entry.id
    prepared = prepare(entry, params)
    ligands, cavities = labelled_sites(entry, prepared, params.labels)
    candidates = [line.candidate for line in lines] or _labelled(prepared.candidates, ligands or cavities)
    structure = prepared.protein.structure
    path = folder / ("protein.pdb" if fits_pdb(structure) else "protein.cif")
    write_structure(path, structure)
    yield path
    write_candidates(folder / "candidates.tsv", candidates)
    yield folder / "candidates.tsv"
    if prepared.spheres and not lines:
        write_spheres(folder / "alpha_spheres.pqr", prepared.spheres)
        yield folder / "alpha_spheres.pqr"
    yield from write_sites(folder, ligands, cavities)
    report = prepared.findings.as_dict() | {"atoms": len(structure), "candidates": len(candidates)}
    write_json(folder / "findings.json", report)
    yield folder / "findings.json"


def _labelled(candidates: Sequence[Candidate], sites: Sequence[NDArray[np.float64]]) -> list[Candidate]:
    """Label each candidate by whether an atom of any site lies within 4 angstrom of its centre."""
    if not sites or not candidates:
        return list(candidates)
    positive = touches(np.array([candidate.centre for candidate in candidates]), np.concatenate(sites))
    return [dataclasses.replace(c, label=int(yes)) for c, yes in zip(candidates, positive, strict=True)]


def _chosen_chains(entry: Entry, structure: Structure, chains: Sequence[str]) -> Structure:
    present = sorted(set(structure.chain.tolist()))
    absent = [chain for chain in chains if chain not in present]
    if absent:
        raise InputError(entry.structure, f"no chain {absent[0]!r}", f"chains are {', '.join(present)}")
    return structure.select(np.isin(structure.chain, chains))


def _write_tables(job: Job, entries: Sequence[Entry]) -> None:
    rows, quality = [], []
    for entry in entries:
        folder = job.out / entry.id
        structure = next(path for path in (folder / "protein.pdb", folder / "protein.cif") if path.is_file())
        candidates = read_candidates(folder / "candidates.tsv")
        rows.append(
            {
                "id": entry.id,
                "subject": entry.subject,
                "structure": structure,
                "candidates": folder / "candidates.tsv",
                **site_files(folder),
                "n_candidates": len(candidates),
                "n_positive": _positives(candidates),
                **{column: entry.cells[column] for column in CARRIED if column in entry.cells},
            }
        )
        quality.append(_quality(entry.id, folder / "findings.json", len(candidates)))
    columns = ["id", "subject", "structure", "candidates", "ligand", "cavity", "n_candidates", "n_positive"]
    columns += [column for column in CARRIED if any(column in row for row in rows)]
    write_manifest(job.out / "manifest.tsv", columns, rows)
    write_tsv(job.out / "qc.tsv", list(quality[0]), quality)
    job.wrote(job.out / "manifest.tsv", job.out / "qc.tsv")


def _positives(candidates: Sequence[Candidate]) -> int | None:
    labels = [candidate.label for candidate in candidates if candidate.label is not None]
    return sum(labels) if labels else None


def _quality(identifier: str, path: Path, n_candidates: int) -> dict[str, object]:
    findings = json.loads(path.read_text(encoding="utf-8"))
    status = "WARN" if findings["notes"] or n_candidates == 0 else "PASS"
    notes = [*findings["notes"], *(["no candidate found"] if n_candidates == 0 else [])]
    return {
        "id": identifier,
        "status": status,
        "atoms": findings["atoms"],
        "candidates": n_candidates,
        "incomplete_residues": len(findings["missing_atoms"]),
        "modified_residues": sum(findings["modified_residues"].values()),
        "models": findings["n_models"],
        "notes": "; ".join(notes) or None,
    }
