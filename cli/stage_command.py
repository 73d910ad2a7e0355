"""Turn a declared stage into a command: its parameters become options, beside those every stage has."""

from __future__ import annotations

import inspect
import os
import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from medtools.cli.guard import guarded
from medtools.cli.lazy import HELP_FLAGS, command_of

if typing.TYPE_CHECKING:
    from medtools.core.params import Params
    from medtools.core.stage import Stage

_FILES, _PARAMS, _COMPUTE, _MESSAGES = "Input and output", "Parameters", "Compute", "Messages"


def _shared(hint: Any, default: Any, panel: str, *flags: str, **details: Any) -> tuple[Any, Any]:
    return Annotated[hint, typer.Option(*flags, rich_help_panel=panel, **details)], default


_COMMON: dict[str, tuple[Any, Any]] = {
    "config": _shared(Path | None, None, _FILES, help="YAML file of parameters."),
    "set": _shared(
        list[str] | None, None, _FILES, metavar="KEY=VALUE", help="One parameter, repeatable; overrides --config."
    ),
    "overwrite": _shared(bool, False, _FILES, "--overwrite", help="Redo and replace what stands in --out."),
    "dry_run": _shared(bool, False, _FILES, "--dry-run", help="Say what would be done, and stop."),
    "seed": _shared(int, 0, _COMPUTE, min=0, help="Seed of everything random."),
    "threads": _shared(
        int | None,
        None,
        _COMPUTE,
        min=1,
        envvar="SLURM_CPUS_PER_TASK",
        show_default="cores at hand",
        help="Threads; results do not depend on it.",
    ),
    "device": _shared(str, "auto", _COMPUTE, help="auto, cpu, cuda or cuda:N."),
    "estimate": _shared(bool, False, _COMPUTE, "--estimate", help="Print the memory and time needed, and stop."),
    "max_mem": _shared(str | None, None, _COMPUTE, metavar="SIZE", help="Refuse work that needs more, e.g. 4G."),
    "timeout": _shared(float | None, None, _COMPUTE, min=0, metavar="SECONDS", help="Stop cleanly after this time."),
    "verbose": _shared(bool, False, _MESSAGES, "--verbose", "-v", help="Say more."),
    "quiet": _shared(bool, False, _MESSAGES, "--quiet", "-q", help="Warnings only."),
    "log_json": _shared(bool, False, _MESSAGES, "--log-json", help="Messages as JSON lines."),
    "debug": _shared(bool, False, _MESSAGES, "--debug", help="Show the trace of an error."),
}

_COHORT: dict[str, tuple[Any, Any]] = {
    "sample": _shared(list[str] | None, None, _FILES, metavar="ID", help="Only this sample, repeatable (array jobs)."),
    "tolerate": _shared(
        bool, False, _FILES, "--tolerate", help="Note a failed sample in its record and exit 0 (workflow)."
    ),
}


def stage_command(stage: Stage) -> Any:
    """Return the command of a declared stage.

    Parameters
    ----------
    stage : Stage
        Its parameter model gives the options, their help, units and defaults.
    """
    signature = _signature(stage)

    def call(**values: Any) -> None:
        guarded(lambda: _run(stage, values), debug=values["debug"])

    call.__signature__ = signature  # type: ignore[attr-defined]
    call.__annotations__ = {name: p.annotation for name, p in signature.parameters.items()}
    call.__doc__ = stage.summary
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    epilog = f"Example: {stage.example}" if stage.example else None
    app.command(epilog=epilog, context_settings=HELP_FLAGS)(call)
    return command_of(app)


def options_of(model: type[Params]) -> dict[str, tuple[Any, Any]]:
    """Make one option per field of a parameter model; None stands for 'not given'."""
    return {name: (_option(name, field), None) for name, field in model.model_fields.items()}


def _signature(stage: Stage) -> inspect.Signature:
    fields: dict[str, tuple[Any, Any]] = {}
    if stage.inputs:
        argument = typer.Argument(metavar="INPUT", help=stage.inputs, show_default=False)
        fields["inputs"] = (Annotated[list[Path] | None, argument], None)
    folder = typer.Option("--out", "-o", help="Folder for the results.", rich_help_panel=_FILES)
    fields["out"] = (Annotated[Path, folder], Path(stage.folder or stage.section))
    own = options_of(stage.params)
    shared = {**_COMMON, **(_COHORT if stage.cohort else {})}
    clash = (own.keys() | fields.keys()) & shared.keys() | (own.keys() & fields.keys())
    if clash:
        raise TypeError(f"stage {stage.name!r}: parameters {sorted(clash)} are taken by options every stage has")
    fields |= own | shared
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [inspect.Parameter(name, kind, annotation=hint, default=default) for name, (hint, default) in fields.items()]
    )


def _option(name: str, field: Any) -> Any:
    flag = "--" + name.replace("_", "-")
    hint, is_plain = _plain_type(field.annotation)
    flags = (f"{flag}/--no-{flag[2:]}",) if hint is bool else (flag,)
    details: dict[str, Any] = {} if is_plain else {"metavar": "A,B,..."}
    option = typer.Option(
        *flags, help=field.description, show_default=default_text(field), rich_help_panel=_PARAMS, **details
    )
    return Annotated[hint | None, option]


def _plain_type(annotation: Any) -> tuple[Any, bool]:
    """Return the type Typer should read, and whether it is the field's own; anything else is text for pydantic."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        annotation = members[0] if len(members) == 1 else str
    if typing.get_origin(annotation) is Annotated:
        annotation = typing.get_args(annotation)[0]
    if annotation in (bool, int, float, str, Path) or typing.get_origin(annotation) is Literal:
        return annotation, True
    return str, False


def default_text(field: Any) -> str | bool:
    """Return a parameter's default as the help shows it, or False where there is nothing to show."""
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is None or value == "" or value == ():
        return False
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _run(stage: Stage, values: dict[str, Any]) -> None:
    from medtools.core import caches, limits, log
    from medtools.core.params import resolve
    from medtools.core.stage import Job, execute, planned

    caches.make_writable()
    verbosity = 1 if values["verbose"] else -1 if values["quiet"] else 0
    log.set_up(verbosity, "json" if values["log_json"] else "text")
    given = {key: values[key] for key in stage.params.model_fields}
    params = resolve(stage.params, stage.section, values["config"], values["set"] or (), given)
    job = Job(
        stage=stage,
        inputs=tuple(values.get("inputs") or ()),
        out=values["out"],
        params=params,
        seed=values["seed"],
        threads=values["threads"] or _cores(),
        device=values["device"],
        overwrite=values["overwrite"],
        only=tuple(values.get("sample") or ()),
        tolerate=values.get("tolerate", False),
        max_memory=limits.parse_size(values["max_mem"]) if values["max_mem"] else None,
        deadline=limits.Deadline(values["timeout"]),
    )
    if values["dry_run"]:
        typer.echo(planned(stage, job))
    elif values["estimate"]:
        typer.echo(_estimate(stage, job))
    else:
        execute(stage, job)


def _estimate(stage: Stage, job: Any) -> str:
    if stage.estimate is None:
        return f"{stage.name}: light; no estimate is kept for it"
    return f"{stage.name}: {stage.estimate(job)}"


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
