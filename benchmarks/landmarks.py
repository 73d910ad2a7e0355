"""Time and memory of spect-prnet: a training step, a landmark search and a reconstruction, on made slices.

    python benchmarks/landmarks.py [--only NAME] [--device cpu|cuda] [--out FILE.json]

Each case runs in a process of its own with one thread, once before it is timed. CPU and wall seconds are those of one
step (of 8 pairs; an epoch of the paper has 10, a training 500) or of one search; memory is the largest resident size
of the process, on a GPU the largest allocation there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

Step = Callable[[], Any]


def training(size: int, patch: int, width: int, device: str) -> Step:
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


def inference(size: int, patch: int, device: str, *, locate_in: int) -> Step:
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


CASES: dict[str, tuple[Callable[[str], Step], int]] = {
    "paper, 64 px slice, patch 32: step": (partial(training, 64, 32, 16), 5),
    "paper, 128 px slice, patch 64: step": (partial(training, 128, 64, 16), 3),
    "CPU preset (--width 8), 64 px slice, patch 32: step": (partial(training, 64, 32, 8), 10),
    "locate: 5 landmarks in 11 slices of 64 px": (partial(inference, 64, 32, locate_in=11), 5),
    "reconstruct: a slice of 64 px": (partial(inference, 64, 32, locate_in=0), 10),
}
"""Name to what makes the step on a device, and how often it is repeated."""


def run_case(name: str, device: str) -> None:
    """Run one case in this process and print its figures as JSON."""
    import torch

    from medtools.core.limits import peak_memory_bytes

    torch.set_num_threads(1)
    make, repeats = CASES[name]
    step = make(device)
    step()
    cpu, wall = time.process_time(), time.monotonic()
    for _ in range(repeats):
        step()
    on_gpu = torch.cuda.is_available() and device != "cpu"
    peak = torch.cuda.max_memory_allocated() if on_gpu else peak_memory_bytes()
    figures = {
        "cpu_seconds": round((time.process_time() - cpu) / repeats, 3),
        "wall_seconds": round((time.monotonic() - wall) / repeats, 3),
        "peak_mib": round(peak / 2**20),
    }
    print(json.dumps(figures))


def measure(name: str, device: str) -> dict[str, Any]:
    """Run one case in a process of its own."""
    command = [sys.executable, __file__, "--case", name, "--device", device]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1:]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure what was asked for and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case", choices=CASES)
    options = parser.parse_args()
    if options.case:
        run_case(options.case, options.device)
        return
    text = json.dumps({name: measure(name, options.device) for name in CASES if options.only in name}, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
