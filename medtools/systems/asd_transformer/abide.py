"""What ABIDE users have: the phenotype table with `.1D` series, or the `abide.npy` dictionary of the base code."""

from __future__ import annotations

import glob
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format
from numpy.typing import NDArray

from medtools.core.errors import InputError
from medtools.core.log import LOGGER
from medtools.core.manifest import Row, safe_name
from medtools.io.guard import read_whole
from medtools.io.text import read_rows
from medtools.systems.asd_transformer.cohort import CLASSES
from medtools.systems.asd_transformer.pickled_arrays import load_arrays

_GROUPS = {"1": CLASSES[1], "2": CLASSES[0]}  # DX_GROUP: 1 autism, 2 control
_NO_FILE = "no_filename"
_MAX_BYTES = 2**31
_KEYS = ("timeseires", "corr", "label", "site")  # spelled as in the file


@dataclass(frozen=True)
class Archive:
    """Content of `abide.npy`: series (n, rois, samples), correlations (n, rois, rois), labels 0/1, sites."""

    series: NDArray[np.floating]
    connectivity: NDArray[np.floating]
    groups: tuple[str, ...]
    sites: tuple[str, ...]


def read_phenotypes(path: Path, folder: Path | None, group: str, site: str) -> list[Row]:
    """Read ABIDE's phenotype table and find each subject's `<FILE_ID>_rois_*.1D`.

    Parameters
    ----------
    path : Path
        CSV with FILE_ID, SITE_ID and DX_GROUP (1 autism, 2 control).
    folder : Path or None
        Where the series are; None: beside the table.
    group, site : str
        Columns under which the rows carry label and site.

    Raises
    ------
    InputError
        A column is missing, a code is unknown, or a subject has no or several series.
    """
    table = read_rows(path, ",")
    absent = {"FILE_ID", "SITE_ID", "DX_GROUP"} - (table[0].keys() if table else set())
    if absent:
        raise InputError(path, f"no column {sorted(absent)[0]!r}", "give ABIDE's phenotype table, or a manifest.tsv")
    present = [cells for cells in table if cells["FILE_ID"] != _NO_FILE]
    if len(present) < len(table):
        LOGGER.info("%s: %d of %d subjects have no preprocessed file", path.name, len(table) - len(present), len(table))
    where = path.parent if folder is None else folder
    rows = []
    for cells in present:
        name, code = cells["FILE_ID"], cells["DX_GROUP"].strip()
        if code not in _GROUPS:
            raise InputError(path, f"subject {name}: unknown DX_GROUP {code!r}", "known: 1 (autism), 2 (control)")
        if not safe_name(name):
            raise InputError(path, f"FILE_ID {name!r} cannot name a file", "give ABIDE's own table")
        found = sorted(where.glob(f"{glob.escape(name)}_rois_*.1D"))
        if len(found) != 1:
            raise InputError(where, f"{len(found)} files {name}_rois_*.1D, expected one", "--series FOLDER")
        rows.append(Row(name, name, {group: _GROUPS[code], site: cells["SITE_ID"]}, {"series": found[0]}))
    return rows


def read_archive(path: Path) -> Archive:
    """Read the base code's dictionary; a pickle that holds more than arrays and text is refused.

    Raises
    ------
    InputError
        Not such a file, another layout, or a label that is not 0 or 1.
    """
    stream = io.BytesIO(read_whole(path, _MAX_BYTES))
    try:
        version = npy_format.read_magic(stream)
        {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}[version](stream)
        content = load_arrays(stream)
        found = content.item() if isinstance(content, np.ndarray) else content
    except InputError as error:
        raise InputError(path, error.found, error.fix) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise InputError(path, f"is no dictionary of arrays ({type(error).__name__})", "give the file again") from error
    if not isinstance(found, dict) or not set(_KEYS) <= found.keys():
        raise InputError(path, f"expected a dictionary with the keys {', '.join(_KEYS)}")
    series, connectivity, labels, sites = (np.asarray(found[key]) for key in _KEYS)
    count = len(labels)
    if connectivity.ndim != 3 or series.ndim != 3 or {len(series), len(connectivity), len(sites)} != {count}:
        raise InputError(path, f"arrays of {len(series)}, {len(connectivity)}, {count} and {len(sites)} subjects")
    unknown = sorted(set(labels.tolist()) - {0, 1})
    if unknown:
        raise InputError(path, f"unknown label {unknown[0]!r}", "known: 0 (control), 1 (autism)")
    groups = tuple(CLASSES[int(label)] for label in labels.tolist())
    return Archive(series, connectivity, groups, tuple(map(str, sites.tolist())))
