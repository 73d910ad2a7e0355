"""`medtools score local-prototype`: Dice of every query and organ, beside copying, published rows and other runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.stage import Job
from medtools.core.tables import read_tsv, write_tsv
from medtools.io.nifti import open_volume
from medtools.metrics.comparison import paired_bootstrap
from medtools.metrics.intervals import bootstrap
from medtools.metrics.table import COMPARISON_COLUMNS, SCORE_COLUMNS, Score, beside_published, score_rows
from medtools.systems import registry
from medtools.systems.local_prototype.cohort import Organ
from medtools.systems.local_prototype.figures import alignment_figure, dice_figure, overlay_figure
from medtools.systems.local_prototype.inference import PAIRS, PREDICTIONS
from medtools.systems.local_prototype.segmentation import smoothed_dice
from medtools.systems.local_prototype.slices import Stack, load_manifest, load_part

DICE_COLUMNS = ("id", "organ", "group", "dice")
_DIFFERENCE_COLUMNS = ("level", "this_run", "other_run", "difference", "ci_low", "ci_high", "p_wilcoxon", "n")
_PUBLISHED_COLUMNS = ("liver", "spleen", "kidney", "psoas")
_SHOWN = 4
_BADLY, _WELL = 0.4, 0.6

Rows = list[dict[str, Any]]


def run(job: Job) -> None:
    """Write `dice.tsv`, `alignment.tsv`, `scores.tsv`, the comparisons and the figures."""
    folder: Path = job.params.predictions
    manifest, organs = load_manifest(job.inputs)
    queries = {stack.id: stack for stack in load_part(manifest, "query")}
    rows = dice_rows(folder, queries, organs)
    job.wrote(write_tsv(job.out / "dice.tsv", DICE_COLUMNS, rows))
    scores = scores_of(rows, seed=job.seed, resamples=job.params.resamples)
    columns, pairs = read_tsv(folder / PAIRS)
    scores += misaligned_scores(pairs, seed=job.seed, resamples=job.params.resamples)
    job.wrote(write_tsv(job.out / "scores.tsv", SCORE_COLUMNS, score_rows(scores)))
    if job.params.published != "none":
        compared = beside_published(scores, published(job.params.published))
        job.wrote(write_tsv(job.out / "comparison.tsv", COMPARISON_COLUMNS, compared))
    if job.params.against is not None:
        other = dice_rows(job.params.against, queries, organs)
        found = difference_rows(rows, other, job.params.against, seed=job.seed, resamples=job.params.resamples)
        job.wrote(write_tsv(job.out / "difference.tsv", _DIFFERENCE_COLUMNS, found))
    job.wrote(write_tsv(job.out / "alignment.tsv", columns, pairs))
    figures = {"dice": dice_figure(rows), "overlays": overlay_figure(overlays(folder, queries, organs))}
    if pairs:
        figures["alignment"] = alignment_figure(pairs)
    for name, figure in figures.items():
        save_figure(figure, job.out / f"{name}.png")
        job.wrote(job.out / f"{name}.png")


def reads(job: Job) -> list[Path]:
    """List what decides the scores."""
    manifest, _ = load_manifest(job.inputs)
    folders = [folder for folder in (job.params.predictions, job.params.against) if folder is not None]
    files = [path for folder in folders for path in sorted(folder.rglob("*.nii.gz"))]
    tables = [folder / name for folder in folders for name in (PREDICTIONS, PAIRS) if (folder / name).is_file()]
    return [
        manifest.path,
        *(row.paths["slices"] for row in manifest.rows if row.get("split") == "query"),
        *files,
        *tables,
    ]


def dice_rows(folder: Path, queries: Mapping[str, Stack], organs: Sequence[Organ]) -> Rows:
    """Return the Dice of each query and organ over the slices that were segmented.

    Raises
    ------
    InputError
        No table of predictions, an unknown query or organ, or a mask on another grid.
    """
    by_name = {organ.name: organ for organ in organs}
    rows = []
    for row in _predictions(folder):
        if row["id"] not in queries or row["organ"] not in by_name:
            raise InputError(folder / PREDICTIONS, f"{row['id']}, {row['organ']} is not in the manifest")
        query, organ = queries[row["id"]], by_name[row["organ"]]
        if not query.labelled:
            raise InputError(folder / PREDICTIONS, f"{query.id} was prepared without a label map, so it has no Dice")
        part = slice(int(row["first"]), int(row["last"]) + 1)
        found = read_mask(folder / row["mask"], query)
        value = smoothed_dice(query.mask(organ)[part], found[part])
        rows.append({"id": row["id"], "organ": organ.name, "group": organ.group, "dice": value})
    return rows


def read_mask(path: Path, query: Stack) -> NDArray[np.bool_]:
    """Read a segmentation in the order of the query's slices.

    Raises
    ------
    InputError
        It has another shape than the query.
    """
    volume = open_volume(path, ndim=3)
    if volume.data.shape != query.grid.shape:
        raise InputError(path, f"shape {volume.data.shape}, the query has {query.grid.shape}")
    return query.grid.to_slices(volume.data) > 0.5


def scores_of(rows: Rows, *, seed: int, resamples: int) -> list[Score]:
    """Return mean Dice per organ, per group (mean of left and right) and over groups, with bootstrap intervals."""
    scores = []
    for level, values in by_level(rows).items():
        subjects, found = np.array(list(values)), np.array(list(values.values()))
        low, high = bootstrap(partial(_mean_of, found), subjects, seed=seed, resamples=resamples)
        scores.append(Score("dice", level, float(found.mean()), low, high, len(found)))
    return scores


def misaligned_scores(pairs: Sequence[Mapping[str, Any]], *, seed: int, resamples: int) -> list[Score]:
    """Return per organ the share of slices segmented well (Dice above 0.6) among those badly aligned (below 0.4).

    The paper's study of misalignment (Figure 3, right); organs of which no pair is badly aligned are left out.

    Parameters
    ----------
    pairs : sequence of mapping
        Rows of `alignment.tsv`: id, organ, alignment_dice, segmentation_dice.
    """
    scores = []
    for organ in dict.fromkeys(row["organ"] for row in pairs):
        chosen = [row for row in pairs if row["organ"] == organ and float(row["alignment_dice"]) < _BADLY]
        if chosen:
            values = np.array([float(row["segmentation_dice"]) > _WELL for row in chosen], dtype=np.float64)
            subjects = np.array([row["id"] for row in chosen])
            low, high = bootstrap(partial(_mean_of, values), subjects, seed=seed, resamples=resamples)
            level = f"{organ}, alignment below {_BADLY}"
            scores.append(Score(f"share above {_WELL}", level, float(values.mean()), low, high, len(values)))
    return scores


def by_level(rows: Rows) -> dict[str, dict[str, float]]:
    """Return for each organ, each group and `mean` (of the groups) the Dice of each query.

    A query that lacks an organ has the mean of what it shows.
    """
    organs: dict[str, dict[str, float]] = {}
    groups: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        organs.setdefault(row["organ"], {})[row["id"]] = row["dice"]
        groups.setdefault(row["group"], {}).setdefault(row["id"], []).append(row["dice"])
    means = {group: {key: float(np.mean(v)) for key, v in found.items()} for group, found in groups.items()}
    each: dict[str, list[float]] = {}
    for found in means.values():
        for key, value in found.items():
            each.setdefault(key, []).append(value)
    pairs = {group: found for group, found in means.items() if group not in organs}
    return organs | pairs | {"mean": {key: float(np.mean(values)) for key, values in each.items()}}


def difference_rows(rows: Rows, other: Rows, where: Path, *, seed: int, resamples: int) -> Rows:
    """Compare two methods on the same queries: paired bootstrap, and Wilcoxon's signed ranks where 6 or more differ.

    Raises
    ------
    InputError
        They do not have the same queries and organs.
    """
    ours, theirs = by_level(rows), by_level(other)
    if {level: set(v) for level, v in ours.items()} != {level: set(v) for level, v in theirs.items()}:
        raise InputError(where, "has other queries or organs", "segment the same ones by both methods")
    found = []
    for level, values in ours.items():
        names = np.array(list(values))
        first, second = (np.array([table[level][name] for name in values]) for table in (ours, theirs))
        difference, (low, high) = paired_bootstrap(
            _mean, first, first, second, subjects=names, seed=seed, resamples=resamples
        )
        differing = int((first != second).sum())
        p = float(stats.wilcoxon(first, second).pvalue) if differing >= 6 else None
        numbers = (float(first.mean()), float(second.mean()), difference, low, high, p, len(names))
        found.append(dict(zip(_DIFFERENCE_COLUMNS, (level, *numbers), strict=True)))
    return found


def published(row: str) -> dict[tuple[str, str], float]:
    """Return a row of the paper's Table 1, or the mean of a row of its ablation, as shares by (metric, level)."""
    tables = registry.card("local-prototype").content["published"]
    if row in tables["ablation"]:
        return {("dice", "mean"): tables["ablation"][row] / 100}
    values = tables["table 1"][row.replace("-", " ")]
    return {("dice", level): value / 100 for level, value in zip((*_PUBLISHED_COLUMNS, "mean"), values, strict=True)}


def overlays(folder: Path, queries: Mapping[str, Stack], organs: Sequence[Organ]) -> list[dict[str, Any]]:
    """Return the middle slice of each organ of one query with truth and segmentation, for the figure."""
    by_name = {organ.name: organ for organ in organs}
    predictions = _predictions(folder)
    chosen = [row for row in predictions if row["id"] == predictions[0]["id"]][: 2 * _SHOWN]
    panels = []
    for row in chosen:
        query, organ = queries[row["id"]], by_name[row["organ"]]
        truth, found = query.mask(organ), read_mask(folder / row["mask"], query)
        number = int(truth.sum(axis=(1, 2)).argmax())
        value = smoothed_dice(truth[number], found[number])
        panels.append(
            {
                "title": f"{row['id']}, {organ.name}",
                "image": query.image[number],
                "truth": truth[number],
                "found": found[number],
                "dice": value,
            }
        )
    return panels


def _mean_of(values: NDArray[np.float64], rows: NDArray[np.int64]) -> float:
    return float(values[rows].mean())


def _mean(_: Any, values: Any) -> float:
    return float(np.mean(values))


def _predictions(folder: Path) -> list[dict[str, str]]:
    path = folder / PREDICTIONS
    columns, rows = read_tsv(path)
    if not {"id", "organ", "first", "last", "mask"} <= set(columns) or not rows:
        raise InputError(path, "is no table of segmentations", "run `medtools infer local-prototype` first")
    return rows
