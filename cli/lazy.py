"""Command groups that import a command only when it runs, so that `--help` answers at once."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True)
class Entry:
    """A command that is not loaded yet: its one-line help and how to get it."""

    help: str
    load: Callable[[], Any]
    panel: str = "Commands"


def attribute(module: str, name: str) -> Callable[[], Any]:
    """Return a loader of `module.name`."""
    return lambda: getattr(importlib.import_module(module), name)


class LazyGroup(TyperGroup):
    """A group whose commands are entries of a table; listing it loads none of them."""

    entries: Mapping[str, Entry] = {}

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the table's order."""
        return list(self.table())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Load one command, or describe it by its help alone while the group's own help is being made."""
        entry = self.find(cmd_name)
        if entry is None:
            return None
        if getattr(ctx, "_medtools_listing", False):
            return TyperCommand(cmd_name, help=entry.help, rich_help_panel=entry.panel)
        command = entry.load()
        command.name = cmd_name
        return command

    def table(self) -> Mapping[str, Entry]:
        """Return the entries; groups that discover their commands override this."""
        return self.entries

    def find(self, name: str) -> Entry | None:
        """Return one entry; groups with costly tables override this."""
        return self.table().get(name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands panel by panel, where the help is plain text."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name, entry in self.table().items():
            panels.setdefault(entry.panel, []).append((name, entry.help))
        for panel, rows in panels.items():
            with formatter.section(panel):
                formatter.write_dl(rows)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Make the help from the table."""
        ctx._medtools_listing = True
        super().format_help(ctx, formatter)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command, naming the closest one when there is no such command."""
        name = args[0]
        if not name.startswith("-") and self.find(name) is None:
            close = difflib.get_close_matches(name, self.table(), n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"There are: {', '.join(self.table()) or 'none yet'}."
            ctx.fail(f"No such command '{name}'. {hint}")
        return super().resolve_command(ctx, args)


class DefaultGroup(LazyGroup):
    """A group that runs its command `default` unless the first word is another of its commands."""

    default = "run"

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command's name in front where the user left it out."""
        if not args or args[0] not in self.table():
            args = [self.default, *args]
        return super().parse_args(ctx, args)


def group(name: str, summary: str, table: Callable[[], Mapping[str, Entry]]) -> LazyGroup:
    """Make a lazy group of the entries that `table` finds when they are needed."""
    kind = type(f"{name.title()}Group", (LazyGroup,), {"table": lambda self: table()})
    return kind(name=name, help=summary, no_args_is_help=True, context_settings=HELP_FLAGS)


HELP_FLAGS = {"help_option_names": ["-h", "--help"]}


def command_of(app: typer.Typer) -> Any:
    """Turn a Typer app into the command object that a lazy group returns."""
    return typer.main.get_command(app)
