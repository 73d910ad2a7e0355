"""Made abdomens, prepared, for the tests of local-prototype that begin with slices."""

from __future__ import annotations

from pathlib import Path

from support import call

SIZE = 64


def prepare(folder: Path, *, slices: int, train: int, queries: int, shift: int) -> None:
    """Write `data` and, prepared at 64 pixels, `slices` into a folder."""
    counts = ("--slices", str(slices), "--train", str(train), "--queries", str(queries), "--shift", str(shift))
    made = call("demo", "local-prototype", "--out", folder / "data", "--size", str(SIZE), *counts)
    assert made.code == 0, made.err
    words = (folder / "data" / "manifest.tsv", "--size", str(SIZE), "--out", folder / "slices")
    outcome = call("preprocess", "local-prototype", "slices", *words)
    assert outcome.code == 0, outcome.err
