"""`medtools provenance`: the chain of commands that made a file, and whether its files still stand."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from medtools.cli.guard import guarded
from medtools.cli.lazy import HELP_FLAGS, command_of

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command(
    context_settings=HELP_FLAGS, epilog="Example: medtools provenance results/ --file results/PS/DMN/vlPFC-15_H0.tsv"
)
def provenance(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that stages wrote.", show_default=False)],
    file: Annotated[Path | None, typer.Option("--file", help="Show the chain of this file only.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Recompute every hash; exit 2 if a file changed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the records as JSON.")] = False,
    ro_crate: Annotated[bool, typer.Option("--ro-crate", help="Write DIR/ro-crate-metadata.json instead.")] = False,
    methods: Annotated[
        Path | None,
        typer.Option("--methods", help="Write methods, parameters, software and citations as HTML instead."),
    ] = None,
) -> None:
    """Print the chain of commands, versions, parameters and inputs that made the files in a folder."""
    if ro_crate or methods is not None:
        guarded(lambda: _write(folder, ro_crate, methods))
    else:
        guarded(lambda: _run(folder, file, verify, as_json))


def _write(folder: Path, ro_crate: bool, methods: Path | None) -> None:
    from medtools.core import lineage
    from medtools.core.atomic import write_json, write_text

    steps = lineage.find_steps(folder)
    if ro_crate:
        from medtools.core.crate import CRATE_FILE, describe

        write_json(folder / CRATE_FILE, describe(folder, steps))
    if methods is not None:
        from medtools.systems.methods import methods_page

        write_text(methods, methods_page(steps))


def _run(folder: Path, file: Path | None, verify: bool, as_json: bool) -> None:
    from medtools.core import lineage
    from medtools.core.errors import InputError

    steps = lineage.find_steps(folder)
    chosen = steps if file is None else lineage.chain(file, steps)
    if as_json:
        import json

        typer.echo(json.dumps([{"path": str(s.path), **s.record} for s in chosen], indent=2, ensure_ascii=False))
    else:
        typer.echo("\n\n".join(_describe(step) for step in chosen))
    if not verify:
        return
    faults = lineage.verify(chosen)
    if faults:
        first = faults[0]
        raise InputError(_short(first.file), f"{first.found} ({len(faults)} faults in all)", f"see {first.step.path}")
    files = sum(len(step.record["outputs"]) for step in chosen)
    typer.echo(f"\nverified: {len(chosen)} records, {files} outputs, nothing changed")


def _describe(step: Any) -> str:
    record = step.record
    params = ", ".join(f"{key}={value}" for key, value in record["params"].items() if value not in (None, [], ""))
    lines = [
        f"{_short(step.path)}",
        f"  stage     {record['stage']} (medtools {record['medtools']}, seed {record['seed']})",
        f"  command   {' '.join(record['command'])}",
        f"  params    {params or 'none'}",
    ]
    return "\n".join([*lines, *_listed("input", step.inputs()), *_listed("output", step.outputs())])


def _listed(kind: str, files: Iterable[tuple[Path, str]], limit: int = 6) -> list[str]:
    lines = [f"  {kind:<9} {_short(path)}  sha256 {digest[:12]}" for path, digest in files]
    return lines if len(lines) <= limit else [*lines[:limit], f"  {'':<9} ... and {len(lines) - limit} more"]


def _short(path: Path) -> str:
    return os.path.relpath(path)


command = command_of(app)
