"""The network: an encoder of local features, and a head without parameters that compares them cell by cell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn
from torch.nn import functional

from medtools.nn.efficientnet import MEAN, SD, EfficientNetLite0, load_published
from medtools.nn.resnet import ResNet, load_torchvision
from medtools.systems.local_prototype.cells import Cells
from medtools.systems.local_prototype.protocol import REFERENCE_SIZE
from medtools.systems.local_prototype.prototypes import Vote, local_prototypes, similarity, with_background

TrunkName = Literal["resnet50", "efficientnet-lite0"]
EncoderName = Literal["resnet50", "efficientnet-lite0", "intensity"]
_FUSED, _FUSE_DILATION, _FUSE_SD, _DROPOUT = 256, 2, 0.01, 0.5


@dataclass(frozen=True)
class _Trunk:
    """A classification network cut and dilated to an eighth of the resolution, and the two levels that are taken."""

    build: Callable[[float], ResNet | EfficientNetLite0]
    levels: tuple[int, int]
    load: Callable[..., None]
    mean: float = 0.0
    sd: float = 1.0


_TRUNKS: dict[str, _Trunk] = {
    "resnet50": _Trunk(
        lambda width: ResNet(
            "bottleneck",
            (3, 4, 6),
            width=width,
            strides=(1, 2, 1),
            dilations=(1, 1, 2),
            stride_on_first=True,
            ceil_pool=True,
        ),
        (1, 2),
        load_torchvision,
    ),
    "efficientnet-lite0": _Trunk(
        lambda _: EfficientNetLite0(5, (1, 2, 2, 1, 1)), (2, 4), load_published, mean=MEAN[0], sd=SD[0]
    ),
}


class DilatedEncoder(nn.Module):
    """Two levels of a trunk, fused by a dilated convolution.

    The paper's trunk is a ResNet-50 without its last stage, the third dilated instead of strided, as in CANet (Zhang et
    al. 2019): 12,082,496 parameters at width 1, of which the 30,592 scales and shifts of batch normalisation are
    frozen. EfficientNet-Lite0 takes its place where its weights are at hand and ResNet-50's are not.

    Parameters
    ----------
    trunk : {"resnet50", "efficientnet-lite0"}
    width : float
        Scale of ResNet's widths and of the fused features.
    fused : bool
        Fuse the levels; without it they are laid side by side as they are, and nothing is left to be trained.
    """

    def __init__(self, trunk: TrunkName = "resnet50", width: float = 1.0, *, fused: bool = True) -> None:
        super().__init__()
        self.kind = _TRUNKS[trunk]
        self.trunk = self.kind.build(width)
        found = sum(self.trunk.channels[level] for level in self.kind.levels)
        self.channels = max(1, round(_FUSED * width)) if fused else found
        self.fuse = _fusion(found, self.channels) if fused else None
        self.drop = nn.Dropout2d(_DROPOUT)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.requires_grad_(False)
                module.bias.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 1, height, width) in [0, 1] to (batch, channels, h, w); 512 pixels give 65, or 64 of EfficientNet.

        Fused features are nowhere below 0.
        """
        maps = self.trunk.feature_maps(((images - self.kind.mean) / self.kind.sd).expand(-1, 3, -1, -1))
        levels = torch.cat([maps[level] for level in self.kind.levels], dim=1)
        return levels if self.fuse is None else self.drop(functional.relu(self.fuse(levels)))

    def load(self, path: str | Path) -> None:
        """Fill the trunk with ImageNet weights: torchvision's of ResNet-50, or the published ones of EfficientNet.

        Raises
        ------
        InputError
            As `medtools.nn.resnet.load_torchvision`.
        """
        self.kind.load(self.trunk, path)


class IntensityEncoder(nn.Module):
    """A fixed encoder to measure training against: how near the blurred intensity is to each of nine grey levels.

    18 channels exp(-((I_s - c) / 0.08)^2), c from 0.1 to 1.0 in nine steps, I blurred by s = 1.5 and 4 pixels of an
    image of 128. Nothing in it is learned.
    """

    channels = 18
    _LEVELS, _WIDTH, _BLURS, _SIZE = 9, 0.08, (1.5, 4.0), 128

    def forward(self, images: Tensor) -> Tensor:
        """(batch, 1, height, width) in [0, 1] to (batch, 18, h, w), at most 128 pixels wide."""
        small = images
        if max(images.shape[-2:]) > self._SIZE:
            small = functional.interpolate(images, size=(self._SIZE, self._SIZE), mode="bilinear", antialias=True)
        levels = torch.linspace(0.1, 1.0, self._LEVELS, device=images.device)[None, :, None, None]
        blurred = [_blur(small, sigma * max(small.shape[-2:]) / self._SIZE) for sigma in self._BLURS]
        return torch.cat([torch.exp(-(((image - levels) / self._WIDTH) ** 2)) for image in blurred], dim=1)


class LocalPrototypeNetwork(nn.Module):
    """Few-shot segmentation by prototypes of image cells.

    Parameters
    ----------
    encoder : {"resnet50", "efficientnet-lite0", "intensity"}
    size : int
        Pixels along each side of an image.
    alpha : float
        Side of a cell as a share of the image; 1 gives one global prototype for each class.
    overlap : bool
        Cells half a cell apart, instead of side by side.
    vote : {"max", "mean", "last"}
    min_pixels : int
        As for `local_prototypes`, counted in slices of 512x512 and scaled by the number of pixels.
    temperature : float
        Factor of the cosine in the softmax.
    width, fused
        Of the encoder, as for `DilatedEncoder`.
    """

    def __init__(
        self,
        encoder: EncoderName = "resnet50",
        *,
        size: int = 512,
        alpha: float = 1 / 8,
        overlap: bool = True,
        vote: Vote = "max",
        min_pixels: int = 0,
        temperature: float = 20.0,
        width: float = 1.0,
        fused: bool = True,
    ) -> None:
        super().__init__()
        self.encoder = IntensityEncoder() if encoder == "intensity" else DilatedEncoder(encoder, width, fused=fused)
        self.size, self.alpha, self.overlap = size, alpha, overlap
        self.vote: Vote = vote
        self.min_pixels, self.temperature = min_pixels, temperature
        _ = self.cells  # an alpha that does not fit is refused before any work

    @cached_property
    def cells(self) -> Cells:
        """The cells of the image."""
        return Cells.of(self.size, self.size, self.alpha, overlap=self.overlap)

    def prototypes(self, features: Tensor, masks: Tensor) -> Tensor:
        """(batch, shots, channels, h, w) and (batch, shots, n, height, width) to (batch, n + 1, cells, channels)."""
        fewest = self.min_pixels * self.size**2 / REFERENCE_SIZE**2
        return local_prototypes(features, with_background(masks), self.cells, min_pixels=fewest)

    def logits(self, features: Tensor, prototypes: Tensor) -> Tensor:
        """Scores of every pixel before the softmax of Eq. 2, (batch, n + 1, height, width)."""
        return self.temperature * similarity(features, prototypes, self.cells, vote=self.vote)[0]

    def forward(self, support: Tensor, masks: Tensor, query: Tensor) -> Tensor:
        """Segment queries by their supports.

        Parameters
        ----------
        support : (batch, shots, height, width)
        masks : (batch, shots, n, height, width)
        query : (batch, height, width)

        Returns
        -------
        (batch, n + 1, height, width)
            Logits; class 0 is the background.
        """
        of_support, of_query = self.encode(support, query)
        return self.logits(of_query, self.prototypes(of_support, masks))

    def encode(self, support: Tensor, query: Tensor) -> tuple[Tensor, Tensor]:
        """Return features of supports and queries, encoded together: (batch, shots, c, h, w), (batch, c, h, w)."""
        batch, shots = support.shape[:2]
        features = self.encoder(torch.cat([support.flatten(0, 1), query])[:, None])
        return features[: batch * shots].unflatten(0, (batch, shots)), features[batch * shots :]


def episode_loss(
    network: LocalPrototypeNetwork, support: Tensor, masks: Tensor, query: Tensor, target: Tensor, alignment: float
) -> dict[str, Tensor]:
    """Cross-entropy of the query's pixels; with `alignment`, PANet's regulariser (Wang et al. 2019) as well.

    The regulariser segments the supports by prototypes of the query under its predicted mask.

    Parameters
    ----------
    support, masks, query
        As for `LocalPrototypeNetwork.forward`.
    target : (batch, height, width) int64
        Class of each pixel; 255 is left out.
    alignment : float
        Weight of the regulariser.
    """
    of_support, of_query = network.encode(support, query)
    logits = network.logits(of_query, network.prototypes(of_support, masks))
    segmentation = functional.cross_entropy(logits, target, ignore_index=255)
    if not alignment:
        return {"loss": segmentation}
    predicted = functional.one_hot(logits.argmax(1), logits.shape[1]).movedim(-1, 1)[:, 1:].to(query.dtype)
    back = network.prototypes(of_query[:, None], predicted[:, None])
    shots = support.shape[1]
    again = network.logits(of_support.flatten(0, 1), back.repeat_interleave(shots, dim=0))
    truth = with_background(masks).argmax(dim=2).flatten(0, 1)
    aligned = functional.cross_entropy(again, truth)
    return {"loss": segmentation + alignment * aligned, "segmentation": segmentation, "alignment": aligned}


def _fusion(channels: int, out: int) -> nn.Conv2d:
    convolution = nn.Conv2d(channels, out, 3, padding=_FUSE_DILATION, dilation=_FUSE_DILATION)
    nn.init.normal_(convolution.weight, std=_FUSE_SD)
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return convolution


def _blur(images: Tensor, sigma: float) -> Tensor:
    """Gaussian blur as two matrix products, mirrored at the edges."""

    def matrix(size: int) -> Tensor:
        kernel = gaussian_filter1d(torch.eye(size).numpy(), sigma, axis=0, mode="reflect")
        return torch.from_numpy(kernel).to(images)

    return matrix(images.shape[-2]) @ images @ matrix(images.shape[-1]).T
