"""A synthetic multi-site cohort: in autism half of two communities loosens, and every site distorts every edge."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from medtools.core.errors import InputError
from medtools.core.manifest import write_manifest
from medtools.core.seeds import generator
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.systems.asd_transformer.cohort import CLASSES, COMMUNITIES, SITES, SUBJECTS, ids, site_names
from medtools.systems.asd_transformer.connectivity import from_triangles, pearson, symmetric, upper_triangles
from medtools.systems.asd_transformer.files import Connectivity, write_connectivity

AFFECTED = (2, 7)
"""Communities that change in autism: somatomotor and default."""

_SHARED, _LOOSENED, _GLOBAL = 0.55, 0.3, 0.3
_SITE_SHIFT_SD, _SITE_SPREAD = 0.10, (0.7, 1.4)
_ASD_SHARES = (0.25, 0.75)


@dataclass(frozen=True)
class Synthetic:
    """A synthetic cohort.

    Attributes
    ----------
    groups, sites : tuple of str
        One per subject.
    communities : (n_rois,) int64
        Community of each ROI.
    series : (n_subjects, n_rois, n_samples) float32
        Without site effect, which acts on connectivity.
    clean, connectivity : (n_subjects, n_rois, n_rois) float32
        Correlations before and after the site effect.
    """

    groups: tuple[str, ...]
    sites: tuple[str, ...]
    communities: NDArray[np.int64]
    series: NDArray[np.float32]
    clean: NDArray[np.float32]
    connectivity: NDArray[np.float32]


def synthesise(
    subjects: int = SUBJECTS,
    sites: int = SITES,
    *,
    rois: int = 200,
    samples: int = 100,
    seed: int = 0,
    confounded: bool = False,
    effect: bool = True,
) -> Synthetic:
    """Draw a cohort.

    x = sqrt(a) S_community + sqrt(1 - a) noise + 0.3 g with a = 0.55, all parts white; in autism a random half of the
    nodes of the communities `AFFECTED`, drawn anew for each subject, has 0.3 a. Connectivity f is Pearson's; each
    site turns edge m into mean_m + delta (f - mean_m) + gamma_m with gamma ~ N(0, 0.10^2) and one delta ~ U(0.7, 1.4).

    Parameters
    ----------
    subjects, sites, rois, samples : int
        Size; subjects go to sites in turn.
    seed : int
        Of all draws.
    confounded : bool
        The share of autism rises from 0.25 at the first site to 0.75 at the last, instead of half everywhere.
    effect : bool
        False draws everyone as a control: the null cohort.
    """
    names = site_names(subjects, sites)
    number = community_numbers(rois)
    groups = _groups(names, confounded)
    series = np.empty((subjects, rois, samples), dtype=np.float32)
    clean = np.empty((subjects, rois, rois), dtype=np.float32)
    with threadpool_limits(1):
        for subject in range(subjects):
            rng = generator(seed, "subject", subject)
            share = _shares(rng, number, loosened=effect and groups[subject] == CLASSES[1])
            series[subject] = _draw(rng, number, share, samples)
            clean[subject] = pearson(series[subject].astype(np.float64))[0]
    measured = add_site_effects(upper_triangles(clean), names, seed)
    matrices = symmetric(from_triangles(measured, rois)).astype(np.float32)
    return Synthetic(tuple(groups), tuple(names), number, series, clean, matrices)


def add_site_effects(values: NDArray[np.float64], sites: list[str], seed: int) -> NDArray[np.float64]:
    """Distort (n_subjects, n_edges) connectivity by site; not clipped."""
    mean = values.mean(axis=0)
    measured = np.empty_like(values)
    for name in sorted(set(sites)):
        rng, rows = generator(seed, "site", name), np.array(sites) == name
        delta = rng.uniform(*_SITE_SPREAD)
        measured[rows] = mean + delta * (values[rows] - mean) + rng.normal(0.0, _SITE_SHIFT_SD, len(mean))
    return measured


def community_numbers(rois: int) -> NDArray[np.int64]:
    """Return the community of each ROI: Craddock-200's proportions, at least two ROIs each."""
    sizes = np.array(list(COMMUNITIES.values()))
    if rois < 2 * len(sizes):
        raise InputError("rois", f"{rois} ROIs are too few for {len(sizes)} communities of at least 2")
    exact = 2 + (rois - 2 * len(sizes)) * (sizes - 2) / (sizes - 2).sum()
    counts = np.floor(exact + 1e-9).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: rois - counts.sum()]] += 1
    return np.repeat(np.arange(len(sizes)), counts)


def run(job: Job) -> None:
    """Write series, connectivity, the table of communities, `participants.tsv` and, last, the manifest."""
    p = job.params
    made = synthesise(
        p.subjects, p.sites, rois=p.rois, samples=p.samples, seed=job.seed, confounded=p.confounded, effect=p.effect
    )
    names = tuple(f"ROI{i:03d}" for i in range(1, p.rois + 1))
    table = job.out / "communities.tsv"
    write_tsv(table, ["roi", "community", "name"], _community_rows(names, made.communities))
    rows = []
    for index, identifier in enumerate(ids(p.subjects)):
        path = job.out / f"{identifier}_connectivity.npz"
        write_connectivity(path, Connectivity(made.connectivity[index], names, made.series[index]))
        job.wrote(path)
        rows.append(_row(identifier, path, made.groups[index], made.sites[index]))
    people = [{"participant_id": r["id"], "group": r["group"], "site": r["site"]} for r in rows]
    write_tsv(job.out / "participants.tsv", ["participant_id", "group", "site"], people)
    write_manifest(job.out / "manifest.tsv", ["id", "subject", "connectivity", "group", "site"], rows)
    job.wrote(table, job.out / "participants.tsv", job.out / "manifest.tsv")


def _row(identifier: str, path: Path, group: str, site: str) -> dict[str, object]:
    return {"id": identifier, "subject": identifier, "connectivity": path, "group": group, "site": site}


def _community_rows(rois: tuple[str, ...], number: NDArray[np.int64]) -> list[dict[str, object]]:
    known = tuple(COMMUNITIES)
    return [{"roi": r, "community": int(n), "name": known[n]} for r, n in zip(rois, number, strict=True)]


def _groups(sites: list[str], confounded: bool) -> list[str]:
    """Give each site its share of autism: subjects in turn, as evenly as the share allows."""
    names = list(dict.fromkeys(sites))
    shares = np.linspace(*_ASD_SHARES, len(names)) if confounded else np.full(len(names), 0.5)
    seen = dict.fromkeys(names, 0)
    groups = []
    for site in sites:
        share, count = shares[names.index(site)], seen[site]
        groups.append(CLASSES[int(np.floor((count + 1) * share) > np.floor(count * share))])
        seen[site] += 1
    return groups


def _shares(rng: np.random.Generator, number: NDArray[np.int64], *, loosened: bool) -> NDArray[np.float64]:
    share = np.full(len(number), _SHARED)
    for community in AFFECTED:
        nodes = np.flatnonzero(number == community)
        half = rng.permutation(nodes)[: len(nodes) // 2]
        if loosened:
            share[half] *= _LOOSENED
    return share


def _draw(
    rng: np.random.Generator, number: NDArray[np.int64], share: NDArray[np.float64], samples: int
) -> NDArray[np.float64]:
    signals = rng.standard_normal((number.max() + 1, samples))
    noise = rng.standard_normal((len(number), samples))
    shared = rng.standard_normal(samples)
    return np.sqrt(share)[:, None] * signals[number] + np.sqrt(1 - share)[:, None] * noise + _GLOBAL * shared
