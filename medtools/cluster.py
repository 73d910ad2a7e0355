"""The workflow on a machine that others share: what the site wants, what its SLURM can answer, whose lock stands."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medtools.core.atomic import is_alive, write_json
from medtools.core.errors import InputError
from medtools.core.params import read_yaml

_OWNER = "medtools-owner.json"
_VARIABLES = {
    "slurm_account": "SBATCH_ACCOUNT",
    "slurm_partition": "SBATCH_PARTITION",
    "qos": "SBATCH_QOS",
    "constraint": "SBATCH_CONSTRAINT",
}
SITE_FILE = Path("config/site.yaml")


def site_resources(environment: Mapping[str, str] = os.environ, file: Path = SITE_FILE) -> dict[str, str | int]:
    """Return what every job asks of this site's SLURM, unless its rule or the command line says otherwise.

    Parameters
    ----------
    environment : mapping
        sbatch's own variables: `SBATCH_ACCOUNT`, `SBATCH_PARTITION`, `SBATCH_QOS`, `SBATCH_CONSTRAINT`.
    file : Path
        Optional YAML with the keys `slurm_account`, `slurm_partition`, `qos`, `constraint`; comes before the variables.

    Raises
    ------
    InputError
        An unknown key, or a value that is no word.
    """
    found: dict[str, Any] = {key: environment[name] for key, name in _VARIABLES.items() if environment.get(name)}
    given = (read_yaml(file) or {}) if file.is_file() else {}
    if not isinstance(given, dict) or not given.keys() <= _VARIABLES.keys():
        raise InputError(file, "unknown key", f"known keys: {', '.join(_VARIABLES)}")
    for key, value in given.items():
        if not isinstance(value, str | int) or value == "":
            raise InputError(file, f"{key}: expected a word, found {value!r}")
    return found | given


def note_owner(folder: Path = Path(".snakemake")) -> None:
    """Note which process runs the workflow in this folder, so that a lock it leaves can be told from a live one."""
    write_json(folder / _OWNER, {"host": socket.gethostname(), "pid": os.getpid()})


def release_stale_lock(folder: Path = Path(".snakemake")) -> bool:
    """Remove Snakemake's lock if the process that took it was killed on this machine; tell whether it was.

    Snakemake's own lock does not say whose it is, so that after a `kill -9` it stands until a person removes it. A
    lock of a living process, or of another machine, is left alone.
    """
    try:
        owner = json.loads((folder / _OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if owner.get("host") != socket.gethostname() or is_alive(int(owner["pid"])):
        return False
    locks = [path for path in (folder / "locks").glob("*") if path.is_file()]
    for path in locks:
        path.unlink(missing_ok=True)
    return bool(locks)


def accounting_answers(timeout: float = 10.0) -> bool:
    """Tell whether SLURM's `sacct` can be asked for job states here.

    Where a cluster keeps no accounting, `sacct` exists all the same and the executor would wait for it without end.
    """
    if shutil.which("sacct") is None:
        return False
    command = ["sacct", "--noheader", "--allocations", "--starttime=now-1minutes"]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0


def adapt_to_site(executor_settings: Any) -> None:
    """Let the SLURM executor do without accounting where there is none: states by `squeue`, no account to guess."""
    if getattr(executor_settings, "status_command", None) == "sacct" and not accounting_answers():
        executor_settings.status_command = "squeue"
        executor_settings.no_account = True
