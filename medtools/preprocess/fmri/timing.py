"""Repetition time and slice times: what the user, the header and the side-car say, brought to agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from medtools.core.errors import InputError
from medtools.preprocess.fmri.slice_timing import check_slice_times

_TOLERANCE = 0.01
_SECONDS_BELOW = 100.0
_LONGEST = 1e9
_AXES = {"i": 0, "j": 1, "k": 2}


def repetition_time(
    asked_ms: float | None, header_ms: float | None, sidecar: Mapping[str, Any], where: str, *, force: bool = False
) -> float:
    """Settle the repetition time in milliseconds.

    Parameters
    ----------
    asked_ms : float or None
        `--tr`.
    header_ms : float or None
        NIfTI header.
    sidecar : mapping
        JSON side-car; its `RepetitionTime` is in seconds, or in ms where it is 100 or more.
    where : str
        Named in errors.
    force : bool
        Believe `asked_ms` whatever the others say.

    Raises
    ------
    InputError
        Two sources differ by more than 1 %, each named with its value; or none says anything.
    """
    stated = {"--tr": asked_ms, "the side-car": _sidecar_ms(sidecar, where), "the header": header_ms}
    if force:
        if asked_ms is None:
            raise InputError("--force-tr", "needs --tr", "say which repetition time to believe")
        return asked_ms
    known = {source: value for source, value in stated.items() if value is not None}
    if not known:
        raise InputError(where, "neither header nor side-car states a repetition time", "give --tr in milliseconds")
    (first, chosen), *others = known.items()
    for source, value in others:
        if abs(value - chosen) > _TOLERANCE * chosen:
            fix = "check which is right, then --tr with --force-tr" + ("" if first != "--tr" else ", or drop --tr")
            raise InputError(where, f"{first} says TR {chosen:g} ms, {source} says {value:g} ms", fix)
    return chosen


def slice_times(
    sidecar: Mapping[str, Any], shape: tuple[int, ...], tr_ms: float, where: str
) -> tuple[np.ndarray | None, int]:
    """Read the slice times in the order of the array and the axis they run along.

    Parameters
    ----------
    sidecar : mapping
        `SliceTiming` in seconds; `SliceEncodingDirection` `i`, `j` or `k`, with `-` where the list starts at the last
        slice (BIDS).
    shape : tuple of int
    tr_ms : float
    where : str
        Named in errors.

    Returns
    -------
    times_s : (n_slices,) array or None
        None where the side-car has none.
    axis : {0, 1, 2}

    Raises
    ------
    InputError
        Times that do not fit the image, or an unknown direction.
    """
    direction = sidecar.get("SliceEncodingDirection", "k")
    if not isinstance(direction, str) or direction.rstrip("-") not in _AXES or len(direction) > 2:
        raise InputError(where, f"SliceEncodingDirection {direction!r}, expected i, j or k, perhaps with -")
    axis = _AXES[direction[0]]
    if sidecar.get("SliceTiming") is None:
        return None, axis
    times = check_slice_times(sidecar["SliceTiming"], shape[axis], tr_ms / 1e3, where)
    return (times[::-1] if direction.endswith("-") else times), axis


def _sidecar_ms(sidecar: Mapping[str, Any], where: str) -> float | None:
    value = sidecar.get("RepetitionTime")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST:
        raise InputError(where, f"side-car says RepetitionTime {value!r}, expected seconds")
    return float(value) * (1e3 if value < _SECONDS_BELOW else 1.0)
