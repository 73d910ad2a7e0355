"""Which figures a cohort gets: overview, PR, PS and Betti curves, drawn from what the earlier steps wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.params import check
from medtools.core.progress import track
from medtools.core.provenance import read_record
from medtools.core.stage import Job
from medtools.homology import layout
from medtools.homology.embedding import sliding_window
from medtools.homology.inputs import Subject, assign_networks, atlas_file, only_manifest, subjects_of
from medtools.homology.params import DiagramParams, DistanceParams, PlotParams, PsParams
from medtools.homology.plots import cloud, diagrams, matrices
from medtools.homology.signals import repetition_time, samples_of_lag, scaled
from medtools.homology.summaries import betti_curve, filtration_grid
from medtools.io.atlas import load_atlas
from medtools.io.diagrams import SubjectDiagrams, common_rois, read_diagrams
from medtools.io.matrices import read_matrix
from medtools.io.timeseries import RoiSeries, read_series

_ROIS_IN_GRID = 6
_MOST_NAMES = 100
_PAPER_ROIS = (
    "post cingulate 108", "inf cerebellum 121", "IPL 96", "occipital 106", "post cingulate 80", "pre-SMA 41",
)  # fmt: skip
"""The regions of the paper's Figure 4."""
_UNGROUPED = "all subjects"
_GROUND = {"l2": "L2", "linf": "L∞"}

Named = tuple[str, Callable[[], Figure]]
"""A figure's path without suffix, and what draws it."""


@dataclass(frozen=True)
class _Drawn:
    """A subject with its diagrams and the parameters they were made by."""

    subject: Subject
    group: str
    made_by: DiagramParams
    stored: SubjectDiagrams


def reads(job: Job) -> Iterator[Path]:
    """List what decides the figures: the manifest, the atlas, and the records of diagrams and PS."""
    yield only_manifest(job.inputs)
    yield from atlas_file(job.params.atlas)
    yield from sorted(job.params.homology.glob("diagrams/*.json"))
    yield from sorted(job.params.homology.glob("PS/*/ps.json"))


def run(job: Job) -> None:
    """Draw every figure into `<out>/{subjects,PR,PS,betti}/` and name it to the job."""
    params: PlotParams = job.params
    manifest = only_manifest(job.inputs)
    everyone = list(_load(manifest, params))
    if not everyone:
        raise InputError(params.homology, f"holds no diagrams of the subjects of {manifest}", "set --homology")
    common_rois({drawn.subject.id: drawn.stored for drawn in everyone})
    figures = [named for kind in (_subjects, _pr, _betti, _ps) for named in kind(everyone, params)]
    for name, draw in track(figures, "figures"):
        job.deadline.check()
        path = job.out / f"{name}.png"
        save_figure(draw(), path, dpi=params.dpi)
        job.wrote(path)


def _load(manifest: Path, params: PlotParams) -> Iterator[_Drawn]:
    folder = params.homology / "diagrams"
    for subject in subjects_of(manifest):
        path = layout.record_file(folder, subject.id)
        record = read_record(path)
        if record is None or record["status"] != "complete":
            continue
        made_by = check(DiagramParams, record["params"], dict.fromkeys(record["params"], str(path)))
        group = subject.cells.get(params.group, _UNGROUPED)
        yield _Drawn(subject, group, made_by, read_diagrams(layout.diagrams_file(folder, subject.id)))


def _chosen(everyone: Sequence[_Drawn], params: PlotParams) -> list[_Drawn]:
    """Return the subjects asked for, or else the first of each group."""
    if not params.subjects:
        return list({drawn.group: drawn for drawn in reversed(everyone)}.values())[::-1]
    by_id = {drawn.subject.id: drawn for drawn in everyone}
    unknown = [name for name in params.subjects if name not in by_id]
    if unknown:
        raise InputError("--subjects", f"no subject {unknown[0]!r}", f"there are {', '.join(list(by_id)[:5])} ...")
    return [by_id[name] for name in params.subjects]


def _subjects(everyone: Sequence[_Drawn], params: PlotParams) -> Iterator[Named]:
    for drawn in _chosen(everyone, params):
        made_by = drawn.made_by
        series = read_series(drawn.subject.series, layout=made_by.layout, key=made_by.key)
        for roi in params.rois or [_strongest_loop(drawn.stored)]:
            name = f"subjects/{drawn.subject.id}/{layout.file_word(roi)}"
            yield name, partial(_overview, drawn, series, _row(drawn, roi), params.tr)


def _overview(drawn: _Drawn, series: RoiSeries, row: int, tr_ms: float | None) -> Figure:
    made_by = drawn.made_by
    tr_ms = tr_ms or repetition_time(series, made_by)
    if tr_ms is None:
        raise InputError(series.source, "no side-car states the repetition time", "give --tr in ms")
    lag = samples_of_lag(made_by, tr_ms)
    signal = scaled(series.values[row], made_by)
    points = sliding_window(signal, made_by.dimension, lag, compat_authors=made_by.compat == "authors")
    title = f"{drawn.subject.id} ({drawn.group}), ROI {drawn.stored.roi_names[row]}"
    bars = drawn.stored.diagrams[row]
    return cloud.overview(signal, points, bars, tr_ms=tr_ms, lag=lag, title=title, unit=_unit(made_by))


def _pr(everyone: Sequence[_Drawn], params: PlotParams) -> Iterator[Named]:
    for drawn in _chosen(everyone, params):
        for path in sorted((params.homology / "PR" / drawn.subject.id).glob("*_H?.tsv")):
            network, _, dim = path.stem.rpartition("_H")
            if not params.networks or network in params.networks:
                yield f"PR/{drawn.subject.id}/{path.stem}", partial(_pr_figure, drawn, path, network, int(dim))


def _pr_figure(drawn: _Drawn, path: Path, network: str, dim: int) -> Figure:
    names, matrix = read_matrix(path)
    return matrices.pr_heatmap(
        matrix,
        names,
        dimension=dim,
        network=network,
        networks=_blocks(names, drawn.made_by.atlas),
        subject=f"{drawn.subject.id} ({drawn.group})",
        distance=_distance(drawn.made_by),
        unit=_unit(drawn.made_by),
    )


def _blocks(names: Sequence[str], atlas_name: str) -> list[str] | None:
    """Return the network of each ROI where there are too many ROIs to name."""
    atlas = load_atlas(atlas_name)
    network_of = dict(zip(atlas.names, atlas.networks, strict=True))
    if len(names) <= _MOST_NAMES or any(name not in network_of for name in names):
        return None
    return [network_of[name] for name in names]


def _betti(everyone: Sequence[_Drawn], params: PlotParams) -> Iterator[Named]:
    first = everyone[0]
    names = first.stored.roi_names
    example = RoiSeries(np.empty((len(names), 0)), names, None, str(params.homology))
    for network, rows in assign_networks(example, params.atlas, params.networks).networks.items():
        yield f"betti/{layout.file_word(network)}", partial(_betti_figure, everyone, network, rows)


def _betti_figure(everyone: Sequence[_Drawn], network: str, rows: Sequence[int]) -> Figure:
    """Average each subject's Betti curves over the network's ROIs, then draw the groups."""
    dims = range(everyone[0].stored.max_dim + 1)
    grid = filtration_grid(d.stored.diagrams[row][k] for d in everyone for row in rows for k in dims)
    curves: dict[str, list[list[NDArray[np.float64]]]] = {}
    for drawn in everyone:
        stacks = curves.setdefault(drawn.group, [[] for _ in dims])
        for k in dims:
            stacks[k].append(np.mean([betti_curve(drawn.stored.diagrams[row][k], grid) for row in rows], axis=0))
    stacked = {group: [np.array(stack) for stack in stacks] for group, stacks in curves.items()}
    title = f"Betti curves, network {network}, mean over {len(rows)} ROIs"
    return diagrams.betti_curves(grid, stacked, title=title, unit=_unit(everyone[0].made_by))


def _ps(everyone: Sequence[_Drawn], params: PlotParams) -> Iterator[Named]:
    """Yield one grid per network and, where the regions of the paper's Figure 4 are all there, that figure."""
    folders = [path.parent for path in sorted(params.homology.glob("PS/*/ps.json"))]
    folders = [folder for folder in folders if not params.networks or folder.name in params.networks]
    for dim in range(everyone[0].stored.max_dim + 1):
        files = {folder: _ps_files(folder, everyone[0].stored.roi_names, dim) for folder in folders}
        for folder, found in files.items():
            preferred = [roi for roi in params.rois or _PAPER_ROIS if roi in found]
            rois = preferred if params.rois else list(dict.fromkeys([*preferred, *found]))[:_ROIS_IN_GRID]
            if rois:
                draw = partial(_ps_figure, everyone, [(folder, roi, found[roi]) for roi in rois], dim)
                yield f"PS/{folder.name}_H{dim}", draw
        named = [(folder, roi, found[roi]) for roi in _PAPER_ROIS for folder, found in files.items() if roi in found]
        if len(named) == len(_PAPER_ROIS):
            yield f"PS/paper-regions_H{dim}", partial(_ps_figure, everyone, named, dim)


def _ps_files(folder: Path, names: Sequence[str], dim: int) -> dict[str, Path]:
    paths = {roi: folder / f"{layout.file_word(roi)}_H{dim}.tsv" for roi in names}
    return {roi: path for roi, path in paths.items() if path.is_file()}


def _ps_figure(everyone: Sequence[_Drawn], panels: Sequence[tuple[Path, str, Path]], dim: int) -> Figure:
    groups = {drawn.subject.id: drawn.group for drawn in everyone}
    folder = panels[0][0]
    stored = [read_matrix(path) for _, _, path in panels]
    subjects = stored[0][0]
    missing = [subject for subject in subjects if subject not in groups]
    if missing:
        raise InputError(folder, f"holds subject {missing[0]!r}, whose diagrams are gone", "run `homology ps` again")
    if any(other != subjects for other, _ in stored):
        raise InputError(folder, "networks hold other subjects than each other", "run `homology ps` again")
    record = read_record(folder / "ps.json")
    distances = check(PsParams, (record or {}).get("params", {}), {})
    return matrices.ps_grid(
        [matrix for _, matrix in stored],
        [groups[subject] for subject in subjects],
        rois=[roi for _, roi, _ in panels],
        networks=[place.name for place, _, _ in panels],
        dimension=dim,
        distance=_distance(distances),
        unit=_unit(everyone[0].made_by),
    )


def _strongest_loop(stored: SubjectDiagrams) -> str:
    """Name the ROI with the longest bar of the highest dimension below two: the one worth looking at."""
    dim = min(1, stored.max_dim)
    lengths = [np.ptp(roi[dim], axis=1).max(initial=0.0) for roi in stored.diagrams]
    return stored.roi_names[int(np.argmax(lengths))]


def _row(drawn: _Drawn, roi: str) -> int:
    names = drawn.stored.roi_names
    if roi not in names:
        raise InputError("--rois", f"no ROI {roi!r} in {drawn.subject.id}", f"there are {', '.join(names[:5])} ...")
    return names.index(roi)


def _distance(made_by: DistanceParams) -> str:
    if made_by.distance == "bottleneck":
        return "Bottleneck distance"
    return f"Wasserstein distance (q = {made_by.order:g}, {_GROUND[made_by.ground]})"


def _unit(made_by: DiagramParams) -> str:
    return "z-score" if made_by.standardize == "zscore_sample" else "signal units"
