"""Prototypes of classes, in memory and on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medtools.core.errors import InputError
from medtools.io.arrays import read_npz
from medtools.io.grids import write_arrays

PROTOTYPES = "prototypes.npz"


def class_prototypes(embedded: Tensor, labels: NDArray[np.str_]) -> tuple[tuple[str, ...], Tensor]:
    """Return the classes among labels (n,), sorted, and the mean embedding of each: (n, width) to (classes, width)."""
    classes = tuple(np.unique(labels).tolist())
    rows = [torch.from_numpy(np.flatnonzero(labels == name)) for name in classes]
    return classes, torch.stack([embedded[one].mean(dim=0) for one in rows])


def write_prototypes(path: Path, classes: Sequence[str], centres: Tensor) -> Path:
    """Write the names of classes and their prototypes, (classes, width) float32."""
    write_arrays(path, {"classes": np.array(classes), "prototypes": centres.numpy()})
    return path


def read_prototypes(path: Path) -> tuple[tuple[str, ...], Tensor]:
    """Read what `write_prototypes` wrote.

    Raises
    ------
    InputError
        A damaged file, or another one.
    """
    arrays: dict[str, NDArray] = read_npz(path)
    names, centres = arrays.get("classes"), arrays.get("prototypes")
    if names is None or centres is None or centres.ndim != 2 or len(names) != len(centres):
        raise InputError(path, "holds no prototypes", "train again")
    return tuple(names.tolist()), torch.from_numpy(centres.astype(np.float32))
