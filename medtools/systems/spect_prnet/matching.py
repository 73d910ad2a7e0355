"""Landmarks by template matching: the patch around the support's landmark, correlated with every place of a query."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.feature import match_template


def best_match(image: NDArray[np.float32], template: NDArray[np.float32]) -> tuple[int, int]:
    """Return the pixel around which normalised cross-correlation with a template is largest.

    Parameters
    ----------
    image : (h, w) float32
        Taken as zero beyond its edges, as patches are.
    template : (p, p) float32
        A patch of even side p, cut out as `PatchSource.around` does.

    Returns
    -------
    (row, column) int
        The first of equals. Correlation with a constant is 0.
    """
    half = template.shape[0] // 2
    padded = np.pad(image, ((half, half - 1), (half, half - 1)))
    found = match_template(padded, template)
    row, column = np.unravel_index(int(found.argmax()), found.shape)
    return int(row), int(column)
