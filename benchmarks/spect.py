"""Time and memory of the SPECT systems: steps of training, classification, a landmark search, a reconstruction.

    python benchmarks/spect.py [--only NAME] [--device cpu] [--out FILE.json]

On made crops and slices; see `cases.py` for how it is measured.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cases import Case, Step, main

if TYPE_CHECKING:
    from medtools.systems.spect_prototypes.model import Encoder

_CLASSES = 3


def prototypes_episode(encoder: Encoder, size: int, shot: int, query: int, device: str) -> Step:
    """One training episode of spect-prototypes: forward, backward, Adam."""
    import torch

    from medtools.systems.spect_prototypes.model import PrototypeNetwork, episode_loss

    network = PrototypeNetwork(size, encoder=encoder).train().to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    made = torch.Generator().manual_seed(0)
    support, queries = (torch.rand(_CLASSES, count, 64, 64, generator=made).to(device) for count in (shot, query))

    def step() -> None:
        optimiser.zero_grad()
        loss, _ = episode_loss(network, support, queries)
        loss.backward()
        optimiser.step()

    return step


def prototypes_inference(size: int, crops: int, device: str) -> Step:
    """Embedding of crops and their posterior by spect-prototypes."""
    import torch

    from medtools.systems.spect_prototypes.model import PrototypeNetwork, distances, log_posterior

    network = PrototypeNetwork(size).eval().to(device)
    made = torch.Generator().manual_seed(0)
    images = torch.rand(crops, 64, 64, generator=made).to(device)
    centres = torch.rand(_CLASSES, 512, generator=made).to(device)

    def step() -> None:
        with torch.no_grad():
            log_posterior(distances(network(images), centres))

    return step


def prnet_training(size: int, patch: int, width: int, device: str) -> Step:
    """One training step: batch, forward, backward, Adam."""
    import numpy as np
    import torch

    from medtools.core.devices import resolve_device
    from medtools.preprocess.spect.simulate import cardiac_phantom
    from medtools.systems.spect_prnet.model import PrNet, prnet_loss
    from medtools.systems.spect_prnet.pairs import PairBatches
    from medtools.systems.spect_prnet.patches import PatchSource

    where = resolve_device(device)
    source = PatchSource(cardiac_phantom(np.random.default_rng(0), size).image, patch)
    reach = np.full(2, float(size))
    data = PairBatches([source], np.ones((1, 2)), reach, pairs=8, steps=10, seed=0)
    network = PrNet(patch, width=width).to(where)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    limits = torch.from_numpy(reach).float()

    def step() -> None:
        pairs, _, offset = data.batch(0, 0)
        first, second = (part.to(where) for part in pairs)
        optimiser.zero_grad()
        prnet_loss(network, (first, second), (first, second), offset.to(where), limits)["loss"].backward()
        optimiser.step()
        if where.type == "cuda":
            torch.cuda.synchronize()

    return step


def prnet_inference(size: int, patch: int, device: str, *, locate_in: int) -> Step:
    """Five landmarks searched for in so many slices; 0: one slice rebuilt instead."""
    import numpy as np

    from medtools.core.devices import resolve_device
    from medtools.preprocess.spect.heart import HeartSlice
    from medtools.preprocess.spect.simulate import cardiac_phantom
    from medtools.systems.spect_prnet.location import locate
    from medtools.systems.spect_prnet.model import PrNet
    from medtools.systems.spect_prnet.network import TrainedPrNet
    from medtools.systems.spect_prnet.reconstruction import rebuild

    trained = TrainedPrNet(PrNet(patch).eval().to(resolve_device(device)), {"reach": [size, size], "unit": "px"})
    hearts = []
    for number in range(locate_in + 1):
        made = cardiac_phantom(np.random.default_rng(number), size)
        name = f"sub-{number}"
        hearts.append(HeartSlice(name, name, made.image, None, None, 0, (0, 0), dict(made.landmarks), ()))
    if not locate_in:
        return partial(rebuild, trained, hearts[0])
    return partial(locate, trained, hearts[0], hearts[1:], draws=10, refine=1, fine=None, seed=0)


CASES = {
    "prototypes, 3-way 3-shot 6-query, 64 px: episode": Case(partial(prototypes_episode, "resnet18", 64, 3, 6)),
    "prototypes, 224 px (--weights): episode": Case(partial(prototypes_episode, "resnet18", 224, 3, 6), 1),
    "prototypes, 224 px, EfficientNet-Lite0: episode": Case(
        partial(prototypes_episode, "efficientnet-lite0", 224, 3, 6), 1
    ),
    "prototypes, 36 crops, 64 px: inference": Case(partial(prototypes_inference, 64, 36)),
    # An epoch of the paper has 10 steps of 8 pairs, a training 50 epochs.
    "prnet, paper, 64 px slice, patch 32: step": Case(partial(prnet_training, 64, 32, 16), 5, epoch=10),
    "prnet, paper, 128 px slice, patch 64: step": Case(partial(prnet_training, 128, 64, 16), epoch=10),
    "prnet, CPU preset (--width 8), patch 32: step": Case(partial(prnet_training, 64, 32, 8), 10, epoch=10),
    "prnet, locate: 5 landmarks in 11 slices": Case(partial(prnet_inference, 64, 32, locate_in=11), 5),
    "prnet, reconstruct: a slice of 64 px": Case(partial(prnet_inference, 64, 32, locate_in=0), 10),
}

if __name__ == "__main__":
    main(CASES, __file__, str(__doc__))
