"""Made CT series and how tests change their headers."""

import numpy as np
import pydicom

CANARY = "Canary^Patient"


def volume(n_slices=6, height=40, width=48, seed=0):
    """Slices head to feet of random HU."""
    return np.random.default_rng(seed).integers(-1000, 1500, (n_slices, height, width)).astype(np.int16)


def change(path, **values):
    """Rewrite one file with other values; None deletes."""
    image = pydicom.dcmread(path)
    for name, value in values.items():
        if value is None:
            delattr(image, name)
        else:
            setattr(image, name, value)
    image.save_as(path)


def change_all(folder, **values):
    for path in sorted(folder.glob("*.dcm")):
        change(path, **values)
