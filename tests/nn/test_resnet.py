"""Residual networks: known sizes, agreement with MONAI's, weight files in torchvision's layout."""

import pytest
import torch
from monai.networks.nets import resnet18 as monai_resnet18
from safetensors.torch import save_file

from medtools.core.errors import InputError
from medtools.nn.resnet import ResNet, load_torchvision, resnet18


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def torchvision_layout(layers=(3, 4, 6, 3)):
    """Weights named and shaped as torchvision's ResNet-50, made from the network that has all stages."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return ResNet("bottleneck", layers, classes=10, width=0.0625).state_dict()


@pytest.mark.parametrize(
    ("channels", "classes", "expected"),
    [(3, None, 11_176_512), (3, 1000, 11_689_512), (1, None, 11_170_240)],
)
def test_resnet18_has_the_cards_number_of_parameters(channels, classes, expected):
    # Card 31, check 6.
    assert parameters(resnet18(channels, classes)) == expected


def test_resnet18_makes_512_features_and_halves_the_image_first():
    # Card 31, check 6.
    network = resnet18().eval()
    with torch.no_grad():
        assert network.conv1(torch.zeros(1, 3, 224, 224)).shape == (1, 64, 112, 112)
        assert network(torch.zeros(1, 3, 224, 224)).shape == (1, 512)


def test_resnet18_is_monais_with_the_same_weights():
    peer = monai_resnet18(
        spatial_dims=2, n_input_channels=3, conv1_t_stride=2, bias_downsample=False, feed_forward=False
    ).eval()
    ours = resnet18().eval()
    ours.load_state_dict(peer.state_dict())
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        assert torch.allclose(ours(images), peer(images), atol=1e-5)


def test_a_whole_resnet50_has_torchvisions_number_of_parameters():
    # torchvision's documentation of resnet50: 25,557,032.
    assert parameters(ResNet("bottleneck", (3, 4, 6, 3), classes=1000)) == 25_557_032


def test_a_dilated_stage_keeps_the_resolution_and_the_number_of_parameters():
    plain = ResNet("bottleneck", (1, 1, 1), width=0.125)
    dilated = ResNet("bottleneck", (1, 1, 1), width=0.125, strides=(1, 2, 1), dilations=(1, 1, 2))

    images = torch.zeros(1, 3, 64, 64)

    assert parameters(plain) == parameters(dilated)
    assert [m.shape[-1] for m in plain.feature_maps(images)] == [16, 8, 4]
    assert [m.shape[-1] for m in dilated.feature_maps(images)] == [16, 8, 8]


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_torchvision_file_fills_a_trunk_without_its_last_stage(tmp_path, suffix):
    weights = torchvision_layout()
    path = tmp_path / f"resnet50{suffix}"
    if suffix == ".pt":
        torch.save(weights, path)
    else:
        save_file(weights, path)
    trunk = ResNet("bottleneck", (3, 4, 6), width=0.0625, strides=(1, 2, 1), dilations=(1, 1, 2), stride_on_first=True)

    load_torchvision(trunk, path)

    loaded = trunk.state_dict()
    assert loaded
    assert all(torch.equal(tensor, weights[name]) for name, tensor in loaded.items())


def test_a_file_that_lacks_a_tensor_or_has_another_is_refused(tmp_path):
    weights = torchvision_layout()
    trunk = ResNet("bottleneck", (3, 4, 6), width=0.0625)
    for name, changed in {
        "missing": {k: v for k, v in weights.items() if k != "layer2.0.conv1.weight"},
        "unexpected": weights | {"stem.weight": torch.zeros(1)},
        "shape": weights | {"conv1.weight": torch.zeros(4, 1, 7, 7)},
    }.items():
        save_file(changed, tmp_path / f"{name}.safetensors")
        with pytest.raises(InputError, match=name):
            load_torchvision(trunk, tmp_path / f"{name}.safetensors")
