"""Pocket candidates from clusters of alpha spheres: `fpocket-rs` in-process, or an installed fpocket."""

from __future__ import annotations

import dataclasses
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.io.structure import Structure
from medtools.io.structure_writers import pdb_text

CLEARANCE = 1.6
"""Alpha spheres reach to atom centres; 1.6 angstrom inwards lies what fpocket-rs counts as the pocket's volume."""

_CHAINS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_RESIDUES_PER_CHAIN = 9999
_VOLUME_WEIGHT = 4.155899e-4  # of a cubic angstrom in fpocket 4's score
_VOLUME_STEP = 0.5
_HARMLESS = 10_000.0  # seconds: fpocket needs minutes on the largest assemblies


@dataclasses.dataclass(frozen=True)
class Candidates:
    """Candidate pockets, best first.

    fpocket-rs draws volumes at random, without a seed, and they enter its score. Here the volume is counted on a grid,
    and the score is corrected for the difference, so that the same protein gives the same order each time.

    Attributes
    ----------
    centres : (n, 3) float64
        Mean of the alpha-sphere centres weighted by radius, angstrom.
    scores : (n,) float64
        fpocket 4's score.
    druggability : (n,) float64
        fpocket's druggability score (Schmidtke and Barril 2010), 0 to 1.
    volumes : (n,) float64
        Cubic angstrom.
    spheres : tuple of (k, 4) float64
        Alpha spheres of each: x, y, z and radius in angstrom.
    """

    centres: NDArray[np.float64]
    scores: NDArray[np.float64]
    druggability: NDArray[np.float64]
    volumes: NDArray[np.float64]
    spheres: tuple[NDArray[np.float64], ...]

    def __len__(self) -> int:
        return len(self.centres)


@dataclasses.dataclass(frozen=True)
class _Found:
    """One pocket as a finder describes it."""

    spheres: NDArray[np.float64]
    score: float
    druggability: float
    volume: float


def find_candidates(
    structure: Structure,
    *,
    finder: Literal["fpocket-rs", "fpocket"] = "fpocket-rs",
    order: Literal["druggability", "score"] = "druggability",
) -> Candidates:
    """Find candidate pockets.

    The finder sees residues ordered by their position and renumbered, so that neither the order of atoms in a file nor
    its numbering nor its chains can change the result.

    Parameters
    ----------
    structure : Structure
        Cleaned protein atoms.
    finder : {"fpocket-rs", "fpocket"}
        The Rust re-implementation, or the `fpocket` program on the PATH.
    order : {"druggability", "score"}
        What the candidates are sorted by, highest first.

    Returns
    -------
    Candidates
        Possibly none.

    Raises
    ------
    InputError
        The `fpocket` program is not installed, or it fails.
    """
    canonical = _renumbered(structure)
    text = pdb_text(canonical, np.zeros(len(canonical)))
    found = _by_fpocket_rs(text) if finder == "fpocket-rs" else _by_fpocket(text)
    found.sort(key=lambda pocket: (-getattr(pocket, order), -pocket.score, pocket.spheres[0].tolist()))
    centres = [np.average(pocket.spheres[:, :3], axis=0, weights=pocket.spheres[:, 3]) for pocket in found]
    return Candidates(
        centres=np.array(centres, dtype=np.float64).reshape(-1, 3),
        scores=np.array([pocket.score for pocket in found], dtype=np.float64),
        druggability=np.array([pocket.druggability for pocket in found], dtype=np.float64),
        volumes=np.array([pocket.volume for pocket in found], dtype=np.float64),
        spheres=tuple(pocket.spheres for pocket in found),
    )


def _renumbered(structure: Structure) -> Structure:
    labels, residue = np.unique(structure.residue_labels(), return_inverse=True)
    corners = np.full((len(labels), 3), np.inf)
    np.minimum.at(corners, residue, structure.xyz)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[np.lexsort(corners.T[::-1])] = np.arange(len(labels))
    order = np.argsort(rank[residue], kind="stable")
    place = rank[residue][order]
    chains = np.array(list(_CHAINS))
    return dataclasses.replace(
        structure.select(order),
        chain=chains[(place // _RESIDUES_PER_CHAIN) % len(chains)],
        number=place % _RESIDUES_PER_CHAIN + 1,
        insertion=np.full(len(place), ""),
        altloc=np.full(len(place), ""),
        hetero=np.zeros(len(place), dtype=bool),
        occupancy=np.ones(len(place)),
    )


def _by_fpocket_rs(text: str) -> list[_Found]:
    from fpocket_rs import detect_pockets

    pockets = []
    for found in detect_pockets(text)["pockets"]:
        # The finder lists spheres in the order of a hash table.
        spheres = np.array(sorted(found["alpha_spheres"]), dtype=np.float64)
        volume = sphere_volume(spheres)
        score = found["score"] + _VOLUME_WEIGHT * (volume - found["volume"])
        pockets.append(_Found(spheres, round(score, 9), round(found["drug_score"], 9), volume))
    return pockets


def sphere_volume(spheres: NDArray[np.float64]) -> float:
    """Return the volume of the union of alpha spheres, each `CLEARANCE` smaller, counted on a grid of 0.5 angstrom.

    Parameters
    ----------
    spheres : (n, 4) float64
        x, y, z and radius in angstrom.
    """
    centres, radii = spheres[:, :3], np.maximum(spheres[:, 3] - CLEARANCE, 0.0)
    low = np.floor((centres - radii[:, None]).min(axis=0) / _VOLUME_STEP)
    high = np.ceil((centres + radii[:, None]).max(axis=0) / _VOLUME_STEP)
    filled = np.zeros((high - low + 1).astype(int), dtype=bool)
    fill_spheres(filled, low * _VOLUME_STEP, _VOLUME_STEP, centres, radii)
    return float(filled.sum() * _VOLUME_STEP**3)


def fill_spheres(
    filled: NDArray[np.bool_],
    origin: NDArray[np.float64],
    spacing: float,
    centres: NDArray[np.float64],
    radii: NDArray[np.float64],
) -> None:
    """Set the voxels of a grid whose centres lie in any sphere."""
    x, y, z = np.meshgrid(
        *(origin[i] + spacing * np.arange(filled.shape[i]) for i in range(3)), indexing="ij", sparse=True
    )
    for (cx, cy, cz), radius in zip(centres.tolist(), radii.tolist(), strict=True):
        filled |= (x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2 <= radius**2


def _by_fpocket(text: str) -> list[_Found]:
    """Run the program in a folder of its own and read `pockets/pocketN_vert.pqr` and the `_info.txt` table."""
    with tempfile.TemporaryDirectory(prefix="medtools-fpocket-") as folder:
        (Path(folder) / "protein.pdb").write_text(text, encoding="ascii")
        command = ["fpocket", "-f", "protein.pdb"]
        try:
            run = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_HARMLESS, check=False)
        except FileNotFoundError as error:
            raise InputError("finder", "no `fpocket` program on the PATH", "install it or use fpocket-rs") from error
        output = Path(folder) / "protein_out"
        if run.returncode != 0 or not output.is_dir():
            reason = (run.stderr or run.stdout).strip().splitlines()[-1:] or ["no output folder"]
            raise InputError("finder", f"fpocket stopped with code {run.returncode}: {reason[0]}")
        return _read_fpocket(output)


def _read_fpocket(output: Path) -> list[_Found]:
    table: dict[int, dict[str, float]] = {}
    number = 0
    for line in (output / "protein_info.txt").read_text(encoding="ascii", errors="replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip().startswith("Pocket ") and not value.strip():
            number = int(key.split()[1])
            table[number] = {}
        elif value.strip() and number:
            table[number][key.strip()] = float(value)
    pockets = []
    for number in sorted(table):
        lines = (output / "pockets" / f"pocket{number}_vert.pqr").read_text(encoding="ascii").splitlines()
        # PQR rows end in x, y, z, charge and radius.
        rows = [[float(word) for word in line[30:].split()] for line in lines if line.startswith("ATOM")]
        spheres = np.array(rows)[:, [0, 1, 2, 4]]
        own = table[number]
        pockets.append(
            _Found(spheres, own.get("Score", 0.0), own.get("Druggability Score", 0.0), own.get("Volume", 0.0))
        )
    return pockets
