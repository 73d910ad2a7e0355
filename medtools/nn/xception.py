"""Xception's trunk (Chollet 2017, Fig. 5)."""

from __future__ import annotations

from torch import Tensor, nn

from medtools.nn.init import KERAS_BN_EPS, KERAS_BN_MOMENTUM

WIDTH = 2048
_MIDDLE_BLOCKS = 8


def xception_features() -> nn.Sequential:
    """Return the trunk: (n, 3, h, w) to (n, 2048, h / 32, w / 32)."""
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, 2, bias=False), _norm(32), nn.ReLU(),
        nn.Conv2d(32, 64, 3, bias=False), _norm(64), nn.ReLU(),
        Block(64, (128, 128), leading=False), Block(128, (256, 256)), Block(256, (728, 728)),
        *(Block(728, (728, 728, 728), pool=False) for _ in range(_MIDDLE_BLOCKS)),
        Block(728, (728, 1024)),
        *_separable(1024, 1536), nn.ReLU(), *_separable(1536, WIDTH), nn.ReLU(),
    )  # fmt: skip


class Block(nn.Module):
    """Separable convolutions beside a shortcut.

    Parameters
    ----------
    before : int
        Channels of the input.
    widths : tuple of int
        Filters of each separable convolution.
    pool : bool
        Halve the image: max-pooling here, a strided 1 x 1 convolution on the shortcut.
    leading : bool
        Begin with a rectifier.
    """

    def __init__(self, before: int, widths: tuple[int, ...], *, pool: bool = True, leading: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = before
        for number, after in enumerate(widths):
            layers += [nn.ReLU()] if number or leading else []
            layers += _separable(width, after)
            width = after
        self.body = nn.Sequential(*layers, *([nn.MaxPool2d(3, 2, padding=1)] if pool else []))
        shortcut = nn.Sequential(nn.Conv2d(before, width, 1, 2, bias=False), _norm(width))
        self.shortcut = shortcut if pool else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Add both ways."""
        return self.body(x) + self.shortcut(x)


def _separable(before: int, after: int) -> list[nn.Module]:
    depthwise = nn.Conv2d(before, before, 3, padding=1, groups=before, bias=False)
    return [depthwise, nn.Conv2d(before, after, 1, bias=False), _norm(after)]


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=KERAS_BN_EPS, momentum=KERAS_BN_MOMENTUM)
