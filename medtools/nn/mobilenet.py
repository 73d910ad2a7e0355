"""MobileNet version 1 of full width (Howard et al. 2017, Table 1)."""

from __future__ import annotations

from torch import nn

from medtools.nn.init import KERAS_BN_EPS, KERAS_BN_MOMENTUM

WIDTH = 1024
# Filters and stride of each depthwise-separable block.
_BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1), (512, 1), (512, 1),
    (1024, 2), (1024, 1),
)  # fmt: skip


def mobilenet_features() -> nn.Sequential:
    """Return the trunk: (n, 3, h, w) to (n, 1024, h / 32, w / 32)."""
    layers = _unit(nn.Conv2d(3, 32, 3, 2, padding=1, bias=False), 32)
    before = 32
    for width, stride in _BLOCKS:
        layers += _unit(nn.Conv2d(before, before, 3, stride, padding=1, groups=before, bias=False), before)
        layers += _unit(nn.Conv2d(before, width, 1, bias=False), width)
        before = width
    return nn.Sequential(*layers)


def _unit(convolution: nn.Module, width: int) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(width, eps=KERAS_BN_EPS, momentum=KERAS_BN_MOMENTUM), nn.ReLU6()]
