"""Protocol, generator, slices and items of local-prototype, against the card's numbers."""

import numpy as np
import pytest
import torch

from medtools.core.errors import InputError
from medtools.metrics.segmentation import dice
from medtools.systems.local_prototype.augmentation import augment
from medtools.systems.local_prototype.cohort import GOLD, MADE, SUPPORT, VISCERAL, Organ
from medtools.systems.local_prototype.items import choose_slices, collect_items
from medtools.systems.local_prototype.learning import objective
from medtools.systems.local_prototype.model import LocalPrototypeNetwork
from medtools.systems.local_prototype.params import TrainParams
from medtools.systems.local_prototype.phantom import make_abdomen
from medtools.systems.local_prototype.preparation import combine
from medtools.systems.local_prototype.protocol import SliceRange, chunks, organ_range, pairing
from medtools.systems.local_prototype.scoring import by_level, misaligned_scores, published
from medtools.systems.local_prototype.segmentation import SliceFeatures, segment_organ
from medtools.systems.local_prototype.segmentation import mean_dice as mean_dice_of
from medtools.systems.local_prototype.slices import (
    SliceGrid,
    Stack,
    back_to_slices,
    masks_at,
    read_stack,
    stretch,
    write_stack,
)


def stack(image_size=64, seed=0, slices=3, **changes):
    made = make_abdomen(np.random.default_rng(seed), image_size, slices, **changes)
    shape = (image_size, image_size, slices)
    grid = SliceGrid.of(shape, np.diag([-3.0, -3.0, -5.0, 1.0]))
    return Stack(f"v{seed}", "query", stretch(made.image, image_size), made.labels, grid)


# The protocol (check 11).


def test_thirty_slices_make_the_cards_chunks_and_picks():
    assert chunks(30)[:3] == [(0, 2), (2, 5), (5, 7)]
    assert chunks(30)[-1] == (27, 30)
    assert sorted(set(pairing(SliceRange(0, 29), SliceRange(0, 29)).values())) == [
        *(1, 3, 6, 8, 11, 13, 16, 18, 21, 23, 26, 28)
    ]


def test_fewer_slices_than_chunks_make_as_many_chunks():
    pairs = pairing(SliceRange(4, 6), SliceRange(10, 30))

    assert sorted(pairs) == list(range(10, 31))
    assert sorted(set(pairs.values())) == [4, 5, 6]


def test_the_range_of_an_organ_is_from_its_first_to_its_last_slice_of_enough_pixels():
    mask = np.zeros((6, 512, 512), dtype=bool)
    mask[1:5, :15, :15] = True
    mask[3] = False
    mask[5, :14, :14] = True

    assert organ_range(mask) == SliceRange(1, 4)
    assert organ_range(mask[:, ::4, ::4]) is not None
    assert organ_range(0 * mask) is None


# The method on the card's generator.


def mean_dice(shift, alpha, overlap=True):
    """Mean Dice over four queries, each moved another way, and six organs; alpha 0 copies the support's mask."""
    support = stack(128, seed=0)
    network = LocalPrototypeNetwork("intensity", size=128, alpha=alpha, overlap=overlap).eval() if alpha else None
    values = []
    for seed, (down, right) in enumerate([(-1, 0), (1, 0), (0, -1), (0, 1)], start=1):
        query = stack(128, seed=seed, shift=(down * shift, right * shift))
        for organ in MADE:
            features = SliceFeatures(network) if network else None
            found = segment_organ(features, [support], query, organ, SliceRange(1, 1), whole=True)
            values.append(dice(query.mask(organ)[1], found.mask[1]))
    return float(np.mean(values))


def test_local_prototypes_beat_global_ones_and_copying_at_a_shift_of_12():
    # The card's table at t = 12: copying .19-.24, alpha 1 .23, 1/4 .52-.56, 1/8 .62-.64, 1/8 apart .46-.56,
    # 1/16 .51-.56.
    copied, whole, quarter = mean_dice(12, 0), mean_dice(12, 1), mean_dice(12, 1 / 4)
    eighth, apart, sixteenth = mean_dice(12, 1 / 8), mean_dice(12, 1 / 8, overlap=False), mean_dice(12, 1 / 16)

    assert eighth > quarter > whole
    assert eighth > sixteenth > whole
    assert eighth > apart > copied
    assert eighth == pytest.approx(0.64, abs=0.06)
    assert whole == pytest.approx(0.23, abs=0.03)
    assert copied == pytest.approx(0.21, abs=0.04)


def test_without_a_shift_copying_the_mask_beats_local_prototypes():
    # The card's table at t = 0: copying .73-.83, 1/8 .68-.74.
    copied, eighth = mean_dice(0, 0), mean_dice(0, 1 / 8)

    assert copied > eighth
    assert copied == pytest.approx(0.78, abs=0.07)
    assert eighth == pytest.approx(0.71, abs=0.05)


def test_the_generator_repeats_and_moves_as_asked():
    one, other = (make_abdomen(np.random.default_rng(1), 64, 4, shift=shift) for shift in ((0, 0), (5, -3)))

    assert set(np.unique(one.labels)) == set(range(7))
    assert np.array_equal(np.roll(one.labels, (5, -3), (1, 2)), other.labels)
    assert np.array_equal(np.roll(one.image, (5, -3), (1, 2)), other.image)


# Slices and items.


def test_slices_are_stretched_each_for_itself_and_a_constant_one_is_zero():
    values = np.stack([np.full((8, 8), 7.0), np.arange(64.0).reshape(8, 8)])

    found = stretch(values, 8)

    assert not found[0].any()
    assert (found[1].min(), found[1].max()) == (0, 255)
    with pytest.raises(InputError, match="not a finite number"):
        stretch(np.array([[[np.nan, 1.0]]]), 8)


def test_slices_that_are_not_square_come_back_to_their_own_pixels():
    mask = np.zeros((1, 40, 64), dtype=bool)
    mask[0, 5:20, 30:50] = True

    returned = back_to_slices(masks_at(mask, 128), 40, 64)

    assert np.array_equal(returned.numpy() > 0.5, mask)


def test_items_are_the_slices_that_show_enough():
    mask = np.zeros((40, 64, 64), dtype=bool)
    mask[:, :3, :3] = True  # 9 pixels of 64 x 64 are 576 of 512 x 512
    rng = np.random.default_rng(0)

    assert len(choose_slices(mask, rng)) == 5
    assert choose_slices(mask[:10], rng).tolist() == list(range(9))
    mask[:, :2] = False  # 3 pixels: 192
    mask[4, 2, 1:] = False  # 1 pixel: 64
    assert choose_slices(mask[:10], rng).tolist() == [0, 1, 2, 3, 5, 6, 7, 8]


def test_an_item_shows_one_organ_and_all_else_is_background():
    items = collect_items([stack(slices=5)], [MADE[0], MADE[2]], seed=0)

    assert set(items.organs) == {"liver", "right kidney"}
    assert items.masks.dtype == bool
    assert len(items.images) == len(items.masks) == len(items.organs)
    sizes = {name: items.masks[items.organs == name].sum((1, 2)).mean() for name in set(items.organs)}
    assert sizes["liver"] > 3 * sizes["right kidney"]


def test_augmentation_stays_in_range_and_often_changes_the_image():
    image = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    found = [augment(image, np.random.default_rng(seed)) for seed in range(64)]

    assert all(one.min() >= 0 and one.max() <= 1 for one in found)
    # All three are left out with chance 1/8.
    assert 2 <= sum(np.array_equal(one, image) for one in found) <= 18


def test_levels_average_pairs_first():
    rows = [
        {"id": "q", "organ": name, "group": group, "dice": value}
        for name, group, value in (
            ("liver", "liver", 0.9),
            ("right kidney", "kidney", 0.5),
            ("left kidney", "kidney", 0.3),
        )
    ]

    levels = by_level(rows)

    assert levels["kidney"]["q"] == pytest.approx(0.4)
    assert levels["mean"]["q"] == pytest.approx(0.65)


def test_well_segmented_slices_are_counted_among_badly_aligned_ones():
    pairs = [
        {"id": name, "organ": "liver", "alignment_dice": aligned, "segmentation_dice": found}
        for name, aligned, found in (("a", 0.1, 0.7), ("a", 0.39, 0.5), ("b", 0.2, 0.61), ("b", 0.4, 0.9))
    ]
    pairs += [{"id": "a", "organ": "spleen", "alignment_dice": 0.8, "segmentation_dice": 0.9}]

    (found,) = misaligned_scores(pairs, seed=0, resamples=100)

    assert (found.metric, found.level) == ("share above 0.6", "liver, alignment below 0.4")
    assert (found.value, found.n) == (pytest.approx(2 / 3), 3)


def test_nothing_to_choose_an_epoch_by_is_said():
    query, empty = stack(), stack(seed=1)
    bare = Stack("bare", "support", empty.image, 0 * empty.labels, empty.grid)

    with pytest.raises(InputError, match="no query shows what the support shows of liver"):
        mean_dice_of(LocalPrototypeNetwork("intensity", size=64), [bare], [query], [MADE[0]])


def test_a_prepared_query_whose_grid_does_not_fit_its_slices_is_refused(tmp_path):
    query = stack()
    write_stack(tmp_path / "query.npz", query.image, None, query.grid)
    assert not read_stack(tmp_path / "query.npz", "q", "query").labels.any()
    wide = SliceGrid.of((2**20, 2**20, 3), query.grid.affine)
    for grid in (SliceGrid.of((64, 64, 4), query.grid.affine), wide):
        write_stack(tmp_path / "query.npz", query.image, None, grid)

        with pytest.raises(InputError, match="3 slices on a grid of"):
            read_stack(tmp_path / "query.npz", "q", "query")
    write_stack(tmp_path / "query.npz", query.image, None, query.grid)
    with pytest.raises(InputError, match="holds no prepared volume"):
        read_stack(tmp_path / "query.npz", "q", "support")


def test_a_mask_of_other_values_is_refused():
    mask = np.full((2, 4, 4), 3.0)

    with pytest.raises(InputError, match="holds the value 3"):
        combine([(Organ(1, "liver", "liver"), mask, "liver.nii.gz")])


def test_a_support_without_the_organ_is_named():
    empty = stack()
    bare = Stack("bare", "support", empty.image, 0 * empty.labels, empty.grid)

    with pytest.raises(InputError, match="bare: the support shows no liver"):
        segment_organ(None, [bare], empty, MADE[0], SliceRange(0, 2))


def test_a_slice_that_shows_several_organs_is_encoded_once():
    network = LocalPrototypeNetwork("intensity", size=64)
    seen = []
    network.encoder.register_forward_hook(lambda _, given, found: seen.append(given[0].clone()))
    features = SliceFeatures(network)
    support, query = stack(), stack(seed=1)

    masks = [segment_organ(features, [support], query, organ, SliceRange(0, 2), whole=True).mask for organ in MADE[:3]]
    count = len(seen)
    anew = [
        segment_organ(SliceFeatures(network), [support], query, organ, SliceRange(0, 2), whole=True).mask
        for organ in MADE[:3]
    ]

    assert (count, len(seen) - count) == (6, 3 * 6)
    assert any(mask.any() for mask in masks)
    assert all(np.array_equal(one, other) for one, other in zip(masks, anew, strict=True))


# What the card takes from VISCERAL, from the paper's tables and from the authors' code.


def test_structures_and_gold_volumes_are_the_cards():
    # RadLex numbers as classes 1 to 20; one support and 19 queries.
    order = [58, 86, 170, 30324, 30325, 187, 40357, 40358, 237, 29193]
    order += [1302, 1326, 29662, 29663, 480, 2473, 32248, 32249, 7578, 1247]
    queries = [100, *range(104, 107), *range(108, 114), *range(127, 132), *range(133, 137)]

    assert [VISCERAL[number].value for number in order] == list(range(1, 21))
    assert {VISCERAL[number].group for number in (29662, 29663, 32248, 32249)} == {"kidney", "psoas"}
    assert SUPPORT == "10000132"
    assert sorted(GOLD - {SUPPORT}) == [f"10000{number}" for number in queries]
    assert len(queries) == 19


@pytest.mark.parametrize(
    ("row", "expected"),
    [("ours", 0.667), ("alpha-1/16", 0.638), ("alpha-1/8", 0.703), ("alpha-1/4", 0.671), ("alpha-1", 0.303),
     ("no-overlap", 0.602)],
)  # fmt: skip
def test_published_means_are_the_papers(row, expected):
    assert published(row)["dice", "mean"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("authors", "steps", "drops"), [(False, 10_000, (2_500, 5_000, 7_500)), (True, 2_500, (800, 1_600, 2_400))]
)
def test_the_rate_falls_to_a_tenth_where_the_paper_and_where_the_code_has_it(authors, steps, drops):
    made = objective(TrainParams(authors=authors), steps)
    optimiser = made.optimiser(torch.nn.Linear(1, 1))
    schedule = made.schedule(optimiser)
    rates = []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()

    for number, step in enumerate(drops):
        assert rates[step - 1] == pytest.approx(1e-3 * 0.1**number)
        assert rates[step] == pytest.approx(1e-3 * 0.1 ** (number + 1))
    assert optimiser.param_groups[0]["momentum"] == 0.9
    assert optimiser.param_groups[0]["weight_decay"] == 5e-4


@pytest.mark.parametrize("size", [128, 512])
def test_ten_pixels_are_meant_for_slices_of_512(size):
    # 4 x 4 blocks of 512 are 1 x 1 of 128: 16 pixels are kept in either, 8 are not.
    unit = size // 128
    network = LocalPrototypeNetwork("intensity", size=size, min_pixels=10)
    masks = torch.zeros(1, 1, 1, size, size)
    masks[..., :unit, :unit] = 1

    found = network.prototypes(torch.ones(1, 1, 2, 17, 17), masks)
    without = network.prototypes(torch.ones(1, 1, 2, 17, 17), 0 * masks)

    assert found[0, 1, 0].tolist() == pytest.approx([1, 1])
    assert not without[0, 1].any()
