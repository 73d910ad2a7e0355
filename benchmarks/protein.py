"""Proteins: gridding beside numpy and molgrid, candidates and features of 3,000 atoms, networks per candidate.

    python benchmarks/protein.py [--structure FILE] [--molgrid PYTHON] [--repeats 5] [--full] [--out FILE.json]

Every case runs in a process of its own: median CPU seconds after one warm-up, wall seconds, and peak resident memory.
Without --structure a made globule of about 3,000 atoms is used. molgrid's wheel needs NumPy 1, so it is timed by the
interpreter that --molgrid names; its grid is compared with ours. --full adds the published network at 65 voxels.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SIZE, SPACING = 65, 0.5
MOLGRID = """
import json, resource, statistics, sys, time
import molgrid, numpy as np
data = np.load(sys.argv[1]); out = np.zeros(data["grid"].shape, np.float32)
molgrid.set_gpu_enabled(False)
maker = molgrid.GridMaker(dimension=32.0)
# molgrid's grids are views: the arrays must live as long as they do.
xyz, channels, radii = (data[name].astype("f4") for name in ("xyz", "channels", "radii"))
atoms = molgrid.CoordinateSet(molgrid.Grid2f(xyz), molgrid.Grid1f(channels), molgrid.Grid1f(radii), 14)
times = []
for _ in range(int(sys.argv[2]) + 1):
    begun = time.process_time()
    maker.forward(molgrid.float3(*map(float, data["centre"])), atoms, molgrid.Grid4f(out))
    times.append(time.process_time() - begun)
print(json.dumps({"cpu_s": statistics.median(times[1:]), "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                  / 1024, "largest_difference": float(np.abs(out - data["grid"]).max())}))
"""


def made_structure(n_atoms: int = 3000):
    """Return a globule of about that many atoms."""
    from medtools.systems.drivpocket.demo import globule

    radius = (n_atoms * 2.6**3 / (4 / 3 * np.pi)) ** (1 / 3) + 1.0
    return globule(np.random.default_rng(0), radius).structure


def load(path: str | None):
    """Return the cleaned protein."""
    from medtools.io.structure import read_structure
    from medtools.preprocess.protein.cleaning import clean

    return clean(read_structure(path) if path else made_structure())[0]


def numpy_grid(xyz: np.ndarray, channels: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The straightforward loop: one atom after another, the window of voxels that it reaches."""
    from medtools.preprocess.protein.atom_types import RADII
    from medtools.preprocess.protein.gridder import grid_origin

    grid = np.zeros((14, SIZE, SIZE, SIZE), dtype=np.float32)
    origin = grid_origin(centre, SIZE, SPACING)
    for atom, channel in zip(xyz, channels, strict=True):
        radius = RADII[channel]
        low = np.maximum(np.ceil((atom - 1.5 * radius - origin) / SPACING), 0).astype(int)
        high = np.minimum(np.floor((atom + 1.5 * radius - origin) / SPACING), SIZE - 1).astype(int)
        if (high < low).any():
            continue
        x, y, z = np.meshgrid(*(origin[i] + SPACING * np.arange(low[i], high[i] + 1) for i in range(3)), indexing="ij")
        ratio = np.sqrt((x - atom[0]) ** 2 + (y - atom[1]) ** 2 + (z - atom[2]) ** 2) / radius
        tail = np.exp(-2) * (4 * ratio**2 - 12 * ratio + 9)
        value = np.where(ratio <= 1, np.exp(-2 * ratio**2), np.where(ratio < 1.5, tail, 0))
        grid[channel, low[0] : high[0] + 1, low[1] : high[1] + 1, low[2] : high[2] + 1] += value
    return grid


def case_grid(args: argparse.Namespace) -> dict[str, Any]:
    """Ours on the inner atoms of the protein."""
    from medtools.preprocess.protein.gridder import density_grid

    protein = load(args.structure)
    xyz, centre = protein.structure.xyz, protein.structure.xyz.mean(axis=0)
    return timed(lambda: density_grid(xyz, protein.channels, centre), args.repeats)


def case_grid_numpy(args: argparse.Namespace) -> dict[str, Any]:
    """The numpy loop on the same atoms, and how far it is from ours."""
    from medtools.preprocess.protein.gridder import density_grid

    protein = load(args.structure)
    xyz, centre = protein.structure.xyz, protein.structure.xyz.mean(axis=0)
    result = timed(lambda: numpy_grid(xyz, protein.channels, centre), args.repeats)
    difference = np.abs(numpy_grid(xyz, protein.channels, centre) - density_grid(xyz, protein.channels, centre)).max()
    return result | {"largest_difference": float(difference)}


def case_candidates(args: argparse.Namespace) -> dict[str, Any]:
    """Reading nothing: candidates of the cleaned protein."""
    from medtools.preprocess.protein.candidates import find_candidates

    protein = load(args.structure)
    return timed(lambda: find_candidates(protein.structure), args.repeats) | {"atoms": len(protein)}


def case_features(args: argparse.Namespace) -> dict[str, Any]:
    """Candidates, and for each of them grid, points, reference axes and IRIF at all levels."""
    import torch

    from medtools.preprocess.protein.candidates import find_candidates
    from medtools.systems.drivpocket.data import Atoms, Sampling, points, voxels
    from medtools.systems.drivpocket.points import PointStream

    torch.set_num_threads(1)
    protein = load(args.structure)
    atoms = Atoms(protein.structure.xyz, protein.channels)
    # The narrowest network: what is timed is geometry, not layers.
    stream = PointStream(width=2).eval()
    counts: list[int] = []

    def work() -> None:
        centres = find_candidates(protein.structure).centres
        counts.append(len(centres))
        with torch.inference_mode():
            for centre in centres:
                voxels(atoms, centre, Sampling())
                offsets, types, _ = points(atoms, centre, Sampling())
                stream(offsets[None], types[None])

    return timed(work, args.repeats) | {"atoms": len(protein), "candidates": counts[-1]}


def cloud() -> np.ndarray:
    """Return the points of one candidate: 400 in a ball, nearest to its middle first."""
    points = np.random.default_rng(0).normal(0.0, 0.3, (400, 3))
    return points[np.argsort(np.linalg.norm(points, axis=1))]


def case_geometry(args: argparse.Namespace) -> dict[str, Any]:
    """Neighbours of all points, farthest-point sampling, reference axes and IRIF of one candidate."""
    import torch

    from medtools.systems.drivpocket import geometry

    torch.set_num_threads(1)
    points = torch.from_numpy(cloud())[None]

    def work() -> None:
        axes = geometry.reference_axes(points)
        chosen = geometry.farthest_points(points, 128)
        centres, centre_axes = geometry.gather(points, chosen), geometry.gather(axes, chosen)
        index = geometry.nearest(points, centres, 32, exclude_self=True)
        geometry.invariant_features(points, axes, centres, centre_axes, index)

    return timed(work, args.repeats)


def case_geometry_loop(args: argparse.Namespace) -> dict[str, Any]:
    """The same point by point in numpy, without IRIF: neighbours, axes, farthest points."""
    points = cloud()

    def work() -> None:
        for point in points:
            offsets = points - point
            near = offsets[np.argsort(np.linalg.norm(offsets, axis=1))[1:65]]
            lengths = np.linalg.norm(near, axis=1)
            weights = (lengths.max() - lengths) / (lengths.max() - lengths).sum()
            np.linalg.eigh(np.einsum("k,ki,kj->ij", weights, near, near))
        chosen = [0]
        while len(chosen) < 128:
            gaps = [min(np.linalg.norm(point - points[i]) for i in chosen[-1:]) for point in points]
            chosen.append(int(np.argmax(gaps)))

    return timed(work, args.repeats)


def case_probsparse(args: argparse.Namespace) -> dict[str, Any]:
    """Spatial attention over the 32,768 tokens of the largest map of a 65-voxel grid: what peaks is memory."""
    import torch

    from medtools.systems.drivpocket.attention import spatial_attention

    torch.set_num_threads(1)
    queries, keys, values = torch.randn(3, 1, 4, 32**3, 16, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return timed(lambda: spatial_attention(queries, keys, values), args.repeats)


def network(preset: str, part: str) -> Callable[[argparse.Namespace], dict[str, Any]]:
    """Return the case of one network applied to one candidate."""

    def case(args: argparse.Namespace) -> dict[str, Any]:
        import torch

        from medtools.systems.drivpocket.baselines import RankingClassifier
        from medtools.systems.drivpocket.data import Atoms, Sampling, points, voxels
        from medtools.systems.drivpocket.model import Design, DRIVPocket
        from medtools.systems.drivpocket.params import PRESETS, RANKING_PRESETS

        torch.set_num_threads(1)
        torch.manual_seed(0)
        protein = load(args.structure)
        atoms, centre = Atoms(protein.structure.xyz, protein.channels), protein.structure.xyz.mean(axis=0)
        sizes = (PRESETS if part == "segment" else RANKING_PRESETS)[preset]
        sampling = Sampling(int(sizes["grid"]), sizes["spacing"], int(sizes.get("points", 400)))
        inputs = [voxels(atoms, centre, sampling)[None]]
        if part == "segment":
            model: torch.nn.Module = DRIVPocket(Design(grid=sampling.grid, width=int(sizes["width"])))
            offsets, types, _ = points(atoms, centre, sampling)
            inputs += [offsets[None], types[None]]
        else:
            model = RankingClassifier(width=int(sizes["width"]), size=sampling.grid)
        model.eval()
        with torch.inference_mode():
            return timed(lambda: model(*inputs), args.repeats)

    return case


CASES: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "grid": case_grid,
    "grid numpy loop": case_grid_numpy,
    "candidates": case_candidates,
    "candidates and features": case_features,
    "point geometry": case_geometry,
    "point geometry, loop": case_geometry_loop,
    "ProbSparse at 65^3": case_probsparse,
    "rank candidate, cpu": network("cpu", "rank"),
    "rank candidate, paper": network("paper", "rank"),
    "shape candidate, cpu": network("cpu", "segment"),
}
FULL = {"shape candidate, paper": network("paper", "segment")}


def timed(work: Callable[[], Any], repeats: int) -> dict[str, Any]:
    """Return the median CPU and wall seconds of some runs after one that warms up, and the peak memory."""
    work()
    cpu, wall = [], []
    for _ in range(repeats):
        begun = time.process_time(), time.perf_counter()
        work()
        cpu.append(time.process_time() - begun[0])
        wall.append(time.perf_counter() - begun[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": statistics.median(cpu), "wall_s": statistics.median(wall), "peak_mib": round(peak, 1)}


def molgrid_side(args: argparse.Namespace) -> dict[str, Any]:
    """Time molgrid in its own interpreter on the same atoms."""
    from medtools.preprocess.protein.atom_types import RADII
    from medtools.preprocess.protein.gridder import density_grid

    protein = load(args.structure)
    xyz, centre = protein.structure.xyz, protein.structure.xyz.mean(axis=0)
    grid = density_grid(xyz, protein.channels, centre)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "atoms.npz"
        radii = RADII[protein.channels]
        np.savez(path, xyz=xyz, channels=protein.channels, radii=radii, centre=centre, grid=grid)
        command = [args.molgrid, "-c", MOLGRID, str(path), str(args.repeats)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(run.stdout.strip().splitlines()[-1])


def main() -> None:
    """Run the cases and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structure")
    parser.add_argument("--molgrid", metavar="PYTHON")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps((CASES | FULL)[args.case](args)))
        return
    results = {}
    for name in (*CASES, *(FULL if args.full else ())):
        command = [sys.executable, __file__, "--case", name, "--repeats", str(args.repeats)]
        command += ["--structure", args.structure] if args.structure else []
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        results[name] = json.loads(run.stdout.strip().splitlines()[-1])
        print(f"{name:26s} {json.dumps(results[name])}", flush=True)
    if args.molgrid:
        results["grid molgrid"] = molgrid_side(args)
        print(f"{'grid molgrid':26s} {json.dumps(results['grid molgrid'])}")
    print(f"numpy loop / ours: {results['grid numpy loop']['cpu_s'] / results['grid']['cpu_s']:.1f}")
    if args.out:
        args.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
