"""VGG-16's convolutions (Simonyan and Zisserman 2015), keys as in torchvision's files."""

from __future__ import annotations

from torch import nn

_VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)
WIDTH = 512


def vgg16_features() -> nn.Sequential:
    """Return the 13 convolutions with their poolings: (n, 3, h, w) to (n, 512, h / 32, w / 32)."""
    layers: list[nn.Module] = []
    before = 3
    for width in _VGG16:
        if not width:
            layers.append(nn.MaxPool2d(2))
            continue
        layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
        before = width
    return nn.Sequential(*layers)
