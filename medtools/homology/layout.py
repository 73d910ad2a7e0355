"""Where the homology steps put their files below --out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from medtools.core.errors import InputError


def diagrams_file(folder: Path, subject: str) -> Path:
    """Persistence diagrams of one subject; `folder` is `<out>/diagrams`."""
    return folder / f"{subject}.npz"


def record_file(folder: Path, subject: str) -> Path:
    """Record of one subject; `folder` is `<out>/diagrams`."""
    return folder / f"{subject}.json"


def pr_file(out: Path, subject: str, network: str, dim: int, suffix: str = ".tsv") -> Path:
    """Distances between the ROIs of one subject and network."""
    return out / "PR" / subject / f"{file_word(network)}_H{dim}{suffix}"


def ps_folder(out: Path, network: str) -> Path:
    """Folder of the distances between subjects, for the ROIs of one network."""
    return out / "PS" / file_word(network)


def ps_file(out: Path, network: str, roi: str, dim: int) -> Path:
    """Distances between subjects for one ROI."""
    return ps_folder(out, network) / f"{file_word(roi)}_H{dim}.tsv"


def check_distinct(names: Iterable[str], where: str | Path, what: str) -> None:
    """Refuse names whose files would overwrite each other.

    Raises
    ------
    InputError
        Naming the first two, and `where` they are.
    """
    seen: dict[str, str] = {}
    for name in names:
        word = file_word(name).casefold()
        if seen.setdefault(word, name) != name:
            raise InputError(where, f"{what} {seen[word]!r} and {name!r} would share a file", "rename one of them")


def file_word(name: str) -> str:
    """Turn a name such as `post cingulate 108` into one word that any file system takes."""
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "unnamed"
