"""The DCGAN that adds scans to a diseased class (Radford et al. 2016), and its two objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from medtools.core.errors import InputError
from medtools.core.seeds import child_seed, seeded
from medtools.training.batches import TensorBatches
from medtools.training.fit import fit
from medtools.training.inference import predict
from medtools.training.objective import Objective, Step
from medtools.training.settings import FitSettings

LATENT = 100
_BATCH = 16
_LEARNING_RATE, _BETAS, _INIT_SD, _SLOPE = 2e-4, (0.5, 0.999), 0.02, 0.2


@dataclass(frozen=True)
class GanPlan:
    """Widths of both nets, the generator's first to last: 512 down to 16 in the paper's size."""

    widths: tuple[int, ...] = (512, 256, 128, 64, 32, 16)


class Generator(nn.Module):
    """z (n, 100) to images (n, 1, height, width) in [-1, 1]."""

    def __init__(self, size: tuple[int, int], plan: GanPlan) -> None:
        super().__init__()
        self.start = (plan.widths[0], *_smallest(size, len(plan.widths)))
        cells = self.start[0] * self.start[1] * self.start[2]
        norm = nn.BatchNorm2d(self.start[0])
        self.enter = nn.Sequential(nn.Linear(LATENT, cells), nn.Unflatten(1, self.start), norm, nn.ReLU())
        layers: list[nn.Module] = []
        for before, after in pairwise(plan.widths):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.grow = nn.Sequential(*layers, nn.ConvTranspose2d(plan.widths[-1], 1, 4, 2, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Draw images from noise."""
        return self.grow(self.enter(z))


class Discriminator(nn.Module):
    """Images (n, 1, height, width) in [-1, 1] to (n,) logits, positive for real."""

    def __init__(self, size: tuple[int, int], plan: GanPlan) -> None:
        super().__init__()
        widths = plan.widths[::-1]
        layers: list[nn.Module] = [nn.Conv2d(1, widths[0], 4, 2, 1), nn.LeakyReLU(_SLOPE)]
        for before, after in pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(_SLOPE)]
        self.judge = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, _smallest(size, len(widths))))

    def forward(self, images: Tensor) -> Tensor:
        """Judge images."""
        return self.judge(images).flatten()


class Gan(nn.Module):
    """Both nets, drawn as the DCGAN paper draws them: N(0, 0.02)."""

    def __init__(self, size: tuple[int, int], plan: GanPlan | None = None) -> None:
        super().__init__()
        self.generator = Generator(size, plan or GanPlan())
        self.discriminator = Discriminator(size, plan or GanPlan())
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                nn.init.normal_(layer.weight, 0.0, _INIT_SD)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
            elif isinstance(layer, nn.BatchNorm2d):
                nn.init.normal_(layer.weight, 1.0, _INIT_SD)

    def forward(self, z: Tensor) -> Tensor:
        """Draw images from noise."""
        return self.generator(z)


def objectives() -> Sequence[Objective]:
    """Return what both nets minimise, in turn on each batch of (images in [-1, 1], noise): first the discriminator."""

    def discriminate(model: nn.Module, batch: tuple[Tensor, Tensor], _: Step) -> Tensor:
        images, z = batch
        with torch.no_grad():
            made = model.generator(z)  # type: ignore[operator]
        real, fake = model.discriminator(images), model.discriminator(made)  # type: ignore[operator]
        return _bce(real, 1.0) + _bce(fake, 0.0)

    def generate(model: nn.Module, batch: tuple[Tensor, Tensor], _: Step) -> Tensor:
        return _bce(model.discriminator(model.generator(batch[1])), 1.0)  # type: ignore[operator]

    return (
        Objective(discriminate, lambda model: _adam(model.discriminator), name="discriminator"),  # type: ignore[arg-type]
        Objective(generate, lambda model: _adam(model.generator), name="generator"),  # type: ignore[arg-type]
    )


def train_gan(
    images: NDArray[np.float32], *, out: Path, settings: FitSettings, seed: int, device: str, overwrite: bool = False
) -> Gan:
    """Train on the scans of one class.

    Parameters
    ----------
    images : (n, height, width) float32
        In [0, 1]; at least two.
    out, settings, seed, device, overwrite
        As for `fit`.

    Raises
    ------
    InputError
        Fewer than two images.
    """
    if len(images) < 2:
        raise InputError("DCGAN", f"a class of {len(images)} image", "a GAN needs at least 2; leave the class as it is")

    def with_noise(batch: tuple[Tensor], rng: torch.Generator) -> tuple[Tensor, Tensor]:
        return batch[0], torch.randn((len(batch[0]), LATENT), generator=rng)

    batch = min(_BATCH, len(images))
    data = TensorBatches((images[:, None] * 2 - 1,), batch, seed=seed, drop_last=True, augment=with_noise)
    with seeded(child_seed(seed, "weights")):
        gan = Gan((images.shape[1], images.shape[2]))
    result = fit(gan, objectives(), data, out=out, settings=settings, seed=seed, device=device, overwrite=overwrite)
    return result.model  # type: ignore[return-value]


def draw(gan: Gan, count: int, seed: int) -> NDArray[np.float32]:
    """Draw (count, height, width) images in [0, 1]."""
    z = torch.randn((count, LATENT), generator=torch.Generator().manual_seed(seed))
    made = predict(gan, TensorBatches((z,), _BATCH), lambda model, batch: model(batch[0]))
    return ((made[:, 0] + 1) / 2).clamp(0, 1).numpy().astype(np.float32)


def _adam(part: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(part.parameters(), lr=_LEARNING_RATE, betas=_BETAS)


def _bce(logits: Tensor, target: float) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def _smallest(size: tuple[int, int], halvings: int) -> tuple[int, int]:
    factor = 2**halvings
    if size[0] % factor or size[1] % factor:
        found = f"{size[0]}×{size[1]} pixels do not halve {halvings} times"
        raise InputError("images", found, f"sides must be multiples of {factor}")
    return size[0] // factor, size[1] // factor
