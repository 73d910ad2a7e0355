"""Training items: slices that show enough of one organ, everything else being background."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from medtools.core.errors import InputError
from medtools.core.seeds import generator
from medtools.systems.local_prototype.augmentation import augment
from medtools.systems.local_prototype.cohort import Organ
from medtools.systems.local_prototype.protocol import REFERENCE_SIZE
from medtools.systems.local_prototype.slices import Stack, masks_at
from medtools.training.checkpoint import digest
from medtools.training.episodes import Episode

_ITEM_PIXELS, _MOST_SLICES, _DRAWN_SLICES = 150, 20, 5


@dataclass(frozen=True)
class Items:
    """Slices with the mask of one organ each.

    Attributes
    ----------
    images : (items, size, size) uint8
    masks : (items, size, size) bool
    organs : (items,) str
        Name of the organ that is the class.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    organs: NDArray[np.str_]

    @property
    def content(self) -> str:
        """Digest of the items."""
        return digest([("images", torch.from_numpy(self.images)), ("masks", torch.from_numpy(self.masks))])


def choose_slices(mask: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the slices of a volume that become items of an organ.

    Those with more than 150 pixels of it (of a slice of 512x512, scaled by the number of pixels), the last slice of
    the volume left out; if there are more than 20, five of them at random.
    """
    limit = _ITEM_PIXELS * mask.shape[1] * mask.shape[2] / REFERENCE_SIZE**2
    found = np.flatnonzero(mask[:-1].sum(axis=(1, 2)) > limit)
    return np.sort(rng.permutation(found)[:_DRAWN_SLICES]) if len(found) > _MOST_SLICES else found


def collect_items(stacks: Iterable[Stack], organs: Sequence[Organ], *, seed: int) -> Items:
    """Collect the items of these organs from volumes.

    Raises
    ------
    InputError
        No slice shows enough of any of the organs.
    """
    images, masks, names = [], [], []
    for stack in stacks:
        for organ in organs:
            mask = stack.mask(organ)
            chosen = choose_slices(mask, generator(seed, "slices", stack.id, organ.name))
            if not len(chosen):
                continue
            images.append(stack.image[chosen])
            masks.append(masks_at(mask[chosen], stack.image.shape[1]).numpy() > 0)
            names += [organ.name] * len(chosen)
    if not names:
        raise InputError("volumes", f"no slice shows enough of {', '.join(o.name for o in organs)}")
    return Items(np.concatenate(images), np.concatenate(masks), np.array(names))


def episode_maker(
    items: Items, *, augmented: bool
) -> Callable[[Episode, np.random.Generator], tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Return a function from an episode to support (k, h, w), masks (k, 1, h, w), query (h, w), target (h, w)."""

    def image(number: int, rng: np.random.Generator) -> NDArray[np.float32]:
        plain = items.images[number].astype(np.float32) / 255
        return augment(plain, rng) if augmented else plain

    def make(episode: Episode, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        support, query = episode.support[0], int(episode.query[0, 0])
        images = np.stack([image(int(number), rng) for number in support])
        masks = items.masks[support][:, None].astype(np.float32)
        target = items.masks[query].astype(np.int64)
        asked = image(query, rng)
        return torch.from_numpy(images), torch.from_numpy(masks), torch.from_numpy(asked), torch.from_numpy(target)

    return make
