"""Regions of interest and the networks they belong to: the packaged Dosenbach-160 table, or a user's own."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.io.guard import printable, read_text
from medtools.io.text import DELIMITERS

DOSENBACH = "dosenbach160"
_BY_NILEARN = ("power264", "seitzman300")
PACKAGED = (DOSENBACH, *_BY_NILEARN)
"""Atlases without a file: Dosenbach et al. (2010), Power et al. (2011, no networks), Seitzman et al. (2020)."""
NETWORKS = {
    "CB": "cerebellum",
    "CO": "cingulo-opercular",
    "DMN": "default mode",
    "FP": "fronto-parietal",
    "OP": "occipital",
    "SM": "sensorimotor",
}
"""Networks of Dosenbach et al. (2010): the paper's abbreviation to its full name, in the order of the table."""
_ALIASES = {"default": "DMN", "default_mode": "DMN", "frontoparietal": "FP"} | {v: k for k, v in NETWORKS.items()}
_MAX_BYTES = 2**24


@dataclass(frozen=True, eq=False)
class Atlas:
    """A table of regions of interest (ROIs).

    Attributes
    ----------
    name : str
        As packaged, or the stem of the user's file.
    names : tuple of str
        Region names, all different.
    networks : tuple of str
        Network of each region, abbreviated.
    xyz : (n_rois, 3) float64 or None
        MNI coordinates in mm, where the table has them.
    """

    name: str
    names: tuple[str, ...]
    networks: tuple[str, ...]
    xyz: NDArray[np.float64] | None


def load_atlas(which: str | Path = DOSENBACH) -> Atlas:
    """Return the packaged atlas, or read a table.

    Parameters
    ----------
    which : str or Path
        One of `PACKAGED`, or a TSV or CSV file with the columns `name` and `network`, and optionally `x`, `y`, `z`
        (MNI, mm). Leading `#` lines are comments.

    Returns
    -------
    Atlas
        For `dosenbach160`: 160 regions, networks in alphabetical order, then by name, then from back to front.

    Raises
    ------
    InputError
        Unknown name, or a table with a missing column, a duplicate or empty name, or a coordinate that is no number.
    """
    if str(which) == DOSENBACH:
        return _dosenbach()
    if str(which) in _BY_NILEARN:
        return _by_nilearn(str(which))
    path = Path(which)
    if path.suffix.lower() not in DELIMITERS:
        fix = f"give {', '.join(PACKAGED)}, or a .tsv or .csv file with columns name and network"
        raise InputError(printable(path), "unknown atlas", fix)
    return _parse(read_text(path, _MAX_BYTES), DELIMITERS[path.suffix.lower()], path.stem, printable(path))


def networks(
    atlas: Atlas, *, wanted: Sequence[str] | None = None, roi_names: Sequence[str] | None = None
) -> dict[str, list[int]]:
    """Return the rows of each network.

    Parameters
    ----------
    atlas : Atlas
        Says which region belongs to which network.
    wanted : sequence of str, optional
        Networks to return, in this order: abbreviations, or full names of the Dosenbach networks. All where missing.
    roi_names : sequence of str, optional
        Names of the rows of a subject's series; rows then count in these. Regions that the atlas does not know, and
        networks left without a row, are left out. By default rows count in the atlas.

    Returns
    -------
    dict of str to list of int
        Rows from 0, in order.

    Raises
    ------
    InputError
        A wanted network that the atlas does not have.
    """
    by_roi = dict(zip(atlas.names, atlas.networks, strict=True))
    members: dict[str, list[int]] = {network: [] for network in dict.fromkeys(atlas.networks)}
    for row, name in enumerate(atlas.names if roi_names is None else roi_names):
        if name in by_roi:
            members[by_roi[name]].append(row)
    if wanted is not None:
        chosen = [network if network in members else network_abbreviation(network) for network in wanted]
        for asked, network in zip(wanted, chosen, strict=True):
            if network not in members:
                raise InputError("networks", f"unknown network {asked!r}", f"{atlas.name} has {', '.join(members)}")
        members = {network: members[network] for network in chosen}
    return {network: rows for network, rows in members.items() if rows}


def network_abbreviation(name: str) -> str:
    """Return the abbreviation of a Dosenbach network's name in any usual spelling; other names as they are."""
    return next((short for short in NETWORKS if short == name.upper()), _ALIASES.get(name.lower(), name))


@cache
def _dosenbach() -> Atlas:
    text = resources.files("medtools.resources").joinpath(f"{DOSENBACH}.tsv").read_text(encoding="utf-8")
    return _parse(text, "\t", DOSENBACH, f"{DOSENBACH}.tsv")


@cache
def _by_nilearn(which: str) -> Atlas:
    from nilearn import datasets

    fetch = datasets.fetch_coords_power_2011 if which == "power264" else datasets.fetch_coords_seitzman_2018
    table = fetch()
    xyz = np.array([table.rois[axis] for axis in "xyz"], dtype=np.float64).T
    names = tuple(f"ROI {number}" for number in range(1, len(xyz) + 1))
    networks_of = tuple(map(str, table.networks)) if "networks" in table else ("none",) * len(xyz)
    return Atlas(which, names, networks_of, xyz)


def _parse(text: str, delimiter: str, name: str, where: str) -> Atlas:
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    try:
        header, *rows = list(csv.reader(lines, delimiter=delimiter, strict=True)) or [[]]
    except csv.Error as error:
        raise InputError(where, f"not a delimited table ({error})") from error
    for column in ("name", "network"):
        if header.count(column) != 1:
            raise InputError(where, f"expected one column {column!r}, found {', '.join(header)[:100] or 'nothing'}")
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise InputError(where, f"row {number} has {len(row)} cells, the header has {len(header)}")
    table = {column: [row[i].strip() for row in rows] for i, column in enumerate(header)}
    names = table["name"]
    for column in ("name", "network"):
        if not rows or "" in table[column]:
            raise InputError(where, f"column {column!r} has no value in row {(*table[column], '').index('') + 1}")
    seen: set[str] = set()
    for region in names:
        if region in seen:
            raise InputError(where, f"region {region!r} appears more than once", "give every region its own name")
        seen.add(region)
    return Atlas(name, tuple(names), tuple(table["network"]), _coordinates(table, where))


def _coordinates(table: dict[str, list[str]], where: str) -> NDArray[np.float64] | None:
    if not {"x", "y", "z"} <= table.keys():
        return None
    try:
        xyz = np.array([table["x"], table["y"], table["z"]], dtype=np.float64).T
    except ValueError as error:
        raise InputError(where, f"a coordinate is no number ({error})", "give x, y, z in mm") from error
    if not np.isfinite(xyz).all():
        raise InputError(where, f"region {int(np.argwhere(~np.isfinite(xyz))[0][0]) + 1} has no finite coordinates")
    return xyz
