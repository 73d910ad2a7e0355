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
import contextlib
import ctypes
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.pop("SLURM_CPUS_PER_TASK", None)

from fault_stages import CHEAP, COMMANDS, Command

from medtools.cli import main as medtools_cli
from medtools.core.provenance import read_record

_TIMEOUT_S = 400.0
_VOLATILE = ("wall_seconds", "peak_memory_mib", "packages")  # packages: those that the process had imported
_WHILE_TRAINING = ("resume.ckpt", "metrics.csv")  # a run that is under way shows how far it is
_IMPORTED = {
    "homology": ("medtools.homology.steps",),
    "plot": ("medtools.homology.figures", "medtools.homology.plots.panels"),
    "mci-homology": ("medtools.systems.mci_homology.demo",),
    "stats": ("medtools.systems.mci_homology.group_statistics",),
    "asd-transformer": ("medtools.systems.asd_transformer.explanation", "medtools.training.fit"),
    "covid-severity": ("medtools.systems.covid_severity.inference", "medtools.systems.covid_severity.scoring"),
    "drivpocket": ("medtools.systems.drivpocket.steps", "medtools.systems.drivpocket.learning"),
    "train": ("medtools.systems.mci_homology.classification", "medtools.training.fit", "lightning"),
    "fmri": ("medtools.preprocess.fmri.steps",),
    "ct": ("medtools.preprocess.ct.steps",),
    "protein": ("medtools.preprocess.protein.steps",),
}  # fmt: skip
"""What the stages named with these words import, taken in once before the runs."""


@dataclass(frozen=True)
class Run:
    """How a run ended: exit code (negative: the signal), what it said, processor seconds."""

    code: int
    said: str
    cpu_s: float


@dataclass
class Reference:
    """The undisturbed run of a stage."""

    files: dict[str, bytes]
    cpu_s: float

    @property
    def n_bytes(self) -> int:
        """Room that the files take in pages of memory."""
        return sum(len(content) // 4096 * 4096 + 8192 for content in self.files.values())


@dataclass
class Trial:
    """One fault: what happened at once, and what was wrong afterwards."""

    stage: str
    fault: str
    outcome: str = ""
    faults: list[str] = field(default_factory=list)


@dataclass
class Bench:
    """The stages' inputs and reference runs, and where trials take place."""

    folder: Path
    references: dict[str, Reference] = field(default_factory=dict)

    def prepare(self, names: Sequence[str]) -> None:
        """Run the undisturbed chain as far as the named stages need it."""
        self.made.mkdir(parents=True, exist_ok=True)
        wanted = {command.out for command in COMMANDS if command.name in names}
        for command in reversed(COMMANDS):
            wanted |= set(command.needs) if command.out in wanted else set()
        if "bids" in wanted:
            _write_bids(self.made / "bids")
        for command in COMMANDS:
            if command.out not in wanted:
                continue
            for module in {module for word in command.name.split() for module in _IMPORTED.get(word, ())}:
                importlib.import_module(module)
            done = run(command.line, self.made)
            if done.code != 0:
                raise RuntimeError(f"{command.name} fails undisturbed: {done.said}")
            self.references[command.name] = Reference(essence(self.made / command.out), done.cpu_s)
            sys.stderr.write(
                f"{command.name}: {len(self.references[command.name].files)} files, {done.cpu_s:.1f} CPU s\n"
            )

    @property
    def made(self) -> Path:
        """Folder of the undisturbed chain."""
        return self.folder / "undisturbed"

    def place(self, command: Command, *, finished: bool = False) -> Path:
        """Return a fresh folder with copies of what a stage reads, and of what it wrote where `finished`."""
        place = self.folder / "trial"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for name in (*command.needs, *([command.out] if finished else [])):
            shutil.copytree(self.made / name, place / name)
        return place


def run(
    words: Sequence[str], folder: Path, prepare: Callable[[], None] = lambda: None, kill_at: float | None = None
) -> Run:
    """Run `medtools WORDS` in a folder, in a fork; kill its process group after so many seconds of processor time."""
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            _become_medtools(words, folder, prepare, said.fileno())
        begun = time.monotonic()
        while True:
            done, status, usage = os.wait4(child, os.WNOHANG)
            if done:
                break
            if time.monotonic() - begun > _TIMEOUT_S or (kill_at is not None and _cpu_seconds(child) >= kill_at):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
            time.sleep(0.002)
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    return Run(os.waitstatus_to_exitcode(status), text, usage.ru_utime + usage.ru_stime)


def _become_medtools(words: Sequence[str], folder: Path, prepare: Callable[[], None], said: int) -> None:
    code = 70
    try:
        os.setsid()
        os.chdir(folder)
        os.dup2(said, 1)
        os.dup2(said, 2)
        sys.argv = ["medtools", *words]
        prepare()
        medtools_cli.run()
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def essence(folder: Path) -> dict[str, bytes]:
    """Return the content of every file below a folder by name, records without what times and memory decide."""
    return {
        path.relative_to(folder).as_posix(): _essence(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _essence(path: Path) -> bytes:
    record = read_record(path) if path.suffix == ".json" else None
    if record is None:
        return path.read_bytes()
    kept = {key: value for key, value in record.items() if key not in _VOLATILE}
    named = [path.parent / entry["path"] for entry in record.get("outputs", [])]
    records = [other.suffix == ".json" and read_record(other) is not None for other in named]
    kept["outputs"] = [
        {"path": entry["path"]} if is_record else entry
        for entry, is_record in zip(record.get("outputs", []), records, strict=True)
    ]
    return json.dumps(kept, sort_keys=True).encode()


def differences(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """Name the files that are missing, too many, or not the same."""
    lines = [f"{name} is missing" for name in expected if name not in found]
    lines += [f"{name} is left over" for name in found if name not in expected]
    changed = [name for name in expected if name in found and found[name] != expected[name]]
    return lines + [f"{name} differs{_keys(found[name], expected[name])}" for name in changed]


def _keys(found: bytes, expected: bytes) -> str:
    """Name the entries in which two JSON objects differ."""
    try:
        one, other = json.loads(found), json.loads(expected)
        return f" ({', '.join(sorted(key for key in {*one, *other} if one.get(key) != other.get(key)))})"
    except (ValueError, AttributeError, TypeError):
        return ""


def half_written(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """Name the files that stand under a final name without being what the undisturbed run writes there."""
    lines = []
    for name, content in found.items():
        base = name.rpartition("/")[2]
        if base.startswith(".medtools-") or base == "resume.ckpt":
            continue
        whole = expected.get(name)
        if base in _WHILE_TRAINING and whole is not None and whole.startswith(content):
            continue
        if base != "failures.tsv" and content != whole:
            lines.append(f"{name} was half-written" if whole is not None else f"{name} should not be there")
    return lines


def kill(bench: Bench, command: Command, rng: random.Random, trial: Trial) -> Path:
    """Kill -9 at a random moment of the processor time that the stage takes."""
    place, reference = bench.place(command), bench.references[command.name]
    share = rng.uniform(0.02, 1.0)
    done = run(command.line, place, kill_at=share * reference.cpu_s)
    trial.outcome = "killed" if done.code == -signal.SIGKILL else "had finished"
    trial.faults += (
        half_written(essence(place / command.out), reference.files) if (place / command.out).exists() else []
    )
    return place


def kill_at_file(bench: Bench, command: Command, rng: random.Random, trial: Trial) -> Path:
    """Kill -9 just before, or just after, the n-th file is given its final name."""
    place, reference = bench.place(command), bench.references[command.name]
    at, before = rng.randint(1, len(reference.files)), rng.random() < 0.5

    def prepare() -> None:
        rename, count = Path.replace, 0

        def replace(self: Path, target: Path) -> Path:
            nonlocal count
            count += 1
            if count == at and before:
                os.killpg(0, signal.SIGKILL)
            result = rename(self, target)
            if count == at:
                os.killpg(0, signal.SIGKILL)
            return result

        Path.replace = replace  # type: ignore[method-assign, assignment]

    done = run(command.line, place, prepare)
    trial.outcome = "killed" if done.code == -signal.SIGKILL else "had finished"
    trial.faults += (
        half_written(essence(place / command.out), reference.files) if (place / command.out).exists() else []
    )
    return place


def truncate(bench: Bench, command: Command, rng: random.Random, trial: Trial) -> Path:
    """Cut one file of the finished output short."""
    place, reference = bench.place(command, finished=True), bench.references[command.name]
    name = rng.choice(sorted(reference.files))
    path = place / command.out / name
    os.truncate(path, rng.randrange(path.stat().st_size) if path.stat().st_size else 0)
    trial.outcome = "redone"
    return place


def fill_disk(bench: Bench, command: Command, rng: random.Random, trial: Trial) -> Path:
    """Let the stage write to a file system that is too small for its output."""
    place, reference = bench.place(command), bench.references[command.name]
    out = place / command.out
    out.mkdir()
    size = max(4096, int(rng.uniform(0.0, 0.9) * reference.n_bytes))
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(out)], check=True, capture_output=True)
    done = run(command.line, place)
    _judge(done, trial, expected=(0, 2, 3))
    trial.faults += half_written(essence(out), reference.files)
    subprocess.run(["mount", "-o", "remount,size=512m", str(out)], check=True, capture_output=True)
    return place


def forbid(bench: Bench, command: Command, rng: random.Random, trial: Trial) -> Path:
    """Take the permission to write from a folder of the output in which a file is missing, for root too."""
    place, reference = bench.place(command, finished=True), bench.references[command.name]
    path = place / command.out / rng.choice(sorted(reference.files))
    path.unlink()
    path.parent.chmod(0o555)
    done = run(command.line, place, _drop_override)
    path.parent.chmod(0o755)
    _judge(done, trial, expected=(0, 2, 3))
    trial.faults += half_written(essence(place / command.out), reference.files)
    return place


def corrupt(bench: Bench, command: Command, rng: random.Random, trial: Trial) -> Path:
    """Damage one input, run, and put it right."""
    place = bench.place(command)
    path = rng.choice(sorted(p for name in command.needs for p in (place / name).rglob("*") if p.is_file()))
    good = path.read_bytes()
    if rng.random() < 0.5:
        path.write_bytes(good[: rng.randrange(len(good))])
    else:
        changed = bytearray(good)
        for _ in range(3):
            changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
    _judge(run(command.line, place), trial, expected=(0, 2, 3, 4), subject=path.relative_to(place).as_posix())
    path.write_bytes(good)
    return place


FAULTS: dict[str, Callable[[Bench, Command, random.Random, Trial], Path]] = {
    "kill -9": kill,
    "kill -9 at a file": kill_at_file,
    "file cut short": truncate,
    "disk full": fill_disk,
    "no permission": forbid,
    "damaged input": corrupt,
}


def _judge(done: Run, trial: Trial, expected: tuple[int, ...], subject: str = "") -> None:
    trial.outcome = "finished" if done.code == 0 else f"exit {done.code}"
    about = f" ({subject})" if subject else ""
    if done.code not in expected:
        trial.faults.append(f"exit {done.code}{about}: {done.said.strip()[-200:]!r}")
    if "Traceback" in done.said:
        trial.faults.append(f"a traceback{about}")


def attempt(bench: Bench, command: Command, fault: str, rng: random.Random) -> Trial:
    """Disturb a stage once, run it again, and compare."""
    trial = Trial(command.name, fault)
    place = FAULTS[fault](bench, command, rng, trial)
    try:
        again = run(command.line, place)
        overwritten = again.code == 4 and fault == "damaged input"
        if overwritten:  # a training refuses to go on with other data than it began with
            again = run([*command.line, "--overwrite"], place)
            trial.outcome += ", then --overwrite"
        if again.code != 0:
            trial.faults.append(f"running it again: exit {again.code}: {again.said.strip()[-200:]!r}")
        found, expected = essence(place / command.out), bench.references[command.name].files
        if overwritten:
            found, expected = _without_command(found), _without_command(expected)
        trial.faults += differences(found, expected)
    finally:
        if fault == "disk full":
            subprocess.run(["umount", str(place / command.out)], check=True, capture_output=True)
    return trial


def _without_command(files: dict[str, bytes]) -> dict[str, bytes]:
    """Drop the command lines, of which one has --overwrite, from records."""
    kept = {}
    for name, content in files.items():
        if name.endswith(".json") and b'"command"' in content:
            content = json.dumps({k: v for k, v in json.loads(content).items() if k != "command"}).encode()
        kept[name] = content
    return kept


def possible(command: Command, can_mount: bool) -> list[str]:
    """Return the faults that a stage can meet on this machine."""
    missing = [*([] if can_mount else ["disk full"]), *([] if command.needs else ["damaged input"])]
    return [fault for fault in FAULTS if fault not in missing]


def mountable(folder: Path) -> bool:
    """Tell whether this process may mount a small file system."""
    probe = folder / "probe"
    probe.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4096", "tmpfs", str(probe)], capture_output=True, check=False
    )
    if done.returncode == 0:
        subprocess.run(["umount", str(probe)], check=True, capture_output=True)
    return done.returncode == 0


def _drop_override() -> None:
    """Let permissions hold for root too: give up CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH of this process."""
    if os.geteuid() != 0:
        return
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capget(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    for index in (0, 1, 2):
        sets[index] &= ~0b110
    if libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _write_bids(folder: Path) -> None:
    """Write one run of a simulated moving head, 24 volumes."""
    import numpy as np

    from medtools.io.atlas import load_atlas
    from medtools.preprocess.fmri.demo import write_dataset, write_run
    from medtools.preprocess.fmri.simulate import Scanner, simulate_bold

    if folder.exists():
        return
    atlas, scanner = load_atlas(), Scanner(shape=(32, 32, 20), voxel_mm=(6.8, 6.8, 7.4))
    series = np.random.default_rng(0).standard_normal((len(atlas.names), 24))
    write_dataset(folder, {"sub-01": "HC"})
    write_run(folder, "sub-01", simulate_bold(series, atlas.xyz, 0, scanner, None), atlas.names)


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
