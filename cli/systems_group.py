"""The groups `demo`, `preprocess`, `train` ...: one command for each system or modality that has the stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from medtools.cli.lazy import HELP_FLAGS, Entry, LazyGroup, group
from medtools.cli.stage_command import stage_command

_SUMMARIES = {
    "demo": "Make a small data set with the structure a method exploits.",
    "preprocess": "Raw scans to analysis-ready data.",
    "stats": "Group statistics of a system's features.",
    "train": "Train a system's model.",
    "infer": "Apply a system to new data.",
    "score": "Score predictions against labels.",
    "explain": "Show what a model's decision rests on.",
    "reproduce": "A paper's tables and figures for a cohort.",
}


class SystemsGroup(LazyGroup):
    """The systems, modalities and data sets of one stage word; to run one of them no other card is read."""

    def table(self) -> Mapping[str, Entry]:
        """Return the entries of every system that has the stage."""
        from medtools.systems import registry

        found = {name: _entry(str(self.name), name) for name in registry.names()}
        return _others(str(self.name)) | {name: entry for name, entry in found.items() if entry is not None}

    def find(self, name: str) -> Entry | None:
        """Return the entry of one system, modality or data set."""
        from medtools.systems import registry

        return _entry(str(self.name), name) if name in registry.names() else _others(str(self.name)).get(name)


def systems_group(word: str) -> LazyGroup:
    """Return the group of a stage word, made from the cards and the modalities found."""
    return SystemsGroup(name=word, help=_SUMMARIES[word], no_args_is_help=True, context_settings=HELP_FLAGS)


def _entry(word: str, system: str) -> Entry | None:
    from medtools.systems import registry

    card = registry.card(system)
    steps = {step: summary for step, summary in card.stages.items() if step.split()[0] == word}
    if not steps:
        return None
    load = _command(system, word) if list(steps) == [word] else _steps(system, word, steps)
    return Entry(steps.get(word, card.title), load, "Systems")


def _others(word: str) -> dict[str, Entry]:
    """Return what a stage word has besides systems."""
    return dict(_modalities()) if word == "preprocess" else dict(_data_sets()) if word == "demo" else {}


def _command(system: str, step: str) -> Callable[[], Any]:
    def load() -> Any:
        from medtools.systems import registry

        return stage_command(registry.stages(system)[step])

    return load


def _steps(system: str, word: str, steps: Mapping[str, str]) -> Callable[[], Any]:
    """A system with several steps of one stage (`train idqce pretrain`) gets a group of its own."""
    table = {
        step.removeprefix(word).strip() or "all": Entry(summary, _command(system, step), "Steps")
        for step, summary in steps.items()
    }
    return lambda: group(system, f"Steps of {word} for {system}.", lambda: table)


def _modalities() -> Mapping[str, Entry]:
    from medtools.preprocess import registry

    return {
        name: Entry(summary, lambda name=name: stage_command(registry.stage(name)), "Modalities")
        for name, summary in registry.modalities().items()
    }


def _data_sets() -> Mapping[str, Entry]:
    from medtools.cli import data_sets

    return data_sets.ENTRIES
