"""The contract of a stage, and the one way to run it: checked parameters in, complete files and a record out.

A stage is declared once, as a `Stage`; the command line, the workflow, the defaults shown by
`medtools systems show` and the provenance are all made from that declaration. Its `run` receives a `Job`.

Two kinds exist. A *cohort* stage goes through samples with `Job.for_each`: each sample has its own record, is
skipped while that record holds, and may fail alone. Any other stage is one unit: skipped as a whole while its
record holds.
"""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medtools.core.atomic import relative_path, remove_orphans, write_json
from medtools.core.errors import InputError, MedtoolsError, PartialError, RefusedError
from medtools.core.limits import Deadline, Estimate, check_memory, peak_memory_bytes
from medtools.core.log import LOGGER
from medtools.core.manifest import check_recordable
from medtools.core.params import Params
from medtools.core.progress import track
from medtools.core.provenance import FORMAT, Fingerprint, drop, hash_inputs, holds, read_record, remove, write_record
from medtools.core.tables import read_tsv, write_tsv

FAILURES = "failures.tsv"
_CAUSES_SHOWN = 20


@dataclass(frozen=True)
class Stage:
    """A stage as its user sees it.

    Attributes
    ----------
    name : str
        The words after `medtools`, such as `homology` or `train mci-homology`.
    summary : str
        One sentence for the help.
    params : type of Params
        Its parameters; each field becomes an option.
    run : callable
        Does the work: `run(job)`. It calls `job.wrote(...)` for each file, or goes through `job.for_each`.
    inputs : str
        Help text of INPUT; empty for a stage that takes none.
    reads : callable, optional
        Lists the files whose content decides the result, where INPUT alone (hashed whole) does not.
    estimate : callable, optional
        Predicts memory and time before anything is allocated.
    cohort : bool
        Whether it works sample by sample through `job.for_each`.
    record : str
        Name of its record, `<record>.json`; by default its first word.
    folder : str
        Default of `--out`; by default the name of the record.
    example : str
        A command line for the end of the help.
    """

    name: str
    summary: str
    params: type[Params]
    run: Callable[[Job], None]
    inputs: str = ""
    reads: Callable[[Job], Iterable[Path]] | None = None
    estimate: Callable[[Job], Estimate] | None = None
    cohort: bool = False
    record: str = ""
    folder: str = ""
    example: str = ""

    @property
    def section(self) -> str:
        """Its section in a configuration file, and the stem of its record."""
        return self.record or self.name.split()[0]

    @property
    def record_name(self) -> str:
        """File name of the stage's record."""
        return f"{self.section}.json"


def lazy(module: str, function: str) -> Callable[[Job], Any]:
    """Return a function that imports `module` only when it is called, so that declaring a stage costs nothing."""

    def call(job: Job) -> Any:
        return getattr(importlib.import_module(module), function)(job)

    return call


@dataclass(frozen=True)
class Sample:
    """One sample of a cohort stage: its identifier, what it reads, and where its record goes."""

    id: str
    inputs: tuple[Path, ...]
    record: Path


@dataclass
class Job:
    """One run of a stage: everything that `Stage.run` needs to know.

    Attributes
    ----------
    inputs : tuple of Path
        INPUT as given.
    out : Path
        Output folder.
    params : Params
        Checked parameters, of the stage's own model.
    seed, threads, device
        As asked for; `device` is `auto`, `cpu`, `cuda` or `cuda:N`.
    only : tuple of str
        Identifiers to which a cohort stage is restricted; empty means all.
    tolerate : bool
        Record a sample's failure in its record and go on as if it had been processed, and replace samples made by
        other parameters (workflow: the configuration decides).
    total, redone : int
        Samples gone through, and how many of them were not skipped.
    """

    stage: Stage
    inputs: tuple[Path, ...]
    out: Path
    params: Any
    seed: int = 0
    threads: int = 1
    device: str = "auto"
    overwrite: bool = False
    only: tuple[str, ...] = ()
    tolerate: bool = False
    max_memory: int | None = None
    deadline: Deadline = field(default_factory=lambda: Deadline(None))
    command: tuple[str, ...] | None = None
    outputs: list[Path] = field(default_factory=list)
    read: dict[str, str] = field(default_factory=dict)
    failures: dict[str, InputError] = field(default_factory=dict)
    total: int = 0
    redone: int = 0

    def wrote(self, *paths: Path) -> None:
        """Name finished outputs; they enter the stage's record."""
        self.outputs.extend(paths)

    def fingerprint(self, inputs: Mapping[str, str]) -> Fingerprint:
        """Return what decides the result for these hashed inputs.

        Paths among the parameters count as seen from `out`, so that all may move together.
        """
        values = self.params.model_dump(mode="json")
        for key in values:
            value = getattr(self.params, key)
            values[key] = relative_path(value, self.out) if isinstance(value, Path) else values[key]
        return Fingerprint(self.stage.name, values, dict(inputs), self.seed)

    def for_each(
        self, samples: Sequence[Sample], work: Callable[[Sample], Iterable[Path]], description: str
    ) -> list[Sample]:
        """Go through the samples; return those whose outputs stand, in order.

        A sample that raises `InputError` is noted in `failures.tsv` and the rest goes on. A sample whose record
        still holds is skipped. Records made with other parameters are refused before any work begins, unless
        `overwrite` or `tolerate` is set.

        Parameters
        ----------
        samples : sequence of Sample
        work : callable
            Processes one sample and returns the files it wrote.
        description : str
            Text of the progress bar.
        """
        chosen = _restrict(samples, self.only, tolerate=self.tolerate)
        if not (self.overwrite or self.tolerate):
            fingerprint = self.fingerprint({})
            for sample in chosen:
                _refuse_other_params(sample.record, fingerprint)
        self.total += len(chosen)
        failed, redone = len(self.failures), self.redone
        standing = [sample for sample in track(chosen, description) if self._process(sample, work)]
        _report(self, len(chosen), len(self.failures) - failed, self.redone - redone)
        return standing

    def _process(self, sample: Sample, work: Callable[[Sample], Iterable[Path]]) -> bool:
        self.deadline.check()
        outputs: list[Path] = []
        try:
            fingerprint = self.fingerprint(hash_inputs(sample.inputs))
            self.read.update(fingerprint.inputs)
            if not self.overwrite and holds(sample.record, fingerprint):
                LOGGER.debug("%s: up to date", sample.id, extra=self._about(sample))
                self.wrote(sample.record)
                return True
            self.redone += 1
            (self.out / self.stage.record_name).unlink(missing_ok=True)
            drop(sample.record, self.out)
            _, usage = _measured(lambda: _collect(work(sample), outputs))
            write_record(sample.record, fingerprint, outputs, command=self.command, extra=usage | _compute(self))
        except InputError as error:
            remove(outputs)
            self._fail(sample, error)
            return False
        self.wrote(sample.record)
        return True

    def _fail(self, sample: Sample, error: InputError) -> None:
        self.failures[sample.id] = error
        if self.tolerate:
            failed = {"format": FORMAT, "stage": self.stage.name, "status": "failed", "cause": str(error)}
            write_json(sample.record, {**failed, "params": dict(self.fingerprint({}).params), "seed": self.seed})
            self.wrote(sample.record)
        elif self.total == 1:
            return  # the error that ends the command says it
        if len(self.failures) <= _CAUSES_SHOWN:
            LOGGER.warning("%s", _named(sample.id, error), extra=self._about(sample))

    def _about(self, sample: Sample) -> dict[str, str]:
        return {"stage": self.stage.name, "sample": sample.id}


def execute(stage: Stage, job: Job) -> None:
    """Run a stage: skip it if its outputs stand, refuse what cannot be done, record what was made.

    Raises
    ------
    RefusedError
        Outputs of other parameters stand in the folder, or the estimate exceeds what is allowed.
    InputError
        The input is at fault; for a cohort, every sample was.
    PartialError
        Some samples of a cohort failed; `failures.tsv` names each.
    """
    for path in (*job.inputs, job.out):
        check_recordable(path)
    if stage.cohort:
        _execute_cohort(stage, job)
    else:
        _execute_whole(stage, job)


def _execute_cohort(stage: Stage, job: Job) -> None:
    record = job.out / stage.record_name
    if not (job.overwrite or job.tolerate):
        _refuse_other_params(record, job.fingerprint({}))
    _make_ready(stage, job)
    _, usage = _measured(lambda: stage.run(job))
    if not job.only:
        _write_failures(job)
        fingerprint = job.fingerprint(job.read)
        if job.outputs and (job.redone or not holds(record, fingerprint)):
            write_record(record, fingerprint, job.outputs, command=job.command, extra=usage | _compute(job))
    _conclude(job)


def _execute_whole(stage: Stage, job: Job) -> None:
    record = job.out / stage.record_name
    fingerprint = job.fingerprint(hash_inputs(stage.reads(job) if stage.reads else job.inputs))
    if not job.overwrite:
        _refuse_other_params(record, fingerprint)
        if holds(record, fingerprint):
            LOGGER.info("%s: up to date in %s (use --overwrite to redo it)", stage.name, job.out)
            return
    _make_ready(stage, job)
    drop(record, job.out)
    try:
        _, usage = _measured(lambda: stage.run(job))
    except MedtoolsError:
        remove(job.outputs)
        raise
    write_record(record, fingerprint, job.outputs, command=job.command, extra=usage | _compute(job))


def _make_ready(stage: Stage, job: Job) -> None:
    """Refuse what cannot be done, then clear the place."""
    if stage.estimate is not None:
        check_memory(stage.estimate(job), job.max_memory)
    job.out.mkdir(parents=True, exist_ok=True)
    if not os.access(job.out, os.W_OK | os.X_OK):
        raise InputError(job.out, "no permission to write here", "choose another --out")
    remove_orphans(job.out)


def planned(stage: Stage, job: Job) -> str:
    """Say in a few lines what `execute` would do, without doing it."""
    lines = [f"stage: {stage.name}", f"out: {job.out}", f"inputs: {', '.join(map(str, job.inputs)) or 'none'}"]
    lines += [f"{key}: {value}" for key, value in job.params.model_dump(mode="json").items()]
    if stage.estimate is not None:
        lines.append(f"estimate: {stage.estimate(job)}")
    record = read_record(job.out / stage.record_name)
    if record is None:
        return "\n".join([*lines, "state: to be run"])
    differences = job.fingerprint({}).differences(record)
    state = f"made before with {'; '.join(differences)}" if differences else "made before with these parameters"
    return "\n".join([*lines, f"state: {state}"])


def _restrict(samples: Sequence[Sample], only: tuple[str, ...], *, tolerate: bool) -> list[Sample]:
    """Keep the samples asked for; tolerate: an earlier stage may have lost some."""
    unknown = sorted(set(only) - {sample.id for sample in samples})
    if unknown and tolerate:
        LOGGER.warning("not in the input, left out: %s", ", ".join(unknown))
    elif unknown:
        known = ", ".join(sample.id for sample in samples[:5])
        raise InputError("--sample", f"no sample {unknown[0]!r} in the input", f"there are {len(samples)}: {known} ...")
    return [sample for sample in samples if not only or sample.id in only]


def _refuse_other_params(record_path: Path, fingerprint: Fingerprint) -> None:
    record = read_record(record_path)
    differences = fingerprint.differences(record) if record is not None and record["status"] == "complete" else []
    if differences:
        shown = "; ".join(differences[:3]) + (" ..." if len(differences) > 3 else "")
        raise RefusedError(
            f"{record_path}: made by other parameters ({shown}); choose another --out, or --overwrite to replace"
        )


def _collect(paths: Iterable[Path], into: list[Path]) -> None:
    """Note each path as soon as it is written, so that what a failure leaves is known."""
    for path in paths:
        into.append(path)


def _measured(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    begun = time.monotonic()
    result = work()
    usage = {
        "wall_seconds": round(time.monotonic() - begun, 3),
        "peak_memory_mib": round(peak_memory_bytes() / 2**20, 1),
    }
    return result, usage


def _compute(job: Job) -> dict[str, Any]:
    return {"threads": job.threads, "device": job.device}


def _report(job: Job, total: int, failed: int, redone: int) -> None:
    if failed == total == 1 and not job.tolerate:
        return
    note = "" if redone else ", all up to date (use --overwrite to redo them)"
    found = f"{total - failed} of {total} samples complete in {job.out}{note}"
    LOGGER.info("%s: %s", job.stage.name, found, extra={"stage": job.stage.name})


def _named(identifier: str, error: InputError) -> str:
    return str(error) if identifier in str(error) else f"{identifier}: {error}"


def _write_failures(job: Job) -> None:
    """Rewrite this stage's rows of `failures.tsv`; other stages with the same --out keep theirs."""
    path = job.out / FAILURES
    try:
        rows = [row for row in read_tsv(path)[1] if row.get("stage") != job.stage.name]
    except InputError:
        rows = []
    rows += [{"id": key, "cause": str(e), "stage": job.stage.name} for key, e in job.failures.items()]
    if rows:
        write_tsv(path, ["id", "cause", "stage"], rows)
    else:
        path.unlink(missing_ok=True)


def _conclude(job: Job) -> None:
    if not job.failures or job.tolerate:
        return
    failed = len(job.failures)
    first = next(iter(job.failures.values()))
    named = "the warnings above name" if job.only else f"{job.out / FAILURES} names"
    if failed < job.total:
        raise PartialError(f"{failed} of {job.total} samples failed; {named} each cause")
    if len({str(error) for error in job.failures.values()}) == 1:
        raise first
    raise InputError("INPUT", f"all {failed} samples failed, the first with: {first}", f"{named} each cause")
