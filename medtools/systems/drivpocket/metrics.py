"""DCC, DVO and DCA: does a predicted pocket lie where the ligand binds, and does it have the cavity's shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree

SUCCESS = 4.0
_OVERLAP_CELL = 2.0


@dataclasses.dataclass(frozen=True)
class SiteScore:
    """One labelled site against its nearest prediction.

    Attributes
    ----------
    distance : float
        Angstrom; infinite where nothing was predicted.
    hit : bool
        `distance` <= 4 angstrom.
    overlap : float
        DVO: intersection over union of volumes for a hit, 0 otherwise.
    """

    distance: float
    hit: bool
    overlap: float = 0.0


def centre_distances(
    cavities: Sequence[NDArray[np.float64]], pockets: Sequence[NDArray[np.float64]]
) -> list[SiteScore]:
    """Score each labelled cavity by DCC and DVO against the prediction whose centroid is nearest.

    Parameters
    ----------
    cavities : sequence of (n, 3) float64
        Points of each labelled cavity, angstrom, at 1 angstrom.
    pockets : sequence of (m, 3) float64
        Voxel coordinates of each predicted pocket.

    Returns
    -------
    list of SiteScore
        One per cavity; a protein without predictions scores a miss for each.
    """
    centroids = np.array([pocket.mean(axis=0) for pocket in pockets]).reshape(-1, 3)
    scores = []
    for cavity in cavities:
        distances = np.linalg.norm(centroids - cavity.mean(axis=0), axis=1)
        if not len(distances):
            scores.append(SiteScore(np.inf, False))
            continue
        best = int(distances.argmin())
        hit = bool(distances[best] <= SUCCESS)
        scores.append(SiteScore(float(distances[best]), hit, volume_overlap(cavity, pockets[best]) if hit else 0.0))
    return scores


def volume_overlap(cavity: NDArray[np.float64], pocket: NDArray[np.float64]) -> float:
    """Return the intersection over union of cells of 2 angstrom that hold the dilated cavity and the pocket.

    The cavity's points are put on a 1-angstrom grid and dilated by 3x3x3, as in the published evaluation; cells are
    floor(coordinate / 2), where the code's int() would merge the two cells around zero.
    """
    truth, predicted = _cells(_dilated(cavity)), _cells(pocket)
    union = truth | predicted
    return len(truth & predicted) / len(union) if union else 1.0


def ligand_distances(
    ligands: Sequence[NDArray[np.float64]], centres: NDArray[np.float64], extra: int | None = 0
) -> list[SiteScore]:
    """Score each ligand by DCA: the distance from any of its atoms to the nearest of the best-ranked centres.

    Parameters
    ----------
    ligands : sequence of (n, 3) float64
        Heavy atoms of each labelled ligand, angstrom.
    centres : (k, 3) float64
        Predicted centres, best first.
    extra : int or None
        The n + extra best centres count, n being the number of ligands; None counts all.

    Returns
    -------
    list of SiteScore
        One per ligand.
    """
    considered = centres if extra is None else centres[: len(ligands) + extra]
    scores = []
    for ligand in ligands:
        distance = float(cKDTree(ligand).query(considered)[0].min()) if len(considered) else np.inf
        scores.append(SiteScore(distance, distance <= SUCCESS))
    return scores


def _dilated(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the points of the 1-angstrom grid around their mean, dilated."""
    middle = points.mean(axis=0)
    voxels = np.floor(points - middle + 0.5).astype(np.int64)
    low = voxels.min(axis=0) - 1
    mask = np.zeros(tuple(voxels.max(axis=0) - low + 2), dtype=bool)
    mask[tuple((voxels - low).T)] = True
    return np.argwhere(binary_dilation(mask, np.ones((3, 3, 3)))) + low + middle


def _cells(points: NDArray[np.float64]) -> set[tuple[int, ...]]:
    # The margin keeps rounding from splitting points that lie on the border of two cells.
    return set(map(tuple, np.floor(points / _OVERLAP_CELL + 1e-9).astype(np.int64).tolist()))
