"""MetaImage and NRRD: SimpleITK's values and places, and files that are not whole."""

import itertools

import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from medtools.core.errors import InputError, RefusedError
from medtools.io.itk_volumes import read_itk_volume
from medtools.io.volumes import is_volume_file, read_volume, stem


def write(path, dtype=np.int16, compressed=False):
    values = (np.random.default_rng(0).normal(size=(4, 5, 6)) * 100).astype(dtype)
    image = SimpleITK.GetImageFromArray(values)
    image.SetSpacing((0.5, 0.7, 2.0))
    image.SetOrigin((1.0, -2.0, 3.0))
    image.SetDirection(Rotation.from_euler("xyz", (5, -3, 8), degrees=True).as_matrix().ravel())
    SimpleITK.WriteImage(image, str(path), compressed)
    return image


@pytest.mark.parametrize(
    ("suffix", "compressed", "dtype"),
    list(
        itertools.product(("mha", "mhd", "nrrd", "nhdr"), (False, True), (np.int16, np.uint8, np.float32, np.float64))
    ),
)
def test_values_and_places_are_simpleitks(tmp_path, suffix, compressed, dtype):
    image = write(tmp_path / f"a.{suffix}", dtype, compressed)

    data, affine = read_itk_volume(tmp_path / f"a.{suffix}")

    assert np.array_equal(data, SimpleITK.GetArrayFromImage(image).T)
    x, y, z = image.TransformContinuousIndexToPhysicalPoint((1.0, 2.0, 3.0))
    assert (affine @ [1, 2, 3, 1])[:3] == pytest.approx([-x, -y, z])


@pytest.mark.parametrize(("suffix", "compressed"), list(itertools.product(("mha", "nrrd"), (False, True))))
def test_a_truncated_file_is_refused(tmp_path, suffix, compressed):
    path = tmp_path / f"a.{suffix}"
    write(path, compressed=compressed)
    content = path.read_bytes()
    for kept in (len(content) - 1, len(content) * 3 // 4, 60, 10):
        path.write_bytes(content[:kept])

        with pytest.raises(InputError, match=r"a\.(mha|nrrd): "):
            read_itk_volume(path)


def test_a_header_that_declares_more_than_there_is_allocates_nothing(tmp_path):
    path = tmp_path / "a.mha"
    write(path)
    path.write_bytes(path.read_bytes().replace(b"DimSize = 6 5 4", b"DimSize = 60000 50000 40000"))

    with pytest.raises(RefusedError, match="MiB"):
        read_itk_volume(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"ElementSpacing = 0.5", b"ElementSpacing = 0.0", "no usable geometry"),
        (b"MET_SHORT", b"MET_STRANGE", "unusable header"),
        (b"DimSize = 6 5 4", b"DimSize = 6 5", "unusable header"),
    ],
)
def test_a_faulty_header_is_refused(tmp_path, old, new, message):
    path = tmp_path / "a.mha"
    write(path)
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))

    with pytest.raises(InputError, match=message):
        read_itk_volume(path)


def test_a_data_file_elsewhere_is_refused(tmp_path):
    write(tmp_path / "a.mhd")
    header = tmp_path / "a.mhd"
    header.write_text(header.read_text().replace("a.raw", "../a.raw"))

    with pytest.raises(InputError, match="not beside it"):
        read_itk_volume(header)


def test_the_format_is_chosen_by_the_name(tmp_path):
    image = write(tmp_path / "a.nrrd")

    data, _ = read_volume(tmp_path / "a.nrrd")

    assert np.array_equal(data, SimpleITK.GetArrayFromImage(image).T)
    assert (stem("x/ct.v1.nii.gz"), stem("b.MHA"), stem("folder")) == ("ct.v1", "b", "folder")
    assert not is_volume_file("a.txt")
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InputError, match=r"expected \.nii"):
        read_volume(tmp_path / "a.txt")
    with pytest.raises(InputError, match="no such file"):
        read_volume(tmp_path / "gone.nii")


@pytest.mark.parametrize("size", ["9" * 400 + " 5 4", "32767 32767 32767"])
def test_absurd_sizes_are_refused_on_the_header(tmp_path, size):
    path = tmp_path / "x.mha"
    header = f"NDims = 3\nDimSize = {size}\nElementType = MET_SHORT\nElementSpacing = 1 1 1\nElementDataFile = LOCAL\n"
    path.write_bytes(header.encode() + b"\0" * 240)

    with pytest.raises(RefusedError, match="MiB"):
        read_itk_volume(path)


def test_a_wrong_checksum_after_the_last_voxel_is_noticed(tmp_path):
    image = SimpleITK.GetImageFromArray(np.zeros((4, 5, 6), np.int16))
    SimpleITK.WriteImage(image, str(tmp_path / "x.nrrd"), useCompression=True)
    content = bytearray((tmp_path / "x.nrrd").read_bytes())
    content[-6] ^= 1
    (tmp_path / "x.nrrd").write_bytes(content)

    with pytest.raises(InputError, match="damaged compressed data"):
        read_itk_volume(tmp_path / "x.nrrd")
