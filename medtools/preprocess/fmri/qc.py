"""Quality of a preprocessed run: numbers, each with a meaning and a threshold, and a verdict with its reasons."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

_BLOCK = 8192


@dataclass(frozen=True)
class Measure:
    """One number of the quality table.

    Attributes
    ----------
    name, unit, meaning : str
    suspicious : str
        `above` or `below` the threshold; empty where there is none.
    threshold : float or None
    """

    name: str
    unit: str
    meaning: str
    suspicious: str = ""
    threshold: float | None = None

    def reason(self, value: float | None) -> str:
        """Say in words why `value` is suspicious; empty where it is not."""
        if value is None or self.threshold is None or not np.isfinite(value):
            return ""
        bad = value > self.threshold if self.suspicious == "above" else value < self.threshold
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name} {value:.3g}{unit} is {self.suspicious} {self.threshold:g}" if bad else ""


@dataclass(frozen=True)
class Thresholds:
    """Where a run becomes suspicious; see `measures` for what each number means."""

    fd_mm: float = 0.5
    mean_fd_mm: float = 0.5
    fd_share: float = 0.2
    displacement_mm: float = 3.0
    roi_coverage: float = 0.5
    brain_overlap: float = 0.88
    tsnr: float = 20.0


def measures(limits: Thresholds) -> tuple[Measure, ...]:
    """List the columns of `qc.tsv` in order."""
    return (
        Measure("n_volumes", "", "volumes analysed, after those dropped"),
        Measure("tr_ms", "ms", "repetition time"),
        Measure("mean_fd_mm", "mm", "mean framewise displacement (Power 2012)", "above", limits.mean_fd_mm),
        Measure("max_fd_mm", "mm", "largest framewise displacement"),
        Measure(
            "fd_share", "", f"share of volumes with framewise displacement over {limits.fd_mm:g} mm", "above",
            limits.fd_share,
        ),
        Measure(
            "max_displacement_mm", "mm", "largest translation along an axis between two volumes of the run", "above",
            limits.displacement_mm,
        ),
        Measure("mean_dvars_percent", "%", "mean change of the brain's voxels between volumes, before regression"),
        Measure("tsnr", "", "median over the brain of mean over standard deviation, trend removed", "below",
                limits.tsnr),
        Measure(
            "brain_overlap", "", "Dice overlap of the run's brain with the template's, within the field of view",
            "below", limits.brain_overlap,
        ),
        Measure("n_rois_absent", "", "regions entirely outside the field of view: their series is 0", "above", 0),
        Measure(
            "n_rois_partial", "", f"regions with less than {limits.roi_coverage:g} of their voxels in view", "above", 0,
        ),
    )  # fmt: skip


def reasons_to_warn(values: Mapping[str, float | None], limits: Thresholds, notes: Sequence[str] = ()) -> list[str]:
    """List every reason to look at a run before using it; an empty list is a pass.

    Parameters
    ----------
    values : mapping
        Measures by name; None where one cannot be had.
    limits : Thresholds
    notes : sequence of str
        Warnings from earlier steps; each is a reason too.
    """
    reasons = [text for measure in measures(limits) if (text := measure.reason(values.get(measure.name)))]
    return [*reasons, *notes]


def dvars_percent(values: np.ndarray) -> np.ndarray:
    """Root mean square over voxels of the change from one volume to the next, in percent of the median signal.

    Power et al. 2012 (NeuroImage 59:2142), whose units are tenths of a percent.

    Parameters
    ----------
    values : (n_volumes, n_voxels) array
        Brain voxels.

    Returns
    -------
    (n_volumes,) float64 array
        0 for the first volume.
    """
    change = [0.0]
    for before, after in itertools.pairwise(values):
        step = after.astype(np.float64) - before
        change.append(float(np.sqrt(np.mean(step**2))))
    level = float(np.median(values.mean(axis=0)))
    return 100 * np.array(change) / (level if level > 0 else 1.0)


def temporal_snr(values: np.ndarray) -> float:
    """Median over voxels of mean over standard deviation after removal of a linear trend.

    Parameters
    ----------
    values : (n_volumes, n_voxels) array
    """
    time = np.linspace(-1, 1, values.shape[0])
    ratios = []
    for start in range(0, values.shape[1], _BLOCK):
        block = values[:, start : start + _BLOCK].astype(np.float64)
        mean = block.mean(axis=0)
        residual = block - mean - np.outer(time, time @ block / (time @ time))
        spread = residual.std(axis=0)
        ratios.append(mean[spread > 0] / spread[spread > 0])
    found = np.concatenate(ratios) if ratios else np.zeros(0)
    return float(np.median(found)) if found.size else 0.0


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Overlap of two masks: twice the intersection over the sum of sizes; 0 where both are empty."""
    total = int(one.sum()) + int(other.sum())
    return 2 * int((one & other).sum()) / total if total else 0.0


def spread_mm(parameters: np.ndarray) -> float:
    """Largest distance along one axis between any two positions of the head in mm.

    Parameters
    ----------
    parameters : (n_volumes, 6) array
        Translations in mm first.
    """
    return float(np.ptp(parameters[:, :3], axis=0).max())
