"""DenseNet-121's trunk (Huang et al. 2017), by MONAI; weight files of torchvision's layout fit after renaming."""

from __future__ import annotations

import re

from monai.networks.nets import DenseNet121
from torch import nn

WIDTH = 1024
_LAYER = re.compile(r"(denselayer\d+)\.(norm|relu|conv)([12])\.")


def densenet121_features() -> nn.Sequential:
    """Return the trunk: (n, 3, h, w) to (n, 1024, h / 32, w / 32), rectified."""
    trunk = DenseNet121(spatial_dims=2, in_channels=3, out_channels=1).features
    trunk.add_module("relu5", nn.ReLU())
    return trunk


def torchvision_name(name: str) -> str:
    """Turn a name of torchvision's layout into MONAI's, which nests each dense layer's parts in `layers`."""
    return _LAYER.sub(r"\1.layers.\2\3.", name)
