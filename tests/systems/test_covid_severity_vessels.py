"""The vessel measure: ITK's numbers, the closed form, and the card's line and ground-glass patch."""

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from medtools.systems.covid_severity.model import vessel_mask
from medtools.systems.covid_severity.vessels import SIGMAS, bright_by_grey_level, bright_everywhere, objectness

THRESHOLD = 10 / 255

# ITK 5.4.7, MultiScaleHessianBasedMeasureImageFilter over `reference_image()`: dark objects of dimension 1, alpha 0.5,
# beta 1, gamma 5, not scaled, ten logarithmic steps from 0.2 to 2 pixels of a float64 image.
ITK_PLACES = (
    *((3, 7), (3, 9), (3, 11), (3, 19), (5, 5), (7, 3), (9, 3), (11, 11)),
    *((13, 13), (15, 15), (19, 3), (19, 19), (21, 5), (23, 3), (23, 9), (25, 25)),
)
ITK_VALUES = (
    *(0.6542189, 0.8340069, 0.9783041, 0.7395063, 0.7065286, 0.0835938, 0.0, 0.8012331),
    *(0.0, 0.8002592, 0.0934733, 0.9019017, 0.681566, 0.002171, 0.7313508, 0.0019099),
)


def reference_image():
    """28 by 28 pixels of waves, an edge and a ridge, whole numbers that any machine makes alike."""
    i, j = np.mgrid[:28, :28]
    waves = (7 * i * i + 13 * i * j + 5 * j * j + 3 * i) % 97 - 48
    return np.where((i - 13) ** 2 + (j - 14) ** 2 < 120, -860 + 2 * waves + 300 * (abs(i - j) < 2), 0).astype(float)


def simple_itk_objectness(image):
    """The same measure out of SimpleITK's recursive Gaussian derivatives."""
    source = SimpleITK.GetImageFromArray(image.astype(np.float32))

    def smoothed(order_x, order_y, sigma):
        result = source
        for direction, order in ((0, order_x), (1, order_y)):
            result = SimpleITK.RecursiveGaussian(result, sigma, True, order, direction)
        return SimpleITK.GetArrayFromImage(result).astype(float)

    largest = np.zeros(image.shape)
    zero, first, second = (
        SimpleITK.RecursiveGaussianImageFilter.ZeroOrder,
        SimpleITK.RecursiveGaussianImageFilter.FirstOrder,
        SimpleITK.RecursiveGaussianImageFilter.SecondOrder,
    )
    for sigma in SIGMAS:
        xx, xy, yy = smoothed(second, zero, sigma), smoothed(first, first, sigma), smoothed(zero, second, sigma)
        matrices = np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -1)
        values = np.linalg.eigvalsh(matrices)
        order = np.argsort(np.abs(values), axis=-1)
        small, large = np.moveaxis(np.take_along_axis(values, order, -1), -1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            measure = np.exp(-0.5 * (small / large) ** 2) * (1 - np.exp(-(small**2 + large**2) / 50))
        largest = np.maximum(largest, np.where(large > 0, measure, 0))
    return largest


def test_the_measure_is_itks_on_stored_values():
    measured = objectness(reference_image())

    found = [measured[place] for place in ITK_PLACES]

    assert found == pytest.approx(list(ITK_VALUES), abs=1e-5)


@pytest.mark.slow
def test_the_measure_is_itks_where_itk_is_installed():
    itk = pytest.importorskip("itk", reason="the oracle itself is not installed")
    image = np.round(np.random.default_rng(0).normal(-700, 200, (40, 50)))
    view = itk.GetImageViewFromArray(image)
    hessian = itk.Image[itk.SymmetricSecondRankTensor[itk.D, 2], 2]
    kind = itk.HessianToObjectnessMeasureImageFilter[hessian, type(view)]
    measure = kind.New(BrightObject=False, ScaleObjectnessMeasure=False, Alpha=0.5, Beta=1.0, Gamma=5.0)
    scales = itk.MultiScaleHessianBasedMeasureImageFilter[type(view), hessian, type(view)].New(view)
    scales.SetHessianToMeasureFilter(measure)
    scales.SetSigmaStepMethodToLogarithmic()
    scales.Update()

    expected = itk.GetArrayFromImage(scales.GetOutput())

    assert np.abs(objectness(image) - expected).max() < 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_the_measure_agrees_with_simpleitks_derivatives(seed):
    rng = np.random.default_rng(seed)
    image = np.round(ndimage.gaussian_filter(rng.normal(-600, 900, (45, 61)), seed))

    difference = np.abs(objectness(image) - simple_itk_objectness(image))

    # SimpleITK keeps float32 between its passes; only where two eigenvalues cancel may the sign of the larger turn.
    assert np.quantile(difference, 0.999) < 1e-4
    assert (difference > 1e-3).mean() < 2e-3


@pytest.mark.parametrize(("curvature", "expected"), [(5.0, 0.3935), (100.0, 1.0), (-5.0, 0.0), (-100.0, 0.0)])
def test_a_parabolic_valley_has_the_closed_form(curvature, expected):
    # The card's check 5: 0.5 a x² has λ2 = a and λ1 = 0, so M = 1 - exp(-a²/50). Derivatives are multiplied by σ², so
    # the valley is as deep as to reach a at the largest scale, σ = 2.
    x = np.arange(81) - 40.0
    field = np.broadcast_to(0.5 * curvature / SIGMAS[-1] ** 2 * x**2, (81, 81)).copy()

    measured = objectness(field)[30:51, 30:51]

    assert np.abs(measured - expected).max() < 2e-3


def test_a_steep_bowl_has_exp_of_minus_one_half():
    x = np.arange(81) - 40.0
    bowl = 100 * (x[:, None] ** 2 + x[None, :] ** 2)

    measured = objectness(bowl)[30:51, 30:51]

    assert measured == pytest.approx(np.full((21, 21), 0.6065), abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(
    hnp.arrays(np.int16, st.tuples(st.integers(4, 30), st.integers(4, 30)), elements=st.integers(-1024, 200)),
    st.integers(0, 2**32 - 1),
)
def test_stopping_early_and_cropping_change_no_pixel(image, seed):
    rng = np.random.default_rng(seed)
    lung = ndimage.binary_opening(rng.random(image.shape) < 0.8)
    inside = np.where(lung, image, 0)

    quick = bright_everywhere(image, lung, THRESHOLD)

    assert np.array_equal(quick, lung & (objectness(inside) <= THRESHOLD))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_grey_levels_are_those_of_the_measure_stretched_over_the_slice(seed):
    rng = np.random.default_rng(seed)
    lung = np.zeros((40, 50), dtype=bool)
    lung[5:30, 8:40] = True
    image = np.round(rng.normal(-700, 150, lung.shape))
    measure = objectness(np.where(lung, image, 0))

    found = bright_by_grey_level(image, lung, 10)

    assert np.array_equal(found, lung & (np.floor(measure * (255 / measure.max())) <= 10))


def test_an_empty_lung_has_no_vessels():
    assert not bright_everywhere(np.zeros((20, 20)), np.zeros((20, 20), dtype=bool), THRESHOLD).any()


def test_a_bright_line_is_a_vessel_and_noisy_lung_is_not():
    # The card's check 6: a line 4 pixels wide at 0 HU in lung of -850 HU with 30 HU of noise.
    rng = np.random.default_rng(6)
    lung = np.zeros((200, 200), dtype=bool)
    lung[10:190, 10:190] = True
    line = np.zeros_like(lung)
    line[98:102, 20:180] = True
    hu = np.where(line, 0.0, -850.0) + rng.normal(0, 30, lung.shape)

    vessels = vessel_mask(hu, lung)

    far = ndimage.binary_erosion(lung, iterations=6) & ~ndimage.binary_dilation(line, iterations=8)
    assert (vessels & line).sum() >= 0.99 * line.sum()
    assert (vessels & far).sum() <= 0.10 * far.sum()


def test_most_of_a_ground_glass_patch_is_no_vessel():
    # The card's check 6, second half: at most 35 % of a textured patch is removed.
    rng = np.random.default_rng(7)
    lung = np.zeros((200, 200), dtype=bool)
    lung[10:190, 10:190] = True
    y, x = np.mgrid[:200, :200]
    patch = (y - 100) ** 2 + (x - 100) ** 2 < 45**2
    hu = np.where(patch, rng.normal(-480, 60, lung.shape), rng.normal(-860, 25, lung.shape))
    hu = ndimage.gaussian_filter(hu, 1.0) + rng.normal(0, 35, lung.shape)

    removed = vessel_mask(hu, lung) & patch

    assert removed.sum() <= 0.35 * patch.sum()
