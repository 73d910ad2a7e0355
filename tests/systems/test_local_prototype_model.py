"""Cells, prototypes and votes of local-prototype: the card's data-free checks with its numbers."""

import math

import numpy as np
import pytest
import torch
from support import imagenet_weights
from torch.nn import functional

from medtools.core.errors import InputError
from medtools.systems.local_prototype.cells import Cells, upsampling_matrix
from medtools.systems.local_prototype.model import DilatedEncoder, LocalPrototypeNetwork, episode_loss
from medtools.systems.local_prototype.prototypes import (
    local_prototypes,
    similarity,
    upsampled_norm,
    with_background,
)
from medtools.systems.local_prototype.segmentation import smoothed_dice

SIZE, LOW, CHANNELS = 32, 5, 6


def draws(seed=0, *, size=SIZE, low=LOW, channels=CHANNELS, shots=1):
    """Non-negative features of support and query, and masks of one organ."""
    made = torch.Generator().manual_seed(seed)
    support = torch.rand(1, shots, channels, low, low, generator=made)
    query = torch.rand(1, channels, low, low, generator=made)
    masks = (torch.rand(1, shots, 1, size, size, generator=made) > 0.7).float()
    return support, query, masks


def upsampled(features, size=SIZE):
    return functional.interpolate(features, size=size, mode="bilinear", align_corners=False)


def looped(features, masks, cells):
    """Eq. 1 written out: upsample, then pool cell by cell; (classes, cells, channels) of the first of the batch."""
    found = torch.zeros(masks.shape[2], len(cells), features.shape[2])
    for shot in range(features.shape[1]):
        raised = upsampled(features[:, shot], cells.rows.size)[0]
        for c in range(masks.shape[2]):
            for g, (y, x) in enumerate((y, x) for y in cells.rows.starts for x in cells.columns.starts):
                part = (slice(y, y + cells.rows.cell), slice(x, x + cells.columns.cell))
                inside = masks[0, shot, c][part]
                if inside.sum():
                    found[c, g] += (raised[:, part[0], part[1]] * inside).sum((1, 2)) / inside.sum()
    return found / features.shape[1]


def segment(support, query, masks, cells, **options):
    return similarity(query, local_prototypes(support, with_background(masks), cells), cells, **options)[0]


# Check 1: the encoder.


def test_the_encoder_has_the_cards_parameters():
    encoder = DilatedEncoder()

    every = sum(p.numel() for p in encoder.parameters())
    trained = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    assert (every, every - trained, trained) == (12_082_496, 30_592, 12_051_904)
    assert sum(p.numel() for p in encoder.fuse.parameters()) == 3_539_200


@pytest.mark.parametrize(("size", "low"), [(512, 65), (256, 33), (128, 17)])
def test_the_encoder_brings_an_image_to_an_eighth(size, low):
    encoder = DilatedEncoder(width=0.0625).eval()

    with torch.no_grad():
        found = encoder(torch.rand(1, 1, size, size))

    assert found.shape == (1, 16, low, low)
    assert (found >= 0).all()


def test_running_statistics_move_and_scales_do_not():
    encoder = DilatedEncoder(width=0.0625).train()
    before = encoder.trunk.bn1.running_mean.clone()

    encoder(torch.rand(2, 1, 64, 64)).sum().backward()

    assert not torch.equal(encoder.trunk.bn1.running_mean, before)
    assert encoder.trunk.bn1.weight.grad is None
    assert encoder.trunk.conv1.weight.grad is not None


def test_the_lighter_trunk_gives_an_eighth_too_and_unfused_what_the_published_weights_say():
    encoder = DilatedEncoder("efficientnet-lite0").eval()
    plain = DilatedEncoder("efficientnet-lite0", fused=False).eval()
    plain.load(imagenet_weights())
    image = torch.rand(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        fused, found = encoder(image), plain(image)
        levels = plain.trunk.feature_maps(((image * 255 - 127) / 128).expand(-1, 3, -1, -1))

    assert fused.shape == (1, 256, 16, 16)
    assert torch.allclose(found, torch.cat([levels[2], levels[4]], dim=1), atol=1e-4)
    assert found.shape == (1, 40 + 112, 16, 16)


# Check 2: the cells.


@pytest.mark.parametrize(
    ("alpha", "overlapping", "apart"), [(1 / 8, 225, 64), (1 / 16, 961, 256), (1 / 4, 49, 16), (1, 1, 1)]
)
def test_a_slice_of_512_has_the_cards_number_of_cells(alpha, overlapping, apart):
    assert len(Cells.of(512, 512, alpha)) == overlapping
    assert len(Cells.of(512, 512, alpha, overlap=False)) == apart


def test_cells_start_every_half_cell_and_cover_corner_edge_and_inside():
    cells = Cells.of(512, 512, 1 / 8)

    coverage = cells.coverage

    assert cells.rows.starts == tuple(range(0, 449, 32))
    assert (coverage[0, 0], coverage[0, 256], coverage[256, 256]) == (1, 2, 4)
    assert set(coverage.unique().tolist()) == {1, 2, 4}
    assert set(Cells.of(512, 512, 1 / 8, overlap=False).coverage.unique().tolist()) == {1}


# Checks 3 to 9: the head.


def test_one_cell_is_a_plain_global_prototype():
    support, query, masks = draws(channels=40)
    cells = Cells.of(SIZE, SIZE, 1)
    raised, both = upsampled(support[:, 0])[0], with_background(masks)[0, 0]
    prototypes = torch.stack([(raised * m).sum((1, 2)) / m.sum() for m in both])
    expected = functional.cosine_similarity(upsampled(query)[0][None], prototypes[:, :, None, None], dim=1)

    assert torch.allclose(segment(support, query, masks, cells)[0], expected, atol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_overlapping_cells_never_score_lower_than_their_coarse_subset(seed):
    support, query, masks = draws(seed)

    overlapping = segment(support, query, masks, Cells.of(SIZE, SIZE, 1 / 4))
    apart = segment(support, query, masks, Cells.of(SIZE, SIZE, 1 / 4, overlap=False))

    assert (overlapping >= apart - 1e-6).all()


@pytest.mark.parametrize("alpha", [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1])
def test_separable_features_reproduce_the_mask(alpha):
    mask = (torch.rand(SIZE, SIZE, generator=torch.Generator().manual_seed(3)) > 0.5).float()
    features = torch.stack([1 - mask, mask])[None]

    found = segment(features[None], features, mask[None, None, None], Cells.of(SIZE, SIZE, alpha))

    assert torch.equal(found[0].argmax(0).float(), mask)


@pytest.mark.parametrize("vote", ["max", "mean", "last"])
def test_scaling_permuting_or_rotating_channels_changes_nothing(vote):
    support, query, masks = draws()
    cells = Cells.of(SIZE, SIZE, 1 / 4)
    plain = segment(support, query, masks, cells, vote=vote)
    order = torch.randperm(CHANNELS, generator=torch.Generator().manual_seed(0))
    rotation = torch.linalg.qr(torch.randn(CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(1)))[0]

    def rotated(features):
        return torch.einsum("dc,...chw->...dhw", rotation, features)

    for changed in (
        segment(5 * support, 5 * query, masks, cells, vote=vote),
        segment(support[:, :, order], query[:, order], masks, cells, vote=vote),
        segment(rotated(support), rotated(query), masks, cells, vote=vote),
    ):
        assert torch.allclose(changed, plain, atol=1e-5)


def test_without_the_organ_in_the_support_everything_is_background():
    support, query, masks = draws()
    cells = Cells.of(SIZE, SIZE, 1 / 8)

    prototypes = local_prototypes(support, with_background(0 * masks), cells)

    assert not prototypes[0, 1].any()
    assert not similarity(query, prototypes, cells)[0][0].argmax(0).any()


def test_dice_is_smoothed_as_published():
    one, other = np.array([1, 1, 0, 0], dtype=bool), np.array([0, 1, 1, 0], dtype=bool)

    assert smoothed_dice(one & False, one & False) == 1
    assert smoothed_dice(one, other) == pytest.approx(0.5001, abs=5e-5)
    assert smoothed_dice(np.array([True, False]), np.array([False, True])) == pytest.approx(0.0005, abs=5e-5)


def test_a_shot_without_the_organ_in_a_cell_rescales_only():
    support, query, masks = draws(shots=2)
    cells = Cells.of(SIZE, SIZE, 1 / 4)
    masks[:, 1] = 0
    both = local_prototypes(support, masks, cells)
    alone = local_prototypes(support[:, :1], masks[:, :1], cells)

    assert torch.allclose(both, alone / 2, atol=1e-6)
    assert torch.allclose(similarity(query, both, cells)[0], similarity(query, alone, cells)[0], atol=1e-6)


def test_the_same_shot_twice_is_one_shot():
    support, _, masks = draws()
    cells = Cells.of(SIZE, SIZE, 1 / 4)

    twice = local_prototypes(support.repeat(1, 2, 1, 1, 1), masks.repeat(1, 2, 1, 1, 1), cells)

    assert torch.allclose(twice, local_prototypes(support, masks, cells), atol=1e-6)


def test_shifting_both_slices_by_a_stride_shifts_the_prediction():
    support, query, masks = draws(low=SIZE)
    cells = Cells.of(SIZE, SIZE, 1 / 4)
    step = cells.rows.starts[1]
    plain = segment(support, query, masks, cells)

    moved = segment(support.roll(step, -1), query.roll(step, -1), masks.roll(step, -1), cells)

    inside = slice(2 * step, SIZE - step)
    assert torch.allclose(moved[..., inside], plain.roll(step, -1)[..., inside], atol=1e-5)


# Check 10: the loss.


@pytest.mark.parametrize(("cosine", "expected"), [(1.0, 2.06e-9), (0.5, 4.54e-5), (0.0, 0.6931)])
def test_cross_entropy_at_temperature_20_has_the_cards_values(cosine, expected):
    logits = torch.tensor([[0.0, 20 * cosine]], dtype=torch.float64)

    assert float(functional.cross_entropy(logits, torch.tensor([1]))) == pytest.approx(expected, rel=1e-3)
    assert math.log1p(math.exp(-20 * cosine)) == pytest.approx(expected, rel=1e-3)


# Check 12: pooling without upsampling.


@pytest.mark.parametrize(("alpha", "low"), [(1 / 8, 5), (1 / 4, 5), (1 / 4, 32), (1 / 16, 9), (1, 5)])
def test_pooling_small_features_is_pooling_upsampled_ones(alpha, low):
    support, _, masks = draws(low=low, shots=2)
    both, cells = with_background(masks), Cells.of(SIZE, SIZE, alpha)

    found = local_prototypes(support, both, cells)[0]

    assert torch.allclose(found, looped(support, both, cells), atol=1e-6)


def test_pooling_is_a_quotient_of_average_pools():
    support, _, masks = draws()
    cells = Cells.of(SIZE, SIZE, 1 / 4)
    cell, step = cells.rows.cell, cells.rows.starts[1]
    masked = functional.avg_pool2d(upsampled(support[:, 0]) * masks[:, 0], cell, step)
    expected = (masked / functional.avg_pool2d(masks[:, 0], cell, step))[0].flatten(1).T

    assert torch.allclose(local_prototypes(support, masks, cells)[0, 0], expected, atol=1e-6)


@pytest.mark.parametrize("vote", ["max", "mean", "last"])
def test_the_vote_is_taken_over_every_cell_of_a_pixel(vote):
    support, query, masks = draws()
    both, cells = with_background(masks), Cells.of(SIZE, SIZE, 1 / 4)
    prototypes = local_prototypes(support, both, cells)
    found, winner = similarity(query, prototypes, cells, vote=vote)
    raised = upsampled(query)[0]
    corners = [(y, x) for y in cells.rows.starts for x in cells.columns.starts]
    for row, column in ((0, 0), (3, 17), (16, 16), (31, 8)):
        over = [
            g
            for g, (y, x) in enumerate(corners)
            if y <= row < y + cells.rows.cell and x <= column < x + cells.columns.cell
        ]
        cosines = functional.cosine_similarity(raised[:, row, column][None], prototypes[0, 1, over], dim=1)
        expected = {"max": cosines.max(), "mean": cosines.mean(), "last": cosines[-1]}[vote]
        assert found[0, 1, row, column] == pytest.approx(float(expected), abs=1e-6)
        assert winner[0, 1, row, column] == (over[-1] if vote == "last" else over[int(cosines.argmax())])


def test_gradients_are_those_of_the_written_out_computation():
    support, query, masks = draws(channels=40)
    both, cells = with_background(masks), Cells.of(SIZE, SIZE, 1)
    one, other = (query.clone().requires_grad_() for _ in range(2))

    similarity(one, local_prototypes(support, both, cells), cells)[0].square().sum().backward()
    prototypes = looped(support, both, cells)[:, 0]
    functional.cosine_similarity(
        upsampled(other)[0][None], prototypes[:, :, None, None], dim=1
    ).square().sum().backward()

    assert torch.allclose(one.grad, other.grad, atol=1e-5)
    assert torch.allclose(upsampled_norm(query, (SIZE, SIZE)), upsampled(query).norm(dim=1), atol=1e-5)


@pytest.mark.parametrize(("low", "size"), [((9, 9), (64, 64)), ((5, 7), (5, 7)), ((1, 3), (8, 9)), ((9, 8), (4, 5))])
def test_norms_of_upsampled_features_and_their_gradients_need_no_upsampling(low, size):
    made = torch.Generator().manual_seed(0)
    features = (torch.rand(2, 40, *low, dtype=torch.float64, generator=made) - 0.5).requires_grad_()
    raised = functional.interpolate(features, size=size, mode="bilinear", align_corners=False)
    weights = torch.rand(2, *size, dtype=torch.float64, generator=made)

    expected, found = raised.norm(dim=1), upsampled_norm(features, size)

    assert torch.allclose(found, expected, atol=1e-12)
    gradients = [
        torch.autograd.grad((norm * weights).sum(), features, retain_graph=True)[0] for norm in (expected, found)
    ]
    assert torch.allclose(*gradients, atol=1e-12)


def test_the_upsampling_matrix_is_bilinear_interpolation():
    values = torch.rand(1, 1, 7, 9, generator=torch.Generator().manual_seed(0))

    up, across = upsampling_matrix(20, 7, values), upsampling_matrix(30, 9, values)

    expected = functional.interpolate(values, size=(20, 30), mode="bilinear", align_corners=False)
    assert torch.allclose(up @ values[0, 0] @ across.T, expected[0, 0], atol=1e-6)


# Check 13: errors.


@pytest.mark.parametrize(
    ("size", "alpha", "message"),
    [(100, 0.15, "does not divide"), (100, 0.3, "does not divide"), (16, 1 / 16, "at least 2")],
)
def test_cells_that_do_not_fit_are_refused(size, alpha, message):
    with pytest.raises(InputError, match=message):
        Cells.of(size, size, alpha)


def test_a_mask_of_another_size_is_refused():
    support, _, masks = draws()

    with pytest.raises(InputError, match=r"mask of \(16, 16\) pixels"):
        local_prototypes(support, masks[..., :16, :16], Cells.of(SIZE, SIZE, 1 / 4))


def test_a_class_without_a_prototype_does_not_win_where_signed_features_are_unlike_the_others():
    cells = Cells.of(4, 4, 1)
    features = torch.tensor([-1.0, 1.0])[None, :, None, None].expand(1, 2, 4, 4)
    background = torch.tensor([1.0, 0.0])
    prototypes = torch.stack([background, torch.zeros(2)])[None, :, None]

    signed = similarity(features, prototypes, cells)[0]
    plain = similarity(features.abs(), prototypes, cells)[0]

    assert torch.allclose(signed[0, 0], torch.tensor(-(0.5**0.5)))
    assert torch.allclose(signed[0, 1], torch.tensor(-1.0))
    assert torch.equal(plain[0, 1], torch.zeros(4, 4))


# The network as a whole.


def test_panets_regulariser_adds_the_loss_of_the_way_back():
    network = LocalPrototypeNetwork("intensity", size=32, alpha=1.0)
    made = torch.Generator().manual_seed(0)
    support, query = torch.rand(2, 1, 32, 32, generator=made), torch.rand(2, 32, 32, generator=made)
    masks = (torch.rand(2, 1, 1, 32, 32, generator=made) > 0.5).float()
    target = (torch.rand(2, 32, 32, generator=made) > 0.5).long()

    plain = episode_loss(network, support, masks, query, target, 0.0)
    both = episode_loss(network, support, masks, query, target, 1.0)

    assert set(plain) == {"loss"}
    assert float(both["segmentation"]) == pytest.approx(float(plain["loss"]))
    assert float(both["loss"]) == pytest.approx(float(both["segmentation"] + both["alignment"]))


def test_pixels_of_255_do_not_count():
    network = LocalPrototypeNetwork("intensity", size=32, alpha=0.25)
    made = torch.Generator().manual_seed(0)
    support, query = torch.rand(1, 1, 32, 32, generator=made), torch.rand(1, 32, 32, generator=made)
    masks = (torch.rand(1, 1, 1, 32, 32, generator=made) > 0.5).float()
    target = (torch.rand(1, 32, 32, generator=made) > 0.5).long()
    hidden = target.clone()
    hidden[:, :16] = 255

    logits = network(support, masks, query)
    expected = functional.cross_entropy(logits[:, :, 16:], target[:, 16:])

    assert float(episode_loss(network, support, masks, query, hidden, 0.0)["loss"]) == pytest.approx(float(expected))
