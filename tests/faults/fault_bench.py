"""Undisturbed runs of the stages, runs that can be killed, and what their files have to be."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fault_stages import COMMANDS, Command

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
    "ad-lite-net": ("medtools.systems.ad_lite_net.explanation", "medtools.training.fit"),
    "dspic": ("medtools.systems.dspic.explanation", "medtools.training.fit"),
    "images": ("medtools.preprocess.images.steps",),
    "spect": ("medtools.preprocess.spect.steps",),
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
    # What is named with .json may be a record, whose hash holds its times; its content is compared for itself.
    kept["outputs"] = [
        {"path": entry["path"]} if entry["path"].endswith(".json") else entry for entry in record.get("outputs", [])
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
