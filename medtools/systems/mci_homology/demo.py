"""A synthetic HC/EMCI/LMCI cohort: disease changes the memory of hub regions and leaves their correlations alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.manifest import write_manifest
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.io.atlas import load_atlas, networks
from medtools.io.timeseries import RoiSeries
from medtools.io.write_series import write_series
from medtools.systems.mci_homology.bold import write_runs
from medtools.systems.mci_homology.cohort import GROUPS, groups, ids, series_name

TR_MS = 3000.0
N_SAMPLES = 187
SHIFTS = {"HC": (0.0, 0), "EMCI": (0.30, 6), "LMCI": (0.50, 2)}
"""Rise of the autoregressive coefficient, and the number of leading rows of each network that have it."""

_BASE_MEAN, _BASE_SD, _ROI_SD = 0.4, 0.05, 0.03
_COEFFICIENT_RANGE = (0.0, 0.97)
_SHARED_VARIANCE = 0.2
_BURN_IN = 100
_DESCRIPTION = "Synthetic ROI time series (first-order autoregressive); no person was scanned."


@dataclass(frozen=True)
class Subject:
    """One synthetic subject.

    Attributes
    ----------
    id : str
        `sub-0001`, ...
    group : str
        `HC`, `EMCI` or `LMCI`.
    series : RoiSeries
        Values are z-scores.
    """

    id: str
    group: str
    series: RoiSeries


def cohort(
    n_rois: int = 34, per_group: int = 12, *, n_samples: int = N_SAMPLES, seed: int = 0, effect: bool = True
) -> list[Subject]:
    """Draw a cohort.

    Subject s has a base coefficient phi_s ~ N(0.4, 0.05^2), its ROI i has phi_i = phi_s + N(0, 0.03^2) + shift_i,
    clipped to [0, 0.97]. With e_i an AR(1) process of coefficient phi_i and g one of phi_s that all ROIs share, both
    z-scored after 100 samples of burn-in, x_i = sqrt(0.2) g + sqrt(0.8) e_i, z-scored. The shift is 0 in HC, 0.30 in
    rows 0-5 of each network in EMCI (diffuse, mild) and 0.50 in rows 0-1 in LMCI (focal, strong). The expected
    correlation of two ROIs is 0.2 in every group, so correlations cannot tell groups apart; the shape of the
    trajectories can.

    A subject's draws depend on the seed, its group and its number in the group only, not on the size of the cohort,
    nor on `effect`.

    Parameters
    ----------
    n_rois : int
        Size of a Dosenbach network (18, 21, 22, 32, 33 or 34), or 160 for all six.
    per_group : int
        Subjects in each of HC, EMCI and LMCI.
    n_samples : int
        Time points per series.
    seed : int
        Not negative.
    effect : bool
        False draws every group like HC: the null cohort.

    Returns
    -------
    list of Subject
        In the order of `cohort.ids`.

    Raises
    ------
    InputError
        No such network, fewer than one subject or two samples, or a negative seed.
    """
    names, rows_of_networks = _regions(n_rois)
    if per_group < 1 or n_samples < 2 or seed < 0:
        found = f"per_group {per_group}, n_samples {n_samples}, seed {seed}"
        raise InputError("demo", found, "needs at least one subject per group, two samples, and no negative seed")
    subjects = []
    for index, (identifier, group) in enumerate(zip(ids(per_group), groups(per_group), strict=True)):
        rng = np.random.default_rng([seed, GROUPS.index(group), index % per_group])
        shift = np.zeros(n_rois)
        rise, n_hubs = SHIFTS[group]
        for rows in rows_of_networks if effect else ():
            shift[rows[:n_hubs]] = rise
        values = _draw(rng, shift, n_samples)
        values.flags.writeable = False
        subjects.append(Subject(identifier, group, RoiSeries(values, names, TR_MS, f"synthetic:{identifier}")))
    return subjects


def write_cohort(
    out_dir: str | Path,
    n_rois: int = 34,
    per_group: int = 12,
    *,
    n_samples: int = N_SAMPLES,
    seed: int = 0,
    effect: bool = True,
) -> Path:
    """Write a cohort as BIDS-like series with side-cars, `participants.tsv` and, last, `manifest.tsv`.

    Parameters
    ----------
    out_dir : str or Path
        Folder to write to; made if missing.
    n_rois, per_group, n_samples, seed, effect
        As for `cohort`.

    Returns
    -------
    Path
        The manifest, with the columns `id`, `subject`, `series` and `group`.
    """
    out = Path(out_dir)
    people, rows = [], []
    for subject in cohort(n_rois, per_group, n_samples=n_samples, seed=seed, effect=effect):
        path = out / series_name(subject.id)
        write_series(path, subject.series, description=_DESCRIPTION)
        people.append({"participant_id": subject.id, "group": subject.group})
        rows.append({"id": subject.id, "subject": subject.id, "series": path, "group": subject.group})
    write_tsv(out / "participants.tsv", ["participant_id", "group"], people)
    manifest = out / "manifest.tsv"
    write_manifest(manifest, ["id", "subject", "series", "group"], rows)
    return manifest


def run(job: Job) -> None:
    """Write the series, or runs that hold them, with `participants.tsv` and the manifest."""
    p = job.params
    if p.bold:
        subjects = cohort(p.rois, p.per_group, n_samples=p.samples, seed=job.seed, effect=p.effect)
        job.wrote(*write_runs(job.out, subjects, seed=job.seed, threads=job.threads))
        return
    manifest = write_cohort(job.out, p.rois, p.per_group, n_samples=p.samples, seed=job.seed, effect=p.effect)
    series = [job.out / series_name(identifier) for identifier in ids(p.per_group)]
    job.wrote(*series, *(path.with_suffix(".json") for path in series), job.out / "participants.tsv", manifest)


def _regions(n_rois: int) -> tuple[tuple[str, ...], list[list[int]]]:
    """Return ROI names, and the rows of each network among them."""
    atlas = load_atlas()
    members = networks(atlas)
    if n_rois == len(atlas.names):
        return atlas.names, list(members.values())
    for rows in members.values():
        if len(rows) == n_rois:
            return tuple(atlas.names[row] for row in rows), [list(range(n_rois))]
    sizes = ", ".join(str(len(rows)) for rows in members.values())
    raise InputError(
        "demo", f"no network of {n_rois} ROIs", f"networks have {sizes} ROIs, all together {len(atlas.names)}"
    )


def _draw(rng: np.random.Generator, shift: NDArray[np.float64], n_samples: int) -> NDArray[np.float64]:
    """Return the (n_rois, n_samples) z-scored series of one subject."""
    base = rng.normal(_BASE_MEAN, _BASE_SD)
    coefficients = np.clip(base + rng.normal(0.0, _ROI_SD, len(shift)) + shift, *_COEFFICIENT_RANGE)
    shared = _z_scored(_autoregressive(rng, np.array([base]), n_samples))
    own = _z_scored(_autoregressive(rng, coefficients, n_samples))
    return _z_scored(np.sqrt(_SHARED_VARIANCE) * shared + np.sqrt(1.0 - _SHARED_VARIANCE) * own)


def _autoregressive(rng: np.random.Generator, coefficients: NDArray[np.float64], n_samples: int) -> NDArray[np.float64]:
    """x_t = phi x_(t-1) + N(0, 1), one row per coefficient, without the burn-in."""
    noise = rng.standard_normal((len(coefficients), _BURN_IN + n_samples))
    for t in range(1, noise.shape[1]):
        noise[:, t] += coefficients * noise[:, t - 1]
    return noise[:, _BURN_IN:]


def _z_scored(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)
