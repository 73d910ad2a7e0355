"""Time and memory limits."""

import os
import signal

import pytest

from medtools.core import limits
from medtools.core.errors import InputError, RefusedError


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", 1), ("800M", 800 * 2**20), ("4GiB", 4 * 2**30), ("1.5g", 3 * 2**29), (" 2 kB ", 2048), ("1T", 2**40)],
)
def test_sizes_are_read_in_powers_of_1024(text, expected):
    assert limits.parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "0", "-1G", "4 X", "G", "1e3", "nan", "4GB free", "0.0M"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="such as 800M or 4G"):
        limits.parse_size(text)


def test_needs_beyond_the_bound_are_refused_with_both_numbers():
    need = limits.Estimate(3 * 2**20, 12.0, "3 clouds")
    limits.check_memory(need, 3 * 2**20)
    with pytest.raises(RefusedError, match=r"needs about 3 MiB \(3 clouds\), --max-mem allows 2 MiB"):
        limits.check_memory(need, 2 * 2**20)
    with pytest.raises(RefusedError, match="this machine has"):
        limits.check_memory(limits.Estimate(2**60), None)
    assert str(need) == "peak memory 3 MiB, 12 s (3 clouds)"


def test_a_machine_that_does_not_say_its_memory_refuses_nothing(monkeypatch):
    monkeypatch.setattr(limits, "available_memory", lambda: None)
    limits.check_memory(limits.Estimate(2**60), None)


def test_a_deadline_passes():
    limits.Deadline(None).check()
    assert limits.Deadline(None).remaining() is None
    limits.Deadline(60).check()
    with pytest.raises(RefusedError, match="--timeout 0 s"):
        limits.Deadline(0).check()


def test_sigterm_unwinds_and_the_previous_handler_returns():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(limits.Terminated), limits.terminable():
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_peak_of_this_process_is_plausible():
    assert 10 * 2**20 < limits.peak_memory_bytes() < 2**36
