"""Stages within a stage: a table whose rows are made by the commands that a user would call for each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from medtools.core.atomic import PREFIX
from medtools.core.params import Params
from medtools.core.stage import Job, Stage, execute


def run_within(job: Job, stage: Stage, params: Params, inputs: tuple[Path, ...], out: Path) -> None:
    """Run a stage as a part of another one; where it is finished already it is skipped, as by its own command.

    Name its files by `job.wrote(*files_below(out))` once the last stage that writes there has run: only what the outer
    stage knows of is made again when it is damaged.
    """
    part = replace(
        job, stage=stage, params=params, inputs=inputs, out=out, only=(), tolerate=False, outputs=[], read={},
        failures={}, total=0, redone=0,
    )  # fmt: skip
    execute(stage, part)


def files_below(folder: Path) -> list[Path]:
    """List every finished file below a folder, in the order of names."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(PREFIX))
