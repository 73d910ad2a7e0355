"""A volume segmented slice by slice, by the support slices that the protocol pairs with its own."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from medtools.core.devices import compute_threads
from medtools.core.errors import InputError
from medtools.metrics.segmentation import dice
from medtools.systems.local_prototype.cohort import Organ
from medtools.systems.local_prototype.model import LocalPrototypeNetwork
from medtools.systems.local_prototype.protocol import CHUNKS, SliceRange, organ_range, pairing
from medtools.systems.local_prototype.slices import Stack, back_to_slices, masks_at

_SMOOTHING = 0.001
_ROOM = 2**29
"""Bytes of features to keep: 120 slices of 512x512 with 256 channels."""


@dataclass(frozen=True)
class Segmented:
    """One organ of one query.

    Attributes
    ----------
    mask : (slices, height, width) bool
        At the query's own resolution; nothing outside the slices that were segmented.
    pairs : mapping of int to int
        Query slice to the slice of the first support.
    """

    mask: NDArray[np.bool_]
    pairs: Mapping[int, int]


class SliceFeatures:
    """A network in evaluation mode, and the features of the slices it has seen lately: one slice shows many organs.

    Parameters
    ----------
    network : LocalPrototypeNetwork
    """

    def __init__(self, network: LocalPrototypeNetwork) -> None:
        self.network = network
        self._known: OrderedDict[tuple[str, int], torch.Tensor] = OrderedDict()

    def of(self, stack: Stack, number: int) -> torch.Tensor:
        """Return the features of a slice, (channels, h, w) on the network's device."""
        key = (stack.id, number)
        if key not in self._known:
            device = next((tensor.device for tensor in self.network.parameters()), torch.device("cpu"))
            image = torch.from_numpy(stack.image[number].astype(np.float32) / 255)[None, None]
            self._known[key] = self.network.encoder(image.to(device))[0]
            while len(self._known) * self._known[key].nbytes > _ROOM:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]


def smoothed_dice(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    """Dice with 0.001 added above and below, as the published numbers are made: 1 for two empty masks."""
    total, common = int(truth.sum()) + int(predicted.sum()), int((truth & predicted).sum())
    return (2 * common + _SMOOTHING) / (total + _SMOOTHING)


def support_range(stack: Stack, organ: Organ) -> SliceRange:
    """Return the slices of a support that show the organ.

    Raises
    ------
    InputError
        There are none.
    """
    found = organ_range(stack.mask(organ))
    if found is None:
        raise InputError(stack.id, f"the support shows no {organ.name}", "choose another --support, or other --organs")
    return found


def pair_slices(
    supports: Sequence[Stack], organ: Organ, query: SliceRange, *, whole: bool = False, count: int = CHUNKS
) -> list[dict[int, int]]:
    """Pair the query's slices with those of every support; `whole` pairs whole volumes instead of the organ's part."""
    ranges = [support_range(stack, organ) for stack in supports]
    if whole:
        ranges = [SliceRange(0, len(stack.image) - 1) for stack in supports]
    return [pairing(each, query, count) for each in ranges]


def segment_organ(
    features: SliceFeatures | None,
    supports: Sequence[Stack],
    query: Stack,
    organ: Organ,
    slices: SliceRange,
    *,
    whole: bool = False,
    count: int = CHUNKS,
) -> Segmented:
    """Segment one organ of a query by one or more supports.

    Parameters
    ----------
    features : SliceFeatures or None
        Of the network that is to compute; None copies the mask of the first support.
    supports, query : Stack
        Prepared at the network's size.
    organ : Organ
    slices : SliceRange
        Slices of the query to segment.
    whole, count
        As for `pair_slices`.
    """
    pairs = pair_slices(supports, organ, slices, whole=whole, count=count)
    mask = np.zeros(query.labels.shape, dtype=bool)
    for group in _by_support(pairs):
        rows = np.array(group)
        shown = [(stack, each[group[0]]) for stack, each in zip(supports, pairs, strict=True)]
        mask[rows] = (
            _segment_slices(features, shown, query, organ, rows) if features else _copied(shown[0], query, organ)
        )
    return Segmented(mask, pairs[0])


def mean_dice(
    network: LocalPrototypeNetwork, supports: Sequence[Stack], queries: Sequence[Stack], organs: Sequence[Organ]
) -> float:
    """Return the mean Dice over queries and organs that both sides show, by the paper's protocol.

    Raises
    ------
    InputError
        There are none: nothing to choose an epoch by.
    """
    found, features = [], SliceFeatures(network)
    shown = [organ for organ in organs if all(organ_range(stack.mask(organ)) is not None for stack in supports)]
    for query in queries:
        for organ in shown:
            slices = organ_range(query.mask(organ))
            if slices is None:
                continue
            segmented = segment_organ(features, supports, query, organ, slices)
            part = slice(slices.first, slices.last + 1)
            found.append(smoothed_dice(query.mask(organ)[part], segmented.mask[part]))
    if not found:
        names = ", ".join(organ.name for organ in organs)
        raise InputError("--select", f"no query shows what the support shows of {names}", "use --select last")
    return float(np.mean(found))


def pair_dice(support: Stack, query: Stack, organ: Organ, segmented: Segmented) -> list[dict[str, float]]:
    """Return for each segmented slice how well the masks lie on each other and how well it was segmented.

    Columns: slice, support_slice, alignment_dice (support mask on query mask), segmentation_dice.
    """
    truth = query.mask(organ)
    rows = []
    for number, other in sorted(segmented.pairs.items()):
        copied = _copied((support, other), query, organ)
        rows.append(
            {
                "slice": number,
                "support_slice": other,
                "alignment_dice": dice(truth[number], copied),
                "segmentation_dice": dice(truth[number], segmented.mask[number]),
            }
        )
    return rows


def _by_support(pairs: Sequence[Mapping[int, int]]) -> list[list[int]]:
    """Group query slices by the slices that support them, so that prototypes are made once for each group."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for number in pairs[0]:
        groups.setdefault(tuple(each[number] for each in pairs), []).append(number)
    return list(groups.values())


def _segment_slices(
    features: SliceFeatures,
    shown: Sequence[tuple[Stack, int]],
    query: Stack,
    organ: Organ,
    rows: NDArray[np.int64],
) -> NDArray[np.bool_]:
    network = features.network
    masks = [masks_at(stack.mask(organ)[number : number + 1], network.size) for stack, number in shown]
    with torch.no_grad(), compute_threads(1):
        support = torch.stack([features.of(stack, number) for stack, number in shown])[None]
        prototypes = network.prototypes(support, torch.stack(masks)[None].to(support.device))
        found = []
        for number in rows.tolist():
            logits = network.logits(features.of(query, number)[None], prototypes)[0].cpu()
            found.append(back_to_slices(logits, *query.labels.shape[1:]).argmax(dim=0).numpy() == 1)
    return np.stack(found)


def _copied(shown: tuple[Stack, int], query: Stack, organ: Organ) -> NDArray[np.bool_]:
    """Return the support's mask, brought to the query's resolution."""
    stack, number = shown
    square = masks_at(stack.mask(organ)[number : number + 1], query.image.shape[1])
    return back_to_slices(square, *query.labels.shape[1:])[0].numpy() > 0.5
