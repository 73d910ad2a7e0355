"""`medtools stats mci-homology`: which ROI pairs differ between groups, as tables, matrices and P-plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.log import LOGGER
from medtools.core.manifest import Manifest
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.homology import layout
from medtools.homology.plots.significance import degree_chart, p_plot
from medtools.homology.statistics import PairTest, compare_groups, degree_table, significant_pairs
from medtools.io.matrices import write_matrix
from medtools.systems.mci_homology import pr

_SUMMARY = (
    "network", "dimension", "comparison", "n_first", "n_second", "n_pairs", "n_significant",
    "expected_false_positives", "concentration_top2", "alpha", "correction",
)  # fmt: skip


def run(job: Job) -> None:
    """Test every network and dimension, then write what differs."""
    manifest = pr.load_manifest(job.inputs)
    comparisons = _comparisons(manifest, job)
    found = [(n, d) for n, d in pr.available(manifest, job.params.homology) if _wanted(n, job.params.networks)]
    if not found:
        raise InputError("--networks", f"none of {', '.join(job.params.networks)} in {job.params.homology}")
    summary: list[dict[str, Any]] = []
    pairs: list[pd.DataFrame] = []
    degrees: list[pd.DataFrame] = []
    for network in dict.fromkeys(n for n, _ in found):
        tests: dict[str, list[PairTest]] = {name: [] for name in comparisons}
        dims = [d for n, d in found if n == network]
        rois: Sequence[str] = ()
        for dim in dims:
            job.deadline.check()
            cohort = pr.read_cohort(manifest, job.params.homology, network, dim, job.params.group)
            rois = cohort.rois
            for name, (first, second) in comparisons.items():
                test = compare_groups(
                    cohort.of(first),
                    cohort.of(second),
                    groups=(first, second),
                    alpha=job.params.alpha,
                    fdr=job.params.fdr,
                )
                tests[name].append(test)
                place = {"network": network, "dimension": f"H{dim}", "comparison": name}
                summary.append(place | _summarise(test))
                pairs.append(_in_place(significant_pairs(test, rois).rename(columns=_neutral(test)), place))
                degrees.append(_in_place(degree_table(test, rois), place))
                job.wrote(*_write_p(job.out, network, dim, name, rois, test))
        job.wrote(*_draw(job.out, network, dims, tests, rois))
    _write_tables(job, summary, pairs, degrees)


def reads(job: Job) -> list[Path]:
    """List what decides the statistics."""
    return pr.reads(job.inputs, job.params.homology)


def _comparisons(manifest: Manifest, job: Job) -> Mapping[str, tuple[str, str]]:
    """Return the pairs of groups to compare; by default every two, in the order of the manifest."""
    groups = list(dict.fromkeys(manifest.labels(job.params.group)))
    chosen = [tuple(text.split(":")) for text in job.params.comparisons] or list(combinations(groups, 2))
    for pair in chosen:
        if len(pair) != 2 or pair[0] == pair[1]:
            raise InputError(
                "--comparisons", f"expected first:second, found {':'.join(pair)!r}", "e.g. HC:EMCI,HC:LMCI"
            )
        for group in pair:
            if group not in groups:
                raise InputError("--comparisons", f"unknown group {group!r}", f"the manifest has {', '.join(groups)}")
    if not chosen:
        raise InputError(manifest.path, f"column {job.params.group!r} has one group only, {groups[0]!r}")
    return {f"{first} vs {second}": (first, second) for first, second in chosen}


def _summarise(test: PairTest) -> dict[str, Any]:
    return {
        "n_first": test.sizes[0],
        "n_second": test.sizes[1],
        "n_pairs": test.n_pairs,
        "n_significant": test.n_significant,
        "expected_false_positives": test.expected_false_positives,
        "concentration_top2": test.concentration,
        "alpha": test.alpha,
        "correction": test.correction,
    }


def _neutral(test: PairTest) -> dict[str, str]:
    """Name the medians by position, so that one table holds several comparisons."""
    return {f"median_{test.groups[0]}": "median_first", f"median_{test.groups[1]}": "median_second"}


def _in_place(table: pd.DataFrame, place: Mapping[str, str]) -> pd.DataFrame:
    return pd.concat([pd.DataFrame([place] * len(table), columns=list(place)), table], axis=1)


def _write_p(out: Path, network: str, dim: int, comparison: str, rois: Sequence[str], test: PairTest) -> Iterable[Path]:
    stem = f"{layout.file_word(network)}_H{dim}_{layout.file_word(comparison)}"
    for kind, matrix in {"p": test.p_adjusted, "significant": test.mask.astype(float)}.items():
        path = out / "matrices" / f"{stem}_{kind}.tsv"
        write_matrix(path, rois, matrix)
        yield path


def _draw(
    out: Path, network: str, dims: Sequence[int], tests: Mapping[str, Sequence[PairTest]], rois: Sequence[str]
) -> Iterable[Path]:
    path = out / "figures" / f"pplot_{layout.file_word(network)}.png"
    save_figure(p_plot(tests, rois, network=network, dimensions=dims), path)
    yield path
    for position, dim in enumerate(dims):
        path = out / "figures" / f"degree_{layout.file_word(network)}_H{dim}.png"
        by_name = {name: found[position] for name, found in tests.items()}
        save_figure(degree_chart(by_name, rois, dimension=dim, network=network), path)
        yield path


def _write_tables(
    job: Job, summary: list[dict[str, Any]], pairs: list[pd.DataFrame], degrees: list[pd.DataFrame]
) -> None:
    path = job.out / "summary.tsv"
    write_tsv(path, _SUMMARY, summary)
    job.wrote(path)
    for name, parts in {"pairs": pairs, "degrees": degrees}.items():
        table = pd.concat(parts, ignore_index=True)
        write_tsv(job.out / f"{name}.tsv", list(table.columns), table.to_dict("records"))
        job.wrote(job.out / f"{name}.tsv")
    for row in summary:
        LOGGER.info(
            "%s H%s %s: %d of %d pairs significant, %.2f expected by chance",
            row["network"],
            row["dimension"].removeprefix("H"),
            row["comparison"],
            row["n_significant"],
            row["n_pairs"],
            row["expected_false_positives"],
        )


def _wanted(network: str, networks: Sequence[str]) -> bool:
    return not networks or network in networks
