"""The made cardiac slices: what the card says of them (card 31, synthetic generator)."""

import numpy as np
import pytest

from medtools.preprocess.spect.simulate import LANDMARKS, cardiac_phantom


def made(seed, size=64):
    return cardiac_phantom(np.random.default_rng(seed), size)


MANY = [made(seed) for seed in range(40)]


def test_the_image_spans_0_to_1_and_every_tissue_is_there():
    for phantom in MANY:
        assert phantom.image.dtype == np.float32
        assert phantom.labels.dtype == np.uint8
        assert (phantom.image.min(), phantom.image.max()) == (0, 1)
        assert np.unique(phantom.labels).tolist() == [0, 1, 2, 3]


def test_tissues_shine_in_the_order_of_their_activity():
    means = np.array([[p.image[p.labels == value].mean() for value in range(4)] for p in MANY]).mean(axis=0)
    background, ventricle, myocardium, liver = means
    assert background < ventricle < liver < myocardium


def test_places_are_within_the_jitter_of_the_card():
    # Heart at (x, y) = (0.52, 0.45) S within 3 px; the wedge moves its centroid a little.
    centres = np.array([p.landmarks["ventricle_centroid"] for p in MANY])
    assert np.abs(centres - [0.45 * 64, 0.52 * 64]).max() < 3.5
    assert np.ptp(centres, axis=0).min() > 3
    liver = np.array([p.landmarks["liver_centroid"] for p in MANY])
    assert (np.abs(liver - [0.82 * 64, 0.25 * 64]).max(axis=0) < 8).all()


def test_areas_follow_from_radius_and_wall():
    # Disc radius is 0.10 to 0.18 S (outer 0.20-0.25 S less wall 0.07-0.10 S), axis ratio 0.8 to 1.
    areas = np.array([(p.labels == 1).sum() for p in MANY])
    assert areas.min() > 0.9 * np.pi * (0.10 * 64) ** 2 * 0.8
    assert areas.max() < 1.1 * np.pi * (0.18 * 64) ** 2


def test_the_wedge_is_a_gap_in_the_wall_at_its_landmark():
    for phantom in MANY:
        row, column = np.round(phantom.landmarks["wedge_midpoint"]).astype(int)
        assert phantom.labels[row, column] not in (1, 2)
        distance = np.hypot(*(np.subtract(phantom.landmarks["wedge_midpoint"], phantom.landmarks["heart_centroid"])))
        assert 0.8 * 0.15 * 64 - 2 < distance < 0.22 * 64 + 3
        lowest_row = np.argwhere(phantom.labels == 2)[:, 0].max()
        assert phantom.landmarks["lowest_myocardium"][0] == lowest_row


def test_the_noise_is_that_of_120_counts():
    # Inside the liver, away from its edge, activity is 0.75: variance of counts / 120 is 0.75 / 120, before min-max.
    deviations = []
    for phantom in MANY:
        inner = phantom.labels == 3
        for _ in range(5):
            inner = inner & np.roll(inner, 1, 0) & np.roll(inner, -1, 0) & np.roll(inner, 1, 1) & np.roll(inner, -1, 1)
        if inner.sum() > 50:
            values = phantom.image[inner] / phantom.image[inner].mean()
            deviations.append(values.std())
    assert np.mean(deviations) == pytest.approx(np.sqrt(0.75 / 120) / 0.75, rel=0.25)


@pytest.mark.parametrize("size", [32, 96, 128])
def test_another_size_is_the_same_anatomy(size):
    small, large = made(3), made(3, size)
    assert tuple(large.landmarks) == LANDMARKS
    for name in ("heart_centroid", "liver_centroid", "wedge_midpoint"):
        difference = np.subtract(large.landmarks[name], np.array(small.landmarks[name]) * size / 64)
        assert np.abs(difference).max() < 1.5


def test_the_same_generator_gives_the_same_bytes():
    assert made(5).image.tobytes() == made(5).image.tobytes()
    assert made(5).image.tobytes() != made(6).image.tobytes()
