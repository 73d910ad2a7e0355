"""Segmentation measures against MONAI, scipy, SimpleITK and shapes with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import SimpleITK
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance, compute_iou
from scipy.spatial.distance import cdist, directed_hausdorff

from medtools.core.errors import InputError
from medtools.metrics import segmentation as ours


def blobs(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Two overlapping, ragged masks that are not empty."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij"))
    radius = np.sqrt((grid**2).sum(axis=0))
    masks = [radius + 0.35 * rng.random(shape) + shift < 0.9 for shift in (0.0, rng.uniform(-0.2, 0.3))]
    for mask in masks:
        mask[tuple(n // 2 for n in shape)] = True
    return masks[0], masks[1]


SHAPES = st.sampled_from([(9, 12), (17, 5), (6, 9, 7)])


def as_monai(mask: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(mask[None, None].astype(np.float32))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), SHAPES)
def test_overlaps_and_distances_equal_monai(seed, shape):
    truth, predicted = blobs(seed, shape)
    spacing = [0.7, 1.5, 3.0][: len(shape)]
    t, p = as_monai(truth), as_monai(predicted)

    found = ours.surface_distances(truth, predicted, spacing)

    assert ours.dice(truth, predicted) == pytest.approx(float(compute_dice(p, t)), rel=1e-6)
    assert ours.iou(truth, predicted) == pytest.approx(float(compute_iou(p, t)), rel=1e-6)
    options = {"include_background": True, "spacing": spacing}
    assert found.hausdorff == pytest.approx(float(compute_hausdorff_distance(p, t, **options)), rel=1e-6)
    # MONAI interpolates percentiles in float32.
    hd95 = float(compute_hausdorff_distance(p, t, percentile=95, **options))
    assert found.hausdorff_percentile(95) == pytest.approx(hd95, rel=1e-5)
    assd = float(compute_average_surface_distance(p, t, symmetric=True, **options))
    assert found.average_symmetric == pytest.approx(assd, rel=1e-6)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), SHAPES)
def test_distances_equal_all_pairs_of_border_pixels(seed, shape):
    truth, predicted = blobs(seed, shape)

    def border(mask: np.ndarray) -> np.ndarray:
        padded = np.pad(mask, 1)
        inner = np.logical_and.reduce([np.roll(padded, s, axis) for axis in range(mask.ndim) for s in (-1, 1)])
        return np.argwhere(padded & ~inner) - 1

    a, b = border(truth), border(predicted)
    table = cdist(a, b)
    found = ours.surface_distances(truth, predicted)

    np.testing.assert_allclose(np.sort(found.from_truth), np.sort(table.min(axis=1)))
    np.testing.assert_allclose(np.sort(found.from_prediction), np.sort(table.min(axis=0)))
    assert found.hausdorff == pytest.approx(max(directed_hausdorff(a, b)[0], directed_hausdorff(b, a)[0]))
    assert found.mean_of_means == pytest.approx((table.min(axis=1).mean() + table.min(axis=0).mean()) / 2)


def test_hausdorff_of_separate_objects_equals_simpleitk():
    truth, predicted = np.zeros((20, 30), bool), np.zeros((20, 30), bool)
    truth[3:8, 2:9] = predicted[10:15, 12:25] = True
    measure = SimpleITK.HausdorffDistanceImageFilter()
    images = [SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in (truth, predicted)]
    for image in images:
        image.SetSpacing((0.8, 2.5))  # SimpleITK counts axes from the last
    measure.Execute(*images)

    assert ours.surface_distances(truth, predicted, (2.5, 0.8)).hausdorff == pytest.approx(
        measure.GetHausdorffDistance()
    )


def test_card_20_check_11_rectangles():
    truth, predicted = np.zeros((20, 40), bool), np.zeros((20, 40), bool)
    truth[5:10, 5:35], predicted[7:12, 5:15] = True, True

    found = ours.surface_distances(truth, predicted)

    assert (len(found.from_truth), len(found.from_prediction)) == (66, 26)
    assert found.average_symmetric == pytest.approx(6.09948, abs=5e-6)
    assert found.mean_of_means == pytest.approx(4.71735, abs=5e-6)
    assert ours.surface_distances(truth, np.roll(truth, 3, axis=0)).average_symmetric == pytest.approx(
        1.87879, abs=5e-6
    )


@pytest.mark.parametrize(
    ("tp", "fp", "fn", "dice", "iou"),
    [(30, 10, 20, 0.6667, 0.5), (2, 2, 2, 0.5, 1 / 3), (35, 10, 5, 0.8235, 0.70)],
    ids=["cards 25 and 26, check 10", "card 13, check 6", "card 15, check 10"],
)
def test_overlaps_known_from_the_cards(tp, fp, fn, dice, iou):
    truth = np.r_[np.ones(tp + fn, bool), np.zeros(fp + 7, bool)]
    predicted = np.r_[np.ones(tp, bool), np.zeros(fn, bool), np.ones(fp, bool), np.zeros(7, bool)]

    assert ours.dice(truth, predicted) == pytest.approx(dice, abs=5e-5)
    assert ours.iou(truth, predicted) == pytest.approx(iou, abs=5e-5)


def test_two_shifted_squares_have_known_measures():
    truth, predicted = np.zeros((12, 12), bool), np.zeros((12, 12), bool)
    truth[2:6, 2:6], predicted[2:6, 3:7] = True, True

    counted = ours.overlap(truth, predicted)

    assert (counted.true_positive, counted.false_positive, counted.false_negative, counted.true_negative) == (
        12,
        4,
        4,
        124,
    )
    assert ours.dice(truth, predicted) == 0.75
    assert ours.iou(truth, predicted) == 0.6
    assert ours.sensitivity(truth, predicted) == 0.75
    assert ours.precision(truth, predicted) == 0.75
    assert ours.specificity(truth, predicted) == 124 / 128
    assert ours.volume_difference(truth, predicted) == 0
    assert ours.surface_distances(truth, predicted).hausdorff == 1


def test_concentric_squares_are_as_far_apart_as_their_margins():
    truth, predicted = np.zeros((21, 21), bool), np.zeros((21, 21), bool)
    truth[2:19, 2:19], predicted[6:15, 6:15] = True, True

    found = ours.surface_distances(truth, predicted, (2.0, 2.0))

    assert found.hausdorff == pytest.approx(8 * math.sqrt(2))
    assert found.from_prediction.tolist() == [8.0] * 32


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), SHAPES)
def test_measures_do_not_care_who_comes_first_or_where_the_object_lies(seed, shape):
    truth, predicted = blobs(seed, shape)
    found, swapped = ours.surface_distances(truth, predicted), ours.surface_distances(predicted, truth)
    moved = ours.surface_distances(np.pad(truth, 3), np.pad(predicted, 3))

    assert ours.dice(truth, predicted) == ours.dice(predicted, truth)
    assert found.hausdorff == swapped.hausdorff == moved.hausdorff
    assert found.average_symmetric == pytest.approx(swapped.average_symmetric) == pytest.approx(moved.average_symmetric)
    d = ours.dice(truth, predicted)
    assert ours.iou(truth, predicted) == pytest.approx(d / (2 - d))


def test_empty_masks_have_defined_results():
    empty, full = np.zeros((4, 4), bool), np.ones((4, 4), bool)

    assert ours.dice(empty, empty) == ours.iou(empty, empty) == 1
    assert math.isnan(ours.dice(empty, empty, empty=math.nan))
    assert ours.dice(empty, full) == ours.iou(full, empty) == 0
    assert math.isnan(ours.sensitivity(empty, full))
    assert math.isnan(ours.precision(full, empty))
    assert math.isnan(ours.specificity(full, full))
    assert math.isnan(ours.volume_difference(empty, full))
    both, one = ours.surface_distances(empty, empty), ours.surface_distances(empty, full)
    assert (both.hausdorff, both.hausdorff_percentile(95), both.average_symmetric, both.mean_of_means) == (0, 0, 0, 0)
    assert (one.hausdorff, one.hausdorff_percentile(95), one.average_symmetric, one.mean_of_means) == (math.inf,) * 4


def test_masks_and_spacing_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match=r"truth has shape \(2, 2\), prediction \(2, 3\)"):
        ours.dice(np.zeros((2, 2)), np.zeros((2, 3)))
    for spacing in ((1.0,), (1.0, 0.0), (1.0, math.nan)):
        with pytest.raises(InputError, match="expected 2 positive lengths"):
            ours.surface_distances(np.ones((2, 2)), np.ones((2, 2)), spacing)
