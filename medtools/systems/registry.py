"""Systems are discovered, not listed: every folder beside this file with a `card.yaml` is one."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medtools.core.errors import InputError
from medtools.core.params import read_yaml

if TYPE_CHECKING:
    from medtools.core.stage import Stage

_ROOMS = Path(__file__).parent
_REQUIRED = ("title", "modality", "summary", "citation", "inputs", "stages", "methods", "gaps")


@dataclass(frozen=True)
class Card:
    """What a system's `card.yaml` says.

    Attributes
    ----------
    name : str
        As typed: `mci-homology` lives in the folder `mci_homology`.
    content : mapping
        The whole card.
    """

    name: str
    content: Mapping[str, Any]

    @property
    def title(self) -> str:
        """One line: what the system does."""
        return str(self.content["title"])

    @property
    def stages(self) -> Mapping[str, str]:
        """Stage (with its sub-step, if any) to one-line help."""
        return dict(self.content["stages"])


def names() -> list[str]:
    """Return every system's name, sorted, without reading any card."""
    return sorted(path.parent.name.replace("_", "-") for path in _ROOMS.glob("*/card.yaml"))


@cache
def card(name: str) -> Card:
    """Read a system's card.

    Raises
    ------
    InputError
        There is no such system (the closest name is given), or its card lacks a section.
    """
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(names())}"
        raise InputError(name, "no such system", hint)
    path = _ROOMS / name.replace("-", "_") / "card.yaml"
    content = read_yaml(path)
    missing = [key for key in _REQUIRED if key not in (content or {})]
    if missing:
        raise InputError(path, f"card lacks {', '.join(missing)}")
    return Card(name, content)


def cards() -> list[Card]:
    """Return every system's card, sorted by name."""
    return [card(name) for name in names()]


def stages(name: str) -> dict[str, Stage]:
    """Import a system's stages: the words after `medtools`, without the system's name, to the stage."""
    card(name)
    module = importlib.import_module(f"medtools.systems.{name.replace('-', '_')}.stages")
    return dict(module.STAGES)
