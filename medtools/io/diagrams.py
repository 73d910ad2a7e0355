"""Persistence diagrams on disk: one npz per subject, packed arrays, nothing pickled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from medtools.core.atomic import atomic_path
from medtools.core.errors import InputError
from medtools.io.arrays import read_npz

Diagrams = list[np.ndarray]


@dataclass(frozen=True)
class SubjectDiagrams:
    """All diagrams of one subject.

    Attributes
    ----------
    roi_names : tuple of str
        One per ROI, in the order of `diagrams`.
    diagrams : list of list of ndarray
        `diagrams[roi][k]` has shape (n_bars, 2), float64: birth and death of H_k.
    """

    roi_names: tuple[str, ...]
    diagrams: list[Diagrams]

    @property
    def max_dim(self) -> int:
        """Highest homology dimension stored."""
        return len(self.diagrams[0]) - 1


def common_rois(stored: Mapping[str, SubjectDiagrams]) -> tuple[str, ...]:
    """Return the ROI names that all subjects share.

    Raises
    ------
    InputError
        A subject has other ROIs or dimensions than the first.
    """
    (first_id, first), *others = stored.items()
    for identifier, other in others:
        if other.roi_names != first.roi_names or other.max_dim != first.max_dim:
            found = f"its diagrams have {len(other.roi_names)} ROIs up to H{other.max_dim}"
            expected = f"those of {first_id!r} {len(first.roi_names)} up to H{first.max_dim}, or other names"
            raise InputError(identifier, f"{found}, {expected}", "compare series of one parcellation")
    return first.roi_names


def write_diagrams(path: Path, roi_names: Sequence[str], diagrams: Sequence[Sequence[np.ndarray]]) -> None:
    """Write a subject's diagrams: per dimension `H<k>` (all bars, ROI after ROI) and `H<k>_offsets`."""
    arrays = {"roi_names": np.asarray(roi_names, dtype=np.str_)}
    for k in range(len(diagrams[0])):
        bars = [np.asarray(roi[k], dtype=np.float64).reshape(-1, 2) for roi in diagrams]
        arrays[f"H{k}"] = np.concatenate(bars)
        arrays[f"H{k}_offsets"] = np.concatenate([[0], np.cumsum([len(b) for b in bars])]).astype(np.int64)
    with atomic_path(path) as partial:
        np.savez_compressed(partial, **arrays)  # type: ignore[arg-type]  # the stub takes a name for an option


def read_diagrams(path: Path) -> SubjectDiagrams:
    """Read a subject's diagrams.

    Raises
    ------
    InputError
        Missing, truncated or inconsistent file.
    """
    if not path.exists():
        raise InputError(path, "no such file", "run `medtools homology` for this subject first")
    try:
        arrays = read_npz(path, empty=True)
        names = tuple(map(str, arrays.pop("roi_names").tolist()))
        dims = range(len(arrays) // 2)
        split = [_split(arrays[f"H{k}"], arrays[f"H{k}_offsets"], len(names)) for k in dims]
    except (InputError, KeyError, ValueError, TypeError) as error:
        raise InputError(path, "not a diagram file of medtools, or damaged", "make it again") from error
    if not split or not names:
        raise InputError(path, "holds no diagrams", "make it again")
    return SubjectDiagrams(names, [[split[k][roi] for k in dims] for roi in range(len(names))])


def _split(bars: np.ndarray, offsets: np.ndarray, n_rois: int) -> list[np.ndarray]:
    """Return the bars of each ROI; ValueError where the offsets do not divide them."""
    if bars.shape != (len(bars), 2) or bars.dtype != np.float64 or offsets.dtype.kind != "i" or offsets.ndim != 1:
        raise ValueError("arrays of other shapes or types")
    if len(offsets) != n_rois + 1 or (offsets[0], offsets[-1]) != (0, len(bars)) or (np.diff(offsets) < 0).any():
        raise ValueError("offsets do not divide the bars among the ROIs")
    return np.split(bars, offsets[1:-1])
