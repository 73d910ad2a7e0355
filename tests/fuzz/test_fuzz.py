"""Damaged files of every format are read or refused, never more: a few mutations of each, the same every time."""

from __future__ import annotations

import random
import resource

import pytest
from fuzz_campaign import Outcome, campaign, markdown, specimen
from fuzz_formats import FORMATS, Format

SHORT, LONG = 60, 2000


def describe(outcome: Outcome) -> str:
    """Say what went wrong and how to see it again."""
    again = f"python tests/fuzz/fuzz_campaign.py --formats '{outcome.name}' --only NUMBER"
    return f"{outcome.faults}; one of them again: {again}"


@pytest.mark.parametrize("name", list(FORMATS))
def test_damaged_files_are_read_or_refused(name):
    outcome = campaign(FORMATS[name], range(SHORT), seed=0)

    assert outcome.total == SHORT
    assert not outcome.faults, describe(outcome)
    assert outcome.counts["refused"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", list(FORMATS))
def test_thousands_of_damaged_files_are_read_or_refused(name):
    outcome = campaign(FORMATS[name], range(LONG), seed=1)

    assert outcome.total == LONG
    assert not outcome.faults, describe(outcome)


def test_the_same_seed_gives_the_same_files_and_another_one_others():
    form = FORMATS["NIfTI-1 .nii"]
    good = form.make()

    assert specimen(form, 7, 0, good) == specimen(form, 7, 0, good)
    assert len({specimen(form, number, 0, good)["x.nii"] for number in range(50)}) > 40


def crashes(kind: str) -> Format:
    """A format whose reader misbehaves on every second file."""

    def read(folder):
        content = (folder / "x").read_bytes()
        if content == b"good" or content[0] % 2:
            return
        if kind == "exception":
            raise KeyError("rows")
        if kind == "memory":
            bytearray(2**31)
        if kind == "crash":
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            __import__("ctypes").string_at(0)
        while kind == "too slow":
            pass

    return Format("made up", lambda: {"x": b"good"}, read, (lambda rng, content: bytes([rng.randrange(256)]),))


@pytest.mark.parametrize("kind", ["exception", "memory", "crash", "too slow"])
def test_every_kind_of_fault_is_noticed_and_the_rest_goes_on(kind, monkeypatch, capfd):
    monkeypatch.setattr("fuzz_campaign.CPU_SECONDS", 0.2)
    form = crashes(kind)
    even = [n for n in range(6) if specimen(form, n, 0, {"x": b"good"})["x"][0] % 2 == 0]

    outcome = campaign(form, range(6), seed=0)
    capfd.readouterr()

    assert outcome.total == 6
    assert outcome.counts[kind] == len(even) > 0
    assert f"| made up | 6 | {6 - len(even)} | 0 | {len(even)} |" in markdown([outcome])


def test_mutations_never_fail_themselves():
    for form in FORMATS.values():
        good = form.make()
        for number in range(20):
            assert isinstance(specimen(form, number, random.Random(form.name).randrange(99), good), dict)
