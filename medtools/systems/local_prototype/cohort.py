"""Which volumes a made cohort has, what organs are called, and which folds a training has: known without NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

TRAIN, QUERIES = 8, 4
"""Size of the made cohort unless asked otherwise."""

PATH_COLUMNS, OPTIONAL_PATHS = ("image",), ("labels",)
"""Columns of a manifest that name files; a query may be without a label map."""

HELD_OUT = ("liver", "spleen", "kidney", "psoas")
"""The paper's test classes: each is left out of one training, paired organs together."""


class Organ(NamedTuple):
    """A structure: its value in label maps, its name, and the class that it is held out with."""

    value: int
    name: str
    group: str


VISCERAL = {
    58: Organ(1, "liver", "liver"),
    86: Organ(2, "spleen", "spleen"),
    170: Organ(3, "pancreas", "pancreas"),
    30324: Organ(4, "right adrenal gland", "adrenal gland"),
    30325: Organ(5, "left adrenal gland", "adrenal gland"),
    187: Organ(6, "gallbladder", "gallbladder"),
    40357: Organ(7, "first rectus abdominis", "rectus abdominis"),
    40358: Organ(8, "second rectus abdominis", "rectus abdominis"),
    237: Organ(9, "urinary bladder", "urinary bladder"),
    29193: Organ(10, "first lumbar vertebra", "first lumbar vertebra"),
    1302: Organ(11, "right lung", "lung"),
    1326: Organ(12, "left lung", "lung"),
    29662: Organ(13, "right kidney", "kidney"),
    29663: Organ(14, "left kidney", "kidney"),
    480: Organ(15, "aorta", "aorta"),
    2473: Organ(16, "sternum", "sternum"),
    32248: Organ(17, "right psoas", "psoas"),
    32249: Organ(18, "left psoas", "psoas"),
    7578: Organ(19, "thyroid gland", "thyroid gland"),
    1247: Organ(20, "trachea", "trachea"),
}
"""RadLex number of each VISCERAL structure, with the class number that the authors' code gives it."""

SUPPORT = "10000132"
GOLD = frozenset(
    f"10000{number}"
    for number in (100, 104, 105, 106, 108, 109, 110, 111, 112, 113, 127, 128, 129, 130, 131, 132, 133, 134, 135, 136)
)
"""VISCERAL's gold corpus: the one support volume and the 19 queries of the paper."""

MADE = (
    Organ(1, "liver", "liver"),
    Organ(2, "spleen", "spleen"),
    Organ(3, "right kidney", "kidney"),
    Organ(4, "left kidney", "kidney"),
    Organ(5, "right psoas", "psoas"),
    Organ(6, "left psoas", "psoas"),
)


def parts(train: int, queries: int) -> dict[str, str]:
    """Return the made volumes and the part that each plays: train, support or query."""
    names = {f"train-{number:02d}": "train" for number in range(1, train + 1)}
    return names | {"support-01": "support"} | {f"query-{number:02d}": "query" for number in range(1, queries + 1)}


def sample_ids(demo_params: Mapping[str, Any]) -> list[str]:
    """Return the identifiers that the demo stage will write with these parameters."""
    return list(parts(int(demo_params.get("train", TRAIN)), int(demo_params.get("queries", QUERIES))))


def find_samples(source: Path) -> dict[str, tuple[str, ...]]:
    """Return the volumes of a folder in VISCERAL's layout: identifier to image and masks.

    Raises
    ------
    InputError
        As `medtools preprocess local-prototype slices` would.
    """
    from medtools.systems.local_prototype.preparation import find_visceral

    return {entry.id: tuple(map(str, entry.files)) for entry in find_visceral(source, SUPPORT)}


def held_out(train_params: Mapping[str, Any]) -> list[str]:
    """Return the classes that a training holds out, one after the other."""
    given = train_params.get("held_out", HELD_OUT)
    return [name.strip() for name in given.split(",")] if isinstance(given, str) else list(given)


def fold_names(train_params: Mapping[str, Any]) -> list[str]:
    """Return the names of a training's folds: the classes held out, as folders are named."""
    return [fold_word(name) for name in held_out(train_params)]


def fold_word(group: str) -> str:
    """Return the folder name of a held-out class."""
    return group.replace(" ", "-").replace("/", "-")
