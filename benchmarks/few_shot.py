"""Time and memory of the few-shot systems: the paper's configuration by one step, a CPU preset by an epoch.

    python benchmarks/few_shot.py [--only NAME] [--out FILE.json]

Each case runs in a process of its own with one thread; CPU and wall seconds are those of a step (after one warm-up
step, where it is repeated), memory is the largest resident size of the process. `--paper` adds the paper's batch of
local-prototype, which takes minutes and several GiB on a CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Step = Callable[[], Any]


def local_prototype(size: int, batch: int, width: float) -> Step:
    """One training step of local-prototype: forward, backward, SGD."""
    import torch

    from medtools.systems.local_prototype.model import LocalPrototypeNetwork, episode_loss

    network = LocalPrototypeNetwork("resnet", size=size, width=width).train()
    moved = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(moved, lr=1e-3, momentum=0.9, weight_decay=5e-4)
    made = torch.Generator().manual_seed(0)
    images = torch.rand(2, batch, size, size, generator=made)
    masks = (torch.rand(2, batch, size, size, generator=made) > 0.9).float()

    def step() -> None:
        optimiser.zero_grad()
        loss = episode_loss(network, images[0][:, None], masks[0][:, None, None], images[1], masks[1].long(), 0.0)
        loss["loss"].backward()
        optimiser.step()

    return step


def head_only(size: int, low: int, channels: int) -> Step:
    """Prototypes and votes of one 512x512 slice, without the encoder."""
    import torch

    from medtools.systems.local_prototype.cells import Cells
    from medtools.systems.local_prototype.prototypes import local_prototypes, similarity, with_background

    made = torch.Generator().manual_seed(0)
    features = torch.rand(2, channels, low, low, generator=made)
    mask = (torch.rand(1, 1, 1, size, size, generator=made) > 0.9).float()
    cells = Cells.of(size, size, 1 / 8)

    def step() -> None:
        with torch.no_grad():
            prototypes = local_prototypes(features[None, :1], with_background(mask), cells)
            similarity(features[1:], prototypes, cells)

    return step


CASES: dict[str, tuple[Callable[[], Step], int, bool]] = {
    "local-prototype, 128 px, batch 4, width 0.25: step": (lambda: local_prototype(128, 4, 0.25), 3, False),
    "local-prototype, head alone, 512 px, 256 channels: slice": (lambda: head_only(512, 65, 256), 3, False),
    "local-prototype, paper's slices, one episode (512 px): step": (lambda: local_prototype(512, 1, 1.0), 1, False),
    "local-prototype, paper (512 px, batch 4): step": (lambda: local_prototype(512, 4, 1.0), 1, True),
}
"""Name to what makes the step, how often it is repeated, and whether it needs --paper."""


def peak_mib() -> int:
    """Largest resident size of this program; `getrusage` would count the process it was forked from."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def run_case(name: str) -> None:
    """Run one case in this process and print its figures as JSON."""
    import torch

    torch.set_num_threads(1)
    make, repeats, slow = CASES[name]
    step = make()
    if not slow and repeats > 1:
        step()
    cpu, wall = time.process_time(), time.monotonic()
    for _ in range(repeats):
        step()
    figures = {
        "cpu_seconds": round((time.process_time() - cpu) / repeats, 2),
        "wall_seconds": round((time.monotonic() - wall) / repeats, 2),
        "peak_mib": peak_mib(),
    }
    print(json.dumps(figures))


def measure(name: str) -> dict[str, Any]:
    """Run one case in a process of its own."""
    command = [sys.executable, __file__, "--case", name]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1:]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Measure what was asked for and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--paper", action="store_true", help="also the paper's configuration of local-prototype")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case", choices=CASES)
    options = parser.parse_args()
    if options.case:
        run_case(options.case)
        return
    chosen = [name for name, (_, _, slow) in CASES.items() if options.only in name and (options.paper or not slow)]
    text = json.dumps({name: measure(name) for name in chosen}, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
