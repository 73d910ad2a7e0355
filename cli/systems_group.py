"""The groups `demo`, `preprocess`, `train` ...: one command for each system or modality that has the stage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from medtools.cli.lazy import Entry, LazyGroup, group
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


def systems_group(word: str) -> LazyGroup:
    """Return the group of a stage word, made from the cards and the modalities found."""
    return group(word, _SUMMARIES[word], lambda: _entries(word))


def _entries(word: str) -> Mapping[str, Entry]:
    from medtools.systems import registry

    entries = dict(_modalities()) if word == "preprocess" else dict(_data_sets()) if word == "demo" else {}
    for card in registry.cards():
        steps = {step: summary for step, summary in card.stages.items() if step.split()[0] == word}
        if not steps:
            continue
        load = _command(card.name, word) if list(steps) == [word] else _steps(card.name, word, steps)
        entries[card.name] = Entry(steps.get(word, card.title), load, "Systems")
    return entries


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
