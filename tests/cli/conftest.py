"""A cohort whose homology is complete."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support import Outcome, write_cohort


@pytest.fixture
def done(medtools: Callable[..., Outcome], tmp_path: Path) -> Path:
    """The current folder, with a cohort of three in `data` and its homology in `out`."""
    write_cohort(tmp_path / "data")
    assert medtools("homology", "data", "--tr", "3000", "--out", "out").code == 0
    return tmp_path
