"""`medtools`: the root of the command line."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

import medtools
from medtools.cli.lazy import HELP_FLAGS, Entry, LazyGroup, attribute

_STAGES, _INSPECT = "Stages", "Inspect"


def _stage_group(word: str) -> Any:
    from medtools.cli.systems_group import systems_group

    return lambda: systems_group(word)


class Root(LazyGroup):
    """The commands, in the order in which a study uses them."""

    entries: Mapping[str, Entry] = {
        "demo": Entry("Make a small data set with the structure a method exploits.", _stage_group("demo"), _STAGES),
        "preprocess": Entry("Raw scans to analysis-ready data.", _stage_group("preprocess"), _STAGES),
        "homology": Entry(
            "ROI time series to persistence diagrams and Wasserstein matrices.",
            attribute("medtools.cli.homology", "command"),
            _STAGES,
        ),
        "stats": Entry("Group statistics of a system's features.", _stage_group("stats"), _STAGES),
        "train": Entry("Train a system's model.", _stage_group("train"), _STAGES),
        "infer": Entry("Apply a system to new data.", _stage_group("infer"), _STAGES),
        "score": Entry("Score predictions against labels.", _stage_group("score"), _STAGES),
        "explain": Entry("Show what a model's decision rests on.", _stage_group("explain"), _STAGES),
        "reproduce": Entry("A paper's tables and figures for a cohort.", _stage_group("reproduce"), _STAGES),
        "systems": Entry("List the systems; show or cite one.", attribute("medtools.cli.systems", "command"), _INSPECT),
        "provenance": Entry(
            "Which commands made a file, and whether it still stands.",
            attribute("medtools.cli.provenance", "command"),
            _INSPECT,
        ),
    }


app = typer.Typer(
    cls=Root,
    name="medtools",
    help="Published medical-imaging methods as reproducible pipelines. Not a medical device.",
    no_args_is_help=True,
    context_settings=HELP_FLAGS,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich's panels takes longer than everything else that --help does
    epilog="Example: medtools homology data/ --tr 3000 --out results/",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"medtools {medtools.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Published medical-imaging methods as reproducible pipelines. Not a medical device."""


def run() -> None:
    """Entry point of the `medtools` script."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a name must not stop a message
    app()
