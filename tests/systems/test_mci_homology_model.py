"""The classifier against the card's parameter counts and the authors' scaling (card check 8)."""

import numpy as np
import pytest
import torch

from medtools.systems.mci_homology import model as networks


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("n_rois", "expected"),
    [(34, 764_578), (18, 551_586), (21, 581_538), (22, 592_546), (32, 730_786), (33, 747_426)],
)
def test_the_paper_head_has_the_published_number_of_parameters(n_rois, expected):
    assert count(networks.PrClassifier(n_rois)) == expected


def test_the_authors_head_and_the_convolutions_alone_have_theirs():
    assert count(networks.PrClassifier(34, head="authors")) == 754_434
    assert count(networks.convolutional_branch()) == 392_320


@pytest.mark.parametrize("n_rois", [18, 21, 22, 32, 33, 34])
@pytest.mark.parametrize("branches", ["both", "1d", "2d"])
def test_every_network_size_gives_two_logits_per_subject(n_rois, branches):
    network = networks.PrClassifier(n_rois, branches=branches)
    assert network(torch.zeros(3, 1, n_rois, n_rois)).shape == (3, 2)


def test_an_ablated_branch_is_absent_and_not_merely_ignored():
    both = count(networks.PrClassifier(18))
    one, two = (count(networks.PrClassifier(18, branches=name)) for name in ("1d", "2d"))
    assert one < both
    assert two < both
    assert not any(isinstance(part, torch.nn.Conv2d) for part in networks.PrClassifier(18, branches="1d").modules())


def test_logits_are_not_probabilities():
    torch.manual_seed(0)
    logits = networks.PrClassifier(18)(torch.randn(8, 1, 18, 18))
    assert not torch.allclose(logits.sum(dim=1), torch.ones(8), atol=1e-3)


def test_matrices_are_standardised_each_by_its_own_unbiased_deviation():
    rng = np.random.default_rng(0)
    stack = torch.as_tensor(rng.gamma(2.0, 3.0, (4, 7, 7)) * np.array([1, 10, 100, 0.1])[:, None, None])
    scaled = networks.standardise(stack)
    for before, after in zip(stack.numpy(), scaled.numpy(), strict=True):
        assert np.allclose(after, (before - before.mean()) / before.std(ddof=1))


def test_a_constant_matrix_becomes_zeros_and_not_nan():
    assert torch.equal(networks.standardise(torch.full((1, 5, 5), 3.0)), torch.zeros(1, 5, 5))


def test_grey_images_keep_the_order_of_entries_and_span_zero_to_one():
    stack = torch.arange(18 * 18, dtype=torch.float32).reshape(1, 18, 18)
    image = networks.grey_images(stack)
    assert image.shape == (1, 1, 224, 224)
    assert float(image.min()) == 0.0
    assert float(image.max()) == 1.0
    assert torch.all(image[0, 0].diff(dim=0) >= 0)


def test_densenet_takes_the_grey_image_of_the_smallest_network():
    network = networks.densenet().eval()
    assert network(networks.grey_images(torch.rand(2, 18, 18))).shape == (2, 2)
    assert count(network) == pytest.approx(6.95e6, rel=0.01)
