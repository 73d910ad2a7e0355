"""Fixtures that tests of every folder may use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support import Outcome, call


@pytest.fixture
def medtools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """`medtools(*words)` in an empty current folder, which is `tmp_path`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    return call
