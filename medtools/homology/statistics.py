"""Which ROI pairs differ between two groups: rank-sum tests over whole stacks of PR matrices (the P-plot)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from scipy.stats import false_discovery_control, rankdata

from medtools.core.errors import InputError

Correction = Literal["none", "bh"]

# Columns ranked at once: bounds the memory of the ranks to some 10 MB per 100 subjects.
_BLOCK = 4096


@dataclass(frozen=True)
class PairTest:
    """Rank-sum test of every ROI pair between two groups; all matrices are symmetric, (n_rois, n_rois).

    Attributes
    ----------
    groups : (str, str)
        Names of the first and the second group.
    sizes : (int, int)
        Subjects in each.
    alpha : float
        Significance level.
    correction : {"none", "bh"}
        How `p_adjusted` was made: p itself, or Benjamini-Hochberg over the n(n-1)/2 pairs.
    z : float64
        Rank-sum statistic; negative where the first group has the smaller distances. Diagonal 0.
    p, p_adjusted : float64
        Two-sided p-value (normal approximation), before and after the correction. Diagonal 1.
    median_first, median_second : float64
        Median distance within each group, in units of the signal.
    """

    groups: tuple[str, str]
    sizes: tuple[int, int]
    alpha: float
    correction: Correction
    z: NDArray[np.float64]
    p: NDArray[np.float64]
    p_adjusted: NDArray[np.float64]
    median_first: NDArray[np.float64]
    median_second: NDArray[np.float64]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Significant pairs: p_adjusted < alpha, (n_rois, n_rois) bool, symmetric, diagonal False."""
        return self.p_adjusted < self.alpha

    @property
    def n_pairs(self) -> int:
        """Pairs tested, n(n-1)/2."""
        n = len(self.p)
        return n * (n - 1) // 2

    @property
    def n_significant(self) -> int:
        """Significant pairs, each counted once."""
        return int(self.mask.sum()) // 2

    @property
    def degree(self) -> NDArray[np.int64]:
        """Significant partners of each ROI, (n_rois,) int64."""
        return self.mask.sum(axis=1).astype(np.int64)

    @property
    def concentration(self) -> float:
        """Share of the summed degree that the two ROIs of highest degree hold; NaN without significant pairs.

        Each pair counts for both its ROIs, so two ROIs that hold every significant pair score (n-1)/(2n-3),
        a little above 0.5, not 1; a single significant pair scores 1.
        """
        total = int(self.degree.sum())
        return float(np.sort(self.degree)[-2:].sum() / total) if total else float("nan")

    @property
    def expected_false_positives(self) -> float:
        """Pairs expected below alpha by chance alone and without correction: alpha n(n-1)/2."""
        return self.alpha * self.n_pairs


def rank_sum(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two-sided Wilcoxon rank-sum test in every column at once.

    Same numbers as `scipy.stats.ranksums`: mean ranks for ties, normal approximation, neither tie nor
    continuity correction.

    Parameters
    ----------
    first : (n_first, ...) float
        One row per subject of the first group.
    second : (n_second, ...) float
        One row per subject of the second group, same trailing shape.

    Returns
    -------
    z, p : (...) float64
        Statistic (negative where `first` is smaller) and p-value. Columns of equal values give 0 and 1.

    Raises
    ------
    InputError
        If a group is empty, the shapes disagree, or a value is not finite.
    """
    x, y = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    if x.ndim == 0 or y.ndim == 0 or x.shape[1:] != y.shape[1:]:
        raise InputError("rank-sum test", f"expected two groups of equally shaped samples, found {x.shape}, {y.shape}")
    m, n = len(x), len(y)
    if m == 0 or n == 0:
        raise InputError("rank-sum test", f"expected at least one sample per group, found {m} and {n}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("rank-sum test", "expected finite values, found NaN or infinity")
    columns = np.concatenate([x.reshape(m, -1), y.reshape(n, -1)])
    blocks = [columns[:, start : start + _BLOCK] for start in range(0, columns.shape[1], _BLOCK)]
    sums = np.concatenate([rankdata(block, axis=0)[:m].sum(axis=0) for block in blocks] or [np.empty(0)])
    z = (sums - m * (m + n + 1) / 2) / np.sqrt(m * n * (m + n + 1) / 12)
    return z.reshape(x.shape[1:]), (2 * ndtr(-np.abs(z))).reshape(x.shape[1:])


def compare_groups(
    first: ArrayLike,
    second: ArrayLike,
    *,
    groups: tuple[str, str] = ("first", "second"),
    alpha: float = 0.01,
    fdr: Correction = "none",
) -> PairTest:
    """Test every ROI pair for a difference of distance between two groups (P-plot of the paper's Figure 5).

    Parameters
    ----------
    first, second : (n_subjects, n_rois, n_rois) float
        PR matrices of each group: symmetric, in units of the signal.
    groups : (str, str)
        Their names, for messages and tables.
    alpha : float
        Significance level; the paper's 99 % confidence is 0.01.
    fdr : {"none", "bh"}
        The paper does not correct for the number of pairs; "bh" is Benjamini-Hochberg over the pairs i < j.

    Returns
    -------
    PairTest
        p-values, mask, degrees and what to expect by chance.

    Raises
    ------
    InputError
        If a group has fewer than two subjects, a matrix is not square, symmetric and finite, or an option
        is out of range.
    """
    if not 0 < alpha < 1:
        raise InputError("alpha", f"expected a level between 0 and 1, found {alpha}")
    if fdr not in ("none", "bh"):
        raise InputError("fdr", f"expected none or bh, found {fdr}")
    x, y = _checked(first, groups[0]), _checked(second, groups[1])
    if x.shape[1:] != y.shape[1:]:
        raise InputError(
            f"PR matrices of {groups[1]}",
            f"expected {x.shape[1]} ROIs as in {groups[0]}, found {y.shape[1]}",
            "compare one network, with the same ROIs, at a time",
        )
    n_rois = x.shape[1]
    rows, columns = np.triu_indices(n_rois, k=1)
    pairs_first, pairs_second = x[:, rows, columns], y[:, rows, columns]
    z, p = rank_sum(pairs_first, pairs_second)
    adjusted = false_discovery_control(p, method="bh") if fdr == "bh" and p.size else p

    def square(pairs: NDArray[np.float64], diagonal: float) -> NDArray[np.float64]:
        matrix = np.full((n_rois, n_rois), diagonal)
        matrix[rows, columns] = matrix[columns, rows] = pairs
        return matrix

    return PairTest(
        groups=groups,
        sizes=(len(x), len(y)),
        alpha=alpha,
        correction=fdr,
        z=square(z, 0.0),
        p=square(p, 1.0),
        p_adjusted=square(adjusted, 1.0),
        median_first=square(np.median(pairs_first, axis=0), 0.0),
        median_second=square(np.median(pairs_second, axis=0), 0.0),
    )


def significant_pairs(test: PairTest, names: Sequence[str]) -> pd.DataFrame:
    """List the significant ROI pairs by name, the smallest p first.

    Parameters
    ----------
    test : PairTest
        What `compare_groups` returned.
    names : sequence of str
        ROI names in the order of the matrices.

    Returns
    -------
    pandas.DataFrame
        Columns `roi_1`, `roi_2`, `z`, `p`, `p_adjusted`, `median_<first group>`, `median_<second group>`;
        equal p-values stay in the order of the matrix.

    Raises
    ------
    InputError
        If the number of names is not the number of ROIs.
    """
    rows, columns = np.nonzero(np.triu(test.mask, k=1))
    roi = _names(test, names)
    table = pd.DataFrame(
        {
            "roi_1": roi[rows],
            "roi_2": roi[columns],
            "z": test.z[rows, columns],
            "p": test.p[rows, columns],
            "p_adjusted": test.p_adjusted[rows, columns],
            f"median_{test.groups[0]}": test.median_first[rows, columns],
            f"median_{test.groups[1]}": test.median_second[rows, columns],
        }
    )
    return table.sort_values("p", kind="stable", ignore_index=True)


def degree_table(test: PairTest, names: Sequence[str]) -> pd.DataFrame:
    """List every ROI with its number of significant partners, the highest first.

    Parameters
    ----------
    test : PairTest
        What `compare_groups` returned.
    names : sequence of str
        ROI names in the order of the matrices.

    Returns
    -------
    pandas.DataFrame
        Columns `roi`, `degree` and `share` (degree over the sum of degrees, 0 without significant pairs).

    Raises
    ------
    InputError
        If the number of names is not the number of ROIs.
    """
    share = test.degree / max(1, int(test.degree.sum()))
    table = pd.DataFrame({"roi": _names(test, names), "degree": test.degree, "share": share})
    return table.sort_values("degree", ascending=False, kind="stable", ignore_index=True)


def _names(test: PairTest, names: Sequence[str]) -> NDArray[np.object_]:
    if len(names) != len(test.p):
        raise InputError("ROI names", f"expected {len(test.p)}, one per row of the matrices, found {len(names)}")
    return np.array(names, dtype=object)


def _checked(matrices: ArrayLike, group: str) -> NDArray[np.float64]:
    """Return the stack of one group as float64 after refusing what cannot be PR matrices."""
    where = f"PR matrices of {group}"
    stack = np.asarray(matrices, dtype=float)
    if stack.ndim != 3 or stack.shape[1] != stack.shape[2]:
        raise InputError(where, f"expected shape (subjects, ROIs, ROIs), found {stack.shape}")
    if len(stack) < 2:
        raise InputError(where, f"expected at least 2 subjects, found {len(stack)}")
    if not np.isfinite(stack).all():
        bad = int(np.argmin(np.isfinite(stack).all(axis=(1, 2))))
        raise InputError(where, f"NaN or infinity in matrix {bad + 1} of {len(stack)}")
    asymmetric = ~np.isclose(stack, stack.transpose(0, 2, 1), rtol=1e-6, atol=1e-9).all(axis=(1, 2))
    if asymmetric.any():
        bad = int(np.argmax(asymmetric))
        raise InputError(where, f"expected symmetric matrices, matrix {bad + 1} of {len(stack)} is not")
    return stack
