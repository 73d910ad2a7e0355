"""The comparison networks of the paper's Table 1, sized as in the authors' notebooks, and one whose weights can be had.

EfficientNet-Lite0 is not in the table. It stands for the pre-trained light networks there (Xception, MobileNet, PiT)
where no file of their weights is at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from medtools.nn.densenet import WIDTH as DENSENET_WIDTH
from medtools.nn.densenet import densenet121_features, torchvision_name
from medtools.nn.efficientnet import MEAN as EFFICIENTNET_MEAN
from medtools.nn.efficientnet import SD as EFFICIENTNET_SD
from medtools.nn.efficientnet import WIDTH as EFFICIENTNET_WIDTH
from medtools.nn.efficientnet import EfficientNetLite0, published_name
from medtools.nn.init import glorot_uniform
from medtools.nn.mobilenet import WIDTH as MOBILENET_WIDTH
from medtools.nn.mobilenet import mobilenet_features
from medtools.nn.pit import WIDTH as PIT_WIDTH
from medtools.nn.pit import PitTiny
from medtools.nn.vgg import WIDTH as VGG_WIDTH
from medtools.nn.vgg import vgg16_features
from medtools.nn.xception import WIDTH as XCEPTION_WIDTH
from medtools.nn.xception import xception_features
from medtools.training.checkpoint import load_into, read_weights

_IMAGENET_MEAN, _IMAGENET_SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_M2IC_SIDE = 100
_MSC_WIDTHS, _DILATIONS = (64, 128, 256, 512), (1, 2, 3, 4)
_HEADS = ("classifier.", "fc.", "head.")


class Comparator(nn.Module):
    """A trunk with its output layer, fed with raw levels.

    Parameters
    ----------
    features : nn.Module
        The trunk; pretrained weights are loaded into it.
    head : nn.Module
        Output layer.
    mean, sd : sequence of float
        Raw levels divided by 255 are shifted and scaled by these, as the trunk's published weights expect.
    """

    def __init__(
        self,
        features: nn.Module,
        head: nn.Module,
        mean: tuple[float, ...] = (0.0, 0.0, 0.0),
        sd: tuple[float, ...] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.features, self.head = features, head
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("sd", torch.tensor(sd).view(1, 3, 1, 1), persistent=False)

    def maps(self, images: Tensor) -> Tensor:
        """Map (n, 3, height, width) raw levels to the trunk's output."""
        return self.features((images / 255 - self.mean) / self.sd)  # type: ignore[operator]

    def classify(self, maps: Tensor) -> Tensor:
        """Map the trunk's output to logits."""
        return self.head(maps)

    def forward(self, images: Tensor) -> Tensor:
        """Map (n, 3, height, width) raw levels to (n, n_classes) logits."""
        return self.classify(self.maps(images))


class Resize(nn.Module):
    """Bilinear resampling to a fixed side."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) to (n, c, side, side)."""
        if x.shape[-2:] == (self.side, self.side):
            return x
        return nn.functional.interpolate(x, (self.side, self.side), mode="bilinear", antialias=True)


class SqueezeExcite(nn.Module):
    """Channel gates from mean and maximum of each channel (MSC-Net's variant of Hu et al. 2018)."""

    def __init__(self, width: int, reduction: int = 8) -> None:
        super().__init__()
        hidden = 2 * width // reduction
        self.gate = nn.Sequential(nn.Linear(2 * width, hidden), nn.ReLU(), nn.Linear(hidden, width), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) to the same shape, each channel times its gate."""
        pooled = torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
        return x * self.gate(pooled)[:, :, None, None]


class MultiScale(nn.Module):
    """One stage of MSC-Net: four dilated convolutions side by side, joined, added to their input, gated."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Sequential(nn.Conv2d(before, width, 1), nn.BatchNorm2d(width))
        self.scales = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=d, dilation=d), nn.BatchNorm2d(width), nn.ReLU())
            for d in _DILATIONS
        )
        self.join = nn.Sequential(nn.Conv2d(len(_DILATIONS) * width, width, 1), nn.BatchNorm2d(width))
        self.finish = nn.Sequential(nn.Mish(), SqueezeExcite(width))

    def forward(self, x: Tensor) -> Tensor:
        """(n, before, h, w) to (n, width, h, w)."""
        entered = self.enter(x)
        joined = self.join(torch.cat([scale(entered) for scale in self.scales], dim=1))
        return self.finish(joined + entered)


def m2ic_features() -> nn.Sequential:
    """2D-M2IC (Helaly et al. 2022): three valid convolutions on 100 x 100 pixels."""
    layers: list[nn.Module] = [Resize(_M2IC_SIDE)]
    for before, after in ((3, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(before, after, 3), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers)


def msc_features() -> nn.Sequential:
    """MSC-Net with SE (Liu et al. 2022), as in the authors' notebooks."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, padding=3), nn.MaxPool2d(2)]
    before = 64
    for number, width in enumerate(_MSC_WIDTHS):
        layers += [nn.MaxPool2d(2)] if number else []
        layers.append(MultiScale(before, width))
        before = width
    return nn.Sequential(*layers)


def pooled(width: int, n_classes: int) -> nn.Sequential:
    """Global average pooling and an output layer."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, n_classes))


def _flat(width: int, n_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(width, n_classes))


def _m2ic(n_classes: int, size: int) -> Comparator:
    return Comparator(m2ic_features(), _flat(64 * 10 * 10, n_classes))


def _msc(n_classes: int, size: int) -> Comparator:
    hidden = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 128), nn.ReLU(), nn.Linear(128, n_classes)]
    return Comparator(msc_features(), nn.Sequential(*hidden))


def _densenet(n_classes: int, size: int) -> Comparator:
    head = _flat(DENSENET_WIDTH * (size // 32) ** 2, n_classes)  # the notebooks flatten, they do not pool
    return Comparator(densenet121_features(), head, _IMAGENET_MEAN, _IMAGENET_SD)


def _vgg(n_classes: int, size: int) -> Comparator:
    return Comparator(vgg16_features(), pooled(VGG_WIDTH, n_classes), _IMAGENET_MEAN, _IMAGENET_SD)


def _xception(n_classes: int, size: int) -> Comparator:
    return Comparator(xception_features(), pooled(XCEPTION_WIDTH, n_classes), (0.5,) * 3, (0.5,) * 3)


def _mobilenet(n_classes: int, size: int) -> Comparator:
    return Comparator(mobilenet_features(), pooled(MOBILENET_WIDTH, n_classes), (0.5,) * 3, (0.5,) * 3)


def _pit(n_classes: int, size: int) -> Comparator:
    return Comparator(PitTiny(size), nn.Linear(PIT_WIDTH, n_classes), _IMAGENET_MEAN, _IMAGENET_SD)


def _efficientnet(n_classes: int, size: int) -> Comparator:
    head = pooled(EFFICIENTNET_WIDTH, n_classes)
    return Comparator(EfficientNetLite0(), head, EFFICIENTNET_MEAN, EFFICIENTNET_SD)


@dataclass(frozen=True)
class Network:
    """A comparison network: how it is built, for K classes and images of a side, and whether it starts pretrained."""

    build: Callable[[int, int], Comparator]
    pretrained: bool = False
    keeps_init: bool = False
    rename: Callable[[str], str | None] = str


NETWORKS = {
    "2d-m2ic": Network(_m2ic),
    "msc-net-se": Network(_msc),
    "densenet-121": Network(_densenet, pretrained=True, rename=torchvision_name),
    "vgg-16": Network(_vgg, pretrained=True),
    "xception": Network(_xception, pretrained=True),
    "mobilenet": Network(_mobilenet, pretrained=True),
    "pit-ti": Network(_pit, pretrained=True, keeps_init=True),
    "efficientnet-lite0": Network(_efficientnet, pretrained=True, rename=published_name),
}


def build(name: str, n_classes: int, size: int, weights: Path | None = None) -> Comparator:
    """Build a comparison network.

    Parameters
    ----------
    name : str
        A key of `NETWORKS`.
    n_classes, size : int
        Classes, and side of the images.
    weights : Path, optional
        Pretrained trunk; names in torchvision's layout for VGG-16 and DenseNet-121, the published ones for
        EfficientNet-Lite0, this module's for the others.
        The output layer, if the file has one, is left out.

    Raises
    ------
    InputError
        The file's trunk is not complete, or not of this network.
    """
    network = NETWORKS[name]
    model = network.build(n_classes, size)
    if not network.keeps_init:
        glorot_uniform(model)
    if weights is not None:

        def rename(key: str) -> str | None:
            return None if key.startswith(_HEADS) else network.rename(key.removeprefix("features."))

        load_into(model.features, read_weights(weights), rename=rename)
    return model
