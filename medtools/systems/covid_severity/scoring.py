"""The work of `medtools score` and `medtools reproduce covid-severity`: points from masks, agreement with grades."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medtools.core.atomic import write_json
from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.log import LOGGER
from medtools.core.manifest import Manifest, Row, read_manifest
from medtools.core.stage import Job, Sample
from medtools.core.tables import read_tsv, write_tsv
from medtools.io.guard import printable
from medtools.io.volumes import read_volume
from medtools.metrics.table import COMPARISON_COLUMNS, SCORE_COLUMNS, Score, beside_published, score_rows
from medtools.preprocess.ct.checks import as_labels
from medtools.preprocess.ct.grid import SliceGrid
from medtools.systems.covid_severity import results
from medtools.systems.covid_severity.evaluation import TOLERANCES, Cohort, agreement, fairness, flat
from medtools.systems.covid_severity.figures import ablation_plot, coverage_plot, fairness_plot, involvement_chart
from medtools.systems.covid_severity.grades import Grade, grades_of, read_grades
from medtools.systems.covid_severity.inference import ABLATIONS, LUNGS_AS_LOBES
from medtools.systems.covid_severity.severity import LOBES, LUNGS, MAX_SCORE
from medtools.systems.registry import card

PROPOSED, ANNOTATIONS = "proposed", "annotations"
LEAST_FOR_ABLATION = 2


@dataclass(frozen=True)
class _Task:
    """One mask to score: which scan, which source of infection masks, and the files."""

    row: Row
    source: str
    infection: Path
    kind: str
    labels: Path


def run(job: Job) -> None:
    """Score the infection masks of a manifest; where there are grades, evaluate them."""
    manifest, kind = _manifest(job, ("infection",))
    tasks = [_Task(r, PROPOSED, r.paths["infection"], kind, r.paths[kind]) for r in manifest.rows]
    rows = _score_all(job, tasks)
    if rows is None:
        return
    grades = read_grades(job.params.grades) if job.params.grades else grades_of(manifest.rows, manifest.path)
    if grades:
        _evaluate(job, manifest, {PROPOSED: rows}, grades)
    else:
        LOGGER.info("no grades given: no agreement to report")


def reproduce(job: Job) -> None:
    """Make the paper's tables: scores from the method's masks and from the data set's annotations, beside its own."""
    column = job.params.annotation
    manifest, kind = _manifest(job, ("infection",), (column,))
    without = sum(column not in row.paths for row in manifest.rows)
    if without == len(manifest.rows):
        raise InputError(manifest.path, f"no scan has a file in column {column!r}", "name the masks by --annotation")
    if without:
        LOGGER.warning("%d of %d scans have no annotation and are left out of its row", without, len(manifest.rows))
    tasks = [
        _Task(row, source, row.paths[name], kind, row.paths[kind])
        for source, name in ((PROPOSED, "infection"), (ANNOTATIONS, column))
        for row in manifest.rows
        if name in row.paths
    ]
    rows = _score_all(job, tasks)
    if rows is None:
        return
    grades = read_grades(job.params.grades) if job.params.grades else grades_of(manifest.rows, manifest.path)
    if not grades:
        raise InputError(manifest.path, "no grades", "give --grades, or a column `grade`")
    by_source = {source: [row for row in rows if row["source"] == source] for source in (PROPOSED, ANNOTATIONS)}
    _evaluate(job, manifest, by_source, grades)


def _manifest(job: Job, needed: tuple[str, ...], optional: tuple[str, ...] = ()) -> tuple[Manifest, str]:
    if len(job.inputs) != 1:
        raise InputError("INPUT", f"{len(job.inputs)} given, expected one manifest")
    path = job.inputs[0] / "manifest.tsv" if job.inputs[0].is_dir() else job.inputs[0]
    columns, _ = read_tsv(path)
    kind = next((name for name in ("lobes", "lungs") if name in columns), None)
    if kind is None:
        raise InputError(path, "no column 'lobes'", "give the manifest that `medtools infer covid-severity` wrote")
    return read_manifest(path, (*needed, kind), optional), kind


def _score_all(job: Job, tasks: Sequence[_Task]) -> list[dict[str, Any]] | None:
    """Score every mask; return the rows of `predictions.tsv`, or None where only some samples were asked for."""
    named: dict[str, _Task] = {}
    for task in tasks:
        name = task.row.id if task.source == PROPOSED else f"{task.row.id}_{task.source}"
        if name in named:
            raise InputError("manifest", f"the folder of {name} would hold two scans", f"rename the row {name}")
        named[name] = task
    samples = [
        Sample(name, (task.infection, task.labels), job.out / name / f"{job.stage.section}.json")
        for name, task in named.items()
    ]
    done = job.for_each(samples, lambda sample: _one(job, sample.id, named[sample.id]), "scoring")
    if job.only or not done:
        return None
    rows = []
    for sample in done:
        task = named[sample.id]
        result = results.read_result(job.out / sample.id / results.FILE)
        carried = ablated_totals(task.row)
        cells = results.row(task.row.id, task.row.subject, result | {"ablation": {}})
        rows.append(cells | (carried if task.source == PROPOSED else {}) | {"source": task.source})
    columns = results.columns(rows)
    if len({task.source for task in tasks}) > 1:
        columns.insert(2, "source")
    write_tsv(job.out / "predictions.tsv", columns, rows)
    job.wrote(job.out / "predictions.tsv")
    parts = LOBES if tasks[0].kind == "lobes" else LUNGS
    _save(job, involvement_chart([row for row in rows if row["source"] == PROPOSED], parts), "involvement.png")
    return rows


def ablated_totals(row: Row) -> dict[str, int]:
    """Return the totals without single stages that `medtools infer --ablation` left in the manifest.

    Raises
    ------
    InputError
        One is no score.
    """
    totals = {}
    for column in (f"total_{name}" for name in ABLATIONS):
        text = row.get(column)
        if text is None:
            continue
        if not text.isdecimal() or int(text) > MAX_SCORE:
            found = f"row {row.id}: {column} is {printable(text)!r}"
            raise InputError("manifest", found, f"expected a whole number from 0 to {MAX_SCORE}")
        totals[column] = int(text)
    return totals


def _one(job: Job, name: str, task: _Task) -> Iterable[Path]:
    labels_data, affine = read_volume(task.labels)
    grid = SliceGrid.of(labels_data.shape, affine, printable(task.labels))
    labels = as_labels(grid.to_slices(labels_data), 5 if task.kind == "lobes" else 2, printable(task.labels))
    del labels_data
    data, affine = read_volume(task.infection)
    where = printable(task.infection)
    own = SliceGrid.of(data.shape, affine, where)
    if not own.same_as(grid):
        raise InputError(where, f"infection mask on another grid than {task.labels.name}", "resample it (nearest)")
    infection = np.stack([image != 0 for image in own.to_slices(data)])
    lung_only = task.kind == "lungs"
    result = results.scored(
        infection,
        LUNGS_AS_LOBES[labels] if lung_only else labels,
        grid.voxel_ml,
        lung_only=lung_only,
        zero_below=job.params.zero_below,
        classes=4 if job.params.classes == "4" else 3,
    )
    missing = [part for part, found in result["parts"].items() if found["percent"] is None]
    notes = ["lung mask: no lobes, so no lobe scores"] if lung_only else []
    notes += [f"no voxel of the {', '.join(missing)} lobe: no total score".replace("_", " ")] if missing else []
    for note in notes:
        LOGGER.warning("%s: %s", name, note)
    path = job.out / name / results.FILE
    write_json(path, result | {"mask": f"{task.kind}, supplied", "notes": notes})
    return [path]


def _evaluate(
    job: Job, manifest: Manifest, by_source: Mapping[str, Sequence[Mapping[str, Any]]], grades: Mapping[str, Grade]
) -> None:
    """Write `scores.tsv`, `comparison.tsv`, `excluded.tsv` and the figures."""
    _write_excluded(job, manifest, by_source[PROPOSED], grades)
    cohorts = {source: _cohort(rows, grades, "total") for source, rows in by_source.items()}
    cohorts = {source: cohort for source, cohort in cohorts.items() if len(cohort.truth)}
    if PROPOSED not in cohorts:
        raise InputError(manifest.path, "no scan has both a score and a grade", "check that the identifiers agree")
    options: dict[str, Any] = {
        "seed": job.seed,
        "classes": 4 if job.params.classes == "4" else 3,
        "resamples": job.params.resamples,
    }
    overall = {source: agreement(cohort, source, **options) for source, cohort in cohorts.items()}
    groups = fairness(cohorts[PROPOSED], **options)
    scores = [score for metrics in overall.values() for score in metrics.values()] + flat(groups)
    ablated = _ablations(by_source[PROPOSED], grades, options)
    scores += [score for metrics in ablated.values() for score in metrics.values()]
    write_tsv(job.out / "scores.tsv", SCORE_COLUMNS, score_rows(scores))
    write_tsv(job.out / "comparison.tsv", COMPARISON_COLUMNS, beside_published(scores, published()))
    job.wrote(job.out / "scores.tsv", job.out / "comparison.tsv")
    curves = {source: [metrics[f"coverage_{alpha}"] for alpha in TOLERANCES] for source, metrics in overall.items()}
    _save(job, coverage_plot(curves), "coverage.png")
    if groups:
        _save(job, fairness_plot(groups), "fairness.png")
    if ablated:
        _save(job, ablation_plot({"all stages": overall[PROPOSED], **ablated}), "ablation.png")


def published() -> dict[tuple[str, str], float]:
    """Return the paper's tables 1 and 2 as (metric, level) to value, from the card."""
    tables = card("covid-severity").content["published"]
    found: dict[tuple[str, str], float] = {}
    for level, values in {**tables["table 1"], **tables["table 2"]}.items():
        names = ("severity_qwk", "grade_qwk", *(f"coverage_{alpha}" for alpha in TOLERANCES))
        found |= {(name, level): float(value) for name, value in zip(names, values, strict=True)}
    return found


def _ablations(
    rows: Sequence[Mapping[str, Any]], grades: Mapping[str, Grade], options: Mapping[str, Any]
) -> dict[str, dict[str, Score]]:
    found: dict[str, dict[str, Score]] = {}
    for name in ABLATIONS:
        if not any(f"total_{name}" in row for row in rows):
            continue
        cohort = _cohort(rows, grades, f"total_{name}")
        if len(cohort.truth) >= LEAST_FOR_ABLATION:
            label = name.replace("_", " ")
            found[label] = agreement(cohort, label, **options)
    return found


def _cohort(rows: Sequence[Mapping[str, Any]], grades: Mapping[str, Grade], column: str) -> Cohort:
    pairs = [(row, grades[row["id"]]) for row in rows if row["id"] in grades and row.get(column) is not None]
    pairs = [(row, grade) for row, grade in pairs if grade.grade is not None]
    return Cohort(
        truth=np.array([grade.grade for _, grade in pairs], dtype=np.int64),
        predicted=np.array([row[column] for row, _ in pairs], dtype=np.int64),
        subjects=np.array([row["subject"] for row, _ in pairs], dtype=np.str_),
        sex=np.array([grade.sex for _, grade in pairs], dtype=np.str_),
        age=np.array([grade.age for _, grade in pairs], dtype=np.float64),
    )


def _write_excluded(
    job: Job, manifest: Manifest, rows: Sequence[Mapping[str, Any]], grades: Mapping[str, Grade]
) -> None:
    """Name every scan and every grade that takes no part in the agreement, and why."""
    known = {row["id"]: row for row in rows}
    excluded = []
    for row in manifest.rows:
        if row.id in job.failures:
            excluded.append({"id": row.id, "reason": "failed"})
        elif row.id not in grades:
            excluded.append({"id": row.id, "reason": "no grade"})
    for name, grade in grades.items():
        if grade.grade is None:
            excluded.append({"id": name, "reason": f"not graded: {grade.comment or 'no comment'}"})
        elif name not in {row.id for row in manifest.rows}:
            excluded.append({"id": name, "reason": "graded, but not in the manifest"})
        elif name in known and known[name]["total"] is None:
            excluded.append({"id": name, "reason": known[name]["notes"]})
        elif math.isnan(grade.age) or not grade.sex:
            excluded.append({"id": name, "reason": "in no subgroup by age: age or sex unknown"})
    write_tsv(job.out / "excluded.tsv", ["id", "reason"], excluded)
    job.wrote(job.out / "excluded.tsv")


def _save(job: Job, figure: Any, name: str) -> None:
    save_figure(figure, job.out / name)
    job.wrote(job.out / name)
