"""Batches depend on epoch and index only, and reach every sample as promised."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset

from medtools.core.errors import InputError
from medtools.training.batches import DatasetBatches, EpochLoader, TensorBatches, balanced_order


def numbers(count: int, size: int, **options) -> TensorBatches:
    return TensorBatches((torch.arange(count),), size, **options)


def epoch_of(data, epoch: int) -> list[list[int]]:
    return [data.batch(epoch, index)[0].tolist() for index in range(len(data))]


@given(st.integers(1, 40), st.integers(1, 12), st.integers(0, 3))
def test_an_epoch_holds_every_sample_once(count, size, epoch):
    drawn = epoch_of(numbers(count, size, seed=1), epoch)

    assert sorted(chain(*drawn)) == list(range(count))
    assert [len(batch) for batch in drawn[:-1]] == [size] * (len(drawn) - 1)


def test_order_changes_with_epoch_and_seed_and_nothing_else():
    first, again, other = numbers(30, 4, seed=1), numbers(30, 4, seed=1), numbers(30, 4, seed=2)

    backwards = [again.batch(2, index)[0].tolist() for index in reversed(range(8))]

    assert epoch_of(first, 2) == backwards[::-1]
    assert epoch_of(first, 2) != epoch_of(first, 3)
    assert epoch_of(first, 2) != epoch_of(other, 2)


def test_without_a_seed_samples_come_as_given():
    assert epoch_of(numbers(5, 2), 7) == [[0, 1], [2, 3], [4]]


def test_an_incomplete_batch_can_be_left_out():
    assert [len(batch) for batch in epoch_of(numbers(11, 4, seed=0, drop_last=True), 0)] == [4, 4]


@given(st.integers(1, 20), st.integers(1, 9), st.integers(1, 7))
def test_counted_steps_draw_every_sample_equally_often_up_to_one(count, size, steps):
    data = numbers(count, size, seed=3, steps=steps)

    drawn = [number for epoch in range(4) for number in chain(*epoch_of(data, epoch))]

    assert len(drawn) == 4 * steps * size
    times = Counter(drawn)
    assert max(times.values()) - min(times.get(i, 0) for i in range(count)) <= 1


def test_balanced_order_shows_every_class_equally_often_and_every_sample():
    labels = np.array([0] * 50 + [1] * 7 + [2] * 3)
    data = TensorBatches((torch.arange(60), torch.as_tensor(labels)), 10, seed=0, order=balanced_order(labels))

    drawn = [data.batch(0, index) for index in range(len(data))]

    assert Counter(torch.cat([batch[1] for batch in drawn]).tolist()) == {0: 50, 1: 50, 2: 50}
    assert set(torch.cat([batch[0] for batch in drawn]).tolist()) == set(range(60))


class Squares(Dataset):
    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int):
        return torch.tensor(float(index**2)), index


def test_augmentation_of_a_dataset_differs_by_sample_and_epoch_and_is_repeatable():
    def noisy(sample, generator):
        return sample[0] + torch.rand((), generator=generator), sample[1]

    data = DatasetBatches(Squares(), 4, seed=1, augment=noisy)
    again = DatasetBatches(Squares(), 4, seed=1, augment=noisy)

    values, places = data.batch(1, 0)
    noise = values - places**2

    assert torch.equal(values, again.batch(1, 0)[0])
    assert len(set(noise.tolist())) == 4
    assert not torch.equal(noise, (b := data.batch(2, 0))[0] - b[1] ** 2)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_each_process_its_share_in_order(workers):
    data = numbers(30, 4, seed=1)
    shares = []
    for rank in (0, 1):
        loader = EpochLoader(data, workers=workers, rank=rank, world=2, pin=False)
        loader.epoch = 3
        shares.append([batch[0].tolist() for batch in loader.batches()])
        loader.close()

    joined = [batch for pair in zip(*shares, strict=True) for batch in pair]

    assert joined == epoch_of(data, 3)[:8]


def test_fingerprint_tells_data_apart():
    one, two = torch.zeros(3, 2), torch.zeros(3, 2)
    two[1, 1] = 1e-7

    prints = {TensorBatches((data,), 1).fingerprint() for data in (one, two, one.double(), one.reshape(3, 2, 1))}

    assert len(prints) == 4
    assert TensorBatches((one,), 1).fingerprint() == TensorBatches((one.clone(),), 1).fingerprint()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: numbers(0, 1), "no samples"),
        (lambda: numbers(3, 0), "at least 1, found 0"),
        (lambda: numbers(3, 4, seed=0, drop_last=True), "4 is more than the 3"),
        (lambda: TensorBatches((torch.zeros(3), torch.zeros(4)), 1), r"differ in length: \[3, 4\]"),
    ],
)
def test_impossible_batches_are_refused(make, named):
    with pytest.raises(InputError, match=named):
        make()
