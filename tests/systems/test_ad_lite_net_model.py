"""AD-Lite Net against the card's data-free checks (card 01, checks 1 to 7 and 9 to 11)."""

import pytest
import torch
from torch import nn

from medtools.core.errors import InputError
from medtools.nn.init import glorot_uniform
from medtools.nn.summary import size_of
from medtools.systems.ad_lite_net.classification import learning_rate, levels
from medtools.systems.ad_lite_net.model import AdLiteNet, transform
from medtools.systems.ad_lite_net.params import TrainParams


@pytest.mark.parametrize(
    ("options", "trainable", "total"),
    [
        ({"n_classes": 4}, 232_138, 233_520),
        ({"n_classes": 3}, None, 233_327),
        ({"n_classes": 4, "parallel": False}, 194_730, 195_920),
        ({"n_classes": 4, "depthwise": 1}, None, 231_728),
        ({"n_classes": 4, "depthwise": 0}, None, 229_936),
        ({"n_classes": 3, "depthwise": 0}, None, 229_743),
        ({"n_classes": 3, "depthwise": 0, "parallel": False}, None, 192_207),
        ({"n_classes": 4, "separable": True}, 265_162, None),
    ],
)
def test_parameters_are_the_cards(options, trainable, total):
    size = size_of(AdLiteNet(**options), (3, 224, 224))
    assert trainable in (None, size.trainable)
    assert total in (None, size.total)
    if trainable and total:
        assert total - trainable == {4: 1_382}[options["n_classes"]] - (192 if options.get("parallel") is False else 0)


def test_multiply_accumulates_are_the_cards():
    assert size_of(AdLiteNet(4), (3, 224, 224)).macs == 259_021_824


def test_equations_2_and_3_count_the_layers():
    layers = {
        (m.in_channels, m.out_channels, m.groups): sum(p.numel() for p in m.parameters())
        for m in AdLiteNet(4).modules()
        if isinstance(m, nn.Conv2d)
    }
    assert layers[64, 96, 1] == (9 * 64 + 1) * 96 == 55_392
    assert layers[3, 16, 1] == (25 * 3 + 1) * 16 == 1_216
    assert layers[128, 128, 128] == 10 * 128 == 1_280


def test_shapes_are_those_of_the_table():
    network, images = AdLiteNet(4).eval(), torch.rand(1, 3, 224, 224) * 255
    with torch.no_grad():
        c1 = network.stem(images)
        assert c1.shape == (1, 64, 28, 28)
        assert network.main(c1).shape == (1, 128, 7, 7)
        assert network.pcb(c1).shape == (1, 64, 7, 7)
        assert network.maps(images).shape == (1, 192, 7, 7)
        assert network(images).shape == (1, 4)
        assert network.maps(images[:, :, :64, :64]).shape == (1, 192, 2, 2)


def test_images_below_32_pixels_are_refused_by_name():
    with pytest.raises(InputError, match="image smaller than 32"):
        AdLiteNet(4)(torch.zeros(1, 3, 31, 31))


def test_tx_maps_as_equation_5_and_as_the_code():
    assert transform(torch.tensor([0.0, 255.0, 127.5]), "invert").tolist() == pytest.approx([204, 0, 102])
    assert float(transform(torch.tensor(2.0), "negate")) == pytest.approx(-1.6)
    assert float(transform(torch.tensor(2.0), "none")) == 2


def test_a_convolution_absorbs_negation_exactly_borders_included():
    torch.manual_seed(0)
    x, w, b = (torch.randn(shape).double() for shape in ((1, 64, 12, 12), (32, 64, 3, 3), (32,)))
    left = nn.functional.conv2d(transform(x, "negate"), w, b, padding=1)
    right = nn.functional.conv2d(x, -0.8 * w, b, padding=1)
    assert torch.allclose(left, right, rtol=0, atol=1e-10)


def test_equation_5_to_the_letter_kills_half_of_the_first_filters_and_negation_none():
    """0.50 +- 0.13 over 20 seeds; with `negate` it is 0 (check 6)."""
    x = torch.randn(4, 64, 10, 10, generator=torch.Generator().manual_seed(0))
    dead = {"invert": [], "negate": []}
    for seed in range(20):
        torch.manual_seed(seed)
        layer = glorot_uniform(nn.Conv2d(64, 32, 3, padding=1))
        for kind, shares in dead.items():
            with torch.no_grad():
                inner = layer(transform(x, kind))[:, :, 1:-1, 1:-1]
            shares.append(float((inner <= 0).all(dim=3).all(dim=2).all(dim=0).float().mean()))
    assert sum(dead["invert"]) / 20 == pytest.approx(0.50, abs=0.05)
    # A binomial of 32 filters has a spread of 0.09: the card's .375 to .625 are the ends of its own twenty draws.
    assert 0.25 <= min(dead["invert"]) < max(dead["invert"]) <= 0.75
    assert max(dead["negate"]) == 0


def test_the_learning_rate_follows_the_preset():
    ad = TrainParams()
    for epoch, expected in {0: 9.5e-4, 7: 9.5e-4, 8: 9.025e-4, 14: 6.6342e-4, 17: 5.688e-4}.items():
        assert learning_rate(ad, epoch) == pytest.approx(expected, rel=1e-4)
    assert learning_rate(TrainParams(preset="adni"), 14) == 9.5e-4
    oasis = TrainParams(preset="oasis")
    assert (oasis.epochs, learning_rate(oasis, 4)) == (7, pytest.approx(9.025e-4))
    assert TrainParams(preset="ten-fold").protocol == "cv"
    assert TrainParams(preset="adni", epochs=2).epochs == 2


def test_in_training_mode_the_first_norm_makes_levels_irrelevant():
    torch.manual_seed(0)
    network, x = AdLiteNet(4).train(), torch.rand(8, 3, 64, 64) * 100
    with torch.no_grad():
        assert torch.allclose(network(x), network(2 * x + 10), atol=1e-4)


def test_running_statistics_move_by_a_hundredth_as_in_keras():
    network, x = AdLiteNet(4).train(), torch.rand(4, 3, 64, 64) * 255
    with torch.no_grad():
        network(x)
    assert torch.allclose(network.stem[0].running_mean, 0.01 * x.mean(dim=(0, 2, 3)), rtol=1e-4)
    assert network.stem[0].eps == 1e-3


def test_the_head_does_not_see_where_a_feature_is():
    network, maps = AdLiteNet(4).eval(), torch.rand(2, 192, 7, 7)
    mixed = maps.flatten(2)[:, :, torch.randperm(49)].unflatten(2, (7, 7))
    with torch.no_grad():
        assert torch.allclose(network.classify(maps), network.classify(mixed), atol=1e-5)


def test_grey_images_are_repeated_to_three_channels_of_raw_levels():
    images = torch.randint(0, 255, (2, 1, 4, 4), dtype=torch.uint8)
    found = levels(images)
    assert found.shape == (2, 3, 4, 4)
    assert torch.equal(found[:, 1], images[:, 0].float())
