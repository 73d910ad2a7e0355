"""`medtools infer spect-prnet locate`: a landmark marked once on a support is found on other slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.core.progress import track
from medtools.core.seeds import generator
from medtools.core.stage import Job
from medtools.core.tables import write_tsv
from medtools.preprocess.spect import heart as hearts_io
from medtools.preprocess.spect.heart import HeartSlice
from medtools.systems.spect_prnet.figures import landmark_figure
from medtools.systems.spect_prnet.network import TrainedPrNet, read_slices
from medtools.systems.spect_prnet.params import LocateParams
from medtools.training.runs import MODEL

TABLE = "landmarks.tsv"
COLUMNS = (
    "id", "subject", "name", "support", "slice", "row", "col", "row_mm", "col_mm", "x_mm", "y_mm", "z_mm", "spread_px",
    "true_row", "true_col", "error_px", "error_mm",
)  # fmt: skip
_SHOWN = 7
_AT_ONCE = 4096  # patches in memory

Points = NDArray[np.float64]


def run(job: Job) -> None:
    """Write `landmarks.tsv` and a picture of the landmarks found."""
    params: LocateParams = job.params
    trained = TrainedPrNet.read(params.model, job.device)
    fine = TrainedPrNet.read(params.fine, job.device) if params.fine is not None else None
    hearts = read_slices(job.inputs, trained)
    support = support_of(hearts, params.support, trained)
    queries = [heart for heart in hearts if heart.id != support.id]
    if not queries:
        raise InputError("INPUT", f"no other study than the support {support.id}", "give the studies to search as well")
    step = max(1, _AT_ONCE // (params.draws + len(support.landmarks)))
    rows: list[dict[str, Any]] = []
    shown = []
    options: dict[str, Any] = {"draws": params.draws, "refine": params.refine, "fine": fine, "seed": job.seed}
    for start in track(range(0, len(queries), step), "searching"):
        part = queries[start : start + step]
        for query, found, spread in zip(part, *locate(trained, support, part, **options), strict=True):
            rows += _rows(query, found, spread, support)
            shown.append((query.id, query.image, found, query.landmarks))
    job.wrote(write_tsv(job.out / TABLE, COLUMNS, rows))
    picture = job.out / "landmarks.png"
    save_figure(landmark_figure((f"support {support.id}", support.image, support.landmarks), shown[:_SHOWN]), picture)
    job.wrote(picture)


def reads(job: Job) -> list[Path]:
    """List what decides the landmarks."""
    folders = [folder for folder in (job.params.model, job.params.fine) if folder is not None]
    return [*hearts_io.reads(job.inputs), *(folder / MODEL for folder in folders)]


def support_of(hearts: Sequence[HeartSlice], asked: str, trained: TrainedPrNet) -> HeartSlice:
    """Return the support: the study asked for, or the first that the network was trained on.

    Raises
    ------
    InputError
        No such study, it has no landmarks, or one lies outside its slice.
    """
    wanted = [asked] if asked else list(trained.params["images"])
    support = next((heart for name in wanted for heart in hearts if heart.id == name), None)
    if support is None:
        raise InputError("--support", f"no study {wanted[0]!r} in INPUT", f"there are {_some(hearts)}")
    if not support.landmarks:
        raise InputError("--support", f"{support.id} has no landmarks", "write its *_landmarks.csv: name,row,col")
    size = np.array(support.image.shape)
    for name, place in support.landmarks.items():
        if (np.rint(place) < 0).any() or (np.rint(place) >= size).any():
            found = f"landmark {name!r} of {support.id} is at ({place[0]:g}, {place[1]:g})"
            raise InputError("--support", f"{found}, the slice has {size[0]} x {size[1]} pixels", "correct the file")
    return support


def locate(
    trained: TrainedPrNet,
    support: HeartSlice,
    queries: Sequence[HeartSlice],
    *,
    draws: int,
    refine: int,
    fine: TrainedPrNet | None,
    seed: int,
) -> tuple[list[dict[str, tuple[float, float]]], list[dict[str, float]]]:
    """Find the support's landmarks in every query.

    The first estimate is the mean over M random foreground points q of q + r tanh(a(s) - a(q)), clamped to the image;
    each further step is c + r tanh(a(s) - a(c)) from the pixel nearest to the point c found before. What a landmark
    lies off the centre of its pixel is added at the end.

    Returns
    -------
    found : list of dict
        For each query, name to (row, column) in pixels of its image.
    spread : list of dict
        Root mean square distance of the M predictions from their mean, in pixels.
    """
    names = list(support.landmarks)
    marked = np.array([support.landmarks[name] for name in names])
    centres = np.rint(marked).astype(np.int64)
    sources = [trained.source(query) for query in queries]
    drawn = [source.draw(generator(seed, "draws", q.id), draws) for q, source in zip(queries, sources, strict=True)]
    estimates = _step(trained, support, centres, queries, [np.repeat(d[None], len(names), axis=0) for d in drawn])
    points = [source.clamp(part.mean(axis=1)) for source, part in zip(sources, estimates, strict=True)]
    spreads = [np.sqrt(part.var(axis=1).sum(axis=-1)) for part in estimates]
    for _ in range(refine):
        starts = [np.rint(part).astype(np.int64)[:, None] for part in points]
        estimates = _step(fine or trained, support, centres, queries, starts)
        points = [source.clamp(part[:, 0]) for source, part in zip(sources, estimates, strict=True)]
    shifted = [
        source.clamp(part + (marked - centres) * _ratio(support, query))
        for query, source, part in zip(queries, sources, points, strict=True)
    ]
    found = [dict(zip(names, map(tuple, part.tolist()), strict=True)) for part in shifted]
    return found, [dict(zip(names, part.tolist(), strict=True)) for part in spreads]


def _step(
    trained: TrainedPrNet,
    support: HeartSlice,
    centres: NDArray[np.int64],
    queries: Sequence[HeartSlice],
    starts: Sequence[NDArray[np.int64]],
) -> list[Points]:
    """Predict landmarks from points of the queries, all in one pass.

    Parameters
    ----------
    centres : (landmarks, 2)
    starts : for each query (landmarks, points, 2)

    Returns
    -------
    for each query (landmarks, points, 2) float64, in pixels
    """
    wanted = trained.coordinates(trained.source(support).around(centres))
    # The first step starts from the same points for every landmark: each patch goes through the network once.
    unique = [np.unique(start.reshape(-1, 2), axis=0, return_inverse=True) for start in starts]
    patches = [trained.source(query).around(points) for query, (points, _) in zip(queries, unique, strict=True)]
    coordinates = np.split(trained.coordinates(np.concatenate(patches)), np.cumsum([len(p) for p in patches])[:-1])
    found = []
    for query, start, own, (_, inverse) in zip(queries, starts, coordinates, unique, strict=True):
        seen = own[inverse.ravel()].reshape(start.shape)
        offsets = trained.offsets(np.broadcast_to(wanted[:, None], seen.shape).copy(), seen)
        found.append(start + offsets.astype(np.float64) / trained.pixel(query))
    return found


def _ratio(support: HeartSlice, query: HeartSlice) -> Points:
    """Return how many pixels of a query a pixel of the support is."""
    if support.spacing is None or query.spacing is None:
        return np.ones(2)
    return np.array(support.spacing) / np.array(query.spacing)


def _rows(
    query: HeartSlice, found: Mapping[str, tuple[float, float]], spread: Mapping[str, float], support: HeartSlice
) -> list[dict[str, Any]]:
    rows = []
    for name, point in found.items():
        row: dict[str, Any] = {"id": query.id, "subject": query.subject, "name": name, "support": support.id}
        row |= {"slice": query.slice, "spread_px": spread[name]} | _places(query, point)
        if name in query.landmarks:
            off = np.array(point) - np.array(query.landmarks[name])
            true = np.array(query.landmarks[name]) + np.array(query.corner)
            row |= {"true_row": float(true[0]), "true_col": float(true[1]), "error_px": float(np.hypot(*off))}
            if query.spacing is not None:
                row["error_mm"] = float(np.hypot(*(off * np.array(query.spacing))))
        rows.append(row)
    return rows


def _places(query: HeartSlice, point: tuple[float, float]) -> dict[str, float]:
    """Return a point in pixels and mm of the whole slice and, for volumes, in mm of the scanner."""
    row, column = point[0] + query.corner[0], point[1] + query.corner[1]
    places = {"row": row, "col": column}
    if query.spacing is not None:
        places |= {"row_mm": row * query.spacing[0], "col_mm": column * query.spacing[1]}
    if query.grid is not None:
        world = query.grid.affine @ np.array([*query.voxel(*point), 1.0])
        places |= dict(zip(("x_mm", "y_mm", "z_mm"), world[:3].tolist(), strict=True))
    return places


def _some(hearts: Sequence[HeartSlice]) -> str:
    return ", ".join(heart.id for heart in hearts[:5]) + (" ..." if len(hearts) > 5 else "")
