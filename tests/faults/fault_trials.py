"""Disturb every stage at random, run the same command again, and compare every byte with an undisturbed run.

    python tests/faults/fault_trials.py --trials 120 --seed 0

The faults: the process is killed (at a random moment of its processor time, or just as a file is given its name), one
of its files is cut short, the disk fills up, its folder may not be written to, an input is damaged and then put right.
After each the command is run again and has to end with the files of the undisturbed run, bit for bit. What may differ
is in the records only: `wall_seconds`, `peak_memory_mib` and `packages`, and so size and hash of
a record named in another record.

At the moment of the fault no file may stand half-written under its final name.

Every run is a fork of this process, which has imported everything, so that a trial costs what the stage itself costs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.pop("SLURM_CPUS_PER_TASK", None)

from fault_bench import Bench, Trial
from fault_kinds import FAULTS, attempt, mountable, possible
from fault_stages import CHEAP, COMMANDS, Command


def plan(commands: Sequence[Command], trials: int, seed: int, can_mount: bool) -> list[tuple[int, Command, str]]:
    """Choose so many trials that every stage meets every fault as often as any other, as far as the number allows."""
    rng = random.Random(f"plan {seed}")
    chosen: list[tuple[Command, str]] = []
    while len(chosen) < trials:
        pairs = [(command, fault) for command in commands for fault in possible(command, can_mount)]
        rng.shuffle(pairs)
        chosen += pairs
    return [(number, command, fault) for number, (command, fault) in enumerate(chosen[:trials])]


def markdown(trials: Iterable[Trial]) -> str:
    """Format trials as the table in docs/robustness.md: in each cell how many ended how."""
    by_stage: dict[str, dict[str, list[Trial]]] = defaultdict(lambda: defaultdict(list))
    for trial in trials:
        by_stage[trial.stage][trial.fault].append(trial)
    lines = [f"| Stage | {' | '.join(FAULTS)} | differences |", "|---" * (len(FAULTS) + 1) + "|---:|"]
    total = 0
    for command in COMMANDS:
        cells = by_stage.get(command.name)
        if cells is None:
            continue
        wrong = sum(bool(trial.faults) for group in cells.values() for trial in group)
        total += wrong
        lines.append(f"| {command.name} | {' | '.join(_cell(cells.get(fault, [])) for fault in FAULTS)} | {wrong} |")
    count = sum(len(group) for cells in by_stage.values() for group in cells.values())
    return "\n".join([*lines, f"| **{count} trials** {'|' * len(FAULTS)}| {total} |"]) + "\n"


def _cell(trials: Sequence[Trial]) -> str:
    counts: dict[str, int] = defaultdict(int)
    for trial in trials:
        counts[trial.outcome] += 1
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())) or "–"


def main() -> int:
    """Run the trials of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stages", nargs="*", metavar="STAGE", help="only these, e.g. 'infer covid-severity'")
    parser.add_argument("--short", action="store_true", help=f"only {', '.join(CHEAP)}")
    parser.add_argument("--first", type=int, default=0, help="begin with this trial, to run them in parts")
    parser.add_argument("--last", type=int, help="end before this trial")
    parser.add_argument(
        "--log", type=Path, help="add each trial to this file (JSON lines), and print the table of all in it"
    )
    asked = parser.parse_args()
    names = asked.stages or (CHEAP if asked.short else [command.name for command in COMMANDS])
    trials: list[Trial] = []
    with tempfile.TemporaryDirectory(prefix="faults-") as place:
        bench, can_mount = Bench(Path(place)), mountable(Path(place))
        commands = [command for command in COMMANDS if command.name in names]
        numbered = plan(commands, asked.trials, asked.seed, can_mount)[asked.first : asked.last]
        bench.prepare([command.name for _, command, _ in numbered])
        for number, command, fault in numbered:
            trial = attempt(bench, command, fault, random.Random(f"{asked.seed}/{number}"))
            trials.append(trial)
            sys.stderr.write(
                f"{number}: {command.name}, {fault}: {trial.outcome}; {'; '.join(trial.faults) or 'same bytes'}\n"
            )
            if asked.log:
                with asked.log.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(vars(trial)) + "\n")
    if asked.log:
        trials = [Trial(**json.loads(line)) for line in asked.log.read_text(encoding="utf-8").splitlines()]
    sys.stdout.write(markdown(trials))
    return 1 if any(trial.faults for trial in trials) else 0


if __name__ == "__main__":
    sys.exit(main())
