"""Made hearts cut into crops, and a short training on them, for the tests of spect-prototypes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from support import Outcome, call

from medtools.core.tables import read_tsv

SMALL = ("--width", "0.0625", "--size", "32")
PREPROCESS = ("preprocess", "spect-prototypes")


def make_study(folder: Path, *, modes: Sequence[str]) -> None:
    """Write twelve made hearts (`data`), their crops in each mode, and a run of three episodes on the last of them."""
    assert call("demo", "spect-prototypes", "--out", folder / "data").code == 0
    for mode in modes:
        outcome = call(*PREPROCESS, folder / "data", "--mode", mode, "--out", folder / mode)
        assert outcome.code == 0, outcome.err
    outcome = train(folder / modes[-1], folder / "run")
    assert outcome.code == 0, outcome.err


def train(crops: Path, out: Path, *words: str | Path) -> Outcome:
    """Train on a folder of crops for three episodes, a narrow network."""
    return call("train", "spect-prototypes", crops / "manifest.tsv", *SMALL, "--episodes", "3", *words, "--out", out)


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table."""
    return read_tsv(path)[1]
