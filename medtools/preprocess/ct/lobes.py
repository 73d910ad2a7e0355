"""Lung lobes by `lungmask`'s networks (Hofmanninger et al., Eur. Radiol. Exp. 2020), with weight files the user has."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.io.guard import printable

LOBE_CLASSES, LUNG_CLASSES = 6, 3
_RELEASE = "download {} from the v0.0 release of github.com/JoHof/lungmask and give it as --{}-weights"
HOW_TO_GET = {
    "lobe": _RELEASE.format("unet_ltrclobes-3a07043d.pth", "lobe"),
    "fill": _RELEASE.format("unet_r231-d5d2fc3d.pth", "fill"),
}


def segment_lobes(
    hu: NDArray[Any], lobe_weights: Path, fill_weights: Path, *, device: str = "cpu", batch_size: int = 4
) -> NDArray[np.uint8]:
    """Segment five lobes: LTRCLobes, its gaps filled and its excess cut by R231 (`LTRCLobes_R231`).

    Parameters
    ----------
    hu : (n_slices, height, width) array
        Slices head to feet, rows front to back, columns from the patient's right to left.
    lobe_weights, fill_weights : Path
        State dictionaries of lungmask's LTRCLobes (6 classes) and R231 (3 classes).
    device : str
        `cpu`, or anything else to let lungmask use the accelerator it finds.
    batch_size : int
        Slices per forward pass.

    Returns
    -------
    (n_slices, height, width) uint8
        1 left upper, 2 left lower, 3 right upper, 4 right middle, 5 right lower lobe.

    Raises
    ------
    InputError
        lungmask is not installed, or a weight file is missing, damaged or of another network.
    """
    check_weights(lobe_weights, LOBE_CLASSES, "lobe")
    check_weights(fill_weights, LUNG_CLASSES, "fill")
    mask = _lungmask()
    try:
        inferer = mask.LMInferer(
            modelname="LTRCLobes",
            fillmodel="R231",
            modelpath=str(lobe_weights),
            fillmodel_path=str(fill_weights),
            force_cpu=device == "cpu",
            batch_size=batch_size,
            tqdm_disable=True,
        )
    except RuntimeError as error:  # keys or shapes that are not this U-Net's
        raise InputError(
            f"{printable(lobe_weights)}, {printable(fill_weights)}", "not the state dictionaries of lungmask's U-Net"
        ) from error
    lobes: NDArray[np.uint8] = inferer.apply(hu)
    return lobes


def check_weights(path: Path, classes: int, which: str) -> None:
    """Refuse a weight file that is absent, unreadable, holds code, or has another number of classes.

    Raises
    ------
    InputError
        Saying how to get the right one.
    """
    import torch

    if not path.is_file():
        raise InputError(printable(path), f"no such {which} weight file", HOW_TO_GET[which])
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:
        found = f"no readable state dictionary ({type(error).__name__})"
        raise InputError(printable(path), found, HOW_TO_GET[which]) from error
    tensors = list(state.values()) if isinstance(state, dict) else []
    if not tensors or not all(isinstance(value, torch.Tensor) for value in tensors):
        raise InputError(printable(path), "holds something else than a state dictionary", HOW_TO_GET[which])
    if len(tensors[-1]) != classes:
        found = f"a network of {len(tensors[-1])} classes, expected {classes}"
        raise InputError(printable(path), found, HOW_TO_GET[which])


def _lungmask() -> Any:
    try:
        from lungmask import mask
    except ImportError as error:
        raise InputError(
            "--lobe-weights", "lungmask is not installed", "pip install lungmask, or give --lobes"
        ) from error
    logging.getLogger("lungmask").setLevel(logging.WARNING)
    return mask
