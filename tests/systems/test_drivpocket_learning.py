"""How drivpocket is trained: the card's hyperparameters, and data that a resumed run must find again."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from medtools.systems.drivpocket.data import Atoms, Example, Sampling, SegmentationExamples
from medtools.systems.drivpocket.learning import CandidateBatches, segmentation_objective
from medtools.systems.drivpocket.params import RankParams, SegmentParams

RNG = np.random.default_rng(0)
ATOMS = Atoms(RNG.uniform(-10, 10, (200, 3)), RNG.integers(0, 14, 200))
EXAMPLES = [
    Example(0, np.zeros(3), 1, RNG.uniform(-3, 3, (20, 3))),
    Example(0, np.full(3, 2.0), 0),
]


def fingerprint(atoms: Atoms = ATOMS, **changes: object) -> str:
    """Identify two candidates, the first of them changed."""
    examples = [dataclasses.replace(EXAMPLES[0], **changes), EXAMPLES[1]]
    return CandidateBatches(SegmentationExamples([atoms], examples, Sampling()), 1).fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        {"label": 0},
        {"centre": np.full(3, 0.25)},
        {"cavity": EXAMPLES[0].cavity + 0.5},
        {"cavity": None},
        {"atoms": dataclasses.replace(ATOMS, xyz=ATOMS.xyz + 0.5)},
        {"atoms": dataclasses.replace(ATOMS, channels=ATOMS.channels[::-1])},
    ],
    ids=["label", "centre", "cavity", "no cavity", "atoms", "types"],
)
def test_a_run_is_not_resumed_on_other_labels_cavities_or_atoms(change):
    assert fingerprint(**change) != fingerprint()
    assert fingerprint() == fingerprint()


def test_shapes_are_trained_as_in_the_paper():
    # Card, method stage 6: SGD 1e-3, momentum 0.9, weight decay 1e-3, times 0.9 every 5 epochs, clip 10, 100 epochs of
    # batches of 8; the best validation IoU is kept.
    params = SegmentParams()
    objective = segmentation_objective(params)
    optimiser = objective.optimiser(torch.nn.Linear(1, 1))
    schedule = objective.schedule(optimiser)
    rates = []
    for _ in range(11):
        rates.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()

    assert rates == pytest.approx([1e-3] * 5 + [9e-4] * 5 + [8.1e-4])
    assert objective.per == "epoch"
    assert (optimiser.param_groups[0]["momentum"], optimiser.param_groups[0]["weight_decay"]) == (0.9, 1e-3)
    assert (params.gradient_clip, params.epochs, params.batch_size) == (10, 100, 8)
    assert (params.monitor, params.mode, params.keep) == ("val_iou", "max", "best")
    assert (params.loss, params.heads, params.halving) == ("paper", 4, "maxpool")
    assert RankParams().learning_rate == 1e-3
