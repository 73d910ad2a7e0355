"""Time and memory of the SPECT systems: one training step in the paper's configuration, and with given weights.

    python benchmarks/spect.py [--only NAME] [--out FILE.json]

Each case runs in a process of its own with one thread; CPU and wall seconds are those of a step (after one warm-up
step), memory is the largest resident size of the process.
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
_CLASSES = 3


def prototypes_episode(size: int, shot: int, query: int) -> Step:
    """One training episode of spect-prototypes: forward, backward, Adam."""
    import torch

    from medtools.systems.spect_prototypes.model import PrototypeNetwork, episode_loss

    network = PrototypeNetwork(size).train()
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    made = torch.Generator().manual_seed(0)
    support, queries = (torch.rand(_CLASSES, count, 64, 64, generator=made) for count in (shot, query))

    def step() -> None:
        optimiser.zero_grad()
        loss, _ = episode_loss(network, support, queries)
        loss.backward()
        optimiser.step()

    return step


def prototypes_inference(size: int, crops: int) -> Step:
    """Embedding of crops and their posterior by spect-prototypes."""
    import torch

    from medtools.systems.spect_prototypes.model import PrototypeNetwork, distances, log_posterior

    network = PrototypeNetwork(size).eval()
    made = torch.Generator().manual_seed(0)
    images, centres = torch.rand(crops, 64, 64, generator=made), torch.rand(_CLASSES, 512, generator=made)

    def step() -> None:
        with torch.no_grad():
            log_posterior(distances(network(images), centres))

    return step


CASES: dict[str, tuple[Callable[[], Step], int]] = {
    "spect-prototypes, 3-way 3-shot 6-query, 64 px: episode": (lambda: prototypes_episode(64, 3, 6), 3),
    "spect-prototypes, 3-way 3-shot 6-query, 224 px (--weights): episode": (lambda: prototypes_episode(224, 3, 6), 1),
    "spect-prototypes, 36 crops, 64 px: inference": (lambda: prototypes_inference(64, 36), 3),
}
"""Name to what makes the step, and how often it is repeated."""


def peak_mib() -> int:
    """Largest resident size of this program; `getrusage` would count the process it was forked from."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def run_case(name: str) -> None:
    """Run one case in this process and print its figures as JSON."""
    import torch

    torch.set_num_threads(1)
    make, repeats = CASES[name]
    step = make()
    step()
    cpu, wall = time.process_time(), time.monotonic()
    for _ in range(repeats):
        step()
    figures = {
        "cpu_seconds": round((time.process_time() - cpu) / repeats, 3),
        "wall_seconds": round((time.monotonic() - wall) / repeats, 3),
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
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case", choices=CASES)
    options = parser.parse_args()
    if options.case:
        run_case(options.case)
        return
    text = json.dumps({name: measure(name) for name in CASES if options.only in name}, indent=2)
    print(text)
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
