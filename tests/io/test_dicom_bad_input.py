"""CT series from DICOM: every fault is named before or instead of a wrong volume."""

import resource
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_series import CANARY, change, change_all, volume
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit

from medtools.core.errors import InputError, RefusedError
from medtools.io.dicom import find_series, read_ct
from medtools.io.write_dicom import write_ct


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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"PixelSpacing": [0.8, 0.9]}, "PixelSpacing differs from 0001.dcm: mixed series"),
        ({"ImageOrientationPatient": [0.995, 0.0998, 0, -0.0998, 0.995, 0]}, "ImageOrientationPatient differs"),
        ({"PixelSpacing": None}, "no usable PixelSpacing"),
        ({"ImagePositionPatient": None}, "no usable ImagePositionPatient"),
        ({"RescaleSlope": None}, "no rescale slope"),
        ({"RescaleIntercept": ""}, "no rescale slope"),
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


def test_a_volume_too_large_is_refused_on_its_headers(series, monkeypatch):
    change_all(series, Rows=30000, Columns=30000)
    monkeypatch.setattr(np, "empty", lambda *_a, **_k: pytest.fail("allocated"))

    with pytest.raises(RefusedError, match="6 slices need 10300 MiB"):
        read_ct(series)


def test_a_file_that_only_claims_to_be_dicom_is_named(series):
    (series / "0000.dcm").write_text("not an image")

    with pytest.raises(InputError, match=r"0000\.dcm: not a DICOM file"):
        read_ct(series)


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
