"""Functional MRI beside nilearn: sphere means and cleaning on one MNI run, then a raw run through every step.

    python benchmarks/fmri.py [--volumes 160] [--repeats 3] [--out FILE.json]

Every figure comes from a process of its own: CPU seconds of that process without imports, wall time, and its peak
resident memory. The sides read the same file and their series are compared. The raw run is simulated with planted
series and known motion, so what was put in is compared with what comes out; see `preprocess.fmri.simulate`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from cases import peak_mib
from scipy.signal import lfilter

TR_MS = 3000.0
MNI_SHAPE, MNI_VOXEL_MM = (61, 73, 61), 3.0


def planted(n_rois: int, n_volumes: int, seed: int) -> np.ndarray:
    """Draw AR(1) series around the card's coefficient of a healthy subject, 0.4."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n_rois, n_volumes + 100))
    return np.array([lfilter([1.0], [1.0, -0.4], row)[100:] for row in noise])


def make_inputs(folder: Path, n_volumes: int) -> None:
    """Write a run in MNI space with random confounds, and a raw run with its truth."""
    from medtools.io.atlas import load_atlas
    from medtools.io.nifti import write_volume
    from medtools.preprocess.fmri.simulate import Scanner, simulate_bold

    rng = np.random.default_rng(0)
    affine = np.diag([MNI_VOXEL_MM] * 3 + [1.0])
    affine[:3, 3] = (-90, -126, -72)
    data = rng.normal(1000, 10, (*MNI_SHAPE, n_volumes)).astype(np.float32)
    write_volume(folder / "mni.nii.gz", data, affine, tr_ms=TR_MS, template_space=True)
    np.save(folder / "confounds.npy", rng.normal(size=(n_volumes, 14)))
    atlas = load_atlas()
    bold = simulate_bold(planted(160, n_volumes, 1), atlas.xyz, 1, Scanner(interleaved=True))
    write_volume(folder / "raw.nii.gz", bold.data, bold.affine, tr_ms=TR_MS)
    np.savez(
        folder / "truth.npz",
        series=bold.series,
        motion=bold.motion,
        mni_from_head=bold.mni_from_head,
        slice_times=bold.scanner.slice_times,
    )


def nilearn_series(folder: Path, report: Any, dtype: type | None = None) -> np.ndarray:
    """Sphere means and cleaning by NiftiSpheresMasker; by default it averages in the file's type, float32."""
    from nilearn.maskers import NiftiSpheresMasker

    from medtools.io.atlas import load_atlas

    atlas = load_atlas()
    report("begin")
    masker = NiftiSpheresMasker(
        [tuple(row) for row in atlas.xyz], radius=5.0, allow_overlap=True, detrend=True, standardize="zscore_sample",
        t_r=TR_MS / 1e3, dtype=dtype,
    )  # fmt: skip
    series = masker.fit_transform(folder / "mni.nii.gz", confounds=np.load(folder / "confounds.npy"))
    return np.asarray(series).T


def medtools_series(folder: Path, report: Any) -> np.ndarray:
    """Sphere means and cleaning by medtools, one volume in memory at a time."""
    from medtools.io.atlas import load_atlas
    from medtools.io.nifti import iter_volumes, read_header
    from medtools.preprocess.fmri.confounds import regress
    from medtools.preprocess.fmri.resample import gather_run
    from medtools.preprocess.fmri.spheres import region_means, spheres

    atlas = load_atlas()
    report("begin")
    header = read_header(folder / "mni.nii.gz", ndim=4)
    regions = spheres(atlas.names, atlas.xyz, header.shape, header.affine, 5.0)
    index = regions.all_voxels
    values, inside, _ = gather_run(iter_volumes(header), header.n_volumes, index)
    raw, _ = region_means(values, index, inside, regions)
    confounds = np.load(folder / "confounds.npy")
    return regress(raw, {str(i): column for i, column in enumerate(confounds.T)}, TR_MS)


def whole_pipeline(folder: Path, report: Any) -> np.ndarray:
    """Every step from the raw file, two threads; reports how well the truth is recovered."""
    from medtools.io.atlas import load_atlas
    from medtools.io.nifti import open_volume
    from medtools.preprocess.fmri.confounds import regress
    from medtools.preprocess.fmri.pipeline import Cleaning, align_run, extract, own_confounds, sample_aligned
    from medtools.preprocess.fmri.spheres import spheres
    from medtools.preprocess.fmri.template import load_template

    atlas = load_atlas()
    report("begin")
    truth = np.load(folder / "truth.npz")
    template = load_template(3.0)
    regions = spheres(atlas.names, atlas.xyz, template.brain.shape, template.affine, 5.0)
    raw = open_volume(folder / "raw.nii.gz", ndim=4)
    aligned = align_run(raw.data, raw.affine, TR_MS, template, slice_times_s=truth["slice_times"], threads=2)
    sampled = sample_aligned(aligned, template, regions, threads=2)
    table, _ = own_confounds(sampled)
    found = extract(sampled, regions, TR_MS, Cleaning(), table)
    tissues = {name: table[name] for name in ("white_matter", "csf")}
    report("recovered", motion_errors(aligned.motion, truth["motion"]) | {
        "r, default confounds, against planted series with the same confounds removed": _median_r(
            found.clean, regress(truth["series"], table, TR_MS)
        ),
        "r, default confounds, against planted series as they are": _median_r(found.clean, truth["series"]),
        "r, white matter and csf only, against planted series as they are": _median_r(
            regress(found.raw, tissues, TR_MS), truth["series"]
        ),
        "normalisation error at the regions, mean mm": _normalisation_error(aligned, template, atlas.xyz, truth),
    })  # fmt: skip
    return found.clean


def motion_errors(motion: Any, poses: np.ndarray) -> dict[str, float]:
    """Compare estimated and planted motion, both relative to the middle volume."""
    from medtools.preprocess.fmri.rigid import rigid_matrix, rigid_parameters

    middle = len(poses) // 2
    true = np.array([rigid_matrix(pose, np.zeros(3)) for pose in poses])
    errors = np.array([
        rigid_parameters(a @ np.linalg.inv(motion.matrices[middle]), motion.centre)
        - rigid_parameters(b @ np.linalg.inv(true[middle]), motion.centre)
        for a, b in zip(motion.matrices, true, strict=True)
    ])  # fmt: skip
    return {
        "motion error, largest mm": float(np.abs(errors[:, :3]).max()),
        "motion error, largest degrees": float(np.rad2deg(np.abs(errors[:, 3:]).max())),
    }


def _median_r(found: np.ndarray, planted_series: np.ndarray) -> float:
    return float(np.median([np.corrcoef(a, b)[0, 1] for a, b in zip(found, planted_series, strict=True)]))


def _normalisation_error(aligned: Any, template: Any, xyz: np.ndarray, truth: Any) -> float:
    voxels = np.rint((xyz - template.affine[:3, 3]) / np.diag(template.affine)[:3]).astype(int)
    centres = voxels * np.diag(template.affine)[:3] + template.affine[:3, 3]
    expected = (np.c_[centres, np.ones(len(centres))] @ np.linalg.inv(truth["mni_from_head"]).T)[:, :3]
    found = aligned.points[np.ravel_multi_index(tuple(voxels.T), template.brain.shape)]
    return float(np.linalg.norm(found - expected, axis=1).mean())


SIDES = {
    "nilearn": nilearn_series,
    "nilearn in float64": partial(nilearn_series, dtype=np.float64),
    "medtools": medtools_series,
    "pipeline": whole_pipeline,
}


def run_side(name: str, folder: Path) -> None:
    """Run one side in this process and print its figures as JSON."""
    figures: dict[str, Any] = {}

    def report(what: str, values: dict[str, float] | None = None) -> None:
        if what == "begin":
            figures["begun"] = (time.process_time(), time.monotonic())
        else:
            figures[what] = values

    series = SIDES[name](folder, report)
    cpu, wall = figures.pop("begun")
    figures["cpu_seconds"] = round(time.process_time() - cpu, 2)
    figures["wall_seconds"] = round(time.monotonic() - wall, 2)
    figures["peak_mib"] = peak_mib()
    np.save(folder / f"{name}.npy", series)
    print(json.dumps(figures))


def measure(name: str, folder: Path, repeats: int) -> dict[str, Any]:
    """Keep the repeat with the least CPU time."""
    command = [sys.executable, __file__, "--side", name, "--folder", str(folder)]
    results = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(repeats)
    ]
    return min(results, key=lambda result: result["cpu_seconds"])


def main() -> None:
    """Measure all sides and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--volumes", type=int, default=160)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.side:
        run_side(options.side, options.folder)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_inputs(folder, options.volumes)
        figures = {side: measure(side, folder, 1 if side == "pipeline" else options.repeats) for side in SIDES}
        ours = np.load(folder / "medtools.npy")
        for side in ("nilearn", "nilearn in float64"):
            difference = np.abs(np.load(folder / f"{side}.npy") - ours).max()
            figures[side]["largest difference from medtools, in standard deviations"] = float(difference)
    text = json.dumps({"volumes": options.volumes, **figures}, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
