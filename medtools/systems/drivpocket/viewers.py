"""Ways to look at pockets elsewhere: scripts for PyMOL and ChimeraX, and one HTML page that needs nothing else."""

from __future__ import annotations

import html
import importlib.resources
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion
from scipy.spatial import cKDTree

from medtools.core.figures import PALETTE
from medtools.io.structure import Structure
from medtools.systems.drivpocket.inference import Pocket, View

_BOND = 1.9
_TRACE_GAP = 4.5
_MAX_ATOMS = 12_000
_MAX_POINTS = 700
_STICK_COLOURS = {"N": [60, 90, 220], "O": [215, 50, 40], "S": [200, 160, 0]}


def colour_of(rank: int) -> tuple[int, int, int]:
    """Return the red, green and blue of a pocket's colour, 0 to 255; ranks from 1."""
    text = PALETTE[(rank - 1) % (len(PALETTE) - 1)]
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)


def pymol_script(atoms_file: str, view: View, maps: Sequence[str]) -> str:
    """Return a `.pml` script: cartoon coloured by binding probability, pocket surfaces and numbered centres."""
    lines = [
        "# open with: pymol view.pml",
        "set normalize_ccp4_maps, 0",
        f"load {atoms_file}, protein",
        "hide everything, protein",
        "show cartoon, protein",
        "show surface, protein",
        "set transparency, 0.6",
        "spectrum b, white orange red, protein, 0, 1",
    ]
    if view.ligands:
        lines += ["load ligands.mol2, known_ligands", "show nb_spheres, known_ligands"]
        lines += ["set nb_spheres_size, 0.4, known_ligands", "color black, known_ligands"]
    for rank, pocket in enumerate(view.pockets, start=1):
        x, y, z = pocket.centre.tolist()
        colour = "[" + ", ".join(f"{channel / 255:.3f}" for channel in colour_of(rank)) + "]"
        lines += [
            f"set_color pocket_colour_{rank}, {colour}",
            f'pseudoatom centre_{rank}, pos=[{x:.3f}, {y:.3f}, {z:.3f}], label="{rank}"',
            f"color pocket_colour_{rank}, centre_{rank}",
        ]
        if rank <= len(maps):
            lines += [
                f"load {maps[rank - 1]}, map_{rank}",
                f"isosurface pocket_{rank}, map_{rank}, 0.5",
                f"color pocket_colour_{rank}, pocket_{rank}",
            ]
    lines += ["show sticks, byres (protein and b > 0.5)", "zoom protein"]
    return "\n".join(lines) + "\n"


def chimerax_script(atoms_file: str, view: View, maps: Sequence[str]) -> str:
    """Return a `.cxc` script that shows the same as `pymol_script`."""
    lines = [
        "# open with: chimerax view.cxc",
        f"open {atoms_file}",
        "hide atoms",
        "show cartoons",
        "color byattribute bfactor palette 0,white:0.5,orange:1,red",
        "show @@bfactor>0.5 atoms",
    ]
    for rank, name in enumerate(maps, start=1):
        red, green, blue = colour_of(rank)
        lines += [f"open {name}", f"volume #{rank + 1} level 0.5 color #{red:02x}{green:02x}{blue:02x}b0"]
    for rank, pocket in enumerate(view.pockets, start=1):
        position = ",".join(f"{value:.3f}" for value in pocket.centre.tolist())
        red, green, blue = colour_of(rank)
        lines.append(f"marker #{len(maps) + 2} position {position} radius 0.8 color #{red:02x}{green:02x}{blue:02x}")
        lines.append(f'label #{len(maps) + 2}:{rank} text "{rank}" height 3')
    if view.ligands:
        number = len(maps) + 2 + bool(view.pockets)
        lines += ["open ligands.mol2", f"style #{number} ball", f"color #{number} black"]
    return "\n".join([*lines, "view"]) + "\n"


def html_page(view: View, rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a page with a turnable picture of the protein and its pockets, and their table; it works offline.

    Parameters
    ----------
    view : View
        Binding probabilities colour the carbons of the binding residues.
    rows : sequence of mapping
        Rows of `pockets.tsv`, for score, volume and residues.
    """
    structure, pockets = view.protein.structure, view.pockets
    middle = structure.xyz.mean(axis=0)
    reach = float(np.linalg.norm(structure.xyz - middle, axis=1).max())
    trace = [_short(strand - middle) for strand in backbone(structure)]
    step = -(-len(structure) // _MAX_ATOMS)
    how = f"{rows[0]['ranked_by']} ranking, shapes from {rows[0]['shaped_by']}. " if rows else ""
    content = {
        "name": view.name,
        "about": f"{how}{len(structure)} protein atoms, {len(pockets)} pockets. For research only.",
        "reach": round(reach, 1),
        "turn": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "trace": trace,
        "atoms": _short(structure.xyz[::step] - middle),
        "ligands": [_ligand(ligand - middle) for ligand in view.ligands],
        "pockets": [
            _pocket_data(structure, pocket, view.binding, middle, rank, row)
            for rank, (pocket, row) in enumerate(zip(pockets, rows, strict=True), start=1)
        ],
    }
    template = importlib.resources.files("medtools.resources").joinpath("pocket_viewer.html").read_text("utf-8")
    # "<" never closes the script element early, whatever a file or chain is called.
    data = json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")
    return template.replace("@TITLE@", html.escape(view.name)).replace("@DATA@", data)


def backbone(structure: Structure) -> list[NDArray[np.float64]]:
    """Return the C-alpha traces of the chains, broken where neighbours are more than 4.5 angstrom apart."""
    atoms = structure.select(structure.atom == "CA")
    if len(atoms) < 2:
        return []
    gaps = np.linalg.norm(np.diff(atoms.xyz, axis=0), axis=1) > _TRACE_GAP
    breaks = np.flatnonzero(gaps | (atoms.chain[1:] != atoms.chain[:-1])) + 1
    return [strand for strand in np.split(atoms.xyz, breaks) if len(strand) > 2]


def bonds(xyz: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return pairs of heavy atoms less than 1.9 angstrom apart, (n, 2), sorted."""
    pairs = cKDTree(xyz).query_pairs(_BOND, output_type="ndarray")
    return pairs[np.lexsort(pairs.T[::-1])]


def surface_points(pocket: Pocket, limit: int = _MAX_POINTS) -> tuple[NDArray[np.float64], float]:
    """Return points on a pocket's surface, at most `limit`, and a radius that lets them overlap."""
    mask = pocket.mask & ~binary_erosion(pocket.mask)
    voxels = np.argwhere(mask)
    step = max(1, -(-len(voxels) // limit))
    return pocket.box.position(voxels[::step]), pocket.box.spacing * 0.8 * step**0.5


def _pocket_data(
    structure: Structure,
    pocket: Pocket,
    binding: NDArray[np.float64],
    middle: NDArray[np.float64],
    rank: int,
    row: Mapping[str, Any],
) -> dict[str, Any]:
    points, size = surface_points(pocket)
    return {
        "centre": _short(pocket.centre - middle),
        "colour": list(colour_of(rank)),
        "points": _short(points - middle),
        "size": round(size, 2),
        "sticks": _sticks(structure, pocket, binding, middle),
        "score": f"{row['score']:.3f}",
        "volume": f"{row['volume']:.0f}",
        "n_residues": row["n_residues"],
        "residues": row["residues"],
        "where": f"centre {row['x']}, {row['y']}, {row['z']}" + _from_ligand(row["ligand_distance"]),
    }


def _from_ligand(distance: float | None) -> str:
    return "" if distance is None else f"; {distance} \N{ANGSTROM SIGN} from the nearest atom of a known ligand"


def _ligand(xyz: NDArray[np.float64]) -> dict[str, Any]:
    """Return atoms and the bonds between them."""
    return {"atoms": _short(xyz), "bonds": bonds(xyz).tolist()}


def _sticks(
    structure: Structure, pocket: Pocket, binding: NDArray[np.float64], middle: NDArray[np.float64]
) -> list[list[Any]]:
    """Return the bonds of the residues that touch a pocket, half by half, coloured by element."""
    labels = structure.residue_labels()
    members = np.flatnonzero(np.isin(labels, np.unique(labels[pocket.atoms])))
    xyz = structure.xyz[members]
    halves: list[list[Any]] = []
    for first, second in bonds(xyz).tolist():
        half = (xyz[first] + xyz[second]) / 2
        for end in (first, second):
            colour = _STICK_COLOURS.get(str(structure.element[members[end]]), _carbon(float(binding[members[end]])))
            halves.append([_short(xyz[end] - middle), _short(half - middle), colour])
    return halves


def _carbon(probability: float) -> list[int]:
    """Return grey for carbons that do not bind, orange for those that do."""
    grey, orange = np.array([110, 110, 110]), np.array([230, 140, 20])
    return (grey + (orange - grey) * np.clip(probability, 0, 1)).astype(int).tolist()


def _short(points: NDArray[np.float64]) -> list[Any]:
    return np.round(points, 2).tolist()
