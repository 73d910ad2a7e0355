"""Comparison networks have the sizes that the authors' notebooks print (card 01, table of baselines, K = 4)."""

import pytest
import torch
from support import imagenet_weights
from torch import nn

from medtools.core.errors import InputError
from medtools.nn.densenet import torchvision_name
from medtools.nn.summary import size_of
from medtools.systems.ad_lite_net.baselines import NETWORKS, SqueezeExcite, build
from medtools.systems.ad_lite_net.classification import build as build_row
from medtools.systems.ad_lite_net.params import NetworkParams

TOTAL = {
    "2d-m2ic": (81_924, 81_924), "msc-net-se": (14_469_300, None), "densenet-121": (7_238_212, 7_154_564),
    "vgg-16": (14_716_740, 14_716_740), "xception": (20_869_676, 20_815_148), "mobilenet": (3_232_964, 3_211_076),
    "pit-ti": (4_591_300, 4_591_300), "efficientnet-lite0": (3_418_148, 3_376_132),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_those_of_the_notebooks(name):
    with torch.device("meta"):
        network = NETWORKS[name].build(4, 224)
    size = size_of(network, (3, 224, 224))
    total, trainable = TOTAL[name]
    assert size.total == total
    assert trainable in (None, size.trainable)


@pytest.mark.parametrize("name", ["2d-m2ic", "mobilenet", "pit-ti", "densenet-121", "efficientnet-lite0"])
def test_small_images_give_logits_and_gradients_reach_every_weight(name):
    network = build(name, 3, 64)
    logits = network(torch.rand(2, 3, 64, 64) * 255)
    assert logits.shape == (2, 3)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_pretrained_trunk_must_be_complete_and_its_head_is_left_out(tmp_path):
    trunk = build("mobilenet", 3, 64)
    state = {f"features.{k}": v for k, v in trunk.features.state_dict().items()} | {"classifier.weight": torch.ones(1)}
    torch.save(state, tmp_path / "w.pt")
    loaded = build("mobilenet", 5, 64, tmp_path / "w.pt")
    assert torch.equal(loaded.features[0].weight, trunk.features[0].weight)
    state.pop("features.0.weight")
    torch.save(state, tmp_path / "less.pt")
    with pytest.raises(InputError, match=r"1 missing \(first 0.weight\)"):
        build("mobilenet", 5, 64, tmp_path / "less.pt")


@pytest.mark.parametrize("name", ["ad-lite", "msc-net-se", "densenet-121", "mobilenet", "efficientnet-lite0"])
def test_every_network_gets_the_same_batch_norm_momentum(name):
    with torch.device("meta"):
        network = build_row(NetworkParams(model=name, bn_momentum=0.25), 3, 64)
    momenta = {module.momentum for module in network.modules() if isinstance(module, nn.BatchNorm2d)}
    assert momenta == {0.25}


def test_published_weights_of_efficientnet_are_its_trunk():
    published = torch.load(imagenet_weights(), weights_only=True)
    network = build("efficientnet-lite0", 3, 64, imagenet_weights()).features
    assert torch.equal(network.stem[0].weight, published["_conv_stem.weight"])
    assert torch.equal(network.head[1].running_var, published["_bn1.running_var"])


def test_names_of_torchvisions_densenet_become_monais():
    with torch.device("meta"):
        own = NETWORKS["densenet-121"].build(2, 32).features.state_dict()
    assert torchvision_name("denseblock1.denselayer2.norm1.weight") in own
    assert torchvision_name("denseblock4.denselayer16.conv2.weight") in own
    assert torchvision_name("transition1.norm.weight") in own
    assert torchvision_name("conv0.weight") in own


def test_multiply_accumulates_of_a_grouped_and_a_transposed_convolution():
    layers = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False), nn.ConvTranspose2d(4, 2, 2, 2))
    assert size_of(layers, (4, 8, 8)).macs == 8 * 8 * 4 * 9 + 8 * 8 * 4 * (2 * 2 * 2)


def test_multiply_accumulates_in_three_dimensions():
    layers = nn.Sequential(nn.Conv3d(2, 3, 3, padding=1), nn.ConvTranspose3d(3, 2, 2, 2))
    assert size_of(layers, (2, 4, 4, 4)).macs == 4**3 * 3 * 2 * 27 + 4**3 * 3 * 2 * 8


def test_squeeze_and_excitation_scales_each_channel_by_a_share():
    x = torch.rand(2, 16, 5, 5)
    ratio = SqueezeExcite(16)(x) / x
    assert ((ratio > 0) & (ratio < 1)).all()
    assert torch.allclose(ratio, ratio[:, :, :1, :1].expand_as(ratio), atol=1e-5)
