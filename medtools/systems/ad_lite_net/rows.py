"""Rows of the paper's tables: which parameters make them, and what the paper and its repository print for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medtools.core.params import check
from medtools.systems import registry
from medtools.systems.ad_lite_net.params import NetworkParams

ABLATIONS: dict[str, dict[str, Any]] = {
    "no-pcb": {"pcb": False},
    "tx-none": {"tx": "none"},
    "tx-invert": {"tx": "invert"},
    "depthwise-0": {"depthwise": 0},
    "depthwise-1": {"depthwise": 1},
    "filters-16-32": {"filters": (16, 32), "depthwise": 1},
    "filters-16-64": {"filters": (16, 64), "depthwise": 1},
    "filters-48-64": {"filters": (48, 64), "depthwise": 1},
    "dense-16": {"dense": 16},
    "separable": {"separable": True},
}
"""Changes to AD-Lite Net; the filter counts were tried by the authors with one depthwise layer."""

LONG = {"pit-ti-50": {"model": "pit-ti", "epochs": 50}}
"""The row of Table 1 that was trained longer than the others."""

OWN_EPOCHS = {"2d-m2ic": 20}
"""Epochs of a network whatever the data set (authors' notebooks)."""

_SCALED = ("model", "bn_momentum")  # not what an ablation changes
_MACRO = ("precision_macro", "sensitivity_macro", "f1_macro")


def parameters(name: str) -> dict[str, Any]:
    """Return what a row changes in the defaults of `medtools train ad-lite-net`, besides a data set's preset."""
    if name in ABLATIONS:
        return {"model": "ad-lite", **ABLATIONS[name]}
    own = {"epochs": OWN_EPOCHS[name]} if name in OWN_EPOCHS else {}
    return LONG.get(name, {"model": name, **own})


def row_of(trained: Mapping[str, Any]) -> str:
    """Return the row that a run's parameters make, empty where the paper has none."""
    model = str(trained.get("model", ""))
    if model != "ad-lite":
        named = [name for name, values in LONG.items() if values.items() <= dict(trained).items()]
        return named[0] if named else model
    defaults = check(NetworkParams, {}).model_dump()
    given = {key: trained.get(key, value) for key, value in defaults.items() if key not in _SCALED}
    given["filters"] = tuple(given["filters"])
    changed = {key: value for key, value in given.items() if value != defaults[key]}
    if not changed:
        return model
    return next((name for name, values in ABLATIONS.items() if values == changed), "")


def published(data: str, trained: Mapping[str, Any], level: str, n_folds: int) -> dict[tuple[str, str], float]:
    """Return the values printed for a run, by (metric, level); empty where there are none.

    Parameters
    ----------
    data : str
        `ad`, `adni`, `oasis`, `ten-fold` or `none`.
    trained : mapping
        Parameters of the run; empty for predictions of unknown origin.
    level : str
        Level of the scores over all images.
    n_folds : int
    """
    row = row_of(trained)
    card = registry.card("ad-lite-net").content["published"]
    if data == "none" or not row:
        return {}
    if data == "ten-fold":
        return _ten_fold(card, level, n_folds) if row == "ad-lite" else {}
    found: dict[tuple[str, str], float] = {}
    if data == "ad":
        found |= _on_ad(card, row, level)
    accuracy, weighted = card["table_1"].get(row, {}).get(data, (None, None))
    return found if accuracy is None else found | {("accuracy", level): accuracy, ("f1_weighted", level): weighted}


def _ten_fold(card: Mapping[str, Any], level: str, n_folds: int) -> dict[tuple[str, str], float]:
    if n_folds == 1:
        return {(metric, level): value for metric, value in card["ten_fold"].items()}
    places = {"mean over folds": card["ten_fold"], "standard deviation over folds": card["ten_fold_sd"]}
    return {(metric, place): value for place, values in places.items() for metric, value in values.items()}


def _on_ad(card: Mapping[str, Any], row: str, level: str) -> dict[tuple[str, str], float]:
    """Return Table 2, or what the authors' repository says of an ablation (macro F1)."""
    if row in card["ablations"]:
        accuracy, f1 = card["ablations"][row]
        return {("accuracy", level): accuracy, ("f1_macro", level): f1}
    table = card["table_2"].get(row)
    if table is None:
        return {}
    classes = {("f1", f"{level}, class {name}"): value for name, value in table["f1"].items()}
    macro = {(metric, level): value for metric, value in zip(_MACRO, table["macro"], strict=True)}
    return classes | macro | {("accuracy", level): table["accuracy"]}
