"""Initial weights as Keras draws them, for methods whose authors worked in it."""

from __future__ import annotations

from torch import nn

KERAS_BN_MOMENTUM, KERAS_BN_EPS = 0.01, 1e-3
"""Keras' BatchNormalization defaults; its momentum 0.99 is PyTorch's 0.01."""


def glorot_uniform(model: nn.Module) -> nn.Module:
    """Draw all weights of convolutions and linear layers from Glorot's uniform distribution, biases zero.

    Source: Glorot and Bengio 2010 (AISTATS). Returns the same module, changed in place.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and layer.weight.device.type != "meta":
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return model
