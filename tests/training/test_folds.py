"""Work spread over processes gives what work in turn gives, and its failures arrive."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from medtools.core.errors import InputError, MedtoolsError
from medtools.training.folds import map_folds


def draw(seed: int) -> tuple[float, int]:
    return float(np.random.default_rng(seed).normal(size=1000).sum()), seed


def refuse_three(item: int) -> int:
    if item == 3:
        raise InputError("sub-03", "series has NaN", "drop it")
    return item


def die(item: int) -> int:
    if item == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


def test_results_keep_their_order_and_bits():
    assert map_folds(draw, range(7), threads=2) == [draw(seed) for seed in range(7)]


def test_functions_made_on_the_spot_are_fine():
    offset = 10

    assert map_folds(lambda item: item + offset, [1, 2, 3], threads=2) == [11, 12, 13]


@pytest.mark.parametrize("threads", [1, 2])
def test_an_input_error_arrives_as_itself(threads):
    with pytest.raises(InputError, match="sub-03: series has NaN; drop it"):
        map_folds(refuse_three, range(6), threads=threads)


def test_a_killed_process_is_reported_and_not_waited_for():
    with pytest.raises(MedtoolsError, match="killed, most often for want of memory; lower --threads"):
        map_folds(die, range(6), threads=2)
