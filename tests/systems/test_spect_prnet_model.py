"""PRNet-2D and its losses: the card's data-free checks with its numbers."""

import math

import numpy as np
import pytest
import torch

from medtools.core.errors import InputError
from medtools.systems.spect_prnet.model import (
    PrNet,
    check_patch,
    distance_loss,
    predicted_offset,
    prnet_loss,
    reconstruction_loss,
)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


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
