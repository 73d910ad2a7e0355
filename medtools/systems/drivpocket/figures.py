"""Pictures of predicted pockets, and of how predictions compare with known sites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, LineCollection
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from medtools.core.figures import GREY, PALETTE, new_figure, style
from medtools.preprocess.protein.cleaning import Protein
from medtools.systems.drivpocket.inference import Pocket, View
from medtools.systems.drivpocket.metrics import SUCCESS
from medtools.systems.drivpocket.viewers import backbone, bonds, colour_of, surface_points

_SHOWN = 5
_PER_ROW = 3
_NAMED = 30
_CLOSE = 11.0
_ATOM_RADIUS = 1.7


def draw_pockets(view: View) -> Figure:
    """Draw the protein with its five best pockets, seen from outside the first one, and that pocket from near.

    Parameters
    ----------
    view : View
        Known ligands are drawn in black.

    Returns
    -------
    matplotlib.figure.Figure
    """
    protein, pockets, name = view.protein, view.pockets, view.name
    with style():
        figure = new_figure(9.0, 4.6)
        figure.suptitle(f"{name}: {len(pockets)} pockets" if pockets else f"{name}: no pocket found")
        whole, near = figure.subplots(1, 2)
        xyz = protein.structure.xyz
        middle = xyz.mean(axis=0)
        turn = _facing(pockets[0].centre - middle) if pockets else np.eye(3)
        _draw_whole(whole, protein, pockets[:_SHOWN], middle, turn)
        _draw_ligands(whole, view.ligands, middle, turn)
        if view.ligands:
            whole.set_title(whole.get_title(loc="left") + "; black: known ligand")
        if pockets:
            _draw_near(near, protein, pockets[0], view.binding, turn)
            _draw_ligands(near, view.ligands, pockets[0].centre, turn)
        for axes in (whole, near):
            axes.set_aspect("equal")
            axes.set_axis_off()
    return figure


def draw_overview(pictures: Sequence[Path], total: int) -> Figure:
    """Lay the pictures of several structures side by side, three to a row.

    Parameters
    ----------
    pictures : sequence of Path
        `pockets.png` of each structure.
    total : int
        Structures there are; the title says so where more exist than are shown.
    """
    rows = max(1, -(-len(pictures) // _PER_ROW))
    with style():
        figure = new_figure(4.0 * _PER_ROW, 2.1 * rows + 0.4)
        figure.suptitle(f"pictures of {len(pictures)} of {total} structures")
        panels = figure.subplots(rows, _PER_ROW, squeeze=False).ravel()
        for panel in panels:
            panel.set_axis_off()
        for panel, path in zip(panels, pictures, strict=False):
            panel.imshow(imread(path), interpolation="antialiased")
    return figure


def draw_success(curves: Mapping[str, Sequence[float]], overlaps: Sequence[float]) -> Figure:
    """Draw the share of sites found within a distance, one curve per ranking, and the overlap of shapes.

    Parameters
    ----------
    curves : mapping of str to sequence of float
        Distances of all sites, angstrom; infinite where nothing was predicted.
    overlaps : sequence of float
        DVO of the sites with a known cavity; the panel is left out where there are none.
    """
    with style():
        figure = new_figure(8.0 if overlaps else 4.5, 3.4)
        panels = figure.subplots(1, 2 if overlaps else 1, squeeze=False)[0]
        steps = np.linspace(0.0, 12.0, 241)
        for colour, (label, distances) in zip(PALETTE, curves.items(), strict=False):
            values = np.asarray(distances, dtype=np.float64)
            panels[0].plot(steps, [float((values <= step).mean()) for step in steps], color=colour, label=label)
        panels[0].axvline(SUCCESS, color=GREY, linestyle="--", linewidth=0.8)
        panels[0].set(xlabel="distance (Å)", ylabel="sites found", ylim=(0, 1.02), title="distance to the site")
        panels[0].legend(loc="upper left", bbox_to_anchor=(0.0, -0.2))
        if overlaps:
            panels[1].hist(overlaps, bins=np.linspace(0, 1, 21), color=PALETTE[0])
            panels[1].set(xlabel="DVO", ylabel="sites", title="overlap with the cavity (0: not found)")
    return figure


def _draw_ligands(
    axes: Axes, ligands: Sequence[NDArray[np.float64]], middle: NDArray[np.float64], turn: NDArray[np.float64]
) -> None:
    """Draw known ligands as black sticks over everything, within the frame that the axes have."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for ligand in ligands:
        flat = ((ligand - middle) @ turn.T)[:, :2]
        if not ((flat > (left, low)) & (flat < (right, high))).all():
            continue
        axes.add_collection(LineCollection([flat[pair] for pair in bonds(ligand)], colors="black", linewidths=1.6,
                                           zorder=4))  # fmt: skip
        axes.plot(*flat.T, linestyle="none", marker="o", markersize=1.8, color="black", zorder=4)


def _draw_whole(
    axes: Axes, protein: Protein, pockets: Sequence[Pocket], middle: NDArray[np.float64], turn: NDArray[np.float64]
) -> None:
    """Draw atoms as discs and pockets as dots, far things first and paler."""
    atoms = (protein.structure.xyz - middle) @ turn.T
    reach = float(np.abs(atoms).max()) + 4.0
    frame = float(np.abs(atoms[:, :2]).max()) + 3.0
    strands = [(strand - middle) @ turn.T for strand in backbone(protein.structure)]
    _discs(
        axes, atoms, np.full(len(atoms), _ATOM_RADIUS), np.tile([0.80, 0.80, 0.80], (len(atoms), 1)), reach, edge=True
    )
    axes.add_collection(LineCollection([s[:, :2] for s in strands], colors="#707070", linewidths=0.7, zorder=2))
    for rank, pocket in enumerate(pockets, start=1):
        points, size = surface_points(pocket)
        points = (points - middle) @ turn.T
        colour = np.tile(np.array(colour_of(rank)) / 255, (len(points), 1))
        _discs(axes, points, np.full(len(points), size), colour, reach, alpha=0.5, zorder=3)
    for rank, pocket in enumerate(pockets, start=1):
        x, y = ((pocket.centre - middle) @ turn.T)[:2]
        box = {"boxstyle": "circle,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        axes.annotate(str(rank), (x, y), ha="center", va="center", fontsize=9, fontweight="bold", bbox=box, zorder=4)
    axes.set(xlim=(-frame, frame), ylim=(-frame, frame))
    axes.set_title("seen from outside pocket 1" if pockets else "no pocket")


def _draw_near(
    axes: Axes, protein: Protein, pocket: Pocket, binding: NDArray[np.float64], turn: NDArray[np.float64]
) -> None:
    """Draw the residues around the first pocket by binding probability, each named at its outermost atom."""
    structure = protein.structure
    labels = structure.residue_labels()
    residues = np.unique(labels[pocket.atoms])
    chosen = np.isin(labels, residues)
    atoms = (structure.xyz[chosen] - pocket.centre) @ turn.T
    points, size = surface_points(pocket)
    points = (points - pocket.centre) @ turn.T
    reach = max(_CLOSE, float(np.abs(atoms[:, :2]).max()) + 2.0)
    _discs(axes, points, np.full(len(points), size), np.tile(np.array(colour_of(1)) / 255, (len(points), 1)), reach,
           alpha=0.35, zorder=2)  # fmt: skip
    pale, deep = np.array([0.75, 0.75, 0.75]), np.array([0.84, 0.37, 0.0])
    colours = pale + (deep - pale) * np.clip(binding[chosen], 0, 1)[:, None]
    sticks = [atoms[pair, :2] for pair in bonds(atoms)]
    axes.add_collection(LineCollection(sticks, colors="#555555", linewidths=1.2, zorder=3))
    _discs(axes, atoms, np.full(len(atoms), 0.42), colours, reach, edge=True, zorder=4)
    strength = {residue: float(binding[chosen][labels[chosen] == residue].max()) for residue in residues.tolist()}
    for residue in sorted(strength, key=lambda residue: -strength[residue])[:_NAMED]:
        members = atoms[labels[chosen] == residue, :2]
        outermost = members[np.linalg.norm(members, axis=1).argmax()]
        outwards = outermost / max(float(np.linalg.norm(outermost)), 1e-9)
        chain, number, name = residue.split(":")
        text = f"{name.capitalize()}{number}" + (f" {chain}" if chain else "")
        axes.annotate(
            text, outermost, xytext=8.0 * outwards, textcoords="offset points", fontsize=6, ha="center", va="center",
            path_effects=[withStroke(linewidth=1.5, foreground="white")], zorder=5,
        )  # fmt: skip
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    axes.set_title(f"pocket 1: {len(residues)} residues, {pocket.volume:.0f} Å³; orange atoms bind")


def _discs(
    axes: Axes,
    points: NDArray[np.float64],
    radii: NDArray[np.float64],
    colours: NDArray[np.float64],
    reach: float,
    *,
    alpha: float = 1.0,
    edge: bool = False,
    zorder: int = 1,
) -> None:
    order = np.argsort(points[:, 2], kind="stable")
    depth = np.clip(0.35 - 0.4 * points[order, 2] / reach, 0.0, 0.75)[:, None]
    faces = colours[order] + (1.0 - colours[order]) * depth
    width = 2.0 * radii[order]
    axes.add_collection(
        EllipseCollection(
            width,
            width,
            np.zeros(len(width)),
            units="xy",
            offsets=points[order, :2],
            offset_transform=axes.transData,
            facecolors=faces,
            edgecolors=faces * 0.8 if edge else "none",
            linewidths=0.3 if edge else 0.0,
            alpha=alpha,
            zorder=zorder,
        )
    )


def _facing(direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation that turns `direction` towards the viewer."""
    z = direction / max(float(np.linalg.norm(direction)), 1e-9)
    help_axis = np.array([0.0, 1.0, 0.0]) if abs(z[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
    x = np.cross(help_axis, z)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])
