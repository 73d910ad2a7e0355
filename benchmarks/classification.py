"""Time and memory of image classifiers: one training step in the papers' configuration, an epoch of the CPU preset.

    python benchmarks/classification.py [--only ad-lite-paper,...] [--steps 1] [--device cpu] [--out FILE.json]

Each case runs in a process of its own, on one thread. Its first step, which allocates, is not timed; memory is the
process's peak (on a GPU, the allocator's). A step is forward, backward and Adam on random images.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """What is timed: a network on batches of images, and how many steps make an epoch."""

    system: str
    options: dict[str, Any]
    shape: tuple[int, int, int]
    batch: int
    epoch_steps: int


CASES = {
    # AD data set: 4096 training images. Demo: 560 slices of 64 pixels, 64 % of them for training.
    "ad-lite-paper": Case("ad-lite-net", {"model": "ad-lite"}, (1, 224, 224), 64, 64),
    "ad-lite-preset": Case("ad-lite-net", {"model": "ad-lite"}, (1, 64, 64), 32, 12),
    "mobilenet-paper": Case("ad-lite-net", {"model": "mobilenet"}, (1, 224, 224), 64, 64),
    # D_2: 1051 training images. Demo: 256 scans of 256 by 64 pixels, 70 % of them for training.
    "dspic-am-paper": Case("dspic", {"model": "dspic-am"}, (1, 1024, 256), 8, 132),
    "dspic-rm-paper": Case("dspic", {"model": "dspic-rm"}, (1, 1024, 256), 8, 132),
    "dspic-am-preset": Case("dspic", {"model": "dspic-am"}, (1, 256, 64), 8, 23),
}


def stepper(case: Case, device: Any) -> Callable[[], None]:
    """Return a function that takes one training step."""
    import torch

    if case.system == "ad-lite-net":
        from medtools.systems.ad_lite_net.classification import build, levels
        from medtools.systems.ad_lite_net.params import TrainParams

        network = build(TrainParams(**case.options), 4, case.shape[1]).to(device)
        images = torch.randint(0, 255, (case.batch, *case.shape), dtype=torch.uint8)
        prepare, targets = levels, torch.arange(case.batch) % 4
    else:
        from medtools.systems.dspic.classification import network_of
        from medtools.systems.dspic.params import TrainParams as DspicParams

        network = network_of(DspicParams(**case.options), case.shape[1:]).to(device)
        images, targets = torch.rand((case.batch, *case.shape)), torch.arange(case.batch) % 3

        def prepare(x: Any) -> Any:
            return x

    optimiser = torch.optim.Adam(network.train().parameters(), lr=1e-4)
    images, targets = images.to(device), targets.to(device)

    def step() -> None:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(prepare(images)), targets).backward()
        optimiser.step()
        if device.type == "cuda":
            torch.cuda.synchronize()

    return step


def measure(name: str, steps: int, device_name: str) -> dict[str, float]:
    """Time one case in this process."""
    import torch

    from medtools.core.devices import resolve_device
    from medtools.core.limits import peak_memory_bytes

    torch.set_num_threads(1)
    case, device = CASES[name], resolve_device(device_name)
    step = stepper(case, device)
    step()
    begun = time.process_time(), time.perf_counter()
    for _ in range(steps):
        step()
    cpu, wall = (
        (now - then) / steps for now, then in zip((time.process_time(), time.perf_counter()), begun, strict=True)
    )
    peak = torch.cuda.max_memory_allocated() if device.type == "cuda" else peak_memory_bytes()
    return {
        "cpu_seconds_per_step": cpu,
        "wall_seconds_per_step": wall,
        "cpu_seconds_per_epoch": cpu * case.epoch_steps,
        "wall_seconds_per_epoch": wall * case.epoch_steps,
        "peak_memory_mib": peak / 2**20,
    }


def main() -> None:
    """Run the cases, each in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(CASES))
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--here", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.here, options.steps, options.device)))
        return
    found = {}
    for name in options.only.split(","):
        command = [sys.executable, __file__, "--here", name, "--steps", str(options.steps), "--device", options.device]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
        print(name, *(f"{key} {value:.3g}" for key, value in found[name].items()), sep="\t", flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
