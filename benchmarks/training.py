"""Throughput of `training.fit` beside a hand-written PyTorch loop on the same network, data, order and threads.

    python benchmarks/training.py [--repeats 5] [--out FILE.json]

Both sides run alternately in one process with one thread, and are given by their fastest repeat: CPU time, which other
people's work on the machine disturbs least, and wall time. The whole call counts: for `fit` that includes setting up
the Trainer, `metrics.csv` per epoch, a checkpoint if one falls due, and the model file with its flush to disk.
A last part shows what one thread per fold costs and gains against two threads for one fold after the other.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from medtools.core.seeds import seeded
from medtools.training.batches import TensorBatches
from medtools.training.fit import FitSettings, Objective, fit, supervised
from medtools.training.folds import map_folds


class TwoBranch(nn.Module):
    """The network of card 02 (paper head) for matrices of `n` regions: 764,578 parameters at n = 34."""

    def __init__(self, n: int = 34) -> None:
        super().__init__()
        widths = [1, 16, 32, 64]
        lower = [m for a, b in pairwise(widths) for m in (nn.Conv2d(a, b, 3, padding=1), nn.ReLU())]
        upper = [nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.Conv2d(128, 256, 3, padding=1), nn.ReLU()]
        self.plane = nn.Sequential(*lower, nn.MaxPool2d(2), *upper, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.line = nn.Sequential(nn.Flatten(), nn.Linear(n * n, 256), nn.ReLU())
        sizes = [512, 128, 64, 32]
        layers = [m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), nn.ReLU(), nn.Dropout(0.2))]
        self.head = nn.Sequential(*layers, nn.Linear(32, 2))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, n, n) to (batch, 2) logits."""
        return self.head(torch.cat([self.plane(x), self.line(x)], dim=1))


class SmallUNet(nn.Module):
    """A 3-D U-Net of two levels, as a case of larger steps."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv3d(1, 16, 3, padding=1), nn.BatchNorm3d(16), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv3d(16, 32, 3, 2, padding=1), nn.BatchNorm3d(32), nn.ReLU())
        self.up = nn.ConvTranspose3d(32, 16, 2, 2)
        self.out = nn.Conv3d(32, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, d, h, w) to (batch, 2, d, h, w) logits."""
        level = self.down(x)
        return self.out(torch.cat([level, self.up(self.deep(level))], dim=1))


Case = tuple[Callable[[], nn.Module], Tensor, Tensor, int, int]


def cases() -> dict[str, Case]:
    """Return networks with inputs, targets, batch size and epochs."""
    rng = torch.Generator().manual_seed(0)
    normal, integer = partial(torch.randn, generator=rng), partial(torch.randint, 2, generator=rng)
    return {
        "card 02 CNN, 80 x 34 x 34, batch 64": (TwoBranch, normal(80, 1, 34, 34), integer((80,)), 64, 4),
        "card 02 CNN, 80 x 34 x 34, batch 8": (TwoBranch, normal(80, 1, 34, 34), integer((80,)), 8, 4),
        "3-D U-Net, 12 x 32^3, batch 2": (SmallUNet, normal(12, 1, 32, 32, 32), integer((12, 32, 32, 32)), 2, 4),
        "two-layer perceptron, 640 x 64, batch 64": (
            lambda: nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 2)),
            normal(640, 64), integer((640,)), 64, 60,
        ),
    }  # fmt: skip


Seconds = tuple[float, float]


def clock() -> Seconds:
    """Return CPU and wall time."""
    return time.process_time(), time.perf_counter()


def since(begun: Seconds) -> Seconds:
    """Return CPU and wall time since `begun`."""
    now = clock()
    return now[0] - begun[0], now[1] - begun[1]


def by_hand(case: Case, threads: int) -> Seconds:
    """Train with the loop that one would write, and return what it took."""
    build, inputs, targets, batch, epochs = case
    torch.set_num_threads(threads)
    with seeded(1):
        model = build()
    begun = clock()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    model.train()
    for epoch in range(epochs):
        order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(epoch))
        total = 0.0
        for chosen in order.split(batch):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(inputs[chosen]), targets[chosen])
            loss.backward()
            optimiser.step()
            total += loss.item()
    return since(begun)


def by_fit(case: Case, threads: int) -> Seconds:
    """Train with `fit`, and return what it took."""
    build, inputs, targets, batch, epochs = case
    with seeded(1):
        model = build()
    objective = Objective(supervised(nn.functional.cross_entropy), lambda m: torch.optim.Adam(m.parameters(), lr=1e-3))
    settings = FitSettings(epochs=epochs, compute_threads=threads, curves=False)
    with tempfile.TemporaryDirectory() as folder:
        begun = clock()
        fit(model, objective, TensorBatches((inputs, targets), batch, seed=1), out=folder, settings=settings, seed=1)
        return since(begun)


def compare(case: Case, threads: int, repeats: int) -> dict[str, float]:
    """Time both sides alternately."""
    by_fit(case, threads)
    pairs = [(by_hand(case, threads), by_fit(case, threads)) for _ in range(repeats)]
    found = {}
    for place, kind in enumerate(("cpu", "wall")):
        hand, ours = (min(pair[side][place] for pair in pairs) for side in (0, 1))
        found |= {f"hand_{kind}_seconds": hand, f"fit_{kind}_seconds": ours, f"{kind}_throughput_ratio": hand / ours}
    return found


def _fold(task: tuple[Case, int]) -> Seconds:
    return by_fit(*task)


def folds_side_by_side(case: Case) -> dict[str, float]:
    """Time four folds: in turn with two threads each, and two at a time with one thread each."""
    map_folds(_fold, [(case, 1)] * 2, threads=2)  # the processes start and import
    begun = time.perf_counter()
    map_folds(_fold, [(case, 1)] * 4, threads=2)
    beside = time.perf_counter() - begun
    begun = time.perf_counter()
    for _ in range(4):
        by_hand(case, 2)
    return {"in_turn_two_threads_seconds": time.perf_counter() - begun, "two_at_once_one_thread_seconds": beside}


def main() -> None:
    """Run everything and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {}
    for name, case in cases().items():
        found[name] = compare(case, 1, options.repeats)
        print(name, *(f"{key} {value:.3f}" for key, value in found[name].items()), sep="\t", flush=True)
    case = next(iter(cases().values()))
    found["four folds of the card 02 CNN"] = folds_side_by_side(case)
    row = found["four folds of the card 02 CNN"]
    print("four folds of the card 02 CNN", *(f"{key} {value:.3f}" for key, value in row.items()), sep="\t")
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
