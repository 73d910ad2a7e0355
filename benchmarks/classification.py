"""Time and memory of image classifiers: one training step in the papers' configuration and in the CPU preset.

    python benchmarks/classification.py [--only NAME] [--device cpu] [--out FILE.json]

A step is forward, backward and Adam on random images; see `cases.py` for how it is measured.
"""

from __future__ import annotations

from functools import partial

from cases import Case, Step, main


def heads(model: str, size: int, batch: int, device: str) -> Step:
    """A step of ad-lite-net or one of its comparison networks, four classes."""
    import torch

    from medtools.core.devices import resolve_device
    from medtools.systems.ad_lite_net.classification import build, levels
    from medtools.systems.ad_lite_net.params import TrainParams

    where = resolve_device(device)
    network = build(TrainParams(model=model), 4, size).to(where).train()
    images = torch.randint(0, 255, (batch, 1, size, size), dtype=torch.uint8, device=where)
    targets = torch.arange(batch, device=where) % 4
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)

    def step() -> None:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(levels(images)), targets).backward()
        optimiser.step()

    return step


def bones(model: str, height: int, width: int, device: str) -> Step:
    """A step of dspic or one of its comparison networks on eight scans."""
    import torch

    from medtools.core.devices import resolve_device
    from medtools.systems.dspic.classification import adam, network_of
    from medtools.systems.dspic.params import TrainParams

    where = resolve_device(device)
    network = network_of(TrainParams(model=model), (height, width)).to(where).train()
    images, targets = torch.rand((8, 1, height, width), device=where), torch.arange(8, device=where) % 3
    optimiser = adam(network, 1e-4)

    def step() -> None:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(images), targets).backward()
        optimiser.step()

    return step


CASES = {
    # AD data set: 4096 training images. Demo: 560 slices of 64 pixels, 64 % of them for training.
    "ad-lite, paper: 224x224, batch 64": Case(partial(heads, "ad-lite", 224, 64), repeats=1, epoch=64),
    "ad-lite, preset: 64x64, batch 32": Case(partial(heads, "ad-lite", 64, 32), epoch=12),
    "efficientnet-lite0: 64x64, batch 32": Case(partial(heads, "efficientnet-lite0", 64, 32), epoch=12),
    "mobilenet, paper: 224x224, batch 64": Case(partial(heads, "mobilenet", 224, 64), repeats=1, epoch=64),
    # D_2: 1051 training images. Demo: 256 scans of 256 by 64 pixels, 70 % of them for training.
    "dspic-am, paper: 1024x256, batch 8": Case(partial(bones, "dspic-am", 1024, 256), repeats=1, epoch=132),
    "dspic-rm, paper: 1024x256, batch 8": Case(partial(bones, "dspic-rm", 1024, 256), repeats=1, epoch=132),
    "dspic-am, preset: 256x64, batch 8": Case(partial(bones, "dspic-am", 256, 64), epoch=23),
}

if __name__ == "__main__":
    main(CASES, __file__, str(__doc__))
