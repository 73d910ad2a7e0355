"""EfficientNet-Lite0 is the published network: its size, a peer's outputs, and what it sees in photographs."""

import matplotlib
import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from sklearn.datasets import load_sample_image
from support import imagenet_weights
from torch import nn

from medtools.core.errors import InputError
from medtools.nn.efficientnet import MEAN, SD, EfficientNetLite0, load_published
from medtools.nn.summary import size_of

PALACE, UNIFORM, DAISY = 698, 652, 985
"""Numbers of ImageNet's classes."""


@pytest.fixture(scope="module")
def published():
    """The published tensors."""
    return torch.load(imagenet_weights(), weights_only=True)


@pytest.fixture(scope="module")
def trunk():
    """The whole trunk with the published weights."""
    network = EfficientNetLite0()
    load_published(network, imagenet_weights())
    return network.eval()


def test_with_the_imagenet_classifier_it_has_all_4_7_million_values_of_the_file(published):
    with torch.device("meta"):
        network = nn.Sequential(EfficientNetLite0(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))
    size = size_of(network, (3, 224, 224))

    assert size.trainable == 4_652_008
    counters = "num_batches_tracked"
    assert size.total == sum(tensor.numel() for name, tensor in published.items() if not name.endswith(counters))


@pytest.mark.parametrize("side", [224, 96])
def test_outputs_are_a_peers_with_random_weights(side, tmp_path):
    peer = EfficientNet.from_name("efficientnet-lite0", image_size=side)
    torch.manual_seed(side)
    for module in peer.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    torch.save(peer.state_dict(), tmp_path / "peer.pt")
    own = EfficientNetLite0()
    load_published(own, tmp_path / "peer.pt")
    images = torch.randn(2, 3, side, side)

    with torch.no_grad():
        expected, found = peer.eval().extract_features(images), own.eval()(images)

    assert expected.abs().max() > 0.1
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(("photograph", "label"), [("china.jpg", PALACE), ("flower.jpg", DAISY), ("", UNIFORM)])
def test_published_weights_see_what_a_photograph_shows(trunk, published, photograph, label):
    path = f"{matplotlib.get_data_path()}/sample_data/grace_hopper.jpg"
    image = Image.fromarray(load_sample_image(photograph)) if photograph else Image.open(path)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((224, 224), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy(np.asarray(square, dtype=np.float32) / 255).permute(2, 0, 1)[None]

    with torch.no_grad():
        features = trunk((pixels - MEAN[0]) / SD[0]).mean(dim=(2, 3))

    assert int((features @ published["_fc.weight"].T + published["_fc.bias"]).argmax()) == label


def test_dilated_stages_are_the_strided_ones_with_the_gaps_filled(trunk):
    dense = EfficientNetLite0(5, (1, 2, 2, 1, 1))
    load_published(dense, imagenet_weights())
    images = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))

    with torch.no_grad():
        coarse, fine = trunk.feature_maps(images), dense.eval().feature_maps(images)

    assert [tuple(each.shape[1:]) for each in fine] == [(16, 128, 128), (24, 64, 64), (40, 32, 32), (80, 32, 32),
                                                        (112, 32, 32)]  # fmt: skip
    assert torch.equal(fine[2], coarse[2])
    # "Same" padding puts the odd pixel at the end, so that the windows of an even length are centred on odd pixels.
    inner = (..., slice(5, -5), slice(5, -5))
    assert torch.allclose(fine[4][..., 1::2, 1::2][inner], coarse[4][inner], atol=1e-3)
    assert coarse[4][inner].abs().max() > 5


@pytest.mark.parametrize("side", [33, 64, 97])
def test_any_size_is_halved_five_times_upwards(trunk, side):
    expected = side
    for _ in range(5):
        expected = -(-expected // 2)

    with torch.no_grad():
        assert trunk(torch.zeros(1, 3, side, side)).shape == (1, 1280, expected, expected)


def test_a_file_that_lacks_a_tensor_or_is_of_another_network_is_refused(published, tmp_path):
    less = {name: tensor for name, tensor in published.items() if name != "_blocks.3._depthwise_conv.weight"}
    torch.save(less, tmp_path / "less.pt")
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "resnet.pt")

    with pytest.raises(InputError, match=r"1 missing \(first blocks.3.depthwise.0.weight\)"):
        load_published(EfficientNetLite0(), tmp_path / "less.pt")
    with pytest.raises(InputError, match="do not fit the model"):
        load_published(EfficientNetLite0(), tmp_path / "resnet.pt")
