"""What spect-prototypes takes and what it refuses, in one line."""

import numpy as np
import pytest
from made_hearts import PREPROCESS, SMALL, make_study, rows_of, train
from support import call

from medtools.core.tables import read_tsv, write_tsv
from medtools.io.arrays import read_npz
from medtools.io.grids import write_arrays


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve made hearts as hard crops, and a run of three episodes on them."""
    folder = tmp_path_factory.mktemp("hearts")
    make_study(folder, modes=("hard",))
    return folder


def changed(folder, name, **changes):
    columns, rows = read_tsv(folder / "hard" / "manifest.tsv")
    kept = [row | changes.get("cells", {}) for row in rows if changes.get("keep", lambda _: True)(row)]
    write_tsv(folder / "hard" / name, [c for c in columns if c not in changes.get("drop", ())], kept)
    return folder / "hard" / name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keep": lambda row: row["label"] == "liver"}, "one class only (liver)"),
        ({"keep": lambda row: row["subject"] == "sub-01"}, "one subject only (sub-01)"),
        ({"drop": ("label",)}, "no column 'label'"),
        ({"cells": {"crop": "99"}}, "no crop '99' in sub-01.npz"),
        ({"cells": {"crops": "crops/none.npz"}}, "no such file crops/none.npz"),
        ({"keep": lambda row: row["subject"] <= "sub-03"}, "class 'liver' needs 9 samples and has"),
        ({"keep": lambda row: row["label"] != "liver"}, "3 classes are needed, the samples have 2"),
    ],
)
def test_bad_manifests_are_refused_in_a_line(folder, tmp_path, changes, message):
    outcome = call(
        *("train", "spect-prototypes", changed(folder, "bad.tsv", **changes), *SMALL, "--episodes", "1"),
        *("--out", tmp_path),
    )
    assert outcome.code == 2
    assert message in outcome.lines[-1]
    assert [line.startswith("error: ") for line in outcome.lines[-2:]].count(True) == 1


@pytest.mark.parametrize("fault", ["nan", "sizes", "truncated", "foreign"])
def test_bad_crop_files_are_refused_in_a_line(folder, tmp_path, fault):
    source = folder / "hard" / "crops" / "sub-02.npz"
    arrays = dict(read_npz(source))
    arrays["images"] = arrays["images"].copy()
    for name in ("sub-01", "sub-02"):
        (tmp_path / "crops").mkdir(exist_ok=True)
        (tmp_path / "crops" / f"{name}.npz").write_bytes((folder / "hard" / "crops" / f"{name}.npz").read_bytes())
    broken = tmp_path / "crops" / "sub-02.npz"
    if fault == "nan":
        arrays["images"][0, 0, 0] = np.nan
        write_arrays(broken, arrays)
    elif fault == "sizes":
        write_arrays(broken, {key: value[:, :40] for key, value in arrays.items()})
    elif fault == "truncated":
        broken.write_bytes(broken.read_bytes()[:500])
    else:
        write_arrays(broken, {"volumes": arrays["images"]})
    columns, rows = read_tsv(folder / "hard" / "manifest.tsv")
    write_tsv(tmp_path / "manifest.tsv", columns, [row for row in rows if row["subject"] in ("sub-01", "sub-02")])
    outcome = call("infer", "spect-prototypes", tmp_path, "--model", folder / "run", "--out", tmp_path / "o")
    assert outcome.code == 2
    words = {"nan": "not a finite number", "sizes": "different sizes", "truncated": "damaged", "foreign": "no crops"}
    assert words[fault] in outcome.err
    assert len(outcome.lines) == 1


def test_a_study_without_labels_fails_alone(folder, tmp_path):
    columns, rows = read_tsv(folder / "data" / "manifest.tsv")
    cut = [row | ({"labels": "n/a"} if row["id"] == "sub-02" else {}) for row in rows[:3]]
    write_tsv(folder / "data" / "cut.tsv", columns, cut)
    outcome = call(*PREPROCESS, folder / "data" / "cut.tsv", "--out", tmp_path)
    assert outcome.code == 3
    assert [row["id"] for row in rows_of(tmp_path / "failures.tsv")] == ["sub-02"]
    assert {row["subject"] for row in rows_of(tmp_path / "manifest.tsv")} == {"sub-01", "sub-03"}


def test_a_split_of_the_users_own_is_kept_from_the_images_to_the_training(folder, tmp_path):
    columns, rows = read_tsv(folder / "data" / "manifest.tsv")
    own = [row | {"split": "validation" if row["id"] in ("sub-01", "sub-07") else "train"} for row in rows]
    write_tsv(folder / "data" / "own.tsv", [*columns, "split"], own)
    assert call(*PREPROCESS, folder / "data" / "own.tsv", "--out", tmp_path / "crops").code == 0
    words = ("--val-support", "train", "--val-episodes", "1", "--out", tmp_path / "run")
    outcome = train(tmp_path / "crops", *words[-1:], *words[:-2])
    assert outcome.code == 0, outcome.err
    parts = {row["subject"]: row["split"] for row in rows_of(tmp_path / "run" / "splits.tsv")}
    assert {name for name, part in parts.items() if part == "validation"} == {"sub-01", "sub-07"}


@pytest.mark.parametrize("tissues", ["1ventricle", "0=back", "1=a,2=a", "3=liver"])
def test_bad_names_of_tissues_are_refused(folder, tmp_path, tissues):
    outcome = call(*PREPROCESS, folder / "data", "--tissues", tissues, "--out", tmp_path)
    assert outcome.code == 2
    assert "--tissues" in outcome.err
