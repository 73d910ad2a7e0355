"""What a trained network and the baselines get wrong: offsets, patches, landmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.seeds import generator
from medtools.core.tables import read_tsv
from medtools.preprocess.spect.heart import HeartSlice
from medtools.systems.spect_prnet.location import TABLE
from medtools.systems.spect_prnet.matching import best_match
from medtools.systems.spect_prnet.network import TrainedPrNet
from medtools.systems.spect_prnet.pairs import draw_pairs

LANDMARK_COLUMNS = ("method", "id", "subject", "name", "row", "col", "error_px", "error_mm")
PRNET, MATCHING, COPY = "prnet", "template matching", "same place as in the support"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Offsets:
    """Offsets of pairs of points, true and predicted, in the network's unit.

    Attributes
    ----------
    true, predicted : (n, 2) float64
        Along rows and columns.
    sizes : mapping
        Unit (`px`, `mm`) to what one of the network's unit is in it, (n, 2); mm only where every spacing is known.
    subjects : list of str
        Of each pair.
    """

    true: Array
    predicted: Array
    sizes: Mapping[str, Array]
    subjects: list[str]


def offsets_of(trained: TrainedPrNet, hearts: Sequence[HeartSlice], pairs: int, seed: int) -> Offsets:
    """Predict the offsets of fresh pairs, as many in each slice; pairs lie within the network's r, as in training."""
    shares = _shared(hearts, pairs)
    parts = [_of_slice(trained, heart, count, seed) for heart, count in shares]
    true, predicted = (np.concatenate(arrays).astype(np.float64) for arrays in zip(*parts, strict=True))
    each = [heart for heart, count in shares for _ in range(count)]
    pixel = np.array([trained.pixel(heart) for heart in each])
    sizes = {"px": 1 / pixel}
    known = [heart.spacing for heart in each if heart.spacing is not None]
    if len(known) == len(each):
        sizes["mm"] = np.array(known) / pixel
    return Offsets(true, predicted, sizes, [heart.subject for heart in each])


def mean_offset(trained: TrainedPrNet, hearts: Sequence[HeartSlice], pairs: int, seed: int) -> Array:
    """Return the mean offset of other pairs in the same slices, (2,); 0 where there is no slice."""
    drawn = [
        draw_pairs(
            [trained.source(heart)], trained.pixel(heart)[None], trained.reach.astype(np.float64),
            generator(seed, "pairs of the mean", heart.id), count,
        )[2]
        for heart, count in _shared(hearts, pairs)
    ]  # fmt: skip
    return np.concatenate(drawn).mean(axis=0, dtype=np.float64) if drawn else np.zeros(2)


def patch_errors(
    trained: TrainedPrNet, hearts: Sequence[HeartSlice], patches: int, seed: int
) -> tuple[Array, Array, list[str]]:
    """Return mean squared errors of rebuilt patches, of a constant patch of the right mean, and their subjects."""
    rebuilt, constant, subjects = [], [], []
    for heart, count in _shared(hearts, patches):
        source = trained.source(heart)
        wanted = source.around(source.draw(generator(seed, "patches", heart.id), count)).astype(np.float64)
        found = trained.rebuild(wanted.astype(np.float32))
        rebuilt.append(((found - wanted) ** 2).mean(axis=(1, 2)))
        constant.append(wanted.var(axis=(1, 2)))
        subjects += [heart.subject] * count
    return np.concatenate(rebuilt), np.concatenate(constant), subjects


def landmark_errors(folder: Path, hearts: Sequence[HeartSlice], trained: TrainedPrNet) -> list[dict[str, Any]]:
    """Return the errors of located landmarks, of template matching and of the support's own places.

    Only queries of other subjects than the support's, with truth; none where nobody marked them.

    Raises
    ------
    InputError
        No table of landmarks, or a study that is not in INPUT.
    """
    path = folder / TABLE
    columns, table = read_tsv(path)
    if not {"id", "name", "support", "row", "col"} <= set(columns) or not table:
        raise InputError(path, "is no table of landmarks", "run `medtools infer spect-prnet locate` first")
    by_id = {heart.id: heart for heart in hearts}
    rows = []
    for cells in table:
        missing = [cells[key] for key in ("id", "support") if cells[key] not in by_id]
        if missing:
            raise InputError(path, f"study {missing[0]!r} is not in INPUT", "give the studies that were searched")
        query, support, name = by_id[cells["id"]], by_id[cells["support"]], cells["name"]
        if name not in query.landmarks or name not in support.landmarks or query.subject == support.subject:
            continue
        centre = np.rint(support.landmarks[name]).astype(np.int64)
        match = best_match(query.image, trained.source(support).around(centre[None])[0])
        found = np.array([float(cells["row"]), float(cells["col"])]) - query.corner
        places = {
            PRNET: found,
            MATCHING: np.array(match) + np.array(support.landmarks[name]) - centre,
            COPY: np.array(support.landmarks[name]),
        }
        rows += [_row(method, query, name, place) for method, place in places.items()]
    return sorted(rows, key=lambda row: (PRNET, MATCHING, COPY).index(row["method"]))


def _row(method: str, query: HeartSlice, name: str, place: Array) -> dict[str, Any]:
    off = place - np.array(query.landmarks[name])
    own = place + np.array(query.corner)
    row: dict[str, Any] = {"method": method, "id": query.id, "subject": query.subject, "name": name}
    row |= {"row": float(own[0]), "col": float(own[1]), "error_px": float(np.hypot(*off)), "error_mm": None}
    if query.spacing is not None:
        row["error_mm"] = float(np.hypot(*(off * np.array(query.spacing))))
    return row


def _shared(hearts: Sequence[HeartSlice], total: int) -> list[tuple[HeartSlice, int]]:
    """Share `total` among slices as evenly as it goes; slices that get none are left out."""
    counts = np.diff(np.linspace(0, total, len(hearts) + 1).round().astype(int))
    return [(heart, int(count)) for heart, count in zip(hearts, counts, strict=True) if count]


def _of_slice(
    trained: TrainedPrNet, heart: HeartSlice, count: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = generator(seed, "held-out pairs", heart.id)
    spacing, reach = trained.pixel(heart)[None], trained.reach.astype(np.float64)
    first, second, true = draw_pairs([trained.source(heart)], spacing, reach, rng, count)
    found = trained.coordinates(np.concatenate([first, second]))
    return true, trained.offsets(found[:count], found[count:])
