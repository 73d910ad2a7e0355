"""Time and memory of single steps: each case in a process of its own, with one thread, once before it is timed."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Step = Callable[[], Any]


@dataclass(frozen=True)
class Case:
    """What is timed.

    Attributes
    ----------
    make : callable
        Makes the step for a device; takes the device's name.
    repeats : int
        How often the step is timed.
    epoch : int
        Steps in an epoch, where the step is one of training; 0 otherwise.
    slow : bool
        Only with --slow, and not run once before.
    """

    make: Callable[[str], Step]
    repeats: int = 3
    epoch: int = 0
    slow: bool = False


def main(cases: Mapping[str, Case], script: str, doc: str) -> None:
    """Measure what the command line asks for and print one JSON object.

    Parameters
    ----------
    cases : mapping
        By name.
    script, doc : str
        The calling file, and its docstring.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--slow", action="store_true", help="also those that take minutes")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--case", choices=cases, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(figures(cases[options.case], options.device)))
        return
    chosen = [name for name, case in cases.items() if options.only in name and (options.slow or not case.slow)]
    found = {}
    for name in chosen:
        found[name] = measure(script, name, options.device)
        print(json.dumps({name: found[name]}), flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def measure(script: str, name: str, device: str) -> dict[str, Any]:
    """Run one case in a process of its own."""
    command = [sys.executable, script, "--case", name, "--device", device]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1:]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def figures(case: Case, device: str) -> dict[str, float]:
    """Run one case in this process: seconds of a step and of an epoch, and the largest memory of the process or GPU."""
    import torch

    torch.set_num_threads(1)
    step = case.make(device)
    if not case.slow:
        step()
    begun = time.process_time(), time.perf_counter()
    for _ in range(case.repeats):
        step()
        if device != "cpu":
            torch.cuda.synchronize()
    cpu, wall = (
        (now - then) / case.repeats for now, then in zip((time.process_time(), time.perf_counter()), begun, strict=True)
    )
    peak = peak_mib() if device == "cpu" else torch.cuda.max_memory_allocated() // 2**20
    found = {"cpu_seconds": round(cpu, 3), "wall_seconds": round(wall, 3), "peak_mib": peak}
    return found | ({"cpu_seconds_per_epoch": round(cpu * case.epoch, 1)} if case.epoch else {})


def peak_mib() -> int:
    """Largest resident size of this program; `getrusage` would count the process it was forked from."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) // 1024
