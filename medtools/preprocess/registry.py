"""Modalities are discovered: every folder beside this file with a `stage.py` is one."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from medtools.core.params import Params
    from medtools.core.stage import Stage

_ROOMS = Path(__file__).parent


def modalities() -> dict[str, str]:
    """Return each modality's name and the first line of its stage's docstring, importing nothing."""
    found = {}
    for path in sorted(_ROOMS.glob("*/stage.py")):
        text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found[path.parent.name] = text.splitlines()[0] if text else ""
    return found


def methods(name: str) -> str:
    """Return a modality's sentence for a methods section (`METHODS` beside its stage), empty where it has none."""
    return str(getattr(importlib.import_module(f"medtools.preprocess.{name}.stage"), "METHODS", ""))


def samples(name: str, source: Path, params: Params) -> dict[str, tuple[Path, ...]]:
    """Return what a modality finds in a source, and the files that decide each: `samples_of` beside its stage.

    Raises
    ------
    InputError
        As the modality's `preprocess` stage.
    """
    module = importlib.import_module(f"medtools.preprocess.{name}.stage")
    found: dict[str, tuple[Path, ...]] = module.samples_of(source, params)
    return found


def stage(name: str) -> Stage:
    """Import a modality's `preprocess` stage."""
    module = importlib.import_module(f"medtools.preprocess.{name}.stage")
    found: Stage = module.STAGE
    return found
