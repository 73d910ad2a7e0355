"""Grad-CAM against a written-out linear case, and against MONAI on a random network."""

import torch
from monai.visualize import GradCAM
from torch import nn

from medtools.explain.cam import grad_cam, to_image
from medtools.explain.embedding import in_the_plane


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 5, 3, padding=1), nn.ReLU())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))

    def forward(self, x):
        return self.head(self.body(x))


def test_it_is_monais_map():
    torch.manual_seed(0)
    network, images = Small().eval(), torch.rand(2, 1, 12, 10)
    for wanted in (0, 2):
        ours = grad_cam(network.body, network.head, images, torch.full((2,), wanted))
        theirs = GradCAM(network, target_layers="body", postprocessing=lambda x: x)
        raw = theirs.compute_map(images, class_idx=wanted)[:, 0]
        assert torch.allclose(ours, torch.relu(raw), atol=1e-6)


def test_behind_global_pooling_the_weights_are_those_of_the_output_layer():
    """CAM (Zhou et al. 2016) and Grad-CAM then differ by 1 / (h w) only."""
    maps, weight = torch.rand(1, 4, 6, 6), torch.randn(2, 4)
    found = grad_cam(lambda x: x, lambda m: m.mean(dim=(2, 3)) @ weight.T, maps, torch.tensor([1]))
    assert torch.allclose(found, torch.relu((weight[1][:, None, None] * maps[0]).sum(0)) / 36, atol=1e-6)


def test_maps_scale_to_one_and_empty_ones_stay_zero():
    cams = torch.stack([torch.rand(3, 3), torch.zeros(3, 3)])
    large = to_image(cams, (9, 12))
    assert large.shape == (2, 9, 12)
    assert float(large[0].max()) == 1
    assert float(large[1].abs().max()) == 0


def test_principal_components_do_not_depend_on_the_sign_of_the_decomposition():
    table = torch.randn(20, 6, generator=torch.Generator().manual_seed(0)).numpy()
    points = in_the_plane(table)
    centred = table - table.mean(axis=0)
    assert abs(points[:, 0].var() / centred.var(axis=0).sum()) <= 1
    assert abs((points[:, 0] * points[:, 1]).sum()) < 1e-3
    assert (in_the_plane(table + 5.0).round(3) == points.round(3)).all()
