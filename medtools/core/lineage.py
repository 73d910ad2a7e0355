"""Follow the records below a folder: which command made a file, from what, and whether it still stands."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medtools.core.errors import InputError
from medtools.core.provenance import read_record, sha256


@dataclass(frozen=True)
class Step:
    """One finished stage: its record and where it lies."""

    path: Path
    record: Mapping[str, Any]

    def inputs(self) -> Iterator[tuple[Path, str]]:
        """Yield each input file and the SHA-256 it had."""
        return self._files("inputs")

    def outputs(self) -> Iterator[tuple[Path, str]]:
        """Yield each output file and the SHA-256 it had."""
        return self._files("outputs")

    def _files(self, kind: str) -> Iterator[tuple[Path, str]]:
        for entry in self.record.get(kind, []):
            yield (self.path.parent / entry["path"]).resolve(), entry["sha256"]


@dataclass(frozen=True)
class Fault:
    """A file that no longer is what its record says."""

    step: Step
    file: Path
    found: str


def find_steps(folder: Path) -> list[Step]:
    """Return every complete record at or below a folder, sorted by path.

    Raises
    ------
    InputError
        There is no such folder, or no record in it.
    """
    if not folder.is_dir():
        raise InputError(folder, "no such folder")
    candidates = sorted(folder.rglob("*.json"))
    steps = [Step(path, record) for path in candidates if (record := read_record(path)) is not None]
    steps = [step for step in steps if step.record.get("status") == "complete"]
    if not steps:
        raise InputError(folder, "holds no record of medtools", "give the folder that a stage wrote")
    return steps


def chain(target: Path, steps: list[Step]) -> list[Step]:
    """Return the steps that led to a file (or, for a folder, to everything in it), the last one first.

    A step belongs to the chain if one of its outputs has the name and content that a later step read.
    """
    makers: dict[tuple[Path, str], Step] = {}
    by_path: dict[Path, Step] = {}
    for step in steps:
        for path, digest in step.outputs():
            # A cohort's record lists its samples' records; the narrower record comes first by being more specific.
            by_path.setdefault(path, step)
            makers.setdefault((path, digest), step)
    target = target.resolve()
    if target.is_dir():
        wanted = [step for step in steps if step.path.resolve().is_relative_to(target)]
    elif target in by_path:
        wanted = [by_path[target]]
    else:
        raise InputError(target, "no record names this file", "was it made by medtools, and is its folder given?")
    found: list[Step] = []
    while wanted:
        step = wanted.pop(0)
        if step in found:
            continue
        found.append(step)
        wanted += [makers[key] for key in step.inputs() if key in makers and makers[key] not in found]
    return found


def verify(steps: list[Step]) -> list[Fault]:
    """Recompute every hash; return what is missing or changed, outputs first."""
    faults = []
    for step in steps:
        for kind, files in (("output", step.outputs()), ("input", step.inputs())):
            for path, digest in files:
                if not _is_file(path):
                    faults.append(Fault(step, path, f"{kind} is gone"))
                elif sha256(path) != digest:
                    faults.append(Fault(step, path, f"{kind} has changed"))
    return faults


def _is_file(path: Path) -> bool:
    """Tell whether a file is there; a damaged record may name what no file system can."""
    try:
        return path.is_file()
    except OSError:
        return False
