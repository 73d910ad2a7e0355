"""CT series from DICOM: values and geometry as written."""

import itertools

import numpy as np
import pydicom
import pytest
from dicom_series import change, change_all, volume
from pydicom.uid import JPEG2000Lossless, RLELossless

from medtools.core.errors import InputError
from medtools.io.dicom import holds_dicom, read_ct
from medtools.io.write_dicom import write_ct


def test_values_and_geometry_come_back_as_written(series):
    found = read_ct(series)

    # Stored from the feet up, as columns, rows, slices.
    assert np.array_equal(found.hu.transpose(2, 1, 0)[::-1], volume())
    assert np.abs(np.diag(found.affine)[:3]) == pytest.approx([0.7, 0.8, 3.0])
    # The first voxel is the rightmost, front, lowest: in NIfTI's axes x and y fall, z rises.
    assert found.affine[:3, 3] == pytest.approx([48 * 0.7 / 2, 40 * 0.8 / 2, 0.0])
    assert np.sign(np.diag(found.affine)[:3]).tolist() == [-1, -1, 1]


def test_the_order_of_files_and_their_numbers_do_not_matter(series):
    expected = read_ct(series).hu
    names = sorted(path.name for path in series.iterdir())
    for name, other in zip(names, [names[i] for i in (3, 0, 5, 1, 4, 2)], strict=True):
        (series / name).rename(series / f"x{other}")
    for number, path in enumerate(sorted(series.iterdir())):
        change(path, InstanceNumber=7 * number % 5)

    assert np.array_equal(read_ct(series).hu, expected)


def test_feet_first_slices_come_back_in_the_same_places(series):
    head_first = read_ct(series)
    for path in series.iterdir():
        image = pydicom.dcmread(path)
        # The table runs the other way: the patient lies turned about the vertical, left and right and up and down swap.
        x, y, z = (float(value) for value in image.ImagePositionPatient)
        change(path, ImagePositionPatient=[-x, y, -z], ImageOrientationPatient=[-1, 0, 0, 0, 1, 0])

    turned = read_ct(series)

    assert np.linalg.det(turned.affine[:3, :3]) * np.linalg.det(head_first.affine[:3, :3]) > 0
    assert turned.hu.shape == head_first.hu.shape
    index = np.array([3, 4, 5, 1])
    place = turned.affine @ index
    again = np.linalg.solve(head_first.affine @ np.diag([1, 1, 1, 1]), np.diag([-1, 1, -1, 1]) @ place)
    assert turned.hu[3, 4, 5] == head_first.hu[tuple(np.rint(again[:3]).astype(int))]


@pytest.mark.parametrize("signed", [False, True])
def test_signed_and_unsigned_pixels_and_any_slope_give_hu(series, signed):
    expected = read_ct(series).hu
    for path in series.iterdir():
        image = pydicom.dcmread(path)
        hu = image.pixel_array.astype(int) - 1024
        stored = hu // 2 if signed else hu // 2 + 600
        image.RescaleSlope, image.RescaleIntercept = 2, 0 if signed else -1200
        image.PixelRepresentation = int(signed)
        image.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
        image.save_as(path)

    assert np.array_equal(read_ct(series).hu, expected // 2 * 2)


def test_slopes_may_differ_from_slice_to_slice(series):
    expected = read_ct(series).hu
    first = sorted(series.iterdir())[0]
    image = pydicom.dcmread(first)
    image.PixelData = (image.pixel_array.astype(int) + 76).astype("<u2").tobytes()
    image.RescaleIntercept = -1100
    image.save_as(first)

    assert np.array_equal(read_ct(series).hu, expected)


def test_monochrome1_is_only_a_matter_of_display(series):
    expected = read_ct(series).hu

    change_all(series, PhotometricInterpretation="MONOCHROME1")

    assert np.array_equal(read_ct(series).hu, expected)


def test_padding_and_what_lies_below_air_become_air(series):
    path = sorted(series.iterdir())[0]
    image = pydicom.dcmread(path)
    pixels = image.pixel_array.astype(np.int16) - 1024
    pixels[0, 0], pixels[1, 1] = -2000, -3024
    image.PixelRepresentation, image.RescaleIntercept = 1, 0
    image.PixelData = pixels.astype("<i2").tobytes()
    image.add_new("PixelPaddingValue", "SS", -2000)
    image.save_as(path)

    found = read_ct(series).hu

    assert found[0, 0, 0] == found[1, 1, 0] == -1024


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=["RLE", "JPEG2000"])
def test_compressed_pixels_are_decoded(series, syntax):
    expected = read_ct(series).hu
    for path in series.iterdir():
        image = pydicom.dcmread(path)
        image.compress(syntax)
        image.save_as(path)

    assert np.array_equal(read_ct(series).hu, expected)


def test_slices_all_at_one_place_have_zero_thickness(series):
    change_all(series, ImagePositionPatient=[0, 0, 0])

    with pytest.raises(InputError, match="same position"):
        read_ct(series)


def test_a_sheared_stack_is_a_tilted_gantry(series):
    for index, path in enumerate(sorted(series.iterdir())):
        change(path, ImagePositionPatient=[0, 0.6 * index, 3.0 * index])

    with pytest.raises(InputError, match=r"gantry tilt of 11\.3 degrees"):
        read_ct(series)


def test_the_tag_of_a_tilted_gantry_is_believed(series):
    change_all(series, GantryDetectorTilt=-12.5)

    with pytest.raises(InputError, match=r"gantry tilt of 12\.5 degrees"):
        read_ct(series)


def test_two_series_in_one_folder_are_listed_and_one_may_be_chosen(series):
    write_ct(series / "b", volume(4, seed=9), (5.0, 0.8, 0.7), name="second", description="")

    with pytest.raises(InputError, match=r"2 CT series in one folder \(1: CT, 6 files.*2: CT, 4 files.*--series N"):
        read_ct(series)
    assert read_ct(series, series=2).hu.shape == (48, 40, 4)
    with pytest.raises(InputError, match="no CT series 3"):
        read_ct(series, series=3)


def test_a_single_slice_is_no_volume(series):
    for path in sorted(series.iterdir())[1:]:
        path.unlink()

    with pytest.raises(InputError, match="a single slice"):
        read_ct(series)


def test_other_files_are_passed_over(series):
    (series / "README.txt").write_text("notes")
    (series / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (series / ".hidden.dcm").write_bytes(b"")

    assert read_ct(series).hu.shape == (48, 40, 6)
    assert holds_dicom(series)


def test_equal_volumes_are_written_as_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_ct(tmp_path / name, volume(), (3.0, 0.8, 0.7), name="x", description="y")

    pairs = itertools.product(("a", "b"), range(1, 7))
    contents = {(name, i): (tmp_path / name / f"{i:04d}.dcm").read_bytes() for name, i in pairs}
    assert all(contents["a", i] == contents["b", i] for i in range(1, 7))
