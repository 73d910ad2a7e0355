"""Residual networks (He et al. 2016, CVPR) with torchvision's names of tensors, so that its weight files fit.

One class for the family: ResNet-18 to 152, narrower ones, and trunks whose last stages are dilated or left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from torch import Tensor, nn

from medtools.training.checkpoint import load_into

Kind = Literal["basic", "bottleneck"]
_EXPANSION: dict[Kind, int] = {"basic": 1, "bottleneck": 4}


class Residual(nn.Module):
    """A block of two (basic) or three (bottleneck) convolutions beside a shortcut.

    Parameters
    ----------
    channels : int
        Of the input.
    planes : int
        Width inside; the output has 1 (basic) or 4 (bottleneck) times as many channels.
    kind : {"basic", "bottleneck"}
    stride, dilation : int
        Of the 3x3 convolution (of a basic block, the first).
    stride_on_first : bool
        Put a bottleneck's stride on its first 1x1 convolution, as in the original paper; torchvision puts it on
        the 3x3.
    """

    def __init__(
        self,
        channels: int,
        planes: int,
        kind: Kind,
        *,
        stride: int = 1,
        dilation: int = 1,
        stride_on_first: bool = False,
    ) -> None:
        super().__init__()
        out = planes * _EXPANSION[kind]
        early, late = (stride, 1) if kind == "basic" or stride_on_first else (1, stride)
        self.kind = kind
        if kind == "basic":
            self.conv1, self.conv2 = _conv3(channels, planes, early, dilation), _conv3(planes, planes, 1, dilation)
        else:
            self.conv1 = nn.Conv2d(channels, planes, 1, early, bias=False)
            self.conv2 = _conv3(planes, planes, late, dilation)
            self.conv3 = nn.Conv2d(planes, out, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(out)
        self.bn1, self.bn2 = nn.BatchNorm2d(planes), nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, h, w) to (batch, out, h / stride, w / stride)."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.kind == "bottleneck":
            y = self.bn3(self.conv3(self.relu(y)))
        return self.relu(y + shortcut)


class ResNet(nn.Module):
    """A residual network: stem, up to four stages, and a classifier where `classes` is given.

    Parameters
    ----------
    kind : {"basic", "bottleneck"}
    depths : sequence of int
        Blocks of each stage; fewer than four leave the last stages out.
    in_channels : int
        Of the images.
    classes : int, optional
        Outputs of `fc`; without it the network ends at the pooled features.
    width : float
        Scale of all widths: 1 is 64 channels after the stem.
    strides, dilations : sequence of int
        Of each stage. A stage of stride 1 and dilation 2 keeps the resolution of the one before.
    stride_on_first : bool
        As for `Residual`.
    ceil_pool : bool
        Round the pooled size up instead of down.

    Attributes
    ----------
    channels : tuple of int
        Of each stage's output.
    """

    def __init__(
        self,
        kind: Kind,
        depths: Sequence[int],
        *,
        in_channels: int = 3,
        classes: int | None = None,
        width: float = 1.0,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        stride_on_first: bool = False,
        ceil_pool: bool = False,
    ) -> None:
        super().__init__()
        base = max(1, round(64 * width))
        self.conv1 = nn.Conv2d(in_channels, base, 7, 2, 3, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(base), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1, ceil_mode=ceil_pool)
        channels, found = base, []
        self.stages = len(depths)
        for number, depth in enumerate(depths):
            blocks = []
            for place in range(depth):
                stride = strides[number] if place == 0 else 1
                blocks.append(
                    Residual(
                        channels,
                        base * 2**number,
                        kind,
                        stride=stride,
                        dilation=dilations[number],
                        stride_on_first=stride_on_first,
                    )
                )
                channels = base * 2**number * _EXPANSION[kind]
            setattr(self, f"layer{number + 1}", nn.Sequential(*blocks))
            found.append(channels)
        self.channels = tuple(found)
        self.fc = nn.Linear(channels, classes) if classes is not None else None
        self._initialise()

    def feature_maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the output of every stage, (batch, channels[i], h_i, w_i)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = []
        for number in range(self.stages):
            x = getattr(self, f"layer{number + 1}")(x)
            maps.append(x)
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, h, w) to (batch, classes) logits, or (batch, channels[-1]) mean features."""
        pooled = self.feature_maps(x)[-1].mean(dim=(2, 3))
        return pooled if self.fc is None else self.fc(pooled)

    def _initialise(self) -> None:
        """Draw convolutions as He et al. (2015) do, by the number of outputs, as in torchvision."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def resnet18(in_channels: int = 3, classes: int | None = None) -> ResNet:
    """ResNet-18: 11,176,512 parameters without a classifier, 512 features."""
    return ResNet("basic", (2, 2, 2, 2), in_channels=in_channels, classes=classes)


def load_torchvision(network: ResNet, path: str | Path) -> None:
    """Fill a network with the weights of a torchvision layout, every name and shape checked.

    Stages and a classifier that the network does not have are left out; all that it has must be there.

    Raises
    ------
    InputError
        The file cannot be read, or lacks a tensor of the network, or has another shape of one.
    """
    absent = [f"layer{number}." for number in range(network.stages + 1, 5)]
    absent += ["fc."] if network.fc is None else []
    load_into(network, path, rename=lambda name: None if name.startswith(tuple(absent)) else name)


def _conv3(channels: int, out: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(channels, out, 3, stride, padding=dilation, dilation=dilation, bias=False)
