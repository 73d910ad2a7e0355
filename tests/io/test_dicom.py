"""CT series from DICOM: values and geometry as written, and every fault named before or instead of a wrong volume."""

import itertools
import resource
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from medtools.core.errors import InputError, RefusedError
from medtools.io.dicom import find_series, holds_dicom, read_ct
from medtools.io.write_dicom import write_ct

CANARY = "Canary^Patient"


def volume(n_slices=6, height=40, width=48, seed=0):
    """Slices head to feet of random HU."""
    return np.random.default_rng(seed).integers(-1000, 1500, (n_slices, height, width)).astype(np.int16)


@pytest.fixture
def series(tmp_path):
    """A folder with a good series of 6 slices, 3 mm apart, pixels of 0.8 by 0.7 mm."""
    write_ct(tmp_path / "ct", volume(), (3.0, 0.8, 0.7), name=CANARY, description="axial")
    return tmp_path / "ct"


def change(path, **values):
    """Rewrite one file with other values; None deletes."""
    image = pydicom.dcmread(path)
    for name, value in values.items():
        if value is None:
            delattr(image, name)
        else:
            setattr(image, name, value)
    image.save_as(path)


def change_all(folder, **values):
    for path in sorted(folder.glob("*.dcm")):
        change(path, **values)


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


def test_damaged_compressed_pixels_are_named(series, caplog):
    path = sorted(series.iterdir())[2]
    image = pydicom.dcmread(path)
    image.compress(JPEG2000Lossless)
    image.PixelData = pydicom.encaps.encapsulate([b"\xff\x4f\xff\x51" + b"\0" * 40])
    image.save_as(path)

    with pytest.raises(InputError, match=r"0003\.dcm: damaged pixel data \(JPEG 2000"):
        read_ct(series)
    assert not caplog.records


def test_a_compression_without_a_decoder_says_what_to_install(series, monkeypatch):
    path = sorted(series.iterdir())[0]
    image = pydicom.dcmread(path)
    image.PixelData = pydicom.encaps.encapsulate([b"\xff\xd8\xff\xe0"])
    image.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    image["PixelData"].is_undefined_length = True
    image.save_as(path)
    fault = RuntimeError("Unable to decompress: all plugins are missing dependencies: pylibjpeg")
    monkeypatch.setattr(pydicom.FileDataset, "pixel_array", property(lambda _: (_ for _ in ()).throw(fault)))

    with pytest.raises(InputError, match=r"no decoder for JPEG Baseline.*pylibjpeg"):
        read_ct(series)


@pytest.mark.parametrize("kept", [0, 100, 200, 500, 600, 700, 800, 900, 1000, -400])
def test_a_truncated_file_is_named(series, kept):
    path = series / "0004.dcm"
    content = path.read_bytes()
    path.write_bytes(content[:kept])

    with pytest.raises(InputError, match=r"0004\.dcm: "):
        read_ct(series)


def test_a_missing_slice_is_named_with_its_neighbours(series):
    (series / "0003.dcm").unlink()

    with pytest.raises(InputError, match=r"1 slices are missing between 0002\.dcm and 0004\.dcm"):
        read_ct(series)


def test_a_repeated_slice_is_named(series):
    copy = series / "0003_copy.dcm"
    copy.write_bytes((series / "0003.dcm").read_bytes())

    with pytest.raises(InputError, match=r"0003\.dcm and 0003_copy\.dcm lie at the same position"):
        read_ct(series)


def test_uneven_slices_are_refused(series):
    image = pydicom.dcmread(series / "0006.dcm")
    x, y, z = image.ImagePositionPatient
    change(series / "0006.dcm", ImagePositionPatient=[x, y, float(z) + 1.3])

    with pytest.raises(InputError, match=r"uneven slices: 4\.30 mm between"):
        read_ct(series)


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


@pytest.mark.parametrize("cosines", [[1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]], ids=["coronal", "sagittal"])
def test_a_reformat_that_is_not_axial_is_refused(series, cosines):
    normal = np.cross(cosines[:3], cosines[3:])
    for index, path in enumerate(sorted(series.iterdir())):
        change(path, ImageOrientationPatient=cosines, ImagePositionPatient=(3.0 * index * normal).tolist())

    with pytest.raises(InputError, match="not axial: slices are inclined by 90 degrees"):
        read_ct(series)


def test_a_scout_alone_is_refused_and_beside_a_volume_left_out(series, tmp_path):
    expected = read_ct(series).hu
    write_ct(series / "scout", volume(2, 30, 40), (1.0, 1.0, 1.0), name="scout", description="")
    change_all(series / "scout", ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])

    assert np.array_equal(read_ct(series).hu, expected)
    with pytest.raises(InputError, match="no CT volume in it, only: localizer, 2 files of 30×40 pixels"):
        read_ct(series / "scout")


def test_other_modalities_are_left_out_or_refused(series):
    change_all(series, Modality="MR")

    with pytest.raises(InputError, match="no CT volume in it, only: MR"):
        read_ct(series)


def test_two_series_in_one_folder_are_listed_and_one_may_be_chosen(series):
    write_ct(series / "b", volume(4, seed=9), (5.0, 0.8, 0.7), name="second", description="")

    with pytest.raises(InputError, match=r"2 CT series in one folder \(1: CT, 6 files.*2: CT, 4 files.*--series N"):
        read_ct(series)
    assert read_ct(series, series=2).hu.shape == (48, 40, 4)
    with pytest.raises(InputError, match="no CT series 3"):
        read_ct(series, series=3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"PixelSpacing": [0.8, 0.9]}, "PixelSpacing differs from 0001.dcm: mixed series"),
        ({"ImageOrientationPatient": [0.995, 0.0998, 0, -0.0998, 0.995, 0]}, "ImageOrientationPatient differs"),
        ({"PixelSpacing": None}, "no usable PixelSpacing"),
        ({"ImagePositionPatient": None}, "no usable ImagePositionPatient"),
        ({"RescaleSlope": None}, "no rescale slope"),
        ({"NumberOfFrames": 3}, "multi-frame"),
        ({"SamplesPerPixel": 3}, "a colour image"),
    ],
)
def test_a_slice_that_does_not_belong_is_named(series, values, message):
    change(series / "0005.dcm", **values)

    with pytest.raises(InputError, match=rf"0005\.dcm: {message}"):
        read_ct(series)


@pytest.mark.parametrize("spacing", [[0, 0.7], [-0.8, 0.7]])
def test_zero_or_negative_spacing_is_refused(series, spacing):
    change_all(series, PixelSpacing=spacing)

    with pytest.raises(InputError, match="PixelSpacing is"):
        read_ct(series)


def test_a_single_slice_is_no_volume(series):
    for path in sorted(series.iterdir())[1:]:
        path.unlink()

    with pytest.raises(InputError, match="a single slice"):
        read_ct(series)


def test_a_volume_too_large_is_refused_on_its_headers(series, monkeypatch):
    change_all(series, Rows=30000, Columns=30000)
    monkeypatch.setattr(np, "empty", lambda *_a, **_k: pytest.fail("allocated"))

    with pytest.raises(RefusedError, match="6 slices need 10300 MiB"):
        read_ct(series)


def test_a_file_that_only_claims_to_be_dicom_is_named(series):
    (series / "0000.dcm").write_text("not an image")

    with pytest.raises(InputError, match=r"0000\.dcm: not a DICOM file"):
        read_ct(series)


def test_other_files_are_passed_over(series):
    (series / "README.txt").write_text("notes")
    (series / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (series / ".hidden.dcm").write_bytes(b"")

    assert read_ct(series).hu.shape == (48, 40, 6)
    assert holds_dicom(series)


def test_an_empty_folder_and_a_missing_one_are_said_apart(tmp_path):
    with pytest.raises(InputError, match="no DICOM files in it"):
        read_ct(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_ct(tmp_path / "gone")


def test_no_message_and_no_result_holds_a_name(series):
    texts = [str(one) + repr(one) for one in find_series(series)]
    (series / "0003.dcm").unlink()
    with pytest.raises(InputError) as caught:
        read_ct(series)

    assert not any("Canary" in text for text in [*texts, str(caught.value)])


def test_odd_fields_of_a_person_are_not_reported(series, recwarn, caplog):
    path = series / "0002.dcm"
    content = path.read_bytes().replace(CANARY.encode(), b"Can\xe9ry^\x01Patien")
    path.write_bytes(content)
    change(series / "0001.dcm", SOPInstanceUID="1.2.Canary")
    recwarn.clear()
    caplog.clear()

    read_ct(series)

    assert not [str(warning.message) for warning in recwarn]
    assert not caplog.records


def test_equal_volumes_are_written_as_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_ct(tmp_path / name, volume(), (3.0, 0.8, 0.7), name="x", description="y")

    pairs = itertools.product(("a", "b"), range(1, 7))
    contents = {(name, i): (tmp_path / name / f"{i:04d}.dcm").read_bytes() for name, i in pairs}
    assert all(contents["a", i] == contents["b", i] for i in range(1, 7))


def spoil(path, old, new):
    """Replace bytes of a file, as a bad disk does: pydicom would not write such values."""
    content = path.read_bytes()
    assert content.count(old) >= 1
    path.write_bytes(content.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"0.8\\0.7", b"0.8\\0,7", "PixelSpacing holds no usable number"),
        (b"0.8\\0.7", b"0.8\\nan", "PixelSpacing holds no usable number"),
        (b"-1024", b"-1\x0024", "RescaleIntercept holds no usable number"),
        (b"-1024", b"1e999", "RescaleIntercept holds no usable number"),
        (b"US\x02\x00\x28\x00", b"ZZ\x02\x00\x28\x00", "0003.dcm"),
        (b"1.2.840.10008.1.2.1", b"1.2.840.10008.9.9.9", "0003.dcm"),
    ],
)
def test_damaged_fields_are_named_not_quoted(series, old, new, message):
    spoil(series / "0003.dcm", old, new)

    with pytest.raises(InputError, match=message) as caught:
        read_ct(series)
    assert CANARY not in str(caught.value)


def test_an_element_that_announces_gigabytes_gets_no_more_than_the_file_has(series):
    # Pixel data of 2 GiB, in a file of some kilobytes; those that the image needs are there.
    expected = read_ct(series).hu
    content = (series / "0003.dcm").read_bytes()
    at = content.index(b"OW\0\0") + 4
    (series / "0003.dcm").write_bytes(content[:at] + (2**31).to_bytes(4, "little") + content[at + 4 :])
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (pages + 2**29, before[1]))
    try:
        found = read_ct(series).hu
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert np.array_equal(found, expected)
