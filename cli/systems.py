"""`medtools systems`: what there is, one card, and how to cite it."""

from __future__ import annotations

import shutil
from enum import StrEnum
from typing import Annotated

import typer

import medtools
from medtools.cli.guard import guarded
from medtools.cli.lazy import HELP_FLAGS, command_of

app = typer.Typer(
    help="List the systems; show or cite one.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings=HELP_FLAGS,
    invoke_without_command=True,
)


class Format(StrEnum):
    """How a table is printed."""

    table = "table"
    tsv = "tsv"
    json = "json"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print the table.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A system, e.g. mci-homology.", show_default=False)]


@app.callback()
def listing(ctx: typer.Context, form: FormatOption = Format.table) -> None:
    """List the systems; show or cite one."""
    if ctx.invoked_subcommand is None:
        guarded(lambda: _list(form))


@app.command(context_settings=HELP_FLAGS)
def show(name: NameArgument) -> None:
    """Print a system's card, and its defaults as YAML ready for --config."""
    guarded(lambda: _show(name))


@app.command(context_settings=HELP_FLAGS)
def cite(name: NameArgument) -> None:
    """Print BibTeX and a methods paragraph ready to paste."""
    guarded(lambda: _cite(name))


def _list(form: Format) -> None:
    from medtools.systems import registry

    columns = ("name", "modality", "stages", "title")
    rows = [
        {"name": card.name, "modality": card.content["modality"], "stages": ", ".join(card.stages), "title": card.title}
        for card in registry.cards()
    ]
    typer.echo(_format(columns, rows, form), nl=False)


def _format(columns: tuple[str, ...], rows: list[dict[str, str]], form: Format) -> str:
    from medtools.core.tables import as_tsv

    if form is Format.tsv:
        return as_tsv(columns, rows)
    if form is Format.json:
        import json

        return json.dumps(rows, indent=2, ensure_ascii=False) + "\n"
    from io import StringIO

    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=None, header_style="bold", padding=(0, 2, 0, 0))
    for row in rows:
        table.add_row(*(row[column] for column in columns))
    buffer = StringIO()
    Console(file=buffer, width=max(shutil.get_terminal_size().columns, 80)).print(table)
    return buffer.getvalue()


def _show(name: str) -> None:
    from medtools.core.params import defaults_yaml
    from medtools.systems import registry

    card = registry.card(name)
    content = card.content
    lines = [f"{card.name}: {card.title}", content["citation"]["text"], f"modality: {content['modality']}", ""]
    lines += [*str(content["summary"]).strip().splitlines(), "", "inputs:"]
    lines += [f"  {key}: {value}" for key, value in content["inputs"].items()]
    lines += ["", "stages:", *(f"  medtools {_words(name, step)}: {text}" for step, text in card.stages.items())]
    lines += ["", "choices the paper left open:", *(f"  {key}: {why}" for key, why in content["gaps"].items())]
    typer.echo("\n".join(f"# {line}".rstrip() for line in lines))
    for stage in registry.stages(name).values():
        defaults = defaults_yaml(stage.params)
        if defaults:
            typer.echo(f"\n{stage.section}:\n" + "\n".join("  " + line for line in defaults.splitlines()))


def _words(name: str, step: str) -> str:
    word, *rest = step.split()
    return " ".join([word, *([] if word == "homology" else [name]), *rest])


def _cite(name: str) -> None:
    from medtools.systems import registry

    content = registry.card(name).content
    methods = " ".join(str(content["methods"]).format(version=medtools.__version__).split())
    typer.echo(f"{str(content['citation']['bibtex']).strip()}\n\n{methods}")


command = command_of(app)
