"""Ranked pockets of one protein: candidates ordered by the classifier, shaped by the network, their atoms named."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medtools.core.devices import compute_threads
from medtools.core.errors import InputError
from medtools.io.candidates import Candidate
from medtools.preprocess.protein.candidates import CLEARANCE, fill_spheres
from medtools.preprocess.protein.cleaning import Protein
from medtools.systems.drivpocket.baselines import RankingClassifier
from medtools.systems.drivpocket.data import Atoms, Sampling, points, voxels
from medtools.systems.drivpocket.fusion import Box, Fusion, fuse, pocket_mask, touching
from medtools.systems.drivpocket.model import Design, DRIVPocket
from medtools.training.checkpoint import load_checkpoint, load_into


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained network, what it reads, and where it computes."""

    model: nn.Module
    sampling: Sampling
    device: torch.device


@dataclasses.dataclass(frozen=True)
class Pocket:
    """One predicted pocket.

    Attributes
    ----------
    candidate : int
        Number of the candidate in the finder's order, from 1.
    score : float
        What it was ranked by.
    centre : (3,) float64
        Mean of its voxels, angstrom.
    box : Box
        Its grid.
    values : (n, n, n) float32
        Fused map.
    mask : (n, n, n) bool
        Its voxels.
    atoms : (n_atoms,) bool
        Atoms within 3.5 angstrom.
    """

    candidate: int
    score: float
    centre: NDArray[np.float64]
    box: Box
    values: NDArray[np.float32]
    mask: NDArray[np.bool_]
    atoms: NDArray[np.bool_]

    @property
    def volume(self) -> float:
        """Cubic angstrom."""
        return float(self.mask.sum() * self.box.spacing**3)

    @property
    def voxels(self) -> NDArray[np.float64]:
        """Coordinates of its voxels, (n, 3) in angstrom."""
        return self.box.position(np.argwhere(self.mask))


@dataclasses.dataclass(frozen=True)
class View:
    """What a picture of one structure shows.

    Attributes
    ----------
    name : str
    protein : Protein
    pockets : sequence of Pocket
        Best first.
    binding : (n_atoms,) float64
        Binding probability of each atom.
    ligands : sequence of (n, 3) float64
        Known ligands, angstrom.
    """

    name: str
    protein: Protein
    pockets: Sequence[Pocket]
    binding: NDArray[np.float64]
    ligands: Sequence[NDArray[np.float64]] = ()


def load_segmenter(path: Path, device: torch.device) -> Network:
    """Load a model of `train drivpocket segment`."""
    params, tensors = _load(path, "segment")
    return _ready(DRIVPocket(Design(**params["design"])), tensors, params, device)


def load_ranker(path: Path, device: torch.device) -> Network:
    """Load a model of `train drivpocket rank`."""
    params, tensors = _load(path, "rank")
    return _ready(RankingClassifier(**params["design"]), tensors, params, device)


def _load(path: Path, part: str) -> tuple[dict, dict]:
    checkpoint = load_checkpoint(path)
    found = f"{checkpoint.params.get('system')} {checkpoint.params.get('part')}"
    if found != f"drivpocket {part}":
        raise InputError(path, f"is a model of {found}", f"expected one of `medtools train drivpocket {part}`")
    return checkpoint.params, checkpoint.tensors


def _ready(model: nn.Module, tensors: dict, params: dict, device: torch.device) -> Network:
    load_into(model, tensors)
    return Network(model.eval().to(device), Sampling(**params["sampling"]), device)


@torch.inference_mode()
def rank_candidates(atoms: Atoms, candidates: Sequence[Candidate], ranker: Network) -> NDArray[np.float64]:
    """Return the classifier's probability that each candidate is a binding site, (n_candidates,)."""
    scores = []
    with compute_threads(1):
        for candidate in candidates:
            grid = voxels(atoms, np.array(candidate.centre), ranker.sampling)[None].to(ranker.device)
            scores.append(float(ranker.model(grid).softmax(-1)[0, 1]))
    return np.array(scores)


@torch.inference_mode()
def shape_pockets(
    atoms: Atoms,
    candidates: Sequence[tuple[int, Candidate, float]],
    segmenter: Network,
    *,
    fusion: Fusion = "eq15",
    threshold: float = 0.5,
    batch_size: int = 1,
) -> tuple[list[Pocket], NDArray[np.float64]]:
    """Shape candidates with the network.

    Parameters
    ----------
    atoms : Atoms
    candidates : sequence of (number, candidate, score)
        Best first.
    segmenter : Network
    fusion : {"eq15", "authors", "add", "none"}
    threshold : float
        Of the fused map.
    batch_size : int
        Candidates per forward pass.

    Returns
    -------
    pockets : list of Pocket
        In the same order, without those that touch no residue.
    binding : (n_atoms,) float64
        Highest probability of each atom over all candidates, 0 where no candidate's points include it.
    """
    sampling, device = segmenter.sampling, segmenter.device
    pockets: list[Pocket] = []
    binding = np.zeros(len(atoms.xyz))
    for start in range(0, len(candidates), batch_size):
        some = candidates[start : start + batch_size]
        centres = [np.array(candidate.centre) for _, candidate, _ in some]
        grids = torch.stack([voxels(atoms, centre, sampling) for centre in centres]).to(device)
        offsets, types, chosen = zip(*(points(atoms, centre, sampling) for centre in centres), strict=True)
        with compute_threads(1):
            cavity, near = segmenter.model(grids, torch.stack(offsets).to(device), torch.stack(types).to(device))
        cavities = torch.sigmoid(cavity).cpu().numpy()
        nears = None if near is None else torch.sigmoid(near).cpu().numpy()
        for i, (number, _, score) in enumerate(some):
            box = Box(centres[i], sampling.grid, sampling.spacing)
            probability = None if nears is None else nears[i]
            if probability is not None:
                np.maximum.at(binding, chosen[i], probability.astype(np.float64))
            fused = fuse(cavities[i], atoms.xyz[chosen[i]], probability, box, fusion)
            pockets += _pocket(number, score, box, fused, pocket_mask(fused, threshold), atoms)
    return pockets, binding


def geometric_pockets(
    atoms: Atoms, candidates: Sequence[tuple[int, Candidate, float]], spheres: Sequence[NDArray[np.float64]]
) -> tuple[list[Pocket], NDArray[np.float64]]:
    """Shape candidates without a network: the union of their alpha spheres, each 1.6 angstrom smaller.

    Alpha spheres reach to the centres of atoms; what is left is where a ligand's atoms may lie.

    Returns
    -------
    pockets, binding
        As `shape_pockets`; an atom's value is 1 / rank of the best pocket that it touches, 0 if it touches none.
    """
    sampling = Sampling()
    pockets: list[Pocket] = []
    for number, candidate, score in candidates:
        box = Box(np.array(candidate.centre), sampling.grid, sampling.spacing)
        own = spheres[number - 1]
        filled = np.zeros((box.size,) * 3, dtype=bool)
        fill_spheres(filled, box.origin, box.spacing, own[:, :3], np.maximum(own[:, 3] - CLEARANCE, 0.0))
        pockets += _pocket(number, score, box, filled.astype(np.float32), filled, atoms)
    binding = np.zeros(len(atoms.xyz))
    for rank, pocket in enumerate(pockets, start=1):
        binding[pocket.atoms & (binding == 0)] = 1.0 / rank
    return pockets, binding


def _pocket(
    number: int, score: float, box: Box, values: NDArray[np.float32], mask: NDArray[np.bool_], atoms: Atoms
) -> list[Pocket]:
    """Return the pocket, or nothing where it has no voxel or touches no residue."""
    near = touching(mask, box, atoms.xyz)
    if not near.any():
        return []
    centre = box.position(np.argwhere(mask)).mean(axis=0)
    return [Pocket(number, score, centre, box, values, mask, near)]
