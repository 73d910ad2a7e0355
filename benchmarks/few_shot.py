"""Time and memory of few-shot segmentation: training steps of local-prototype, and its head beside the plain one.

    python benchmarks/few_shot.py [--only NAME] [--slow] [--device cpu] [--out FILE.json]

`--slow` adds the paper's batch, which takes minutes and several GiB on a CPU; see `cases.py` for how it is measured.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cases import Case, Step, main

if TYPE_CHECKING:
    from torch import Tensor

    from medtools.systems.local_prototype.model import EncoderName


def local_prototype(encoder: EncoderName, size: int, batch: int, width: float, device: str) -> Step:
    """One training step of local-prototype: forward, backward, SGD."""
    import torch

    from medtools.systems.local_prototype.model import LocalPrototypeNetwork, episode_loss

    network = LocalPrototypeNetwork(encoder, size=size, width=width).train().to(device)
    moved = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(moved, lr=1e-3, momentum=0.9, weight_decay=5e-4)
    made = torch.Generator().manual_seed(0)
    images = torch.rand(2, batch, size, size, generator=made).to(device)
    masks = (torch.rand(2, batch, size, size, generator=made) > 0.9).float().to(device)

    def step() -> None:
        optimiser.zero_grad()
        loss = episode_loss(network, images[0][:, None], masks[0][:, None, None], images[1], masks[1].long(), 0.0)
        loss["loss"].backward()
        optimiser.step()

    return step


def segmentation(encoder: EncoderName, organs: int, device: str) -> Step:
    """Segment organs of one 512x512 slice by one support slice: both encoded, then prototypes and votes by organ."""
    import numpy as np
    import torch

    from medtools.preprocess.ct.grid import SliceGrid
    from medtools.systems.local_prototype.cohort import Organ
    from medtools.systems.local_prototype.model import LocalPrototypeNetwork
    from medtools.systems.local_prototype.protocol import SliceRange
    from medtools.systems.local_prototype.segmentation import SliceFeatures, segment_organ
    from medtools.systems.local_prototype.slices import Stack

    network = LocalPrototypeNetwork(encoder, size=512).eval().to(torch.device(device))
    rng = np.random.default_rng(0)
    grid = SliceGrid.of((512, 512, 1), np.diag([-1.0, -1.0, 1.0, 1.0]))
    labels = rng.integers(0, organs + 1, (1, 512, 512)).astype(np.uint8)
    support, query = (
        Stack(name, name, rng.integers(0, 256, (1, 512, 512)).astype(np.uint8), labels, grid)
        for name in ("support", "query")
    )

    def step() -> None:
        features = SliceFeatures(network)
        for value in range(1, organs + 1):
            segment_organ(features, [support], query, Organ(value, str(value), str(value)), SliceRange(0, 0))

    return step


def head_only(size: int, low: int, channels: int, device: str) -> Step:
    """Prototypes and votes of one 512x512 slice, without the encoder."""
    import torch

    from medtools.systems.local_prototype.cells import Cells
    from medtools.systems.local_prototype.prototypes import local_prototypes, similarity, with_background

    features, mask = _features_and_mask(size, low, channels, device)
    cells = Cells.of(size, size, 1 / 8)

    def step() -> None:
        with torch.no_grad():
            prototypes = local_prototypes(features[None, :1], with_background(mask), cells)
            similarity(features[1:], prototypes, cells)

    return step


def head_written_out(size: int, low: int, channels: int, device: str) -> Step:
    """The same as equations 1 and 3 are written: features upsampled, one cell after the other."""
    import torch
    from torch.nn import functional

    from medtools.systems.local_prototype.cells import Cells
    from medtools.systems.local_prototype.prototypes import with_background

    features, mask = _features_and_mask(size, low, channels, device)
    cells = Cells.of(size, size, 1 / 8)

    def step() -> None:
        with torch.no_grad():
            support, query = functional.interpolate(features, (size, size), mode="bilinear")
            masks = with_background(mask)[0, 0]
            best = torch.full((2, size, size), -1.0, device=device)
            for top in cells.rows.starts:
                for left in cells.columns.starts:
                    cell = (..., slice(top, top + cells.rows.cell), slice(left, left + cells.columns.cell))
                    for number, inside in enumerate(masks[cell]):
                        prototype = (support[cell] * inside).sum((1, 2)) / inside.sum().clamp(min=1)
                        cosine = functional.cosine_similarity(query[cell], prototype[:, None, None], dim=0)
                        best[number][cell] = torch.maximum(best[number][cell], cosine)

    return step


def _features_and_mask(size: int, low: int, channels: int, device: str) -> tuple[Tensor, Tensor]:
    """Features of a support and a query slice, and a mask of one organ on the support."""
    import torch

    made = torch.Generator().manual_seed(0)
    features = torch.rand(2, channels, low, low, generator=made).to(device)
    return features, (torch.rand(1, 1, 1, size, size, generator=made) > 0.9).float().to(device)


CASES = {
    "128 px, batch 4, width 0.25: step": Case(partial(local_prototype, "resnet50", 128, 4, 0.25)),
    "128 px, batch 4, EfficientNet-Lite0: step": Case(partial(local_prototype, "efficientnet-lite0", 128, 4, 1.0)),
    "head alone, 512 px, 256 channels: slice": Case(partial(head_only, 512, 65, 256)),
    "head as it is written, 512 px, 256 channels: slice": Case(partial(head_written_out, 512, 65, 256), repeats=1),
    "512 px, ResNet-50: 10 organs of a slice": Case(partial(segmentation, "resnet50", 10), repeats=1),
    "512 px, EfficientNet-Lite0: 10 organs of a slice": Case(
        partial(segmentation, "efficientnet-lite0", 10), repeats=1
    ),
    "paper's slices, one episode (512 px): step": Case(partial(local_prototype, "resnet50", 512, 1, 1.0), repeats=1),
    "paper (512 px, batch 4): step": Case(partial(local_prototype, "resnet50", 512, 4, 1.0), repeats=1, slow=True),
}

if __name__ == "__main__":
    main(CASES, __file__, str(__doc__))
