"""Bone scans in memory: read, described, enlarged, divided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.manifest import Manifest
from medtools.core.progress import track
from medtools.core.seeds import child_seed, generator
from medtools.io import image_cohort
from medtools.io.guard import printable
from medtools.io.images import read_image
from medtools.preprocess.spect.normalise import min_max
from medtools.systems.dspic.cohort import LABELS, targets_for
from medtools.systems.dspic.phantom import HEIGHT
from medtools.training.augmentation import draw_geometry, move, round_robin

Images = NDArray[np.float32]
Draw = Callable[[Images, str, int], Images]

MADE = "made"
"""Manifest column that says how an image was made; empty for real ones."""

GAN = "dcgan"
TARGET = {"N": (1.0, 0.0, 0.0), "M": (0.0, 1.0, 0.0), "A": (0.0, 0.0, 1.0), "MA": (0.0, 0.5, 0.5)}
"""Target probabilities of N, M and A."""


@dataclass(frozen=True)
class Scans:
    """Images with who and what they show.

    Attributes
    ----------
    ids, subjects, labels : (n,) str
    made : (n,) str
        How an image was made (`geometry`, `dcgan`), empty for a real one.
    images : (n, height, width) float32
        In [0, 1].
    """

    ids: NDArray[np.str_]
    subjects: NDArray[np.str_]
    labels: NDArray[np.str_]
    made: NDArray[np.str_]
    images: Images

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def part(self, rows: NDArray[np.int64]) -> Scans:
        """Return some rows, in the order given."""
        return Scans(self.ids[rows], self.subjects[rows], self.labels[rows], self.made[rows], self.images[rows])

    def joined(self, others: Sequence[Scans]) -> Scans:
        """Return these and others, one after the other."""
        parts = [self, *others]
        return Scans(*(np.concatenate([getattr(p, k) for p in parts]) for k in Scans.__dataclass_fields__))

    @property
    def targets(self) -> NDArray[np.float32]:
        """Target probabilities, (n, 3)."""
        return np.array([TARGET[label] for label in self.labels.tolist()], dtype=np.float32).reshape(-1, 3)


def read_scans(inputs: Sequence[Path], size: tuple[int, int], label: str | None) -> Scans:
    """Read every image of a manifest, scaled by Eq. 1 and resampled to `size`.

    Parameters
    ----------
    inputs : sequence of Path
        One manifest, as `medtools preprocess spect` writes it.
    size : (height, width)
    label : str or None
        Column of N, M, A or MA (`M&A` also); None leaves labels empty.

    Raises
    ------
    InputError
        As `manifest_of` and `read_image`; an unknown label; a colour image.
    """
    manifest = image_cohort.manifest_of(inputs)
    images = np.stack([read_scan(row.paths["image"], size) for row in track(manifest.rows, "reading scans")])
    return Scans(
        np.array([row.id for row in manifest.rows]),
        np.array([row.subject for row in manifest.rows]),
        np.array(labels_of(manifest, label) if label else [""] * len(manifest.rows)),
        np.array([row.get(MADE) or "" for row in manifest.rows]),
        images,
    )


def labels_of(manifest: Manifest, column: str) -> list[str]:
    """Return N, M, A or MA for each row."""
    found = [label.replace("&", "") for label in manifest.labels(column)]
    for row, label in zip(manifest.rows, found, strict=True):
        if label not in LABELS:
            raise InputError(
                manifest.path, f"row {row.id!r}: unknown {column} {label!r}", f"known: {', '.join(LABELS)}"
            )
    return found


def read_scan(path: Path, size: tuple[int, int]) -> Images:
    """Read one grey image in [0, 1], (height, width)."""
    pixels = read_image(path)
    if pixels.ndim != 2:
        raise InputError(printable(path), "a colour image, expected counts", "run `medtools preprocess spect` on it")
    values = min_max(pixels).astype(np.float32)
    if values.shape == size:
        return values
    resized = Image.fromarray(values).resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return min_max(np.asarray(resized)).astype(np.float32)


def geometry_draw(shifts: Sequence[int], degrees: Sequence[int], seed: int) -> Draw:
    """Return the function that makes moved copies; shifts are those of an image 1024 high."""

    def draw(sources: Images, label: str, count: int) -> Images:
        scaled = [max(1.0, shift * sources.shape[1] / HEIGHT) for shift in shifts]
        return np.stack(
            [
                move(source, draw_geometry(generator(seed, "geometry", label, number), scaled, degrees))
                for number, source in enumerate(sources[:count])
            ]
        )

    return draw


def enlarge(scans: Scans, mode: str, draw: Draw, seed: int) -> Scans:
    """Add images to the diseased classes until each has as many as the paper's share.

    Geometric copies keep the subject of their source; what a DCGAN draws belongs to nobody.

    Parameters
    ----------
    scans : Scans
    mode : {"geometry", "dcgan"}
    draw : callable
        `draw(sources, label, count)` gives `count` images of a class.
    seed : int
        Of the choice of sources.
    """
    counts = Counter(scans.labels.tolist())
    goals = targets_for({name: counts[name] for name in LABELS if counts[name]}, mode)
    added = []
    for label, goal in goals.items():
        missing = goal - counts[label]
        if missing < 1:
            continue
        here = np.flatnonzero(scans.labels == label)
        if mode == GAN and len(here) < 2:
            raise InputError("DCGAN", f"class {label} has {len(here)} image", "a GAN needs at least 2")
        if mode == GAN and len(here) < 50:
            LOGGER.warning("DCGAN of class %s: %d images, it can only learn them by heart", label, len(here))
        sources = round_robin(missing, here, generator(seed, "sources", label))
        images = draw(scans.images[sources] if mode != GAN else scans.images[here], label, missing)
        ids = [f"{scans.ids[s]}_g{n}" if mode != GAN else f"{label}_gan{n}" for n, s in enumerate(sources.tolist())]
        subjects = [str(scans.subjects[s]) if mode != GAN else f"drawn {label}" for s in sources.tolist()]
        added.append(Scans(np.array(ids), np.array(subjects), np.full(missing, label), np.full(missing, mode), images))
    return scans.joined(added)


def gan_seed(seed: int, label: str) -> int:
    """Seed of the DCGAN of a class."""
    return child_seed(seed, "gan", label)


def simple_features(images: Images) -> NDArray[np.float64]:
    """Return sum, maximum and left-right asymmetry of each image, (n, 3): what the trivial baseline sees."""
    values = images.astype(np.float64)
    total = values.sum(axis=(1, 2))
    uneven = np.abs(values - values[:, :, ::-1]).sum(axis=(1, 2)) / np.where(total > 0, total, 1.0)
    peak = np.sort(values.reshape(len(values), -1), axis=1)[:, -max(1, values[0].size // 1000) :].mean(axis=1)
    return np.stack([total, peak, uneven], axis=1)


def label_counts(labels: Sequence[str]) -> Mapping[str, int]:
    """Count labels in their usual order."""
    found = Counter(labels)
    return {name: found[name] for name in LABELS}
