"""The NIfTI guard: what must be read, what must be refused before memory is spent, and what must not get out."""

import contextlib
import gzip
import resource
import subprocess
import sys
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtools.core.errors import InputError, MedtoolsError, RefusedError
from medtools.io.nifti import iter_volumes, open_volume, read_header, write_volume

AFFINE = np.array([[2.0, 0, 0, -10], [0, 2.5, 0, -20], [0, 0, 3.0, -30], [0, 0, 0, 1]])
SHAPE = (5, 4, 3)


def image_bytes(shape=SHAPE, dtype=np.int16, edit=None, affine=AFFINE, body=None):
    """Bytes of a NIfTI-1 file whose header `edit` may damage; numbers count up from 0."""
    values = np.arange(np.prod(shape)).reshape(shape, order="F").astype(dtype)
    image = nib.Nifti1Image(values, affine)
    image.header.set_xyzt_units("mm", "sec")
    header = image.header
    header["vox_offset"], header["magic"] = 352, b"n+1"
    header["scl_slope"], header["scl_inter"] = 1, 0
    if edit is not None:
        edit(header)
    return header.binaryblock + bytes(4) + (values.tobytes(order="F") if body is None else body)


@pytest.fixture
def save(tmp_path):
    def write(content, name="image.nii"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


def setter(**fields):
    def edit(header):
        for name, value in fields.items():
            header[name] = value

    return edit


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64, ">i2", ">f4"])
def test_values_and_geometry_agree_with_nibabel(save, dtype):
    path = save(image_bytes(dtype=dtype, edit=setter(scl_slope=0.5, scl_inter=3)))
    ours, theirs = open_volume(path, ndim=3), nib.load(path)
    np.testing.assert_array_equal(ours.data, theirs.get_fdata())
    np.testing.assert_allclose(ours.affine, theirs.affine)
    assert ours.data.dtype == np.float32
    assert ours.header.zooms == pytest.approx((2.0, 2.5, 3.0))


def test_a_compressed_4d_series_streams_volume_by_volume(save):
    path = save(gzip.compress(image_bytes((*SHAPE, 6))), "run.nii.gz")
    whole = open_volume(path, ndim=4)
    for index, volume in enumerate(iter_volumes(read_header(path))):
        np.testing.assert_array_equal(volume, whole.data[..., index])
        assert whole.data[..., index].flags.f_contiguous
    np.testing.assert_array_equal(whole.data, nib.load(path).get_fdata())


def test_nifti_2_is_read_too(tmp_path):
    values = np.arange(60, dtype=np.float32).reshape(SHAPE)
    nib.Nifti2Image(values, AFFINE).to_filename(tmp_path / "two.nii.gz")
    np.testing.assert_array_equal(open_volume(tmp_path / "two.nii.gz", ndim=3).data, values)


@pytest.mark.parametrize("name", ["functional.nii", "anatomical.nii", "example4d.nii.gz", "example_nifti2.nii.gz"])
def test_real_files_that_nibabel_ships_are_read_alike(name):
    path = Path(nib.__file__).parent / "tests" / "data" / name
    if not path.exists():
        pytest.skip("nibabel was installed without its test data")
    ours, theirs = open_volume(path, allow_shear=True), nib.load(path)
    np.testing.assert_allclose(ours.data, np.squeeze(theirs.get_fdata()), rtol=1e-6)
    np.testing.assert_allclose(ours.affine, theirs.affine, rtol=1e-6)


def test_a_compressed_file_without_its_suffix_is_known_by_its_content(save):
    assert open_volume(save(gzip.compress(image_bytes())), ndim=3).data.shape == SHAPE


def _edit_qform(header):
    header.set_sform(None, code=0)
    header["qform_code"], header["quatern_b"] = 1, np.nan


def _shear(header):
    affine = AFFINE.copy()
    affine[0, 1] = 1.0
    header.set_sform(affine, code=1)


def _singular(header):
    affine = AFFINE.copy()
    affine[:3, 2] = affine[:3, 1]
    header.set_sform(affine, code=1)


def _huge(header):
    header["dim"] = [3, 32767, 32767, 4, 1, 1, 1, 1]


GOOD = image_bytes()
PACKED = gzip.compress(GOOD, mtime=0)
FAULTS = {
    "empty": (b"", "file ends inside the header"),
    "header cut": (GOOD[:200], "file ends inside the header"),
    "header only": (GOOD[:352], "declares 472 bytes, the file has 352"),
    "half the data": (GOOD[:400], "declares 472 bytes, the file has 400"),
    "not NIfTI": (bytes(400), "magic number"),
    "pair header": (image_bytes(edit=setter(magic=b"ni1")), ".hdr/.img pair"),
    "huge": (image_bytes(edit=_huge), "the file has 472"),
    "negative axis": (image_bytes(edit=setter(dim=[3, 5, -4, 3, 1, 1, 1, 1])), "axis of size -4"),
    "no axes": (image_bytes(edit=setter(dim=[0, 5, 4, 3, 1, 1, 1, 1])), "0 axes"),
    "nine axes": (image_bytes(edit=setter(dim=[9, 5, 4, 3, 1, 1, 1, 1])), "9 axes"),
    "5-D": (image_bytes((5, 4, 1, 1, 3), edit=None), "5-D image"),
    "complex": (image_bytes(dtype=np.complex64), "voxels of type complex64"),
    "unknown type": (image_bytes(edit=setter(datatype=999)), "type code 999"),
    "slope NaN": (image_bytes(edit=setter(scl_slope=np.nan)), "scaling of the values"),
    "slope inf": (image_bytes(edit=setter(scl_slope=np.inf)), "scaling of the values"),
    "intercept NaN": (image_bytes(edit=setter(scl_inter=np.nan)), "scaling of the values"),
    "offset 1e12": (image_bytes(edit=setter(vox_offset=1e12)), "declares 999999996024 bytes, the file has 472"),
    "offset NaN": (image_bytes(edit=setter(vox_offset=np.nan)), "which no file can mean"),
    "offset beyond": (image_bytes(edit=setter(vox_offset=4096)), "the file has 472"),
    "affine NaN": (image_bytes(edit=setter(srow_x=[np.nan, 0, 0, 0])), "not finite"),
    "affine singular": (image_bytes(edit=_singular), "singular"),
    "affine sheared": (image_bytes(edit=_shear), "sheared"),
    "quaternion NaN": (image_bytes(edit=_edit_qform), ": "),
    "gzip cut": (PACKED[: len(PACKED) // 2], "compressed data are damaged"),
    "gzip checksum": (PACKED[:-8] + bytes([PACKED[-8] ^ 1]) + PACKED[-7:], "compressed data are damaged at the end"),
    "gzip garbage inside": (PACKED[:40] + bytes(40) + PACKED[80:], "compressed data are damaged"),
    "NaN voxel": (image_bytes(dtype=np.float32, body=np.r_[np.nan, [1] * 59].astype("f4").tobytes()), "1 voxels"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_refused_by_name_and_cause(save, fault):
    content, expected = FAULTS[fault]
    path = save(content, "bad.nii.gz" if content[:2] == b"\x1f\x8b" else "bad.nii")
    with pytest.raises(InputError) as caught:
        open_volume(path)
    assert str(path) in str(caught.value)
    assert expected in str(caught.value)


def test_nan_voxels_are_named_with_their_place(save):
    values = np.ones((*SHAPE, 3), dtype=np.float32)
    values[1, 2, 0, 2] = np.nan
    with pytest.raises(InputError, match=r"1 voxels are not finite .* volume 2, \(1, 2, 0\)"):
        open_volume(save(image_bytes((*SHAPE, 3), np.float32, body=values.tobytes(order="F"))), ndim=4)


@pytest.mark.parametrize(
    ("shape", "ndim", "expected"),
    [(SHAPE, 4, "3-D image (5, 4, 3), expected a 4-D series"), ((*SHAPE, 2), 3, "4-D series (5, 4, 3, 2)")],
)
def test_the_number_of_axes_is_checked_and_named(save, shape, ndim, expected):
    with pytest.raises(InputError) as caught:
        read_header(save(image_bytes(shape)), ndim=ndim)
    assert expected in str(caught.value)


def test_one_volume_in_a_4d_file_is_a_3d_image(save):
    assert open_volume(save(image_bytes((*SHAPE, 1))), ndim=3).data.shape == SHAPE


@pytest.mark.parametrize("name", ["missing.nii", "folder.nii", "image.mgz"])
def test_what_is_no_nifti_file_is_an_input_error(tmp_path, name):
    (tmp_path / "folder.nii").mkdir()
    (tmp_path / "image.mgz").write_bytes(GOOD)
    with pytest.raises(InputError, match=name):
        open_volume(tmp_path / name)


def test_more_than_the_budget_is_refused_before_allocation(save):
    with pytest.raises(RefusedError, match=r"\(5, 4, 3\) voxels need"):
        open_volume(save(GOOD), max_bytes=100)


@pytest.mark.parametrize("packed", [False, True])
def test_a_400_byte_header_declaring_8_gb_costs_no_memory(save, packed):
    content = image_bytes(edit=_huge, body=bytes(48))
    path = save(gzip.compress(content) if packed else content, "lie.nii.gz" if packed else "lie.nii")
    program = (
        "import resource, sys\n"
        "from medtools.io.nifti import open_volume\n"
        "from medtools.core.errors import InputError\n"
        "try: open_volume(sys.argv[1])\n"
        "except InputError as e: print(e)\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    message, peak_kib = done.stdout.strip().splitlines()
    assert "declares 8589410664 bytes" in message
    assert int(peak_kib) < 200 * 1024


def test_a_bomb_within_deflate_s_ratio_is_bounded_by_the_budget(save):
    shape = (512, 512, 100)
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = packer.compress(image_bytes(shape, np.uint8, body=b"")) + packer.compress(bytes(np.prod(shape)))
    path = save(body + packer.flush(), "bomb.nii.gz")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RefusedError):
        open_volume(path, max_bytes=2**20)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024


@pytest.mark.parametrize(
    ("edit", "warning"),
    [
        (setter(sform_code=0, qform_code=0), "no orientation"),
        (setter(sform_code=1, qform_code=1, qoffset_x=50.0), "sform and qform place the image more than 1 mm apart"),
        (setter(pixdim=[1, 9, 9, 9, 1, 1, 1, 1]), "voxel sizes in pixdim"),
    ],
)
def test_odd_but_readable_headers_are_read_with_a_warning(save, edit, warning):
    header = read_header(save(image_bytes(edit=edit)))
    assert any(warning in text for text in header.warnings)


def test_a_shear_is_accepted_when_allowed(save):
    assert open_volume(save(image_bytes(edit=_shear)), allow_shear=True).affine[0, 1] == 1.0


def test_bytes_after_the_data_are_ignored_with_a_warning(save, caplog):
    assert open_volume(save(GOOD + bytes(9))).data.shape == SHAPE
    assert "9 bytes after the last voxel" in caplog.text


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (3.0, 8, 3000),
        (3000.0, 16, 3000),
        (3e6, 24, 3000),
        (3.0, 0, 3000),
        (3000.0, 0, 3000),
        (0.8, 8, 800),
        (0, 8, None),
    ],
)
def test_the_repetition_time_is_understood_in_every_unit(save, value, unit, expected):
    edit = setter(pixdim=[1, 2, 2.5, 3, value, 1, 1, 1], xyzt_units=2 + unit)
    header = read_header(save(image_bytes((*SHAPE, 2), edit=edit)))
    assert header.tr_ms == (None if expected is None else pytest.approx(expected))
    assert any("no unit" in text for text in header.warnings) == (unit == 0)


@given(st.binary(min_size=1, max_size=8), st.integers(0, 471), st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_damage_is_read_or_refused_but_never_crashes(tmp_path_factory, damage, place, packed):
    content = bytearray(GOOD)
    content[place : place + len(damage)] = damage
    path = tmp_path_factory.getbasetemp() / ("mutant.nii.gz" if packed else "mutant.nii")
    path.write_bytes(gzip.compress(bytes(content)) if packed else bytes(content))
    with contextlib.suppress(MedtoolsError):
        image = open_volume(path, max_bytes=2**24)
        assert np.isfinite(image.data).all()
        assert abs(np.linalg.det(image.affine[:3, :3])) > 0


def test_a_written_image_comes_back_equal_and_with_equal_bytes(tmp_path):
    values = np.random.default_rng(0).normal(size=(*SHAPE, 4)).astype(np.float32)
    for name in ("one.nii.gz", "two.nii.gz"):
        write_volume(tmp_path / name, values, AFFINE, tr_ms=2500)
    back = open_volume(tmp_path / "one.nii.gz", ndim=4)
    np.testing.assert_array_equal(back.data, values)
    np.testing.assert_allclose(back.affine, AFFINE)
    assert back.header.tr_ms == pytest.approx(2500)
    assert back.header.warnings == ()
    content = (tmp_path / "one.nii.gz").read_bytes()
    assert content == (tmp_path / "two.nii.gz").read_bytes()
    assert content[3] == 0, "no file name in the gzip header"
    assert content[4:8] == bytes(4), "no time in the gzip header"


def test_no_patient_field_of_an_input_reaches_an_output(save, tmp_path):
    canary = b"CANARY^DOE"
    fields = ("descrip", "aux_file", "intent_name", "db_name", "data_type")
    edit = setter(**{name: canary[: 10 if name in ("data_type",) else 16] for name in fields})
    path = save(image_bytes(edit=edit)[:348] + b"\1\0\0\0" + b"\x20\0\0\0\6\0\0\0" + canary.ljust(24) + GOOD[352:])
    with path.open("r+b") as stream:
        stream.seek(108)
        stream.write(np.float32(384).tobytes())
    image = open_volume(path, ndim=3)
    np.testing.assert_array_equal(image.data.ravel(order="F"), np.arange(60))
    write_volume(tmp_path / "out.nii", image.data, image.affine)
    assert canary in path.read_bytes()
    assert b"CANARY" not in (tmp_path / "out.nii").read_bytes()
    assert "CANARY" not in repr(image.header)


def test_a_failed_write_leaves_nothing(tmp_path):
    with pytest.raises(nib.spatialimages.HeaderDataError):
        write_volume(tmp_path / "bad.nii.gz", np.zeros(SHAPE, dtype=np.complex256), AFFINE)
    assert list(tmp_path.iterdir()) == []
