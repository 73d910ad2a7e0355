"""A trained PRNet-2D applied to patches, with what it was trained for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medtools.core.devices import resolve_device
from medtools.core.log import LOGGER
from medtools.preprocess.spect.heart import HeartSlice, read_hearts
from medtools.systems.spect_prnet.learning import SYSTEM, build, pixel_size
from medtools.systems.spect_prnet.model import PrNet, predicted_offset
from medtools.systems.spect_prnet.patches import PatchSource
from medtools.training.batches import TensorBatches
from medtools.training.checkpoint import load_into
from medtools.training.inference import predict
from medtools.training.runs import read_model

_BATCH = 256
_TOLERANCE = 0.1


@dataclass(frozen=True)
class TrainedPrNet:
    """A network with its parameters, on its device.

    Attributes
    ----------
    network : PrNet
    params : mapping
        As `medtools train spect-prnet` stored them.
    """

    network: PrNet
    params: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path, device: str) -> TrainedPrNet:
        """Read the network of a run folder.

        Raises
        ------
        InputError
            There is none, or one of another system.
        """
        checkpoint = read_model(folder, SYSTEM)
        network = build(checkpoint.params)
        load_into(network, checkpoint.tensors)
        return cls(network.eval().to(resolve_device(device)), checkpoint.params)

    @property
    def reach(self) -> NDArray[np.float32]:
        """Largest offset r along rows and columns in `unit`, (2,)."""
        return np.array(self.params["reach"], dtype=np.float32)

    @property
    def unit(self) -> str:
        """Unit of offsets, mm or px."""
        return str(self.params["unit"])

    def source(self, heart: HeartSlice) -> PatchSource:
        """Return the slice as a source of this network's patches."""
        return PatchSource(heart.image, self.network.patch, heart.id)

    def pixel(self, heart: HeartSlice) -> NDArray[np.float64]:
        """Return the size of a slice's pixels in the unit of offsets, (2,); as `pixel_size`."""
        return np.array(pixel_size(heart, self.unit))

    def coordinates(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the anatomical coordinates (n, 2) of patches (n, patch, patch)."""
        return self._apply(patches, lambda model, batch: model.coordinates(batch[0]))

    def rebuild(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the reconstructions (n, patch, patch) in [0, 1] of patches (n, patch, patch)."""
        return self._apply(patches, lambda model, batch: torch.sigmoid(model(batch[0])[1]))[:, 0]

    def offsets(self, first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return d' from coordinates (..., 2): from the second points to the first, in `unit`."""
        found = predicted_offset(*map(torch.from_numpy, (first, second, self.reach)))
        return found.numpy()

    def _apply(self, patches: NDArray[np.float32], forward: Any) -> NDArray[np.float32]:
        data = TensorBatches([torch.from_numpy(np.ascontiguousarray(patches))[:, None]], _BATCH)
        found: NDArray[np.float32] = predict(self.network, data, forward).numpy()
        return found


def read_slices(inputs: Sequence[Path], trained: TrainedPrNet) -> list[HeartSlice]:
    """Read slices as the network was trained on: whole, or cropped around the heart; warn of what is unlike them.

    Raises
    ------
    InputError
        As `read_hearts`; no pixel spacing where the network counts in mm.
    """
    crop = trained.params["crop"]
    hearts = read_hearts(inputs, crop=crop, labelled=crop is not None)
    wanted, limit = np.array(trained.params["pixel"]), (1 + _TOLERANCE) * np.array(trained.params["size"])
    pixels = [trained.pixel(heart) for heart in hearts]
    other = [h for h, pixel in zip(hearts, pixels, strict=True) if (np.abs(pixel / wanted - 1) > _TOLERANCE).any()]
    if other:
        text = "%d of %d slices (first %s) have pixels of another size than the %g x %g mm trained on: resample them"
        LOGGER.warning(text, len(other), len(hearts), other[0].id, *wanted)
    larger = [heart for heart in hearts if (np.array(heart.image.shape) > limit).any()]
    if larger:
        text = "%d of %d slices (first %s) are larger than the %d x %d pixels trained on: offsets may not reach across"
        LOGGER.warning(text, len(larger), len(hearts), larger[0].id, *trained.params["size"])
    return hearts
