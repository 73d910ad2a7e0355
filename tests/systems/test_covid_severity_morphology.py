"""Morphology of a slice: OpenCV's, scikit-image's and scipy's results, and the card's counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import morphology as sk

from medtools.systems.covid_severity.model import remove_pleura
from medtools.systems.covid_severity.morphology import (
    canny_edges,
    dilate_cross,
    dilate_ellipse5,
    dilate_square,
    erode_cross,
    erode_ellipse5,
    fill_holes,
    remove_small,
    upper_edge,
)

ELLIPSE5 = np.ones((5, 5), dtype=bool)
ELLIPSE5[[0, 4]] = [False, False, True, False, False]


@st.composite
def masks(draw):
    """Blobs of random size and coarseness, touching the border or not."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.integers(5, 60)), draw(st.integers(5, 60))
    field = ndimage.gaussian_filter(rng.normal(size=shape), draw(st.floats(0, 4)))
    return field > np.quantile(field, draw(st.floats(0.1, 0.95)))


@settings(max_examples=60, deadline=None)
@given(masks(), st.integers(1, 4))
def test_erosion_and_dilation_are_opencvs(mask, times):
    cv2 = pytest.importorskip("cv2", reason="the oracle is not installed")
    grey = mask.astype(np.uint8)
    for size, erode, dilate in ((3, erode_cross, dilate_cross), (5, erode_ellipse5, dilate_ellipse5)):
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))

        assert np.array_equal(erode(mask, times), cv2.erode(grey, kernel, iterations=times) > 0)
        assert np.array_equal(dilate(mask, times), cv2.dilate(grey, kernel, iterations=times) > 0)


@settings(max_examples=150, deadline=None)
@given(masks())
def test_edges_are_those_of_opencvs_canny(mask):
    cv2 = pytest.importorskip("cv2", reason="the oracle is not installed")

    assert np.array_equal(canny_edges(mask), cv2.Canny(mask.astype(np.uint8) * 255, 1, 1) > 0)


@settings(max_examples=60, deadline=None)
@given(masks(), st.sampled_from([2, 3, 7, 10, 12]))
def test_dilation_is_scipys(mask, width):
    assert np.array_equal(dilate_square(mask, width), ndimage.binary_dilation(mask, np.ones((width, width))))
    assert np.array_equal(dilate_cross(mask, 2), ndimage.binary_dilation(mask, iterations=2))
    assert np.array_equal(dilate_ellipse5(mask), ndimage.binary_dilation(mask, ELLIPSE5))
    assert np.array_equal(erode_ellipse5(mask), ndimage.binary_erosion(mask, ELLIPSE5, border_value=1))


@settings(max_examples=60, deadline=None)
@given(masks(), st.integers(1, 60))
def test_small_parts_and_holes_are_scikit_images(mask, size):
    assert np.array_equal(remove_small(mask, size), sk.remove_small_objects(mask, max_size=size - 1, connectivity=1))
    assert np.array_equal(fill_holes(mask, size), sk.remove_small_holes(mask, max_size=size, connectivity=1))


@pytest.mark.parametrize("size", [29, 30])
def test_a_component_of_30_pixels_stays_and_one_of_29_goes(size):
    # The card's check 8 (min_size = 30).
    mask = np.zeros((20, 40), dtype=bool)
    mask[5, 3:33] = True
    mask[5, 3 + size :] = False

    assert remove_small(mask, 30).sum() == (30 if size == 30 else 0)


@pytest.mark.parametrize("size", [30, 31])
def test_a_hole_of_30_pixels_is_filled_and_one_of_31_stays(size):
    # The card's check 8: at most 30.
    mask = np.ones((20, 60), dtype=bool)
    mask[5, 3 : 3 + size] = False

    assert fill_holes(mask, 30).all() == (size == 30)


def test_the_pleura_is_three_pixels_on_every_side():
    # The card's check 9: 101 by 101 becomes 95 by 95.
    labels = np.zeros((121, 121), dtype=np.uint8)
    labels[10:111, 10:111] = 3

    inner = remove_pleura(labels)

    rows, columns = np.nonzero(inner)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (13, 107, 13, 107)
    assert np.count_nonzero(inner) == 95 * 95
    assert set(np.unique(inner)) == {0, 3}


def test_the_upper_edge_leaves_out_the_lowest_part():
    mask = np.zeros((60, 40), dtype=bool)
    mask[10:51, 5:30] = True
    whole = np.flatnonzero(canny_edges(mask).any(axis=1))

    kept = np.flatnonzero(upper_edge(mask, 0.6).any(axis=1))

    height = whole[-1] - whole[0]
    assert kept[0] == whole[0]
    assert kept[-1] == whole[-1] - int(0.6 * height) - 1


def test_an_empty_mask_has_no_edge():
    empty = np.zeros((12, 9), dtype=bool)

    assert not upper_edge(empty, 0.5).any()
    assert not canny_edges(empty).any()
