"""Read thousands of damaged files of every format, and count how that ends: read, refused, or anything worse.

    python tests/fuzz/fuzz_campaign.py --mutations 2000 --seed 0

Every format has a worker process of its own, with a bound on memory and on the time of each file. A reader may give a
result, or refuse with `InputError` or `RefusedError`. Whatever else happens is a fault: another exception, memory that
ran out, a crash of the process, a file that takes too long, a refusal longer than a few lines.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import logging
import os
import random
import resource
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from fuzz_formats import FORMATS, Format
from fuzz_mutations import Folder, mutate

from medtools.core.errors import InputError, RefusedError

CPU_SECONDS = 5.0
"""What one file may take of processor time."""

WALL_SECONDS = 60.0
"""What one file may take in all, on a busy machine."""

MEMORY_BYTES = 768 * 2**20
"""What one file may take beyond the memory of a worker that has read the good one; files here hold some kilobytes."""

LONGEST_MESSAGE = 1000
_STATUS = Path("/proc/self/status")


@dataclass
class Outcome:
    """What became of the mutations of one format."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    faults: dict[str, int] = field(default_factory=dict)
    slowest_s: float = 0.0
    peak_mib: float = 0.0
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """Mutations tried."""
        return self.counts.total()

    def add(self, number: int, kind: str, detail: str = "") -> None:
        """Count one mutation; of faults that look alike the first number is kept."""
        self.counts[kind] += 1
        if kind not in ("read", "refused"):
            self.faults.setdefault(f"{kind}: {detail}", number)


def specimen(form: Format, number: int, seed: int, good: Folder) -> Folder:
    """Return the files of one mutation, the same for the same seed and number."""
    return mutate(random.Random(f"{seed}/{form.name}/{number}"), good, form.mutators_of(good))


def place(files: Folder, folder: Path) -> None:
    """Write the files of a specimen."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def campaign(form: Format, numbers: Iterable[int], seed: int) -> Outcome:
    """Read the mutations of one format in worker processes; a worker that dies is replaced, and the file counted."""
    outcome, begun, left = Outcome(form.name), time.monotonic(), list(numbers)
    good = form.make()
    while left:
        left = left[_one_worker(form, good, left, seed, outcome) :]
    outcome.seconds = time.monotonic() - begun
    return outcome


def _one_worker(form: Format, good: Folder, numbers: list[int], seed: int, outcome: Outcome) -> int:
    """Let one worker read as many mutations as it survives; return how many were counted."""
    source, sink = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(source)
        try:
            with contextlib.suppress(BrokenPipeError), os.fdopen(sink, "w") as stream:
                _work(form, good, numbers, seed, stream)
        finally:
            os._exit(0)
    os.close(sink)
    done, ready = 0, False
    with os.fdopen(source) as stream:
        for line in _lines(stream):
            if line is None:
                os.kill(child, signal.SIGKILL)
                break
            report = json.loads(line)
            if not ready:
                ready = True
                if report["kind"] != "read":
                    raise AssertionError(f"{form.name}: the good specimen is not read: {report['detail']}")
                continue
            outcome.add(numbers[done], report["kind"], report["detail"])
            outcome.slowest_s = max(outcome.slowest_s, report["seconds"])
            outcome.peak_mib = max(outcome.peak_mib, report["peak_mib"])
            done += 1
    _, status = os.waitpid(child, 0)
    if not ready:
        raise AssertionError(f"{form.name}: the worker died on the good specimen (status {status})")
    if done < len(numbers):
        number = os.waitstatus_to_exitcode(status)
        slow = number in (-signal.SIGPROF, -signal.SIGKILL)
        outcome.add(numbers[done], "too slow" if slow else "crash", "" if slow else f"exit {number}")
        done += 1
    return done


def _lines(stream: IO[str]) -> Iterator[str | None]:
    """Yield the lines of a worker; None where it says nothing for too long."""
    while True:
        ready, _, _ = select.select([stream], [], [], WALL_SECONDS)
        if not ready:
            yield None
            return
        line = stream.readline()
        if not line:
            return
        yield line


def _work(form: Format, good: Folder, numbers: list[int], seed: int, stream: IO[str]) -> None:
    """Read the good specimen, then the damaged ones, and report each on a line."""
    faulthandler.disable()  # the crash of a worker is an outcome like others; --only shows its trace
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as parent, contextlib.chdir(parent):
        _report(stream, form, good, Path(parent) / "good")
        used = _status_bytes("VmSize")
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, resource.RLIM_INFINITY))
        for number in numbers:
            _report(stream, form, specimen(form, number, seed, good), Path(parent) / str(number))


def _report(stream: IO[str], form: Format, files: Folder, folder: Path) -> None:
    folder.mkdir()
    place(files, folder)
    before = _reset_peak()
    begun = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    kind, detail = _read(form, folder)
    signal.setitimer(signal.ITIMER_PROF, 0)
    report = {
        "kind": kind,
        "detail": detail,
        "seconds": time.process_time() - begun,
        "peak_mib": max(0, _status_bytes("VmHWM") - before) / 2**20,
    }
    stream.write(json.dumps(report) + "\n")
    stream.flush()
    _clear(folder)


def _read(form: Format, folder: Path) -> tuple[str, str]:
    try:
        form.read(folder)
    except (InputError, RefusedError) as error:
        if _ran_out_of_memory(error):
            return "memory", _place_of(error)
        if len(str(error)) > LONGEST_MESSAGE:
            return "long message", _place_of(error)
        return "refused", str(error)
    except MemoryError as error:
        return "memory", _place_of(error)
    except BaseException as error:
        return "exception", f"{type(error).__name__} at {_place_of(error)}"
    return "read", ""


def _ran_out_of_memory(error: BaseException | None) -> bool:
    """Whether a refusal hides that memory ran out: without the bound it would have been taken."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _place_of(error: BaseException) -> str:
    """Return where in medtools an error arose."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/medtools/" in frame.filename]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename.rpartition('/medtools/')[2]}:{last.lineno}"


def _clear(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def _memory_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _reset_peak() -> int:
    """Let the kernel's high-water mark of resident memory start anew, where it can; return what is resident now."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status_bytes("VmRSS")


def _status_bytes(key: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(key + ":"))
    return int(line.split()[1]) * 1024


def markdown(outcomes: Iterable[Outcome]) -> str:
    """Format outcomes as the table in docs/robustness.md."""
    lines = [
        "| Format | Mutations | Read | Refused | Faults | Slowest, CPU s | Peak memory of a file, MiB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    total: Counter[str] = Counter()
    for one in outcomes:
        total += one.counts
        faults = one.total - one.counts["read"] - one.counts["refused"]
        lines.append(
            f"| {one.name} | {one.total} | {one.counts['read']} | {one.counts['refused']} | {faults} "
            f"| {one.slowest_s:.2f} | {one.peak_mib:.0f} |"
        )
    faults = total.total() - total["read"] - total["refused"]
    lines.append(f"| **all** | {total.total()} | {total['read']} | {total['refused']} | {faults} | | |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run the campaign of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=2000, help="of each format (2000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="*", choices=list(FORMATS), default=list(FORMATS), metavar="FORMAT")
    parser.add_argument("--only", type=int, help="this mutation alone, its error with a trace")
    parser.add_argument("--keep", type=Path, help="write the files of --only into this folder")
    asked = parser.parse_args()
    if asked.only is not None:
        return _again(FORMATS[asked.formats[0]], asked.only, asked.seed, asked.keep)
    outcomes = []
    for name in asked.formats:
        one = campaign(FORMATS[name], range(asked.mutations), asked.seed)
        outcomes.append(one)
        sys.stderr.write(f"{name}: {dict(one.counts)} in {one.seconds:.1f} s\n")
        for fault, number in one.faults.items():
            sys.stderr.write(f"  {fault}  (--formats '{name}' --seed {asked.seed} --only {number})\n")
    sys.stdout.write(markdown(outcomes))
    return 1 if any(one.faults for one in outcomes) else 0


def _again(form: Format, number: int, seed: int, keep: Path | None) -> int:
    """Read one mutation in this process."""
    faulthandler.enable()
    with tempfile.TemporaryDirectory() as place_:
        folder = keep or Path(place_)
        place(specimen(form, number, seed, form.make()), folder)
        form.read(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
