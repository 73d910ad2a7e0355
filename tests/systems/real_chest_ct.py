"""Real chest CTs out of registry packages, and an approximate lobe split of their lungs, for the tests that need them.

The split is made of tilted planes through each lung's box. It is no segmentation of lobes: numbers that rest on it
say that the software runs on real scans, and nothing about a patient.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from medtools.preprocess.ct.lungs import LEFT, RIGHT

SOURCES = {
    "totalsegmentator": ("totalsegmentator==2.18.0", ()),
    "pyradiomics": ("pyradiomics==3.0.1", ("--no-build-isolation",)),
}


def fetch(package: str, folder: Path) -> Path:
    """Download and unpack a source distribution; skip the test where there is no registry."""
    requirement, options = SOURCES[package]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", package, *options]
    try:
        subprocess.run([*command, "--dest", str(folder), requirement], check=True, capture_output=True, timeout=300)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip(f"{requirement} cannot be fetched here")
    archive = next(folder.glob(f"{package}-*.tar.gz"))
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def approximate_lobes(lungs: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Split lungs (1 right, 2 left; slices head to feet, rows front to back) by planes into labels 1-5."""
    lobes = np.zeros_like(lungs)
    for side in (LEFT, RIGHT):
        slices, rows, _ = np.nonzero(lungs == side)
        z = (np.arange(lungs.shape[0]) - slices.min()) / max(np.ptp(slices), 1)
        y = (np.arange(lungs.shape[1]) - rows.min()) / max(np.ptp(rows), 1)
        lower = (z[:, None, None] + 0.7 * y[None, :, None] > 0.9) & (lungs == side)
        upper = (lungs == side) & ~lower
        if side == LEFT:
            lobes[upper], lobes[lower] = 1, 2
            continue
        middle = upper & (z[:, None, None] > 0.5)
        lobes[upper], lobes[middle], lobes[lower] = 3, 4, 5
    return lobes
