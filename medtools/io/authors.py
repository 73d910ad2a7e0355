"""The folders of the method's authors: series as `<class>/<network>/<subject>.csv`, matrices by network and class."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.io.atlas import NETWORKS, load_atlas, network_abbreviation, networks
from medtools.io.guard import printable
from medtools.io.text import read_numbers

_MATRIX_NAME = re.compile(r"(?P<subject>.+?)(?:\.csv)?_h(?P<dim>[0-2])\.csv", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class AuthorsMatrix:
    """A matrix of Wasserstein distances between the ROIs of one subject, as the authors' script writes it.

    Attributes
    ----------
    values : (n_rois, n_rois) float64
        Distances.
    network, group, subject : str
        From the path, `<network>/<class>/<subject>_h<dim>.csv`.
    dim : int
        Homology dimension, 0 to 2.
    """

    values: NDArray[np.float64]
    network: str
    group: str
    subject: str
    dim: int


def is_authors_matrix(path: str | Path) -> bool:
    """Whether a file name is that of one of the authors' matrices (and not of a series)."""
    return _MATRIX_NAME.fullmatch(Path(path).name) is not None


def read_authors_matrix(path: str | Path) -> AuthorsMatrix:
    """Read a matrix that the authors' script wrote with pandas: an index column first, then one column per ROI.

    Parameters
    ----------
    path : str or Path
        `<network>/<class>/<subject>_h0.csv`, `_h1.csv` or `_h2.csv`.

    Returns
    -------
    AuthorsMatrix

    Raises
    ------
    InputError
        Another name, or no square, symmetric matrix of finite, non-negative numbers.
    """
    path, where = Path(path), printable(path)
    match = _MATRIX_NAME.fullmatch(path.name)
    if match is None:
        raise InputError(where, "not named <subject>_h0.csv, _h1.csv or _h2.csv")
    values = read_numbers(path).values
    if values.shape[0] != values.shape[1]:
        found = f"{values.shape[0]} rows and {values.shape[1]} columns (without the index), expected a square matrix"
        raise InputError(where, found, "write it with its index column, or without index and header")
    if not np.isfinite(values).all() or values.min() < 0 or not np.allclose(values, values.T, rtol=1e-6, atol=1e-9):
        raise InputError(where, "expected finite, non-negative, symmetric distances")
    folder = path.absolute().parent
    network = network_abbreviation(folder.parent.name)
    return AuthorsMatrix(values, network, folder.name, match["subject"], int(match["dim"]))


def authors_series_id(path: str | Path) -> str:
    """Identifier of one of the authors' series: class, network and subject, or the subject alone elsewhere.

    A subject has one file per network, and classes may number their subjects alike; all three make it unique.
    """
    path = Path(path).absolute()
    network = network_abbreviation(path.parent.name)
    return "_".join((path.parent.parent.name, network, path.stem)) if network in NETWORKS else path.stem


def authors_roi_names(path: str | Path, n_rois: int) -> tuple[str, ...] | None:
    """Names of the ROIs in a series under `<class>/<network>/`, where that network has `n_rois`; else None."""
    network = network_abbreviation(Path(path).absolute().parent.name)
    if network not in NETWORKS:
        return None
    atlas = load_atlas()
    rows = networks(atlas)[network]
    return tuple(atlas.names[row] for row in rows) if len(rows) == n_rois else None
