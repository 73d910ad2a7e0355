"""`medtools infer spect-prnet reconstruct`: slices rebuilt patch by patch, in their file's own grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from medtools.core.figures import save_figure
from medtools.core.progress import track
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.io.images import write_image
from medtools.io.nifti import write_volume
from medtools.preprocess.spect import heart as hearts_io
from medtools.preprocess.spect.heart import HeartSlice
from medtools.preprocess.spect.normalise import to_levels
from medtools.systems.spect_prnet.figures import reconstruction_figure
from medtools.systems.spect_prnet.network import TrainedPrNet, read_slices
from medtools.systems.spect_prnet.params import ReconstructParams
from medtools.systems.spect_prnet.patches import tiles
from medtools.training.runs import MODEL

TABLE = "reconstruction.tsv"
_COLUMNS = ("id", "subject", "mse", "psnr_db", "ssim", "file")


def run(job: Job) -> None:
    """Write every slice rebuilt, how near it is to the input, and a figure."""
    params: ReconstructParams = job.params
    trained = TrainedPrNet.read(params.model, job.device)
    rows: list[dict[str, Any]] = []
    shown: list[tuple[str, NDArray[np.float32], NDArray[np.float32]]] = []
    for heart in track(read_slices(job.inputs, trained), "slices"):
        found = rebuild(trained, heart, params.stride)
        path = write_back(heart, found, job.out)
        job.wrote(path)
        rows.append({"id": heart.id, "subject": heart.subject, **quality(heart.image, found), "file": path.name})
        if len(shown) < params.pictures:
            shown.append((heart.id, heart.image, found))
    job.wrote(write_tsv(job.out / TABLE, _COLUMNS, rows))
    if shown:
        save_figure(reconstruction_figure(shown), job.out / "reconstruction.png")
        job.wrote(job.out / "reconstruction.png")


def reads(job: Job) -> list[Path]:
    """List what decides the reconstructions."""
    return [*hearts_io.reads(job.inputs), job.params.model / MODEL]


def rebuild(trained: TrainedPrNet, heart: HeartSlice, stride: int | None = None) -> NDArray[np.float32]:
    """Return a slice rebuilt from its patches, (h, w) in [0, 1]; where patches overlap, their mean."""
    source = trained.source(heart)
    side, (height, width) = source.patch, heart.image.shape
    centres = tiles((height, width), side, stride or side)
    total, count = (np.zeros((height + 2 * side, width + 2 * side)) for _ in range(2))
    for (row, column), patch in zip(centres + side // 2, trained.rebuild(source.around(centres)), strict=True):
        total[row : row + side, column : column + side] += patch
        count[row : row + side, column : column + side] += 1
    inside = slice(side, side + height), slice(side, side + width)
    mean: NDArray[np.float32] = (total[inside] / count[inside]).astype(np.float32)
    return mean


def quality(image: NDArray[np.float32], found: NDArray[np.float32]) -> dict[str, float]:
    """Return mean squared error, PSNR (dB, range 1) and SSIM (Wang et al. 2004, windows of 7 pixels)."""
    error = float(np.mean((image.astype(np.float64) - found) ** 2))
    return {
        "mse": error,
        "psnr_db": float(peak_signal_noise_ratio(image, found, data_range=1)) if error else float("inf"),
        "ssim": float(structural_similarity(image, found, data_range=1)),
    }


def write_back(heart: HeartSlice, values: NDArray[np.float32], folder: Path) -> Path:
    """Write values of a slice where it came from: a volume's own grid with zeros elsewhere, or a 16-bit PNG.

    Parameters
    ----------
    heart : HeartSlice
    values : (h, w) float32
        In [0, 1], on the pixels of `heart.image`.
    folder : Path

    Returns
    -------
    Path
        `<id>_reconstruction.nii.gz`, or `.png` for PNG and DICOM.
    """
    if heart.grid is None:
        return _picture(folder / f"{heart.id}_reconstruction.png", values)
    grid = heart.grid
    count, height, width = grid.shape[grid.axes[0]], grid.shape[grid.axes[1]], grid.shape[grid.axes[2]]
    slices: NDArray[Any] = np.zeros((count, height, width), dtype=np.float32)
    number = count - 1 - heart.slice if grid.flips[0] else heart.slice
    (row, column), (own_height, own_width) = heart.corner, values.shape
    top, left = max(row, 0), max(column, 0)
    bottom, right = min(row + own_height, height), min(column + own_width, width)
    slices[number, top:bottom, left:right] = values[top - row : bottom - row, left - column : right - column]
    path = folder / f"{heart.id}_reconstruction.nii.gz"
    write_volume(path, grid.from_slices(slices), grid.affine)
    return path


def _picture(path: Path, values: NDArray[np.float32]) -> Path:
    write_image(path, to_levels(values))
    return path
