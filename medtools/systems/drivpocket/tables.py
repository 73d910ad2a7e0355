"""The tables of `medtools infer drivpocket`, and the page that leads to every structure's pictures."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from medtools.core.atomic import write_text
from medtools.core.figures import save_figure
from medtools.core.manifest import write_manifest
from medtools.core.stage import Job
from medtools.core.tables import read_tsv, write_tsv
from medtools.io.structure_files import Entry
from medtools.preprocess.protein.steps import CARRIED, Prepared, site_files
from medtools.systems.drivpocket.figures import draw_overview
from medtools.systems.drivpocket.inference import Pocket

POCKET_COLUMNS = (
    "rank", "score", "ranked_by", "shaped_by", "x", "y", "z", "volume", "n_residues", "residues", "candidate",
    "finder_score", "druggability", "ligand_distance",
)  # fmt: skip
_OF_THE_BEST = ("score", "x", "y", "z", "volume", "n_residues", "ligand_distance", "ranked_by", "shaped_by")
_THUMBNAILS = 12

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Pockets of {count}</title>
<style>
body {{ font: 14px/1.4 system-ui, sans-serif; color: #222; margin: 16px; }}
table {{ border-collapse: collapse; }}
td, th {{ text-align: left; vertical-align: top; padding: 6px 12px; border-bottom: 1px solid #ddd; }}
img {{ width: 480px; }}
</style>
</head>
<body>
<h1>Pockets of {count}</h1>
<p>{about} Click a name to turn the structure, a picture to enlarge it. For research; not a medical device.</p>
<table>
<tr><th>structure</th><th>pockets</th><th>best pocket</th><th>picture</th></tr>
{rows}
</table>
</body>
</html>
"""


def pocket_row(
    prepared: Prepared, rank: int, pocket: Pocket, how: tuple[str, str], ligands: Sequence[NDArray[np.float64]]
) -> dict[str, object]:
    """Return one row of `pockets.tsv`.

    Parameters
    ----------
    prepared : Prepared
    rank : int
        From 1.
    pocket : Pocket
    how : (str, str)
        What ranked it and what shaped it.
    ligands : sequence of (n, 3) float64
        Known ligands; the nearest atom gives `ligand_distance` from the pocket's centre, empty without any.
    """
    candidate = prepared.candidates[pocket.candidate - 1]
    labels = prepared.protein.structure.residue_labels()[pocket.atoms]
    residues = list(dict.fromkeys(labels.tolist()))
    x, y, z = (round(float(value), 3) for value in pocket.centre)
    distance = float(cKDTree(np.concatenate(ligands)).query(pocket.centre)[0]) if ligands else None
    return {
        "rank": rank,
        "score": round(pocket.score, 6),
        "ranked_by": how[0],
        "shaped_by": how[1],
        "x": x,
        "y": y,
        "z": z,
        "volume": round(pocket.volume, 1),
        "n_residues": len(residues),
        "residues": " ".join(residues),
        "candidate": pocket.candidate,
        "finder_score": candidate.score,
        "druggability": candidate.druggability,
        "ligand_distance": None if distance is None else round(distance, 2),
    }


def write_cohort(job: Job, entries: Sequence[Entry]) -> None:
    """Write `predictions.tsv`, `manifest.tsv` for scoring, `overview.png` and, with pictures, `index.html`."""
    rows, listed = [], []
    for entry in entries:
        folder = job.out / entry.id
        _, pockets = read_tsv(folder / "pockets.tsv")
        best = pockets[0] if pockets else {}
        rows.append({"id": entry.id, "n_pockets": len(pockets), **{k: best.get(k) for k in _OF_THE_BEST}})
        atoms = next(path for path in (folder / f"{entry.id}_atoms{s}" for s in (".pdb", ".cif")) if path.is_file())
        carried = {column: entry.cells[column] for column in CARRIED if column in entry.cells}
        listed.append({"id": entry.id, "subject": entry.subject, "structure": atoms, **site_files(folder), **carried})
    write_tsv(job.out / "predictions.tsv", ["id", "n_pockets", *_OF_THE_BEST], rows)
    known = ("id", "subject", "structure", "ligand", "cavity", *CARRIED)
    write_manifest(job.out / "manifest.tsv", [k for k in known if any(k in cells for cells in listed)], listed)
    shown = entries[:_THUMBNAILS] if job.params.pictures else []
    pictures = [job.out / entry.id / "pockets.png" for entry in shown]
    save_figure(draw_overview(pictures, len(entries)), job.out / "overview.png")
    job.wrote(*(job.out / name for name in ("predictions.tsv", "manifest.tsv", "overview.png")))
    if job.params.pictures:
        write_text(job.out / "index.html", index_page(rows))
        job.wrote(job.out / "index.html")


def index_page(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a page that lists all structures with their best pocket, each with its picture and its viewer.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of `predictions.tsv`; the files of each lie in the folder of its `id`.
    """
    lines = []
    for row in rows:
        folder, name = quote(str(row["id"])), html.escape(str(row["id"]))
        picture = f'<a href="{folder}/pockets.png"><img loading="lazy" src="{folder}/pockets.png" alt="{name}"></a>'
        link = f'<a href="{folder}/pockets.html">{name}</a>'
        lines.append(f"<tr><td>{link}</td><td>{row['n_pockets']}</td><td>{_best(row)}</td><td>{picture}</td></tr>")
    how = next((row for row in rows if row["n_pockets"]), None)
    about = f"Ranked by {how['ranked_by']}, shaped by {how['shaped_by']}." if how else "No pocket was found."
    count = f"{len(rows)} structure" + "s" * (len(rows) != 1)
    return _PAGE.format(count=count, about=about, rows="\n".join(lines))


def _best(row: Mapping[str, Any]) -> str:
    if not row["n_pockets"]:
        return "none"
    parts = [f"score {row['score']}", f"centre {row['x']}, {row['y']}, {row['z']}", f"{row['volume']} &Aring;&sup3;"]
    parts.append(f"{row['n_residues']} residues")
    if row["ligand_distance"] not in (None, "", "n/a"):
        parts.append(f"{row['ligand_distance']} &Aring; from a known ligand")
    return "<br>".join(parts)
