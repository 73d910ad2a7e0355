"""PRNet-2D, its losses, patches, pairs and geometry: the card's data-free checks with its numbers."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import match_template

from medtools.core.errors import InputError
from medtools.preprocess.spect.heart import HeartSlice
from medtools.systems.spect_prnet.learning import choose, patch_side, reach_of, unit_of
from medtools.systems.spect_prnet.location import locate
from medtools.systems.spect_prnet.matching import best_match
from medtools.systems.spect_prnet.model import (
    PrNet,
    check_patch,
    distance_loss,
    predicted_offset,
    prnet_loss,
    reconstruction_loss,
)
from medtools.systems.spect_prnet.pairs import PairBatches, draw_pairs
from medtools.systems.spect_prnet.patches import PatchSource, mask_boxes, tiles
from medtools.systems.spect_prnet.reconstruction import rebuild


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def heart(image, name="one", *, spacing=(1.0, 1.0), landmarks=None):
    return HeartSlice(name, name, image.astype(np.float32), None, spacing, 0, (0, 0), landmarks or {}, ())


def noise(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


# The network (check 7).


@pytest.mark.parametrize(("patch", "total", "head"), [(64, 1_900_451, 532_802), (32, 1_507_235, 139_586)])
def test_the_network_has_the_cards_numbers_of_parameters(patch, total, head):
    network = PrNet(patch)

    assert count(network) == total
    assert count(network.position) == head


@pytest.mark.parametrize("patch", [32, 64])
def test_bottleneck_coordinates_and_reconstruction_have_the_cards_shapes(patch):
    network, patches = PrNet(patch), torch.rand(2, 1, patch, patch)

    bottleneck, levels = network.encode(patches)
    coordinates, logits = network(patches)

    assert bottleneck.shape == (2, 256, patch // 16, patch // 16)
    assert [tuple(level.shape[1:]) for level in levels] == [
        (16, patch, patch), (32, patch // 2, patch // 2), (64, patch // 4, patch // 4), (128, patch // 8, patch // 8),
    ]  # fmt: skip
    assert coordinates.shape == (2, 2)
    assert logits.shape == patches.shape
    assert torch.equal(coordinates, network.coordinates(patches))


def test_the_position_head_is_linear_from_end_to_end():
    # The card: no activation between its layers, so it is one affine map.
    head = PrNet(32).position
    one, other = torch.rand(2, 1, 256, 2, 2).double()
    head.double()

    middle = head(0.25 * one + 0.75 * other)

    assert torch.allclose(middle, 0.25 * head(one) + 0.75 * head(other), atol=1e-12)


def test_without_skip_connections_the_decoder_sees_the_bottleneck_alone():
    plain, b = PrNet(32, skips=False), 16

    assert count(plain) == 1_507_235 - 9 * ((8 * b) ** 2 + (4 * b) ** 2 + (2 * b) ** 2 + b**2)
    assert plain(torch.rand(1, 1, 32, 32))[1].shape == (1, 1, 32, 32)


def test_half_the_brightness_gives_the_same_coordinate_and_reconstruction():
    # What instance normalisation cannot tell: the documentation says so.
    network, patch = PrNet(32).eval(), torch.rand(1, 1, 32, 32)

    with torch.no_grad():
        bright, dim = network(patch), network(0.5 * patch)

    assert torch.allclose(bright[0], dim[0], atol=2e-3)
    assert torch.allclose(bright[1].sigmoid(), dim[1].sigmoid(), atol=2e-3)


@pytest.mark.parametrize("patch", [16, 40, 0, -32])
def test_patches_that_cannot_be_halved_four_times_are_refused(patch):
    # Check 10.
    with pytest.raises(InputError, match="patch must be >= 32 and a multiple of 16"):
        PrNet(patch)
    with pytest.raises(InputError, match=f"found {patch}"):
        check_patch(patch)


# Offsets and losses (checks 8 and 9).


def test_offsets_are_antisymmetric_and_zero_from_a_point_to_itself():
    a, b = torch.randn(2, 1000, 2, generator=torch.Generator().manual_seed(0)) * 3
    reach = torch.tensor([64.0, 48.0])

    assert torch.equal(predicted_offset(a, b, reach), -predicted_offset(b, a, reach))
    assert not predicted_offset(a, a, reach).any()


@pytest.mark.parametrize("r", [1.0, 48.0, 64.0, 100.0, 511.9, 1e-3])
def test_offsets_stay_below_r_even_for_huge_coordinates(r):
    huge = torch.tensor([[1e30, -1e30], [20.0, -20.0], [1.0, 0.5]])
    reach = torch.full((2,), r)

    found = predicted_offset(huge, -huge, reach)

    assert (found.abs() < reach).all()
    assert found[0, 0] == pytest.approx(r, rel=1e-6)


def test_coordinates_that_invert_the_tangent_have_no_distance_loss():
    reach = torch.tensor([64.0, 32.0], dtype=torch.float64)
    offset = torch.tensor([[10.0, -5.0], [-63.0, 31.0], [0.0, 0.0]], dtype=torch.float64)
    second = torch.randn(3, 2, dtype=torch.float64)
    first = second + torch.atanh(offset / reach)

    predicted = predicted_offset(first, second, reach)

    assert float(distance_loss(predicted, offset, reach)) < 1e-20
    assert float(distance_loss(predicted, offset, reach, normalise=True)) < 1e-24


def test_distance_loss_is_the_mean_over_pairs_and_axes_and_normalised_it_is_of_shares_of_r():
    predicted, offset = torch.tensor([[3.0, 0.0], [0.0, 8.0]]), torch.zeros(2, 2)
    reach = torch.tensor([3.0, 4.0])

    assert float(distance_loss(predicted, offset, reach)) == pytest.approx((9 + 64) / 4)
    assert float(distance_loss(predicted, offset, reach, normalise=True)) == pytest.approx((1 + 4) / 4)


@pytest.mark.parametrize(("value", "expected"), [(0.5, 0.0), (1.0, 0.25 + 0.25), (0.0, 0.5)])
def test_reconstruction_loss_of_zero_logits_has_the_cards_values(value, expected):
    logits, target = torch.zeros(4, 1, 32, 32), torch.full((4, 1, 32, 32), value)

    assert float(reconstruction_loss((logits, logits), (target, target))) == expected


def test_the_loss_is_the_written_out_sum_and_its_weights_only_weigh():
    network, reach = PrNet(32, width=4).eval(), torch.tensor([64.0, 64.0])
    one, other, offset = torch.rand(3, 1, 32, 32), torch.rand(3, 1, 32, 32), torch.randn(3, 2) * 20

    with torch.no_grad():
        found = prnet_loss(network, (one, other), (one, other), offset, reach)
        weighed = prnet_loss(network, (one, other), (one, other), offset, reach, distance=0.0, reconstruction=2.0)
        errors, rebuilt = [], [[], []]
        for x, y, d in zip(one, other, offset, strict=True):
            (a, left), (b, right) = network(x[None]), network(y[None])
            errors += [(r * math.tanh(p - q) - w) ** 2 for r, p, q, w in zip(reach, a[0], b[0], d, strict=True)]
            rebuilt[0].append(((left.sigmoid() - x) ** 2).mean())
            rebuilt[1].append(((right.sigmoid() - y) ** 2).mean())

    assert float(found["L_dis"]) == pytest.approx(float(np.mean(errors)), rel=1e-5)
    assert float(found["L_rec"]) == pytest.approx(float(np.mean(rebuilt[0]) + np.mean(rebuilt[1])), rel=1e-5)
    assert float(found["loss"]) == pytest.approx(float(found["L_dis"] + found["L_rec"]))
    assert float(weighed["loss"]) == pytest.approx(2 * float(found["L_rec"]), rel=1e-6)
    assert weighed["L_dis"] == found["L_dis"]


def test_what_is_masked_is_rebuilt_as_it_was():
    network, reach = PrNet(32, width=4).eval(), torch.ones(2)
    whole, hidden = torch.rand(1, 1, 32, 32), torch.zeros(1, 1, 32, 32)

    with torch.no_grad():
        found = prnet_loss(network, (hidden, hidden), (whole, whole), torch.zeros(1, 2), reach)
        expected = 2 * ((network(hidden)[1].sigmoid() - whole) ** 2).mean()

    assert float(found["L_rec"]) == pytest.approx(float(expected), rel=1e-5)


# Patches and pairs (checks 10 and 11).


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 40), st.integers(3, 40), st.sampled_from([4, 8, 32]), st.integers(0, 99))
def test_a_patch_is_what_a_loop_cuts_out_with_zeros_outside(height, width, side, seed):
    image = noise(height, width, seed=seed)
    rng = np.random.default_rng(seed)
    centre = rng.integers((height, width))

    found = PatchSource(image, side).around(centre[None])[0]

    for row in range(side):
        for column in range(side):
            y, x = centre[0] - side // 2 + row, centre[1] - side // 2 + column
            inside = 0 <= y < height and 0 <= x < width
            assert found[row, column] == (image[y, x] if inside else 0)


def test_an_empty_slice_is_refused_and_not_searched_for_ever():
    source = PatchSource(np.zeros((64, 64), dtype=np.float32), 32, "sub-01")

    with pytest.raises(InputError, match="sub-01: no foreground pixel"):
        source.draw(np.random.default_rng(0), 1)


def test_points_are_drawn_among_foreground_pixels_only():
    image = np.zeros((20, 20), dtype=np.float32)
    image[3, 4], image[10, 2], image[0, 0] = 1, 2e-4, 0.5e-4

    drawn = PatchSource(image, 4).draw(np.random.default_rng(0), 200)

    assert {tuple(point) for point in drawn.tolist()} == {(3, 4), (10, 2)}


def test_a_row_is_two_millimetres_and_a_column_one():
    # Check 11: spacing (2, 1).
    image = np.zeros((8, 8), dtype=np.float32)
    image[2, 3] = image[3, 3] = image[3, 4] = 1
    rng = np.random.default_rng(0)

    _, _, offset = draw_pairs([PatchSource(image, 4)], np.array([[2.0, 1.0]]), np.array([16.0, 8.0]), rng, 300)

    assert {tuple(d) for d in offset.tolist()} == {
        (0, 0), (2, 0), (-2, 0), (0, 1), (0, -1), (2, 1), (-2, -1),
    }  # fmt: skip


def test_offsets_lead_from_the_second_point_to_the_first():
    image = (np.arange(1, 401, dtype=np.float32) / 400).reshape(20, 20)
    source = PatchSource(image, 4)

    first, second, offset = draw_pairs([source], np.ones((1, 2)), np.full(2, 20.0), np.random.default_rng(0), 50)

    places = [np.rint(part[:, 2, 2] * 400).astype(int) - 1 for part in (first, second)]
    rows, columns = (place // 20 for place in places), (place % 20 for place in places)
    assert np.array_equal(offset[:, 0], np.subtract(*rows))
    assert np.array_equal(offset[:, 1], np.subtract(*columns))


def test_pairs_of_a_fine_network_lie_within_its_reach_and_reach_its_edge():
    image = noise(40, 40) + 0.1

    _, _, offset = draw_pairs(
        [PatchSource(image, 4)], np.array([[2.0, 1.0]]), np.array([10.0, 5.0]), np.random.default_rng(0), 3000
    )

    assert (np.abs(offset) < (10, 5)).all()
    assert np.abs(offset).max(axis=0).tolist() == [8, 4]


def test_batches_depend_on_their_place_only_and_on_nothing_drawn_before():
    def made(seed=3, **changes):
        sources = [PatchSource(noise(40, 40, seed=number), 32) for number in (0, 1)]
        return PairBatches(sources, np.ones((2, 2)), np.full(2, 40.0), pairs=4, steps=5, seed=seed, **changes)

    late = made().batch(2, 1)
    data = made()
    data.batch(0, 0)
    again = data.batch(2, 1)

    assert all(torch.equal(a, b) for a, b in zip(late[0], again[0], strict=True))
    assert torch.equal(late[2], again[2])
    assert not torch.equal(late[2], made().batch(1, 2)[2])
    assert late[0][0].shape == (4, 1, 32, 32)
    assert made().fingerprint() != made(seed=4).fingerprint() != made(mask_rounds=1).fingerprint()


def test_masked_boxes_are_a_quarter_patch_and_targets_stay_whole():
    patches = np.ones((40, 32, 32), dtype=np.float32)

    one = mask_boxes(patches, np.random.default_rng(0), 1)
    several = mask_boxes(patches, np.random.default_rng(0), 15)
    data = PairBatches(
        [PatchSource(noise(40, 40) + 0.1, 32)], np.ones((1, 2)), np.full(2, 40.0), pairs=2, steps=1, seed=0,
        mask_rounds=15,
    )  # fmt: skip
    seen, whole, _ = data.batch(0, 0)

    assert ((one == 0).sum(axis=(1, 2)) == 64).all()
    assert patches.all()
    zeros = (several == 0).sum(axis=(1, 2))
    assert zeros.min() >= 64
    assert 64 < zeros.mean() < 15 * 64
    assert torch.equal(torch.where(seen[0] == 0, whole[0], seen[0]), whole[0])
    assert (seen[0] == 0).sum() > (whole[0] == 0).sum()


@settings(max_examples=50, deadline=None)
@given(st.integers(16, 130), st.integers(16, 130), st.sampled_from([32, 64]), st.sampled_from([16, 32, 64]))
def test_tiles_cover_every_pixel_and_pieces_put_together_are_the_slice(height, width, side, stride):
    image = noise(height, width)
    copying = SimpleNamespace(source=lambda h: PatchSource(h.image, side), rebuild=lambda patches: patches)

    found = rebuild(copying, heart(image), min(stride, side))

    assert np.allclose(found, image, atol=1e-6)
    centres = tiles((height, width), side, side)
    assert (centres >= 0).all()
    assert (centres < (height, width)).all()


# What is trained on, and in which unit.


def test_reach_is_the_largest_extent_along_each_axis():
    hearts = [heart(noise(40, 64)), heart(noise(50, 32))]
    spacing = np.array([[2.0, 1.0], [1.0, 4.0]])

    assert reach_of(None, hearts, spacing).tolist() == [80, 128]
    assert reach_of(24.0, hearts, spacing).tolist() == [24, 24]
    with pytest.raises(InputError, match="no more than a pixel"):
        reach_of(4.0, hearts, spacing)


def test_offsets_are_in_millimetres_only_where_every_spacing_is_known():
    known, unknown = heart(noise(32, 32)), heart(noise(32, 32), spacing=None)

    assert unit_of("auto", [known]) == "mm"
    assert unit_of("auto", [known, unknown]) == unit_of("px", [known]) == "px"
    with pytest.raises(InputError, match="no pixel spacing"):
        unit_of("mm", [unknown])


def test_patches_are_of_32_pixels_or_64_in_large_slices():
    assert patch_side(None, [heart(noise(96, 64))]) == 32
    assert patch_side(None, [heart(noise(128, 160))]) == 64
    assert patch_side(48, [heart(noise(128, 160))]) == 48
    with pytest.raises(InputError):
        patch_side(40, [heart(noise(128, 160))])


def test_images_are_asked_for_by_number_or_by_name():
    studies = [SimpleNamespace(id=name) for name in ("a", "b", "7")]

    assert choose(studies, ("2",)) == studies[:2]
    assert choose(studies, ("7",)) == [studies[2]]
    assert choose(studies, ("b", "a")) == [studies[1], studies[0]]
    assert choose(studies, ("all",)) == studies
    for wrong in (("4",), ("0",), ("a", "c"), ()):
        with pytest.raises(InputError, match="--images"):
            choose(studies, wrong)


# Location: by an oracle that knows where each patch lies, so that every step of the arithmetic shows.


class Oracle:
    """Coordinates are the anatomical place that the middle pixel's value names, so far from r that tanh is a line."""

    reach = np.full(2, 1e6, dtype=np.float32)

    def __init__(self, unit="px"):
        self.unit, self.seen = unit, 0

    def source(self, found):
        return PatchSource(found.image, 32)

    def pixel(self, found):
        return np.array(found.spacing)

    def coordinates(self, patches):
        self.seen += len(patches)
        number = np.rint(patches[:, 16, 16].astype(np.float64) * 4096) - 1
        return (np.stack([number // 64, number % 64], axis=1) / 1e6).astype(np.float32)

    def offsets(self, first, second):
        return predicted_offset(*map(torch.from_numpy, (first, second, self.reach))).numpy()


def anatomy(shift=(0, 0)):
    """Every pixel has a value of its own; moved by `shift`, without wrapping round."""
    plane = (np.arange(1, 4097) / 4096).reshape(64, 64).astype(np.float32)
    moved = np.roll(plane, shift, (0, 1))
    rows, columns = np.indices((64, 64)) - np.array(shift)[:, None, None]
    return np.where((rows >= 0) & (rows < 64) & (columns >= 0) & (columns < 64), moved, 0)


@pytest.mark.parametrize("refine", [0, 1, 3])
def test_a_landmark_moves_with_the_anatomy(refine):
    support = heart(anatomy(), "s", landmarks={"apex": (30.25, 20.5), "base": (40.0, 41.0)})
    query = heart(anatomy((3, -5)), "q")

    found, spread = locate(Oracle(), support, [query], draws=10, refine=refine, fine=None, seed=0)

    assert found[0]["apex"] == pytest.approx((33.25, 15.5), abs=0.1)
    assert found[0]["base"] == pytest.approx((43.0, 36.0), abs=0.1)
    assert spread[0]["apex"] < 0.1


def test_offsets_in_millimetres_become_pixels_of_the_query():
    # The same anatomy with rows of 2 mm: the offset in mm is the same, half as many rows.
    support = heart(anatomy(), "s", spacing=(1.0, 1.0), landmarks={"apex": (30.5, 20.0), "base": (40.0, 50.0)})
    query = heart(anatomy()[::2], "q", spacing=(2.0, 1.0))

    found, _ = locate(Oracle("mm"), support, [query], draws=10, refine=1, fine=None, seed=0)

    assert found[0]["apex"] == pytest.approx((15.25, 20.0), abs=0.1)
    assert found[0]["base"] == pytest.approx((20.0, 50.0), abs=0.1)


def test_what_lies_outside_is_clamped_to_the_slice():
    support = heart(anatomy(), "s", landmarks={"edge": (60.0, 2.0)})
    query = heart(anatomy((10, -10)), "q")

    found, _ = locate(Oracle(), support, [query], draws=5, refine=2, fine=None, seed=0)

    assert found[0]["edge"] == (63, 0)


def test_draws_are_shared_by_landmarks_and_steps_cost_one_patch_each():
    support = heart(anatomy(), "s", landmarks={"a": (30.0, 20.0), "b": (31.0, 21.0), "c": (5.0, 60.0)})
    queries = [heart(anatomy((2, 2)), "q"), heart(anatomy((-2, 2)), "p")]
    oracle, fine = Oracle(), Oracle()

    locate(oracle, support, queries, draws=10, refine=2, fine=fine, seed=0)

    assert oracle.seen <= 3 + 2 * 10
    assert fine.seen <= 2 * (3 + 2 * 3)


# Template matching.


def test_matching_finds_a_patch_where_it_was_cut_out_and_where_it_moved():
    image = noise(64, 64)
    for centre in ((20, 30), (3, 60), (63, 0), (0, 0)):
        template = PatchSource(image, 32).around(np.array([centre]))[0]
        assert best_match(image, template) == centre
    moved = np.roll(image, (4, -6), (0, 1))
    assert best_match(moved, PatchSource(image, 32).around(np.array([(30, 30)]))[0]) == (34, 24)


def test_matching_agrees_with_skimage_on_places_where_the_template_fits():
    image, template = noise(64, 64), noise(64, 64, seed=1)[:16, :16]
    image[20:36, 30:46] += template

    inner = match_template(image, template)
    row, column = np.unravel_index(inner.argmax(), inner.shape)

    assert best_match(image, template) == (row + 8, column + 8) == (28, 38)
