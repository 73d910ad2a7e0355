"""The slice order: every orientation of a file gives the same slices, and masks go back to the file's own grid."""

import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtools.core.errors import InputError
from medtools.preprocess.ct.checks import as_hu, as_labels, check_lobes, check_slices, check_whole_lung
from medtools.preprocess.ct.grid import SliceGrid

SHAPE = (7, 6, 5)
SPACING = (0.7, 0.8, 3.0)
ORIENTATIONS = [
    "".join(code) for axes in itertools.permutations(("RL", "AP", "SI")) for code in itertools.product(*axes)
]


def reference():
    """An image whose axes run to the left, back and down: its slices are its transpose."""
    data = np.arange(np.prod(SHAPE)).reshape(SHAPE)
    affine = np.diag([-SPACING[0], -SPACING[1], -SPACING[2], 1.0])
    affine[:3, 3] = (40.0, 30.0, 20.0)
    return nib.Nifti1Image(data.astype(np.int32), affine)


def turned(code):
    """The same image stored along other axes."""
    image = reference()
    wanted = nib.orientations.axcodes2ornt(tuple(code))
    change = nib.orientations.ornt_transform(nib.orientations.io_orientation(image.affine), wanted)
    return image.as_reoriented(change)


@pytest.mark.parametrize("code", ORIENTATIONS)
def test_all_48_orientations_give_the_same_slices(code):
    expected = np.asarray(reference().dataobj).transpose(2, 1, 0)
    image = turned(code)
    grid = SliceGrid.of(image.shape, image.affine)

    slices = grid.to_slices(np.asarray(image.dataobj))

    assert np.array_equal(slices, expected)
    assert grid.spacing == pytest.approx((3.0, 0.8, 0.7))
    assert grid.voxel_ml == pytest.approx(0.7 * 0.8 * 3.0 / 1000)
    assert np.array_equal(grid.from_slices(slices), np.asarray(image.dataobj))


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(ORIENTATIONS), st.sampled_from(ORIENTATIONS))
def test_grids_are_the_same_whatever_the_order_of_their_axes(one, other):
    grids = [SliceGrid.of(turned(code).shape, turned(code).affine) for code in (one, other)]

    assert grids[0].same_as(grids[1])
    moved = grids[1].affine.copy()
    moved[0, 3] += 0.5
    assert not grids[0].same_as(SliceGrid.of(grids[1].shape, moved))


def test_another_number_of_slices_is_another_grid():
    image = reference()

    assert not SliceGrid.of(image.shape, image.affine).same_as(SliceGrid.of((7, 6, 4), image.affine))


@pytest.mark.parametrize(("degrees", "fits"), [(15, True), (25, False)])
def test_oblique_grids_are_refused_from_20_degrees_on(degrees, fits):
    angle = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]

    if fits:
        assert SliceGrid.of(SHAPE, turn @ reference().affine).axes == (2, 1, 0)
    else:
        with pytest.raises(InputError, match="oblique by 25 degrees"):
            SliceGrid.of(SHAPE, turn @ reference().affine)


def test_whole_hu_become_int16_and_fractions_stay_float():
    whole = np.array([[[-2000.0, 100.0]]])

    assert as_hu(whole).dtype == np.int16
    assert as_hu(whole).tolist() == [[[-1024, 100]]]
    fractions = as_hu(whole + 0.25)
    assert fractions.dtype == np.float32
    assert fractions.tolist() == [[[-1024, 100.25]]]


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [(-400, 1000, "no air"), (0, 4095, "no air"), (0, 1, "no air"), (-1000, -10, "no tissue"), (-1000, 1e6, "up to")],
)
def test_values_that_are_no_hu_are_refused(low, high, message):
    # The card's check 12: a minimum above -500 is suspicious.
    with pytest.raises(InputError, match=message):
        as_hu(np.array([[[low, high]]], dtype=float))


@pytest.mark.parametrize(
    ("counts", "spacing", "message"),
    [
        ((512, 512, 1), (0.7, 0.7, 5), "1 axial slices"),
        ((20, 512, 40), (0.7, 0.7, 5), "at least 32×32"),
        ((512, 512, 40), (0.7, 3.0, 0.7), "reformat"),
        ((512, 512, 40), (0.7, 0.7, 25), "25.0 mm apart"),
    ],
)
def test_volumes_without_axial_slices_of_a_chest_are_refused(counts, spacing, message):
    grid = SliceGrid.of(counts, np.diag([-spacing[0], -spacing[1], -spacing[2], 1.0]))

    with pytest.raises(InputError, match=message):
        check_slices(grid)


@pytest.mark.parametrize("value", [6, -1, 1.5, np.nan, 255])
def test_values_that_are_no_labels_are_refused(value):
    data = np.zeros((2, 3, 3))
    data[1, 2, 2] = value
    data[0, 0, 0] = 1

    with pytest.raises(InputError, match="expected 0 to 5"):
        as_labels(data, 5)


def test_a_mask_without_lung_is_refused():
    with pytest.raises(InputError, match="no lung"):
        as_labels(np.zeros((2, 3, 3)), 5)


def test_missing_lobes_are_named_and_swapped_sides_refused():
    lobes = np.zeros((2, 4, 8), dtype=np.uint8)
    lobes[:, :, 6:] = 1
    lobes[1, :, 6:] = 2
    lobes[:, :, :2] = 3
    lobes[1, :, :2] = 5

    assert check_lobes(lobes) == ["right middle"]
    with pytest.raises(InputError, match="patient's right"):
        check_lobes(lobes[:, :, ::-1])


@pytest.mark.parametrize("end", ["first", "last"])
def test_a_scan_that_ends_inside_the_lung_is_partial(end):
    lung = np.zeros((6, 10, 10), dtype=np.uint8)
    lung[1:5] = 1
    check_whole_lung(lung)
    lung[0 if end == "first" else -1, :3] = 1

    with pytest.raises(InputError, match=rf"partial lung: the {end} .* 30 %"):
        check_whole_lung(lung)
