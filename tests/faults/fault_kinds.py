"""The faults: each disturbs a stage once in a fresh folder, says how it ended, and notes what was wrong at once."""

from __future__ import annotations

import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

from fault_bench import Bench, Run, Trial, differences, essence, half_written, run
from fault_stages import Command


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


def _judge(done: Run, trial: Trial, expected: tuple[int, ...], subject: str = "") -> None:
    trial.outcome = "finished" if done.code == 0 else f"exit {done.code}"
    about = f" ({subject})" if subject else ""
    if done.code not in expected:
        trial.faults.append(f"exit {done.code}{about}: {done.said.strip()[-200:]!r}")
    if "Traceback" in done.said:
        trial.faults.append(f"a traceback{about}")
