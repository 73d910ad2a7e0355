"""spect-prototypes: the card's numbers, what does not matter, and what does (card 31, checks 1 to 6 and 10)."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestCentroid
from torch.nn import functional

from medtools.core.errors import InputError
from medtools.systems.spect_prototypes.baselines import FEATURES, shape_features
from medtools.systems.spect_prototypes.crops import CANVAS, Crops, disguised, shifted
from medtools.systems.spect_prototypes.evaluation import Task, answers, by_prototypes, validation_tasks
from medtools.systems.spect_prototypes.model import (
    PrototypeNetwork,
    distances,
    episode_loss,
    log_posterior,
    prototypes,
    reestimate_batch_norm,
)
from medtools.systems.spect_prototypes.params import TrainParams
from medtools.training.splits import Split


def random_embeddings(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def crops_of(counts, subjects=4, size=8, seed=0):
    """Return random crops: `counts` maps a class to its crops per subject."""
    rng = np.random.default_rng(seed)
    rows = [(f"sub-{s}", name, k) for s in range(subjects) for name, count in counts.items() for k in range(count)]
    images = rng.random((len(rows), size, size)).astype(np.float32)
    return Crops(
        np.array([f"{s}_{name}_{k}" for s, name, k in rows]),
        np.array([s for s, _, _ in rows]),
        np.array([name for _, name, _ in rows]),
        images,
        images > 0.3,
    )


# The formulas.


def test_check_1_distances_between_three_embeddings():
    v, m, liver = torch.tensor([[0.2, 0.8], [0.7, 0.3], [0.25, 0.75]])
    found = {
        name: float(distances(a[None], b[None])) for name, a, b in (("vl", v, liver), ("vm", v, m), ("ml", m, liver))
    }
    assert found == {
        "vl": pytest.approx(0.0707, abs=5e-5),
        "vm": pytest.approx(0.7071, abs=5e-5),
        "ml": pytest.approx(0.6364, abs=5e-5),
    }


@pytest.mark.parametrize(
    ("power", "posterior", "loss"), [(1, (0.6652, 0.2447, 0.0900), 0.4076), (2, (0.9523, 0.0474, 0.0003), 0.0489)]
)
def test_check_2_posterior_and_loss_of_distances_1_2_3(power, posterior, loss):
    query, centres = torch.zeros(1, 1), torch.tensor([[1.0], [2.0], [3.0]])
    logs = log_posterior(distances(query, centres, {1: "euclidean", 2: "sqeuclidean"}[power]))
    assert logs.exp()[0].tolist() == pytest.approx(posterior, abs=5e-5)
    assert -float(logs[0, 0]) == pytest.approx(loss, abs=5e-5)


@pytest.mark.parametrize("how", ["euclidean", "sqeuclidean"])
def test_check_3_a_query_on_its_prototype_far_from_others_is_certain(how):
    centres = torch.tensor([[0.0, 0.0], [1e4, 0.0], [0.0, 1e4]])
    logs = log_posterior(distances(torch.zeros(1, 2), centres, how))
    assert float(logs[0, 0].exp()) == 1
    assert float(-logs[0, 0]) == 0


@pytest.mark.parametrize("how", ["euclidean", "sqeuclidean", "cosine"])
def test_check_3_equal_prototypes_leave_a_third_each(how):
    logs = log_posterior(distances(random_embeddings(0, 4, 5), random_embeddings(1, 1, 5).expand(3, 5), how))
    assert torch.allclose(logs.exp(), torch.full((4, 3), 1 / 3))
    assert float(-logs[0, 0]) == pytest.approx(1.0986, abs=5e-5)


def test_check_4_one_shot_is_its_own_prototype_and_copies_change_nothing():
    support = random_embeddings(2, 3, 1, 7)
    assert torch.equal(prototypes(support), support[:, 0])
    several = random_embeddings(3, 3, 4, 7)
    assert torch.allclose(prototypes(several.repeat_interleave(2, dim=1)), prototypes(several), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), how=st.sampled_from(["euclidean", "sqeuclidean", "cosine"]))
def test_check_4_the_order_of_support_and_classes_permutes_outputs_only(seed, how):
    support, queries = random_embeddings(seed, 3, 4, 6), random_embeddings(seed + 1, 5, 6)
    order, shuffled = torch.tensor([2, 0, 1]), torch.tensor([3, 1, 0, 2])
    found = distances(queries, prototypes(support), how)
    assert torch.allclose(distances(queries, prototypes(support[:, shuffled]), how), found, atol=1e-5)
    assert torch.allclose(distances(queries, prototypes(support[order]), how), found[:, order], atol=1e-5)


def test_distances_agree_with_scipy():
    queries, centres = random_embeddings(4, 6, 9), random_embeddings(5, 3, 9)
    for how in ("euclidean", "sqeuclidean", "cosine"):
        assert np.allclose(distances(queries, centres, how), cdist(queries, centres, how), atol=1e-5)


def test_the_class_called_is_that_of_scikit_learns_nearest_centroid():
    crops = crops_of({"a": 3, "b": 3, "c": 3})
    embedded = torch.from_numpy(crops.images).flatten(1)
    (task, *_) = validation_tasks(crops, halves(crops), TrainParams(query=3), 3, 0)
    found = by_prototypes(embedded, "euclidean")(task)
    peer = NearestCentroid().fit(embedded[task.support.ravel()].numpy(), np.repeat(task.classes, 3))
    assert np.array(task.classes)[found.argmax(axis=1)].tolist() == peer.predict(embedded[task.queries]).tolist()


def test_a_query_on_a_prototype_has_a_finite_gradient():
    same = torch.ones(1, 1, 8, 8)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 4))
    support = torch.cat([same, torch.zeros(1, 1, 8, 8)])
    loss, right = episode_loss(network, support, support.clone())
    loss.backward()
    assert float(right) == 1
    assert all(bool(torch.isfinite(p.grad).all()) for p in network.parameters())


def test_check_5_an_episode_has_18_losses_and_their_mean_is_the_loss():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 5))
    support, queries = random_embeddings(6, 3, 3, 8, 8), random_embeddings(7, 3, 6, 8, 8)
    loss, right = episode_loss(network, support, queries)
    losses, hits = [], []
    with torch.no_grad():
        centres = torch.stack([network(one).mean(dim=0) for one in support])
        for k in range(3):
            for query in queries[k]:
                d = (network(query[None]) - centres).norm(dim=1)
                losses.append(float(d[k] + torch.logsumexp(-d, 0)))
                hits.append(int(d.argmin()) == k)
    assert len(losses) == 18
    assert float(loss.detach()) == pytest.approx(np.mean(losses), abs=1e-5)
    assert float(right) == pytest.approx(np.mean(hits))


# The network.


def test_check_6_parameters_features_and_first_map():
    network = PrototypeNetwork(224).eval()
    assert sum(p.numel() for p in network.parameters()) == 11_176_512
    assert network.trunk.conv1(torch.zeros(1, 3, 224, 224)).shape == (1, 64, 112, 112)
    with torch.no_grad():
        assert network(torch.rand(1, 64, 64)).shape == (1, 512)


def test_efficientnet_takes_the_place_of_resnet():
    network = PrototypeNetwork(64, encoder="efficientnet-lite0", standardise=True).eval()
    crops = torch.rand(2, 48, 48)
    seen = []
    network.trunk.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        found = network(crops)
        assert torch.equal(found, network.trunk(seen[0]).mean(dim=(2, 3)))
    assert found.shape == (2, 1280)
    grey = functional.interpolate(crops[:, None], size=(64, 64), mode="bilinear")
    assert torch.allclose(seen[0], ((grey * 255 - 127) / 128).expand(-1, 3, -1, -1), atol=1e-6)


def test_grey_goes_to_three_channels_and_is_standardised_only_for_weights():
    seen = []
    for standardise in (False, True):
        network = PrototypeNetwork(32, width=0.0625, standardise=standardise).eval()
        network.trunk.conv1.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        with torch.no_grad():
            network(torch.full((1, 48, 48), 0.5))
    plain, scaled = seen
    assert plain.shape == (1, 3, 32, 32)
    assert torch.allclose(plain, torch.tensor(0.5))
    expected = [(0.5 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (0.5 - 0.406) / 0.225]
    assert scaled[0, :, 3, 3].tolist() == pytest.approx(expected, abs=1e-6)


def test_reestimated_statistics_are_those_of_the_data_and_nothing_else_changes():
    network = PrototypeNetwork(32, width=0.0625)
    crops = torch.rand(12, 32, 32, generator=torch.Generator().manual_seed(0))
    before = {name: p.clone() for name, p in network.named_parameters()}
    network.eval()
    reestimate_batch_norm(network, [crops[:6], crops[6:]])
    with torch.no_grad():
        first = network.trunk.conv1(crops[:, None].expand(-1, 3, -1, -1))
    expected = [part.var(dim=(0, 2, 3)) for part in (first[:6], first[6:])]
    assert torch.allclose(network.trunk.bn1.running_mean, first.mean(dim=(0, 2, 3)), atol=1e-6)
    assert torch.allclose(network.trunk.bn1.running_var, torch.stack(expected).mean(dim=0), rtol=1e-4)
    assert not network.training
    assert network.trunk.bn1.momentum == 0.1
    assert all(torch.equal(p, before[name]) for name, p in network.named_parameters())


# Episodes that judge.


def halves(crops):
    names = np.unique(crops.subjects)
    held = np.isin(crops.subjects, names[len(names) // 2 :])
    return Split(np.flatnonzero(~held), np.flatnonzero(held), np.empty(0, dtype=np.int64))


def test_validation_never_asks_or_supports_a_subject_of_training():
    crops = crops_of({"a": 5, "b": 5, "c": 5})
    split = halves(crops)
    tasks = validation_tasks(crops, split, TrainParams(), 3, 0)
    assert len(tasks) == 10
    for task in tasks:
        used = np.concatenate([task.support.ravel(), task.queries])
        assert not set(crops.subjects[used]) & set(crops.subjects[split.train])
        assert len(set(used.tolist())) == 27
        assert crops.labels[task.queries].tolist() == np.repeat(task.classes, 6).tolist()
        assert (crops.labels[task.support] == np.array(task.classes)[:, None]).all()


def test_too_few_crops_are_named_with_need_and_have():
    crops = crops_of({"a": 4, "b": 4, "c": 4})
    with pytest.raises(InputError, match=r"validation of 2 subjects: class 'a' needs 9 samples and has 8.*val-support"):
        validation_tasks(crops, halves(crops), TrainParams(), 3, 0)


def test_support_from_training_serves_subjects_with_one_crop_each():
    crops = crops_of({"a": 1, "b": 1, "c": 1}, subjects=8)
    split = halves(crops)
    tasks = validation_tasks(crops, split, TrainParams(val_support="train", val_episodes=4), 3, 0)
    for task in tasks:
        assert set(task.support.ravel().tolist()) <= set(split.train.tolist())
        assert task.queries.tolist() == split.validation.tolist()
    assert len({tuple(task.support.ravel().tolist()) for task in tasks}) > 1


def test_a_class_that_an_episode_lacks_has_no_probability():
    crops = crops_of({"a": 2, "b": 2, "c": 2})
    task = Task(("a", "c"), np.array([[0], [4]]), np.array([1, 5]))
    rows = answers(crops, [task], by_prototypes(torch.from_numpy(crops.images).flatten(1), "euclidean"), crops.classes)
    assert [row["p_b"] for row in rows] == [0, 0]
    assert all(math.isclose(row["p_a"] + row["p_c"], 1) for row in rows)


# Crops.


def ring(size=64):
    rows, columns = np.mgrid[:size, :size] - size / 2 + 0.5
    radius = np.hypot(rows, columns)
    mask = (radius <= 14) & (radius > 9)
    return (0.8 * mask + 0.1).astype(np.float32), mask


def test_disguised_crops_have_the_cards_area_mean_loss_and_noise():
    image, mask = ring()
    areas, zero_share, inside, outside = [], [], [], []
    for seed in range(60):
        crop, found = disguised(image, mask, np.random.default_rng(seed))
        assert crop.shape == found.shape == (CANVAS, CANVAS)
        areas.append(found.sum())
        inside.append(crop[found].mean())
        outside.append(crop[~found].std())
        zero_share.append((crop[found] < 0.25).mean())
    # U(180, 420) px; mean 0.5 with a quarter of the pixels lost: 0.375; noise N(0, 0.12) everywhere.
    assert 165 < min(areas) < 220
    assert 380 < max(areas) < 440
    assert np.mean(inside) == pytest.approx(0.375, abs=0.01)
    assert np.mean(outside) == pytest.approx(0.12, abs=0.005)
    assert np.mean(zero_share) == pytest.approx(0.25, abs=0.03)


def test_disguised_crops_are_turned_and_moved_but_keep_their_shape():
    image, mask = ring()
    places = []
    for seed in range(40):
        _, found = disguised(image, mask, np.random.default_rng(seed))
        places.append(np.argwhere(found).mean(axis=0))
        assert found.any(axis=1).sum() == pytest.approx(found.any(axis=0).sum(), abs=1)  # all of the ring is there
    assert np.ptp(places, axis=0).min() > 8


def test_disguised_crops_of_a_long_tissue_stay_on_the_canvas():
    rows, columns = np.mgrid[:64, :64] - 31.5
    mask = (np.abs(rows - columns) <= 6) & (np.abs(rows + columns) <= 20)  # a bar aslant: turns differ by their sense

    def elongation(places):
        lengths = np.linalg.svd(places - places.mean(axis=0), compute_uv=False)
        return lengths[0] / lengths[1]

    for seed in range(60):
        _, found = disguised(np.ones((64, 64), dtype=np.float32), mask, np.random.default_rng(seed))
        assert elongation(np.argwhere(found)) == pytest.approx(elongation(np.argwhere(mask)), rel=0.08)


def test_shifted_crops_move_whole_within_ten_pixels():
    image, mask = ring()
    moves = []
    for seed in range(50):
        crop, found = shifted(image, mask, np.random.default_rng(seed), 10)
        assert found.sum() == mask.sum()
        assert np.array_equal(crop > 0, found)
        moves.append(np.argwhere(found).mean(axis=0) - 31.5)
    assert np.abs(moves).max() == pytest.approx(10)
    assert np.allclose(moves, np.round(moves))


def test_shape_features_of_a_ring_and_a_disc():
    image, mask = ring()
    rows, columns = np.mgrid[:64, :64] - 31.5
    disc = np.hypot(rows, columns) <= 10
    crops = Crops(*(np.array(["x", "y"]),) * 3, np.stack([image, image]), np.stack([mask, disc]))
    found = [dict(zip(FEATURES, row, strict=True)) for row in shape_features(crops).tolist()]
    assert [one["euler_number"] for one in found] == [0, 1]
    assert [one["area"] for one in found] == [mask.sum(), disc.sum()]
    assert found[0]["solidity"] < 0.65 < 0.95 < found[1]["solidity"]
    assert found[0]["mean"] == pytest.approx(0.9)
    assert found[0]["eccentricity"] == pytest.approx(0, abs=0.1)
    assert found[1]["perimeter"] == pytest.approx(2 * np.pi * 10, rel=0.1)
