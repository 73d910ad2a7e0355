"""`medtools explain asd-transformer`: attention between communities, altered nodes, and what harmonisation did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import false_discovery_control, ttest_ind
from sklearn.linear_model import RidgeClassifier
from threadpoolctl import threadpool_limits
from torch import Tensor

from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.log import LOGGER
from medtools.core.params import check, read_yaml
from medtools.core.stage import Job
from medtools.core.tables import read_tsv, write_tsv
from medtools.systems.asd_transformer import data, figures
from medtools.systems.asd_transformer.classification import TRANSFORMERS, classes_of
from medtools.systems.asd_transformer.connectivity import upper_triangles
from medtools.systems.asd_transformer.features import Features, efficiencies, make_features
from medtools.systems.asd_transformer.inference import check_fits, features_for, load_network, part_of
from medtools.systems.asd_transformer.params import ClassifierParams
from medtools.training.batches import TensorBatches
from medtools.training.inference import predict

Array = NDArray[np.float64]
_SCOPES = ("default", "somatomotor")


@dataclass(frozen=True)
class NodeTest:
    """Welch's t-test of nodal local efficiency, second class minus first; each (n_rois,) float64."""

    first: Array
    second: Array
    t: Array
    p: Array
    p_adjusted: Array


def run(job: Job) -> None:
    """Write tables and figures about one fold of a run."""
    run_params = check(ClassifierParams, read_yaml(job.params.model / "params.yaml"))
    with_sites = run_params.harmonise != "none" or job.params.show_sites
    cohort = data.read_cohort(
        job.inputs,
        job.params.communities,
        group=run_params.group,
        classes=classes_of(run_params),
        site=run_params.site if with_sites else "",
    )
    parts = split_of(job.params.model, job.params.fold, cohort.ids)
    features = _features(job, cohort, run_params, parts["train"])
    _explain_nodes(job, cohort, run_params, features)
    if with_sites:
        _explain_sites(job, cohort, features, parts)
    runs = [job.params.model, *([job.params.against] if job.params.against else [])]
    _explain_attention(job, cohort, parts["test"], runs)


def reads(job: Job) -> list[Path]:
    """List the cohort's files and what the runs say about this fold."""
    files = data.reads(job.inputs, job.params.communities)
    for folder in (job.params.model, job.params.against):
        if folder is not None:
            fold = folder / "folds" / job.params.fold
            own = [folder / "params.yaml", folder / "splits.tsv", fold / "model.ckpt", fold / "harmonisation.npz"]
            files += [path for path in own if path.is_file()]
    return files


def split_of(folder: Path, fold: str, ids: Sequence[str]) -> dict[str, NDArray[np.int64]]:
    """Return the rows of a cohort in each part of a fold.

    Raises
    ------
    InputError
        No such fold, or a subject of it is not in the cohort.
    """
    path = folder / "splits.tsv"
    place = {identifier: row for row, identifier in enumerate(ids)}
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for row in read_tsv(path)[1]:
        if f"r{int(row['repeat']) + 1}f{int(row['fold']) + 1}" != fold:
            continue
        if row["id"] not in place:
            raise InputError(path, f"subject {row['id']!r} is not in the manifest", "give the manifest of the training")
        parts[row["split"]].append(place[row["id"]])
    if not parts["test"]:
        raise InputError("--fold", f"{folder} has no fold {fold!r}", "e.g. r1f1")
    return {name: np.array(rows, dtype=np.int64) for name, rows in parts.items()}


def compare_nodes(efficiency: Array, second: NDArray[np.bool_], fdr: str = "none") -> NodeTest:
    """Test every node's local efficiency between two classes (Figure 3), variances unequal.

    Parameters
    ----------
    efficiency : (n_subjects, n_rois) float64
    second : (n_subjects,) bool
        Who is of the second class.
    fdr : {"none", "bh"}
        Correction over nodes.
    """
    a, b = efficiency[~second], efficiency[second]
    with np.errstate(divide="ignore", invalid="ignore"):
        t, p = ttest_ind(b, a, equal_var=False)
    t, p = np.nan_to_num(t, nan=0.0), np.where(np.isnan(p), 1.0, p)
    adjusted = false_discovery_control(p) if fdr == "bh" else p
    return NodeTest(a.mean(axis=0), b.mean(axis=0), t, p, adjusted)


def site_predictability(
    values: Array, sites: NDArray[np.str_], train: NDArray[np.int64], test: NDArray[np.int64]
) -> float:
    """Return the share of test subjects whose site a ridge classifier of all edges, fitted on others, names."""
    with threadpool_limits(1):
        model = RidgeClassifier().fit(values[train], sites[train])
        return float((model.predict(values[test]) == sites[test]).mean())


def community_attention(attention: Tensor, community: NDArray[np.int64], tokens: int) -> Tensor:
    """Average attention between nodes over heads and pairs of communities, relative to uniform attention.

    Parameters
    ----------
    attention : (B, heads, n, n)
    community : (n,) int64
    tokens : int
        Tokens that shared each row's attention.

    Returns
    -------
    (B, K, K)
        Row: whose nodes attend; column: to whom. 1 is what uniform attention gives.
    """
    member = attention.new_zeros(attention.shape[-1], int(community.max()) + 1)
    member[np.arange(len(community)), community] = 1.0
    average = member / member.sum(dim=0)
    return average.T @ attention.mean(dim=1) @ average * tokens


def shown_sites(sites: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return the sites to draw: as wanted, or the largest, the median and the smallest."""
    names, counts = np.unique(np.array(sites), return_counts=True)
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise InputError("--show-sites", f"no site {unknown[0]!r}", f"there are {', '.join(names)}")
    ordered = names[np.argsort(-counts, kind="stable")].tolist()
    return list(wanted) or list(dict.fromkeys([ordered[0], ordered[len(ordered) // 2], ordered[-1]]))


def _features(job: Job, cohort: data.Cohort, params: ClassifierParams, train: NDArray[np.int64]) -> Features:
    fold = job.params.model / "folds" / job.params.fold
    stored = (fold / "harmonisation.npz").is_file()
    return features_for(fold, cohort, params) if stored else make_features(cohort, params, train)


def _explain_nodes(job: Job, cohort: data.Cohort, params: ClassifierParams, features: Features) -> None:
    efficiency = efficiencies(features.connectivity, params) if features.efficiency is None else features.efficiency
    first, second = classes_of(params)
    found = compare_nodes(efficiency, np.array(cohort.groups) == second, job.params.fdr)
    significant = found.p_adjusted <= job.params.alpha
    names, number = cohort.communities.names, cohort.communities.number
    rows = [
        {
            "roi": roi, "community": names[number[i]], f"mean_{first}": float(found.first[i]),
            f"mean_{second}": float(found.second[i]), "t": float(found.t[i]), "p": float(found.p[i]),
            "p_adjusted": float(found.p_adjusted[i]), "significant": "yes" if significant[i] else "no",
        }
        for i, roi in enumerate(cohort.rois)
    ]  # fmt: skip
    _table(job, "nodes.tsv", rows)
    subjects = [
        {"id": i, "group": g, **dict(zip(cohort.rois, map(float, values), strict=True))}
        for i, g, values in zip(cohort.ids, cohort.groups, efficiency, strict=True)
    ]
    _table(job, "local_efficiency.tsv", subjects)
    LOGGER.info(
        "%d of %d nodes differ at %g (%s); %.1f are expected by chance",
        significant.sum(), len(rows), job.params.alpha, job.params.fdr, job.params.alpha * len(rows),
    )  # fmt: skip
    title = f"Nodal local efficiency, {second} minus {first}"
    figure = figures.nodes_figure(found.second - found.first, significant, number, names, title=title)
    _figure(job, "nodes.png", figure)


def _explain_sites(job: Job, cohort: data.Cohort, features: Features, parts: dict[str, NDArray[np.int64]]) -> None:
    states = {"as measured": upper_triangles(cohort.connectivity)}
    if features.combat is not None:
        states["after ComBat"] = upper_triangles(features.connectivity)
    sites = np.array(cohort.sites)
    _, counts = np.unique(sites[parts["test"]], return_counts=True)
    chance = counts.max() / counts.sum()
    rows = [
        {"connectivity": state, "site_accuracy": site_predictability(values, sites, parts["train"], parts["test"]),
         "largest_site_share": float(chance), "n": len(parts["test"])}
        for state, values in states.items()
    ]  # fmt: skip
    _table(job, "site_predictability.tsv", rows)
    scopes = edge_scopes(cohort)
    curves = {
        state: {scope: {name: values[sites == name][:, edges].mean(axis=0) for name in sorted(set(cohort.sites))}
                for scope, edges in scopes.items()}
        for state, values in states.items()
    }  # fmt: skip
    rows = [
        {"connectivity": state, "edges": scope, "site": name, "mean": float(v.mean()), "sd": float(v.std())}
        for state, by_scope in curves.items() for scope, by_site in by_scope.items() for name, v in by_site.items()
    ]  # fmt: skip
    _table(job, "site_distributions.tsv", rows)
    shown = shown_sites(cohort.sites, job.params.show_sites)
    _figure(job, "sites.png", figures.sites_figure(curves, shown))


def edge_scopes(cohort: data.Cohort) -> dict[str, NDArray[np.bool_]]:
    """Return the edges of the whole brain and of the default and somatomotor networks, where there are such."""
    number, names = cohort.communities.number, cohort.communities.names
    rows, columns = np.triu_indices(len(number), k=1)
    scopes = {"whole brain": np.ones(len(rows), dtype=bool)}
    for name in _SCOPES:
        if name in names:
            here = number == names.index(name)
            if here.sum() > 1:
                scopes[name] = here[rows] & here[columns]
    return scopes


def _explain_attention(job: Job, cohort: data.Cohort, test: NDArray[np.int64], runs: Sequence[Path]) -> None:
    maps: dict[str, dict[str, Array]] = {}
    rows: list[dict[str, Any]] = []
    subjects = part_of(cohort, test)
    for folder in runs:
        params = check(ClassifierParams, read_yaml(folder / "params.yaml"))
        if params.model not in TRANSFORMERS:
            LOGGER.info("%s: %s has no attention between communities to show", folder, params.model)
            continue
        fold = folder / "folds" / job.params.fold
        trained, params, network = load_network(fold)
        check_fits(fold / "model.ckpt", trained, cohort)
        number = cohort.communities.number
        features = features_for(fold, subjects, params)
        batches = TensorBatches((features.weighted,), params.batch)

        def forward(model: Any, batch: Any, number: NDArray[np.int64] = number) -> tuple[Tensor, Tensor]:
            trace = model.trace(batch[0])
            return community_attention(trace.attention, number, trace.tokens), trace.scores

        attention, scores = (part.numpy().astype(np.float64) for part in predict(network, batches, forward))
        title = f"{params.model}, weighting {params.weighting}, interaction {params.interaction}"
        groups = np.array(subjects.groups)
        maps[title] = {name: attention[groups == name].mean(axis=0) for name in classes_of(params)}
        for name in classes_of(params):
            rows += _attention_rows(title, name, maps[title][name], cohort.communities.names)
            mean = scores[groups == name].mean(axis=0)
            rows += [
                {"run": title, "class": name, "from": c, "to": "its prompt", "attention": float(s)}
                for c, s in zip(cohort.communities.names, mean, strict=True)
            ]
    if maps:
        _table(job, "attention.tsv", rows)
        _figure(job, "attention.png", figures.attention_figure(maps, cohort.communities.names))


def _attention_rows(run_title: str, group: str, matrix: Array, names: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"run": run_title, "class": group, "from": names[i], "to": names[j], "attention": float(value)}
        for (i, j), value in np.ndenumerate(matrix)
    ]


def _table(job: Job, name: str, rows: Sequence[dict[str, Any]]) -> None:
    write_tsv(job.out / name, list(rows[0]), rows)
    job.wrote(job.out / name)


def _figure(job: Job, name: str, figure: Any) -> None:
    save_figure(figure, job.out / name)
    job.wrote(job.out / name)
