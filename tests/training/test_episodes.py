"""Episodes: the right sizes, no sample on both sides, the same draw for the same place."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medtools.core.errors import InputError
from medtools.training.episodes import EpisodeBatches, EpisodeSampler

LABELS = np.repeat(["liver", "myocardium", "ventricle"], 15)


def sampler(**changes):
    options = {"way": 3, "shot": 3, "query": 6, "seed": 0} | changes
    return EpisodeSampler(LABELS, **options)


@pytest.mark.parametrize(("shot", "query", "images"), [(3, 6, 27), (5, 10, 45)])
def test_an_episode_has_the_cards_number_of_images(shot, query, images):
    # Card 31, check 5.
    episode = sampler(shot=shot, query=query).draw(0, 0)

    assert episode.support.size + episode.query.size == images
    assert episode.query.size == 3 * query
    assert not set(episode.support.ravel()) & set(episode.query.ravel())


def test_asking_for_more_than_a_class_has_names_class_need_and_have():
    # Card 31, check 5.
    labels = np.repeat(["liver", "ventricle"], [8, 12])

    with pytest.raises(InputError, match="class 'liver' needs 9 samples and has 8"):
        EpisodeSampler(labels, way=2, shot=3, query=6, seed=0)


def test_repeats_stay_among_the_queries():
    labels = np.repeat([0, 1], 5)
    found = [EpisodeSampler(labels, way=2, shot=3, query=6, seed=1, repeat=True).draw(i) for i in range(50)]

    for episode in found:
        assert episode.query.shape == (2, 6)
        for support, query in zip(episode.support, episode.query, strict=True):
            assert len(set(support)) == 3
            assert not set(support) & set(query)
            assert len(set(query)) == 2


def test_too_few_classes_are_refused():
    with pytest.raises(InputError, match="4 classes are needed, the samples have 3"):
        sampler(way=4)


@given(seed=st.integers(0, 10_000), epoch=st.integers(0, 50), index=st.integers(0, 50), way=st.integers(1, 3))
def test_an_episode_depends_on_its_place_alone(seed, epoch, index, way):
    one, other = sampler(seed=seed, way=way), sampler(seed=seed, way=way)
    other.draw(epoch, index + 1)

    first, second = one.draw(epoch, index), other.draw(epoch, index)

    assert first.classes == second.classes
    assert np.array_equal(first.support, second.support)
    assert np.array_equal(first.query, second.query)
    assert len(set(first.support.ravel()) | set(first.query.ravel())) == 9 * way
    for row, name in enumerate(first.classes):
        assert set(LABELS[first.support[row]]) == set(LABELS[first.query[row]]) == {name}


def test_every_class_is_drawn_equally_often():
    # 600 draws of 1 of 3: a share is 1/3 with standard error 0.019.
    drawn = [sampler(way=1).draw(0, index).classes[0] for index in range(600)]

    assert all(drawn.count(name) / 600 == pytest.approx(1 / 3, abs=0.08) for name in set(LABELS))


def test_batches_stack_their_episodes_and_augment_by_place():
    draw = sampler(way=1, shot=1, query=1)

    def make(episode, rng):
        return torch.from_numpy(episode.support), torch.tensor(rng.random())

    batches = EpisodeBatches(draw, make, steps=5, size=4, content="x")
    support, noise = batches.batch(2, 3)

    assert len(batches) == 5
    assert support.shape == (4, 1, 1)
    assert len(set(noise.tolist())) == 4
    assert torch.equal(batches.batch(2, 3)[1], noise)
    assert not torch.equal(batches.batch(2, 4)[1], noise)
    assert batches.fingerprint() != EpisodeBatches(draw, make, steps=5, size=4, content="y").fingerprint()
