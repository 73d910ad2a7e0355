"""What is known of one scan after scoring: as JSON beside its masks, and as a row of `predictions.tsv`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.systems.covid_severity.severity import (
    LOBES,
    LUNGS,
    ClassCount,
    involvement,
    lobe_voxels,
    severity,
    severity_class,
)

FILE = "severity.json"
PREDICTION_COLUMNS = ("id", "subject", "total", "class", "mask", "notes")


def scored(
    infection: NDArray[np.bool_],
    labels: NDArray[np.uint8],
    voxel_ml: float,
    *,
    lung_only: bool,
    zero_below: float,
    classes: ClassCount,
) -> dict[str, Any]:
    """Return involvement per lobe with scores, total and class; of a lung mask involvement per lung and no score.

    Parameters
    ----------
    infection : (n_slices, height, width) bool
    labels : (n_slices, height, width) uint8
        Lobes 1-5; of a lung mask 1 for the left and 3 for the right lung.
    voxel_ml : float
    lung_only : bool
    zero_below, classes
        As in `severity.severity` and `severity.severity_class`.
    """
    if lung_only:
        whole, infected = (counts[[0, 2]] for counts in lobe_voxels(infection, labels, len(LOBES)))
        shares = involvement(infected, whole)
        parts = {
            name: {"ml": round(float(count * voxel_ml), 2), "percent": share, "score": None}
            for name, count, share in zip(LUNGS, whole, shares, strict=True)
        }
        return {"parts": parts, "total": None, "class": None}
    found = severity(infection, labels, voxel_ml, zero_below=zero_below)
    parts = {
        name: {"ml": round(ml, 2), "percent": share, "score": score}
        for name, ml, share, score in zip(LOBES, found.volumes_ml, found.involvement, found.lobe_scores, strict=True)
    }
    return {
        "parts": parts,
        "total": found.total,
        "class": None if found.total is None else severity_class(found.total, classes),
    }


def row(identifier: str, subject: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a scan's row of `predictions.tsv`."""
    cells: dict[str, Any] = {"id": identifier, "subject": subject, "total": result["total"], "class": result["class"]}
    cells |= {"mask": result["mask"], "notes": "; ".join(result["notes"])}
    for name, part in result["parts"].items():
        cells |= {f"{name}_{key}": part[key] for key in ("ml", "percent", "score")}
    cells |= {f"total_{name}": total for name, total in result.get("ablation", {}).items()}
    return cells


def columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns of `predictions.tsv`: fixed ones, then every lobe or lung that occurs, then ablations."""
    parts = [name for name in (*LOBES, *LUNGS) if any(f"{name}_ml" in cells for cells in rows)]
    keys = [f"{name}_{key}" for name in parts for key in ("ml", "percent", "score")]
    ablations = sorted({key for cells in rows for key in cells if key.startswith("total_")})
    return [*PREDICTION_COLUMNS, *keys, *ablations]


def read_result(path: Path) -> dict[str, Any]:
    """Read a scan's `severity.json`."""
    try:
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, "cannot be read", "run the stage again with --overwrite") from error
    return result


def headline(identifier: str, result: Mapping[str, Any]) -> str:
    """Return a scan's result in one line."""
    if result["total"] is None:
        return f"{identifier}: no score ({'; '.join(result['notes'])})"
    return f"{identifier}: CT severity score {result['total']} of 25, {result['class']}"


def viewer_table(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the rows of the table in the viewer."""
    return [
        {
            "part": name.replace("_", " "),
            "ml": f"{part['ml']:.0f}",
            "involved %": "no mask" if part["percent"] is None else f"{part['percent']:.2f}",
            "score": "n/a" if part["score"] is None else str(part["score"]),
        }
        for name, part in result["parts"].items()
    ]
