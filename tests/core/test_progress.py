"""The progress bar shows nothing but what it counts, and nothing where nobody looks."""

import sys

from medtools.core import log, progress


def test_items_pass_through_unchanged_and_silently_without_a_terminal(capsys):
    assert list(progress.track(iter([3, 1, 2]), "counting")) == [3, 1, 2]
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar_only_for_long_work(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(log.LOGGER, "level", 20)
    assert list(progress.track(range(3), "counting")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "_PATIENCE_SECONDS", -1.0)
    monkeypatch.setenv("TERM", "xterm")
    assert list(progress.track(range(3), "counting")) == [0, 1, 2]
    assert "counting" in capsys.readouterr().err
    monkeypatch.setattr(progress, "is_json", lambda: True)
    assert list(progress.track(range(3), "counting")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
