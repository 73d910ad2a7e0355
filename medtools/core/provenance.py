"""The record beside every output: what made it, from what, with which parameters."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import medtools
from medtools.core.atomic import relative_path, write_json
from medtools.core.errors import InputError

FORMAT = 1
_PACKAGES = (
    "numpy", "scipy", "numba", "gudhi", "ripser", "persim", "torch", "lightning", "monai", "scikit-learn",
    "nibabel", "nilearn", "SimpleITK", "pydicom", "scikit-image", "biopython", "fpocket-rs", "pandas", "matplotlib",
)  # fmt: skip


@dataclass(frozen=True)
class Fingerprint:
    """What decides a stage's output: equal fingerprints mean equal bytes."""

    stage: str
    params: Mapping[str, Any]
    inputs: Mapping[str, str]
    seed: int | None = None
    version: str = field(default=medtools.__version__)

    def differences(self, record: Mapping[str, Any]) -> list[str]:
        """List in words what differs from an earlier `record`, parameters first."""
        found = [
            f"{key} was {record['params'].get(key)!r}, now {self.params.get(key)!r}"
            for key in sorted({*self.params, *record["params"]})
            if record["params"].get(key) != self.params.get(key)
        ]
        if record["seed"] != self.seed:
            found.append(f"seed was {record['seed']}, now {self.seed}")
        if record["medtools"] != self.version:
            found.append(f"medtools was {record['medtools']}, now {self.version}")
        return found

    def same_inputs(self, record: Mapping[str, Any]) -> bool:
        """Tell whether `record` was made from files of the same names and content, in the same order.

        Folders do not count: data may move. The order does, since it tells which file is whose.
        """
        before = [(PurePosixPath(entry["path"]).name, entry["sha256"]) for entry in record["inputs"]]
        return before == [(Path(name).name, digest) for name, digest in self.inputs.items()]


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content in hexadecimal."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(path, f"cannot be read: {error.strerror}") from error


def hash_inputs(inputs: Iterable[Path]) -> dict[str, str]:
    """Hash files, and the files inside folders, in sorted order; the keys are their paths."""
    files: list[Path] = []
    for path in inputs:
        files.extend(sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path])
    return {str(path): sha256(path) for path in files}


def write_record(
    path: Path,
    fingerprint: Fingerprint,
    outputs: Sequence[Path],
    *,
    command: Sequence[str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write the provenance record of finished `outputs` to `path`, the last file a stage writes.

    Paths are stored relative to the record's folder, so that a folder may move as a whole.
    """
    record = {
        "format": FORMAT,
        "stage": fingerprint.stage,
        "status": "complete",
        "medtools": fingerprint.version,
        "command": list(command if command is not None else ["medtools", *sys.argv[1:]]),
        "params": dict(fingerprint.params),
        "seed": fingerprint.seed,
        "inputs": [
            {"path": relative_path(name, path.parent), "sha256": digest} for name, digest in fingerprint.inputs.items()
        ],
        "outputs": [
            {"path": relative_path(output, path.parent), "bytes": output.stat().st_size, "sha256": sha256(output)}
            for output in outputs
        ],
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": package_versions(),
        **(extra or {}),
    }
    write_json(path, record)


def read_record(path: Path) -> dict[str, Any] | None:
    """Read a record, or return None where there is none that can be trusted."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and record.get("format") == FORMAT and _is_whole(record) else None


def _is_whole(record: Mapping[str, Any]) -> bool:
    """Tell whether a record has what later runs rely on; somebody may have edited it."""
    if record.get("status") == "failed":
        return isinstance(record.get("cause"), str)
    files = [*_entries(record, "inputs"), *_entries(record, "outputs")]
    named = all(isinstance(entry.get("path"), str) and isinstance(entry.get("sha256"), str) for entry in files)
    return (
        record.get("status") == "complete"
        and named
        and isinstance(record.get("params"), dict)
        and {"stage", "seed", "medtools", "inputs", "outputs"} <= record.keys()
    )


def _entries(record: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    entries = record.get(key)
    return [entry if isinstance(entry, dict) else {} for entry in entries] if isinstance(entries, list) else [{}]


def outputs_stand(path: Path, record: Mapping[str, Any]) -> bool:
    """Tell whether every output named in the record at `path` is there, with its size and content."""
    for entry in record.get("outputs", []):
        output = path.parent / entry["path"]
        if not output.is_file() or output.stat().st_size != entry.get("bytes") or sha256(output) != entry["sha256"]:
            return False
    return True


def holds(path: Path, fingerprint: Fingerprint) -> bool:
    """Tell whether the record at `path` says that outputs of this fingerprint stand, and they do."""
    record = read_record(path)
    if record is None or record["status"] != "complete" or fingerprint.differences(record):
        return False
    return fingerprint.same_inputs(record) and outputs_stand(path, record)


def drop(path: Path, root: Path) -> None:
    """Remove a record that no longer holds with the outputs it names below `root`, lest they be taken for new ones.

    Records among the outputs, of stages within this one, stay with what they name: those stages judge for themselves.
    """
    named = _outputs(path)
    within = [output for output in named if output.suffix == ".json" and read_record(output) is not None]
    kept = {*within, *(output for inner in within for output in _outputs(inner))}
    path.unlink(missing_ok=True)
    below = [output for output in named if output.resolve().is_relative_to(root.resolve())]
    remove([output for output in below if output not in kept])


def _outputs(record: Path) -> list[Path]:
    entries = (read_record(record) or {}).get("outputs", [])
    return [Path(os.path.normpath(record.parent / entry["path"])) for entry in entries]


def remove(paths: Iterable[Path]) -> None:
    """Remove files, those already gone too."""
    for path in paths:
        path.unlink(missing_ok=True)


def package_versions() -> dict[str, str]:
    """Return the versions of the scientific packages that this process has imported."""
    imported = {name.partition(".")[0] for name in sys.modules}
    modules = {"scikit-learn": "sklearn", "scikit-image": "skimage", "biopython": "Bio", "fpocket-rs": "fpocket_rs"}
    used = [name for name in _PACKAGES if modules.get(name, name) in imported]
    versions = {name: _version_or_none(name) for name in used}
    return {name: version for name, version in versions.items() if version is not None}


def _version_or_none(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
