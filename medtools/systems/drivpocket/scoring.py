"""The work of `medtools score drivpocket`: DCC, DVO and DCA of predictions, fpocket's own orders beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.log import LOGGER
from medtools.core.progress import track
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.io.arrays import read_npz
from medtools.io.structure_files import Entry, find_structures
from medtools.metrics.intervals import bootstrap
from medtools.metrics.table import SCORE_COLUMNS, Score, score_rows
from medtools.preprocess.protein.steps import known_sites
from medtools.systems.drivpocket.dataset import manifest_files, only_manifest
from medtools.systems.drivpocket.figures import draw_success
from medtools.systems.drivpocket.metrics import SUCCESS, SiteScore, centre_distances, ligand_distances
from medtools.systems.drivpocket.params import ScoreParams

_RATES = {
    "DCA top-n": "n",
    "DCA top-(n+2)": "n2",
    "ligand centre top-n": "centre_n",
    "ligand centre top-(n+2)": "centre_n2",
}
"""Rates over ligands, and their columns: nearest ligand atom (DCA), or the ligand's centroid within 4 angstrom."""

Sites = list[dict[str, object]]
_MASKS = ("voxels", "counts", "origins", "spacings")
_ORDERS = {"drivpocket": "dca", "fpocket score": "score", "fpocket druggability": "druggability"}
"""Whose order of centres a row is about, and the prefix of its columns in `sites.tsv`."""


def reads(job: Job) -> list[Path]:
    """List the manifest's files and the predictions."""
    manifest = only_manifest(job.inputs)
    return [*manifest_files(manifest), *sorted(_predictions(job.params, manifest).glob("*/masks.npz"))]


def run(job: Job) -> None:
    """Write `sites.tsv`, `scores.tsv`, `comparison.tsv` and `success.png`."""
    params: ScoreParams = job.params
    manifest = only_manifest(job.inputs)
    folder = _predictions(params, manifest)
    rows: Sites = []
    for entry in track(_scored(manifest, params.split), "scoring"):
        rows += _protein(entry, folder, params.topn)
    write_tsv(job.out / "sites.tsv", list(rows[0]), rows)
    scores = summarise(rows, job.seed)
    write_tsv(job.out / "scores.tsv", SCORE_COLUMNS, score_rows(scores))
    comparison = compare(scores)
    write_tsv(job.out / "comparison.tsv", list(comparison[0]), comparison)
    curves = {"DCC": [r["dcc"] for r in rows if r["kind"] == "cavity"]}
    for level, prefix in _ORDERS.items():
        curves[f"DCA top-(n+2), {level}"] = [r[f"{prefix}_n2"] for r in rows if r["kind"] == "ligand"]
    overlaps = [float(r["dvo"]) for r in rows if r["kind"] == "cavity"]  # type: ignore[arg-type]
    figure = draw_success({k: [float(v) for v in c] for k, c in curves.items() if c}, overlaps)  # type: ignore[arg-type]
    save_figure(figure, job.out / "success.png")
    job.wrote(*(job.out / name for name in ("sites.tsv", "scores.tsv", "comparison.tsv", "success.png")))


def _predictions(params: ScoreParams, manifest: Path) -> Path:
    return manifest.parent if params.predictions is None else params.predictions


def _scored(manifest: Path, split: str) -> list[Entry]:
    """Return the proteins that count: of the part asked for, and with a known site.

    Raises
    ------
    InputError
        No protein is left.
    """
    entries = find_structures([manifest])
    parts = [entry.cells.get("split") for entry in entries]
    part = ("test" if "test" in parts else "all") if split == "auto" else split
    chosen = [entry for entry, own in zip(entries, parts, strict=True) if part in ("all", own)]
    if not chosen:
        raise InputError(manifest, f"no row has {part!r} in column 'split'", "choose another --split")
    labelled = [entry for entry in chosen if entry.ligands or entry.cavities]
    if not labelled:
        found = f"none of {len(chosen)} rows has a file in column 'ligand' or 'cavity'"
        raise InputError(manifest, found, "give known ligands or cavities to `medtools infer drivpocket`")
    LOGGER.info("scoring %d of %d proteins (split: %s)", len(labelled), len(entries), part)
    if len(labelled) < len(chosen):
        unknown = [entry.id for entry in chosen if entry not in labelled]
        LOGGER.warning("without a known site, not scored: %s", ", ".join(unknown))
    return labelled


def read_masks(path: Path) -> tuple[list[NDArray[np.float64]], NDArray[np.float64], NDArray[np.float64]]:
    """Read what inference kept for scoring.

    Returns
    -------
    pockets : list of (n, 3) float64
        Voxel coordinates of the predicted pockets, best first.
    candidates : (n_candidates, 3) float64
        Centres.
    scores : (n_candidates, 2) float64
        fpocket's score and druggability of each.

    Raises
    ------
    InputError
        No such file (the protein was not predicted), or not one of `medtools infer drivpocket`.
    """
    if not path.is_file():
        raise InputError(path, "no prediction of this protein", "run `medtools infer drivpocket` on the same manifest")
    arrays = read_npz(path)
    n_pockets, n_candidates = arrays.get("sizes", np.array([-1, -1])).tolist()
    wanted = {*(_MASKS if n_pockets else ()), *(("candidates", "candidate_scores") if n_candidates else ())}
    if n_pockets < 0 or not wanted <= set(arrays):
        raise InputError(path, "not the masks of `medtools infer drivpocket`")
    candidates, scores = arrays.get("candidates", np.empty((0, 3))), arrays.get("candidate_scores", np.empty((0, 2)))
    if not n_pockets:
        return [], candidates, scores
    groups = np.split(arrays["voxels"], np.cumsum(arrays["counts"])[:-1])
    pockets = [
        origin + spacing * voxels.astype(np.float64)
        for voxels, origin, spacing in zip(groups, arrays["origins"], arrays["spacings"], strict=True)
    ]
    return pockets, candidates, scores


def summarise(rows: Sites, seed: int) -> list[Score]:
    """Return success rates in percent over all sites, misses counted, with intervals from resampled proteins."""
    cavities = [row for row in rows if row["kind"] == "cavity"]
    ligands = [row for row in rows if row["kind"] == "ligand"]
    wanted: list[tuple[str, str, Sites, Callable[[dict[str, object]], float]]] = [
        ("DCC", "drivpocket", cavities, lambda row: float(_value(row, "dcc") <= SUCCESS)),
        ("DVO", "drivpocket", cavities, lambda row: _value(row, "dvo")),
    ]
    for level, prefix in _ORDERS.items():
        for metric, column in _RATES.items():
            name = f"{prefix}_{column}"
            wanted.append((metric, level, ligands, lambda row, c=name: float(_value(row, c) <= SUCCESS)))  # type: ignore[misc]
    within = ("candidate within 4 A", "candidates", ligands, lambda row: float(_value(row, "candidate") <= SUCCESS))
    wanted.append(within)
    scores = []
    for metric, level, sites, measure in wanted:
        if sites:
            values = 100.0 * np.array([measure(row) for row in sites])
            proteins = np.array([str(row["id"]) for row in sites])
            low, high = bootstrap(lambda index, v=values: float(v[index].mean()), proteins, seed=seed)  # type: ignore[misc]
            scores.append(Score(metric, level, float(values.mean()), low, high, len(values)))
    return scores


def compare(scores: Sequence[Score]) -> list[dict[str, object]]:
    """Return this run's row above the published ones; the sets differ, so rows are for orientation."""
    from medtools.systems.registry import card

    published = card("drivpocket").content["published"]
    columns = published["columns"]
    own = {(score.level, score.metric): score.value for score in scores}
    sites = max((score.n or 0 for score in scores), default=0)
    rows: list[dict[str, object]] = [
        {"set": f"this run ({sites} sites)", "method": level, **{c: own.get((level, c)) for c in columns}}
        for level in _ORDERS
    ]
    for name in ("coach420", "holo4k", "sc6k", "pdbbind"):
        for method, values in published[name].items():
            rows.append({"set": f"{name} (published)", "method": method, **dict(zip(columns, values, strict=True))})
    for name, models in published["ablation"].items():
        for model, (dcc, dvo) in models.items():
            rows.append({"set": f"{name} (published ablation)", "method": model, "DCC": dcc, "DVO": dvo})
    return rows


def _value(row: dict[str, object], column: str) -> float:
    return float(row[column])  # type: ignore[arg-type]


def _protein(entry: Entry, folder: Path, topn: str) -> Sites:
    ligands, cavities = known_sites(entry.ligands), known_sites(entry.cavities)
    pockets, candidates, finder = read_masks(folder / entry.id / "masks.npz")
    n_sites = len(cavities) or len(ligands)
    counted = {"all": len(pockets), "n": n_sites, "n+2": n_sites + 2}[topn]
    centres = np.array([pocket.mean(axis=0) for pocket in pockets]).reshape(-1, 3)
    rows: Sites = []
    for number, score in enumerate(centre_distances(cavities, pockets[:counted]), start=1):
        rows.append(_site(entry.id, number, "cavity", len(pockets)) | {"dcc": score.distance, "dvo": score.overlap})
    orders = {"dca": centres, "score": candidates[_descending(finder[:, 0])],
              "druggability": candidates[_descending(finder[:, 1])]}  # fmt: skip
    columns: dict[str, list[SiteScore]] = {"candidate": ligand_distances(ligands, candidates, None)}
    middles = [ligand.mean(axis=0, keepdims=True) for ligand in ligands]
    for prefix, ordered in orders.items():
        for name, extra in (("n", 0), ("n2", 2)):
            columns[f"{prefix}_{name}"] = ligand_distances(ligands, ordered, extra)
            columns[f"{prefix}_centre_{name}"] = ligand_distances(middles, ordered, extra)
    for i in range(len(ligands)):
        values = {name: found[i].distance for name, found in columns.items()}
        rows.append(_site(entry.id, i + 1, "ligand", len(pockets)) | values)
    return rows


def _site(identifier: str, number: int, kind: str, n_pockets: int) -> dict[str, object]:
    tops = ("n", "n2", "centre_n", "centre_n2")
    distances = ["dcc", "dvo", *(f"{prefix}_{top}" for prefix in _ORDERS.values() for top in tops), "candidate"]
    return {
        "id": identifier,
        "site": number,
        "kind": kind,
        "n_pockets": n_pockets,
        **dict.fromkeys(distances, math.nan),
    }


def _descending(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.argsort(-values, kind="stable")
