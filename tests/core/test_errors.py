"""Messages are for a person at a terminal, whatever the file held."""

import pickle

from medtools.core.errors import InputError


def test_a_long_value_quoted_from_a_file_is_shortened_in_its_middle():
    error = InputError("x.tsv", f"column 1: {'9' * 100_000!r} is not a number", "correct it")

    assert len(str(error)) < 700
    assert str(error).startswith("x.tsv: column 1: '999")
    assert str(error).endswith("999' is not a number; correct it")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301 (it travels between worker processes)


def test_what_is_short_stays_as_it_is():
    assert str(InputError("x", "found", "fix")) == "x: found; fix"
