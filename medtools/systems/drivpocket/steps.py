"""The work of `medtools demo drivpocket` and `medtools infer drivpocket`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from medtools.core.atomic import write_text
from medtools.core.devices import resolve_device
from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.limits import Estimate
from medtools.core.log import LOGGER
from medtools.core.manifest import write_manifest
from medtools.core.progress import track
from medtools.core.stage import Job, Sample
from medtools.core.tables import write_tsv
from medtools.io.candidates import read_spheres
from medtools.io.grids import Grid, write_arrays, write_grid
from medtools.io.molecules import write_molecules
from medtools.io.structure_files import Entry, find_structures
from medtools.io.structure_writers import fits_pdb, write_structure
from medtools.preprocess.protein.steps import Prepared, labelled_sites, prepare, write_sites
from medtools.systems.drivpocket.cohort import globule_name
from medtools.systems.drivpocket.data import Atoms
from medtools.systems.drivpocket.demo import globule
from medtools.systems.drivpocket.figures import draw_pockets
from medtools.systems.drivpocket.inference import (
    Network,
    Pocket,
    View,
    geometric_pockets,
    load_ranker,
    load_segmenter,
    rank_candidates,
    shape_pockets,
)
from medtools.systems.drivpocket.params import InferParams
from medtools.systems.drivpocket.tables import POCKET_COLUMNS, pocket_row, write_cohort
from medtools.systems.drivpocket.viewers import chimerax_script, html_page, pymol_script

_INTERPRETER_BYTES = 900 * 2**20
_INFERENCE_FLOATS_PER_VOXEL = 9


def run_demo(job: Job) -> None:
    """Write globules in scPDB's layout, their ligands and cavities, and a manifest with a split."""
    n_proteins = job.params.proteins
    rows = []
    for number in track(range(n_proteins), "globules"):
        made = globule(np.random.default_rng([job.seed, number]))
        name = globule_name(number + 1)
        folder = job.out / name
        files = {"structure": "protein.pdb", "ligand": "ligand.mol2", "cavity": "cavity6.mol2"}
        paths = {column: folder / file for column, file in files.items()}
        write_structure(paths["structure"], made.structure)
        write_molecules(paths["ligand"], [made.ligand], "LIG")
        write_molecules(paths["cavity"], [made.cavity], "CAV")
        job.wrote(*paths.values())
        # Two thirds to train on, the rest unseen.
        split = "train" if number < round(n_proteins * 2 / 3) else "test"
        rows.append({"id": name, "subject": name, **paths, "split": split})
    manifest = job.out / "manifest.tsv"
    write_manifest(manifest, ["id", "subject", "structure", "ligand", "cavity", "split"], rows)
    job.wrote(manifest)


def run_infer(job: Job) -> None:
    """Predict the pockets of every structure; write the tables and the page of the cohort."""
    params: InferParams = job.params
    entries = {entry.id: entry for entry in find_structures(job.inputs)}
    device = resolve_device(job.device)
    segmenter = load_segmenter(params.segmenter, device) if params.segmenter else None
    ranker = load_ranker(params.ranker, device) if params.ranker else None
    if segmenter is None or ranker is None:
        lacking = " and ".join(
            [*(["candidates in the finder's geometric order"] if ranker is None else []),
             *(["shapes from alpha spheres"] if segmenter is None else [])]
        )  # fmt: skip
        LOGGER.warning("no trained model given for all parts: %s; nothing learnt is in these", lacking)
    weights = [path for path in (params.segmenter, params.ranker) if path]
    samples = [
        Sample(e.id, (*e.files, *_spheres_of(e), *weights), job.out / e.id / "infer.json") for e in entries.values()
    ]
    done = job.for_each(samples, lambda s: _one(job, entries[s.id], segmenter, ranker), "pockets")
    if not job.only and done:
        write_cohort(job, [entries[sample.id] for sample in done])


def estimate_infer(job: Job) -> Estimate:
    """Predict memory from the network's grid and the batch."""
    params: InferParams = job.params
    grid, width = 65, 4
    if params.segmenter:
        from medtools.training.checkpoint import read_params

        design = read_params(params.segmenter).get("design", {})
        grid, width = design.get("grid", 65), design.get("width", 64)
    floats = _INFERENCE_FLOATS_PER_VOXEL * width / 2 * grid**3 * params.batch_size
    return Estimate(
        _INTERPRETER_BYTES + int(4 * floats), None, f"{params.batch_size} candidates of {grid} voxels a side"
    )


def _one(job: Job, entry: Entry, segmenter: Network | None, ranker: Network | None) -> Iterable[Path]:
    params: InferParams = job.params
    folder = job.out / entry.id
    prepared = prepare(entry, params)
    ligands, cavities = labelled_sites(entry, prepared, params.labels)
    pockets, binding = _predict(entry, prepared, segmenter, ranker, params)
    how = ("classifier" if ranker else "finder", "network" if segmenter else "alpha spheres")
    rows = [pocket_row(prepared, rank, pocket, how, ligands) for rank, pocket in enumerate(pockets, start=1)]
    write_tsv(folder / "pockets.tsv", POCKET_COLUMNS, rows)
    yield folder / "pockets.tsv"
    yield _write_masks(folder / "masks.npz", prepared, pockets)
    structure = prepared.protein.structure
    name = f"{entry.id}_atoms" + (".pdb" if fits_pdb(structure) else ".cif")
    write_structure(folder / name, structure, binding)
    yield folder / name
    yield from write_sites(folder, ligands, cavities)
    yield from _write_grids(folder, pockets[: params.grid_pockets], params.grids)
    view = View(entry.id, prepared.protein, pockets, binding, ligands)
    yield from _write_views(folder, view, params, name, rows)


def _predict(
    entry: Entry, prepared: Prepared, segmenter: Network | None, ranker: Network | None, params: InferParams
) -> tuple[list[Pocket], np.ndarray]:
    atoms = Atoms(prepared.protein.structure.xyz, prepared.protein.channels)
    candidates = prepared.candidates
    if not candidates:
        LOGGER.warning("%s: no candidate pocket found", entry.id)
        return [], np.zeros(len(atoms.xyz))
    for candidate in candidates:
        _check_near(atoms, candidate.centre)
    scores = [getattr(candidate, params.order) for candidate in candidates]
    if ranker is not None:
        scores = rank_candidates(atoms, candidates, ranker).tolist()
    order = list(range(len(candidates)))
    if np.isfinite(scores).all():
        order.sort(key=lambda i: (-scores[i], i))
    chosen = [(i + 1, candidates[i], scores[i]) for i in order[: params.pockets or None]]
    if segmenter is not None:
        return shape_pockets(
            atoms, chosen, segmenter, fusion=params.sfm, threshold=params.threshold, batch_size=params.batch_size
        )
    spheres = prepared.spheres or _stored_spheres(entry, len(candidates))
    return geometric_pockets(atoms, chosen, spheres)


def _check_near(atoms: Atoms, centre: Sequence[float]) -> None:
    from medtools.preprocess.protein.targets import nearest_atoms

    nearest_atoms(atoms.xyz, np.array(centre), 1)


def _spheres_of(entry: Entry) -> list[Path]:
    path = entry.candidates.with_name("alpha_spheres.pqr") if entry.candidates else None
    return [path] if path is not None and path.is_file() else []


def _stored_spheres(entry: Entry, n_candidates: int) -> list[np.ndarray]:
    """Read the alpha spheres that `preprocess protein` wrote beside its candidates."""
    for path in _spheres_of(entry):
        groups = read_spheres(path)
        if sorted(groups) == list(range(1, n_candidates + 1)):
            return [groups[rank] for rank in sorted(groups)]
    raise InputError(
        entry.candidates or entry.structure, "these candidates have no alpha spheres to shape them", "give --segmenter"
    )


def _write_masks(path: Path, prepared: Prepared, pockets: Sequence[Pocket]) -> Path:
    """Write what scoring needs: every pocket's voxels, and all candidates with the finder's two scores."""
    voxels = [np.argwhere(pocket.mask).astype(np.int16) for pocket in pockets]
    counts = np.array([len(v) for v in voxels], dtype=np.int64)
    arrays: dict[str, np.ndarray] = {
        "sizes": np.array([len(pockets), len(prepared.candidates)], dtype=np.int64),
        "voxels": np.concatenate(voxels) if voxels else np.empty((0, 3), dtype=np.int16),
        "counts": counts,
        "origins": np.array([pocket.box.origin for pocket in pockets]).reshape(-1, 3),
        "spacings": np.array([pocket.box.spacing for pocket in pockets], dtype=np.float64),
        "candidates": np.array([candidate.centre for candidate in prepared.candidates]).reshape(-1, 3),
        "candidate_scores": np.array([(c.score, c.druggability) for c in prepared.candidates]).reshape(-1, 2),
    }
    # An empty array would say nothing; readers refuse it.
    write_arrays(path, {name: array for name, array in arrays.items() if array.size})
    return path


def _write_grids(folder: Path, pockets: Sequence[Pocket], formats: Sequence[str]) -> Iterable[Path]:
    """Write fused maps clipped to [0, 1]: the surface at 0.5 is the pocket."""
    for rank, pocket in enumerate(pockets, start=1):
        grid = Grid(np.clip(pocket.values, 0.0, 1.0).astype(np.float32), pocket.box.origin, pocket.box.spacing)
        for form in formats:
            path = folder / f"pocket_{rank}.{form}"
            write_grid(path, grid)
            yield path


def _write_views(
    folder: Path, view: View, params: InferParams, atoms_file: str, rows: Sequence[dict[str, object]]
) -> Iterable[Path]:
    form = next((form for form in params.grids if form != "npz"), None)  # what the viewers open
    shown = min(len(view.pockets), params.grid_pockets) if form else 0
    maps = [f"pocket_{rank}.{form}" for rank in range(1, shown + 1)]
    for name, script in {"view.pml": pymol_script, "view.cxc": chimerax_script}.items():
        write_text(folder / name, script(atoms_file, view, maps))
        yield folder / name
    if not params.pictures:
        return
    save_figure(draw_pockets(view), folder / "pockets.png")
    yield folder / "pockets.png"
    write_text(folder / "pockets.html", html_page(view, rows))
    yield folder / "pockets.html"
