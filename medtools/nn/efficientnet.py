"""EfficientNet-Lite0 (Tan and Le 2019, ICML, Table 1; the authors' Lite variant: ReLU6, no squeeze and excitation).

Its published ImageNet weights are small and can be had as a package, which makes it the pre-trained trunk that needs no
registration and no download by hand.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from medtools.nn.init import KERAS_BN_EPS, KERAS_BN_MOMENTUM
from medtools.training.checkpoint import load_into

WIDTH = 1280
MEAN, SD = (127 / 255,) * 3, (128 / 255,) * 3
"""Levels in [0, 1] are shifted and scaled by these, as the published weights expect."""

_STEM = 32


class _Stage(NamedTuple):
    blocks: int
    kernel: int
    stride: int
    expand: int
    channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)
_PUBLISHED = (
    (re.compile(r"_conv_stem\."), "stem.0."),
    (re.compile(r"_bn0\."), "stem.1."),
    (re.compile(r"_conv_head\."), "head.0."),
    (re.compile(r"_bn1\."), "head.1."),
    (re.compile(r"_blocks\.(\d+)\._expand_conv\."), r"blocks.\1.expand.0."),
    (re.compile(r"_blocks\.(\d+)\._bn0\."), r"blocks.\1.expand.1."),
    (re.compile(r"_blocks\.(\d+)\._depthwise_conv\."), r"blocks.\1.depthwise.0."),
    (re.compile(r"_blocks\.(\d+)\._bn1\."), r"blocks.\1.depthwise.1."),
    (re.compile(r"_blocks\.(\d+)\._project_conv\."), r"blocks.\1.project.0."),
    (re.compile(r"_blocks\.(\d+)\._bn2\."), r"blocks.\1.project.1."),
)


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "same": as many outputs as inputs / stride, the odd pixel at the end."""

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) to (n, out, ceil(h / stride), ceil(w / stride))."""
        pads: list[int] = []
        for axis in (1, 0):  # the last axis comes first
            reach = self.dilation[axis] * (self.kernel_size[axis] - 1) + 1
            length, stride = x.shape[2 + axis], self.stride[axis]
            total = max((-(-length // stride) - 1) * stride + reach - length, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(functional.pad(x, pads))


class InvertedResidual(nn.Module):
    """A 1x1 convolution that widens, a depthwise one, a linear 1x1 one that narrows; a shortcut where shapes allow."""

    def __init__(
        self, channels: int, out: int, *, kernel: int, stride: int = 1, expand: int = 6, dilation: int = 1
    ) -> None:
        super().__init__()
        inner = channels * expand
        self.expand = _unit(nn.Conv2d(channels, inner, 1, bias=False), nn.ReLU6()) if expand > 1 else nn.Identity()
        depthwise = SameConv(inner, inner, kernel, stride, dilation=dilation, groups=inner, bias=False)
        self.depthwise = _unit(depthwise, nn.ReLU6())
        self.project = _unit(nn.Conv2d(inner, out, 1, bias=False))
        self.shortcut = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) to (n, out, h / stride, w / stride)."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class EfficientNetLite0(nn.Module):
    """The trunk: 3,371,008 parameters with all seven stages and the convolution behind them.

    Parameters
    ----------
    stages : int
        How many of the seven to keep; with fewer, there is no convolution behind them.
    strides : sequence of int, optional
        Of each stage; default as published. Where a stage has stride 1 instead of 2, it and those behind it are dilated
        instead, so that every unit sees what it saw in training.

    Attributes
    ----------
    channels : tuple of int
        Of each stage's output.
    """

    def __init__(self, stages: int = len(_STAGES), strides: Sequence[int] | None = None) -> None:
        super().__init__()
        kept = _STAGES[:stages]
        self.stem = _unit(SameConv(3, _STEM, 3, 2, bias=False), nn.ReLU6())
        self.blocks = nn.ModuleList()
        self._ends: list[int] = []
        channels, dilation = _STEM, 1
        for number, stage in enumerate(kept):
            stride = stage.stride if strides is None else strides[number]
            for place in range(stage.blocks):
                self.blocks.append(
                    InvertedResidual(
                        channels,
                        stage.channels,
                        kernel=stage.kernel,
                        stride=stride if place == 0 else 1,
                        expand=stage.expand,
                        dilation=dilation,
                    )
                )
                channels = stage.channels
                if place == 0:  # the first block still sees the pixels of the stage before
                    dilation *= stage.stride // stride
            self._ends.append(len(self.blocks))
        self.channels = tuple(stage.channels for stage in kept)
        whole = stages == len(_STAGES)
        self.head = _unit(nn.Conv2d(channels, WIDTH, 1, bias=False), nn.ReLU6()) if whole else nn.Identity()

    def feature_maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the output of every stage, (n, channels[i], h_i, w_i), none of which is bounded below."""
        x = self.stem(x)
        maps = []
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if number in self._ends:
                maps.append(x)
        return tuple(maps)

    def forward(self, x: Tensor) -> Tensor:
        """(n, 3, h, w), standardised by `MEAN` and `SD`, to (n, 1280, h / 32, w / 32) with all stages."""
        return self.head(self.feature_maps(x)[-1])


def published_name(name: str) -> str | None:
    """Return this module's name of a tensor in the published file, None for its ImageNet classifier."""
    if name.startswith("_fc."):
        return None
    for pattern, ours in _PUBLISHED:
        if pattern.match(name):
            return pattern.sub(ours, name, count=1)
    return name


def load_published(network: EfficientNetLite0, path: str | Path) -> None:
    """Fill a trunk with the published weights, every name and shape checked; stages it does not have are left out.

    Raises
    ------
    InputError
        The file cannot be read, or lacks a tensor of the network, or has another shape of one.
    """
    absent = tuple(f"blocks.{number}." for number in range(len(network.blocks), sum(stage.blocks for stage in _STAGES)))
    absent += () if len(network.channels) == len(_STAGES) else ("head.",)

    def rename(name: str) -> str | None:
        ours = published_name(name)
        return None if ours is None or ours.startswith(absent) else ours

    load_into(network, path, rename=rename)


def _unit(convolution: nn.Conv2d, *activation: nn.Module) -> nn.Sequential:
    width = convolution.out_channels
    return nn.Sequential(convolution, nn.BatchNorm2d(width, eps=KERAS_BN_EPS, momentum=KERAS_BN_MOMENTUM), *activation)
