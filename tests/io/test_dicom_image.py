"""Planar DICOM: broken elements are named, wherever pydicom stumbles over them."""

from __future__ import annotations

import numpy as np
import pytest

from medtools.core.errors import InputError
from medtools.io.dicom_image import read_planar
from medtools.io.write_planar import write_nm

COUNTS = np.arange(64, dtype=np.uint16).reshape(1, 16, 4)


@pytest.fixture
def scan(tmp_path):
    write_nm(tmp_path / "scan.dcm", COUNTS, ("anterior",), 2.26, name="made")
    return tmp_path / "scan.dcm"


def spoil(path, old, new):
    content = path.read_bytes()
    assert content.count(old) >= 1
    path.write_bytes(content.replace(old, new, 1))


def test_counts_view_and_spacing_come_back(scan):
    image = read_planar(scan)

    np.testing.assert_array_equal(image.frames, COUNTS)
    assert (image.views, image.spacing_mm, image.modality) == (("anterior",), (2.26, 2.26), "NM")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"2.26\\2.26", b"2x26\\2.26", "PixelSpacing holds no usable number"),
        (b"\x28\x00\x10\x00US\x02\x00", b"\x28\x00\x10\x00US\x03\x00", "unreadable DICOM"),
        (b"\x28\x00\x08\x00IS\x02\x001 ", b"\x28\x00\x08\x00IS\x02\x00x ", "DICOM|NumberOfFrames"),
    ],
    ids=["spacing", "length of Rows", "frames"],
)
def test_a_broken_element_is_refused_in_one_line(scan, old, new, message):
    spoil(scan, old, new)

    with pytest.raises(InputError, match=rf"scan\.dcm: .*({message})"):
        read_planar(scan)


@pytest.mark.parametrize("spacing", [b"0.00\\2.26", b"-2.2\\2.26"])
def test_an_impossible_spacing_counts_as_unknown(scan, spacing):
    spoil(scan, b"2.26\\2.26", spacing)

    assert read_planar(scan).spacing_mm is None
