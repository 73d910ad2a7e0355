"""The synthetic cohort as a scanner would deliver it: 4-D runs of moving heads with the series planted in them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medtools.core.manifest import write_manifest
from medtools.core.seeds import child_seed
from medtools.io.atlas import load_atlas
from medtools.preprocess.fmri.demo import write_dataset, write_run
from medtools.preprocess.fmri.simulate import Scanner, simulate_bold
from medtools.training.folds import map_folds

if TYPE_CHECKING:
    from medtools.systems.mci_homology.demo import Subject


def write_runs(out: Path, subjects: Sequence[Subject], *, seed: int, threads: int = 1) -> list[Path]:
    """Write one run per subject in BIDS, what was planted beside them, and, last, `manifest.tsv`.

    Each series modulates the signal around its region's coordinate; regions that a cohort of one network leaves out
    carry noise only. Slices are acquired interleaved.

    Parameters
    ----------
    out : Path
    subjects : sequence of Subject
        Regions are named as in the Dosenbach table.
    seed : int
        Of anatomy, motion and noise.
    threads : int
        Runs simulated at once; 160 volumes take about 10 s and 0.5 GiB.

    Returns
    -------
    list of Path
        Files written; the manifest has the columns `id`, `subject`, `bold` and `group`.
    """
    runs = map_folds(partial(_write, out, seed), subjects, threads=threads)
    about = write_dataset(out, {subject.id: subject.group for subject in subjects})
    rows = [
        {"id": subject.id, "subject": subject.id, "bold": files[0], "group": subject.group}
        for subject, files in zip(subjects, runs, strict=True)
    ]
    manifest = out / "manifest.tsv"
    write_manifest(manifest, ["id", "subject", "bold", "group"], rows)
    return [path for files in runs for path in files] + [*about, manifest]


def _write(out: Path, seed: int, subject: Subject) -> list[Path]:
    atlas = load_atlas()
    places = dict(zip(atlas.names, atlas.xyz, strict=True)) if atlas.xyz is not None else {}
    series = subject.series
    scanner = Scanner(tr_ms=series.tr_ms or 3000.0, interleaved=True)
    coordinates = np.array([places[name] for name in series.roi_names])
    bold = simulate_bold(series.values, coordinates, child_seed(seed, "scanner", subject.id), scanner)
    return write_run(out, subject.id, bold, series.roi_names)
