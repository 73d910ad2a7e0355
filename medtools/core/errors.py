"""Errors written for the person at the terminal, each with the exit code the command line returns."""

from __future__ import annotations

from pathlib import Path

_HEAD, _TAIL = 450, 150


class MedtoolsError(Exception):
    """Base of every error that medtools raises on purpose; uncaught, it is our fault (exit 1)."""

    exit_code = 1


class InputError(MedtoolsError):
    """Bad usage, configuration or input data (exit 2).

    Parameters
    ----------
    where : str or Path
        The file, option or configuration key at fault.
    found : str
        What was expected and what was found; a long value quoted from a file is shortened.
    fix : str, optional
        What the user can do about it.
    """

    exit_code = 2

    def __init__(self, where: str | Path, found: str, fix: str = "") -> None:
        self.where, self.found, self.fix = str(where), _shortened(found), _shortened(fix)
        super().__init__(f"{self.where}: {self.found}" + (f"; {self.fix}" if fix else ""))

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str]]:
        return type(self), (self.where, self.found, self.fix)


def _shortened(text: str) -> str:
    """Keep the beginning and the end of a text that would fill the terminal: what is wrong stands in either."""
    return text if len(text) <= _HEAD + _TAIL else f"{text[:_HEAD]} ... {text[-_TAIL:]}"


class PartialError(MedtoolsError):
    """Part of a cohort failed; the rest is complete and `failures.tsv` names each cause (exit 3)."""

    exit_code = 3


class RefusedError(MedtoolsError):
    """Refused before work began: memory, disk, time, or outputs made by other parameters (exit 4)."""

    exit_code = 4
