"""Run folders: where folds and the final network go, and which models are refused."""

from __future__ import annotations

import re

import numpy as np
import pytest

from medtools.core.errors import InputError
from medtools.training.checkpoint import save_checkpoint
from medtools.training.runs import fold_folder, fold_name, read_model
from medtools.training.splits import everyone, stratified_folds


def test_folds_are_named_from_one_in_the_order_of_repeats() -> None:
    splits = stratified_folds(np.arange(8), np.arange(8) % 2, folds=2, repeats=2, seed=0)

    assert [fold_name(split) for split in splits] == ["r1f1", "r1f2", "r2f1", "r2f2"]


def test_the_final_division_trains_on_everyone_and_tests_no_one() -> None:
    split = everyone(3)

    assert (split.train.tolist(), split.validation.size, split.test.size) == ([0, 1, 2], 0, 0)


def test_a_model_of_another_system_is_refused_by_name(tmp_path) -> None:
    save_checkpoint(tmp_path / "model.ckpt", {}, {"system": "dspic"})

    with pytest.raises(InputError, match=r"is a model of 'dspic'; give one of ad-lite-net"):
        read_model(tmp_path, "ad-lite-net")


def test_a_fold_without_a_network_is_named_with_its_run(tmp_path) -> None:
    (tmp_path / "folds" / "r1f1").mkdir(parents=True)

    with pytest.raises(InputError, match=f"{re.escape(str(tmp_path))}.*'r1f1'"):
        fold_folder(tmp_path, "r1f1")
