"""Random brightness, contrast and gamma of one slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CHANCE, FACTORS = 0.5, (0.5, 2.0)


def augment(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Change brightness (x f), contrast (about the mean) and gamma (x^f), each with chance 1/2 and f from U(0.5, 2).

    Parameters
    ----------
    image : (height, width) float32
        In [0, 1]; stays there.
    rng : numpy.random.Generator
        Draws the same number of values whatever it decides.
    """
    chosen, factors = rng.random(3) < CHANCE, rng.uniform(*FACTORS, 3)
    changed = image.astype(np.float64)
    if chosen[0]:
        changed = np.clip(changed * factors[0], 0, 1)
    if chosen[1]:
        mean = changed.mean()
        changed = np.clip((changed - mean) * factors[1] + mean, 0, 1)
    if chosen[2]:
        changed = changed ** factors[2]
    return changed.astype(np.float32)
