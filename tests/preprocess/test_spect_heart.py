"""Cardiac SPECT slices from files: the heart's slice, the crop, landmarks and the way back to the file's voxels."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from medtools.core.errors import InputError
from medtools.core.seeds import generator
from medtools.core.stage import Job
from medtools.io.images import write_image
from medtools.io.nifti import open_volume, write_volume
from medtools.io.write_planar import write_nm
from medtools.preprocess.spect.heart import read_hearts, reads
from medtools.preprocess.spect.simulate import cardiac_phantom, write_cohort

RAS = np.diag([2.0, 3.0, 5.0, 1.0])
"""Voxel axes to the patient's right, front and head; 2 x 3 x 5 mm."""


@dataclass
class Files:
    """One study on disk."""

    image: Path
    labels: Path
    landmarks: Path


def study(folder, name="sub-01", *, image=None, labels=None, affine=RAS, landmarks=""):
    """Write a study as BIDS names it; by default a heart in slice 3 of 6 of 40 x 30 voxels."""
    volume, mask = heart_volume()
    volume, mask = (volume if image is None else image), (mask if labels is None else labels)
    stem = folder / name / "spect" / name
    found = Files(*(stem.with_name(f"{name}_{end}") for end in ("spect.nii.gz", "dseg.nii.gz", "landmarks.csv")))
    write_volume(found.image, volume, affine)
    write_volume(found.labels, mask, affine)
    if landmarks:
        found.landmarks.write_text(landmarks)
    return found


def heart_volume():
    rng = np.random.default_rng(0)
    volume = rng.uniform(1, 2, (40, 30, 6)).astype(np.float32)
    labels = np.zeros((40, 30, 6), dtype=np.uint8)
    labels[10:21, 12:17, 3] = 2
    labels[13:17, 13:16, 3] = 1
    labels[10:14, 12:17, 2] = 2
    labels[:, :, 5] = 3  # much liver elsewhere must not decide
    return volume, labels


def test_the_slice_is_the_one_with_most_heart_and_the_crop_is_centred_on_it(tmp_path):
    study(tmp_path)
    (heart,) = read_hearts([tmp_path], crop=16)
    assert (heart.id, heart.subject, heart.slice) == ("sub-01", "sub-01", 3)
    assert heart.image.shape == heart.labels.shape == (16, 16)
    centre = np.argwhere(heart.labels > 0).mean(axis=0)
    assert np.abs(centre - 7.5).max() <= 0.5
    assert heart.spacing == (3.0, 2.0)


def test_voxel_leads_back_to_the_file(tmp_path):
    found = study(tmp_path)
    volume, labels = open_volume(found.image).data, open_volume(found.labels).data
    (heart,) = read_hearts([tmp_path], crop=16)
    plane = volume[:, :, 3]
    scaled = (volume - plane.min()) / (plane.max() - plane.min())
    for row in range(16):
        for column in range(16):
            index = tuple(int(value) for value in heart.voxel(row, column))
            assert labels[index] == heart.labels[row, column]
            assert scaled[index] == pytest.approx(heart.image[row, column], abs=1e-6)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flips", [(), (0,), (2,), (0, 1, 2)])
def test_the_order_of_the_axes_in_the_file_does_not_matter(tmp_path, order, flips):
    """The same body stored along other axes gives the same crop, and voxels of its own array."""
    study(tmp_path / "a")
    volume, labels = heart_volume()
    place = np.eye(4)[:, [*order, 3]]
    affine = RAS @ place
    shape = np.array(volume.shape)[list(order)]
    for axis in flips:
        affine[:, 3] += affine[:, axis] * (shape[axis] - 1)
        affine[:, axis] *= -1
    moved = [np.flip(array.transpose(order), flips) for array in (volume, labels)]
    found = study(tmp_path / "b", image=moved[0], labels=moved[1], affine=affine)
    (first,), (second,) = (read_hearts([tmp_path / name], crop=20) for name in "ab")
    assert first.image.tobytes() == second.image.tobytes()
    assert first.labels.tobytes() == second.labels.tobytes()
    assert (first.spacing, first.corner) == (second.spacing, second.corner)
    row, column = np.argwhere(second.labels == 1)[0]
    assert open_volume(found.labels).data[tuple(int(v) for v in second.voxel(row, column))] == 1


def test_a_label_map_stored_from_the_other_end_lies_on_its_image(tmp_path):
    study(tmp_path / "a")
    found = study(tmp_path / "b")
    _, labels = heart_volume()
    upwards = RAS.copy()
    upwards[2, 2], upwards[2, 3] = -RAS[2, 2], RAS[2, 2] * 5
    write_volume(found.labels, labels[:, :, ::-1], upwards)
    (first,), (second,) = (read_hearts([tmp_path / name], crop=20) for name in "ab")
    assert second.slice == first.slice == 3
    assert (second.labels == first.labels).all()


def test_rows_run_from_the_front_and_columns_from_the_patients_right(tmp_path):
    volume, labels = heart_volume()
    volume[:] = 1
    volume[39, 29, 3] = 9
    study(tmp_path, image=volume, labels=labels)
    (heart,) = read_hearts([tmp_path], crop=None)
    # NIfTI's x grows to the patient's right, y to the front.
    assert np.argwhere(heart.image == 1).tolist() == [[0, 0]]


def test_a_heart_at_the_edge_is_padded_with_zeros(tmp_path):
    volume, labels = heart_volume()
    labels[:] = 0
    labels[0:5, 0:5, 2] = 2
    study(tmp_path, image=volume, labels=labels)
    (heart,) = read_hearts([tmp_path], crop=32)
    rows, columns = heart.corner
    # 5 x 5 voxels at the back and the left of 30 rows and 40 columns: rows 25-29, columns 35-39.
    assert (rows, columns) == (27 - 15, 37 - 15)
    assert (heart.labels > 0).sum() == 25
    assert not heart.image[30 - rows :].any()
    assert not heart.image[:, 40 - columns :].any()
    assert heart.image[: 30 - rows, : 40 - columns].any()


def test_landmarks_move_with_the_crop_and_back(tmp_path):
    study(tmp_path, landmarks="subject,name,row,col\nsub-01,valve,16.5,24\nsub-02,valve,1,1\nsub-01,apex,0,0\n")
    (heart,) = read_hearts([tmp_path], crop=16)
    assert set(heart.landmarks) == {"valve", "apex"}
    back = np.add(heart.landmarks["valve"], heart.corner)
    assert back.tolist() == [16.5, 24]
    # Row 16.5 from the front of 30 is j = 12.5; column 24 from the right of 40 is i = 15; slice k = 3.
    assert heart.voxel(*heart.landmarks["valve"]) == (15, 12.5, 3)


def test_made_subjects_come_back_as_they_were_drawn(tmp_path):
    job = Job(None, (), tmp_path, None, seed=4)
    write_cohort(job, subjects=3, size=48)
    by_manifest = read_hearts([tmp_path / "manifest.tsv"], crop=None)
    (tmp_path / "manifest.tsv").unlink()
    by_names = read_hearts([tmp_path], crop=None, labelled=True)
    assert [heart.id for heart in by_manifest] == ["sub-01", "sub-02", "sub-03"]
    drawn = cardiac_phantom(generator(4, "cardiac phantom", "sub-02"), 48)
    for hearts in (by_manifest, by_names):
        assert np.allclose(hearts[1].image, drawn.image, atol=1e-6)
        assert (hearts[1].labels == drawn.labels).all()
        assert hearts[1].spacing == pytest.approx((4 * 64 / 48,) * 2)
        for name, place in drawn.landmarks.items():
            assert hearts[1].landmarks[name] == pytest.approx(place, abs=1e-3)
    assert len(reads([tmp_path])) == 9


def test_without_labels_the_brightest_slice_is_taken_whole_or_the_one_the_manifest_names(tmp_path):
    volume, _ = heart_volume()
    volume[:, :, 4] += 1
    write_volume(tmp_path / "a.nii.gz", volume, RAS)
    (heart,) = read_hearts([tmp_path / "a.nii.gz"])
    assert (heart.slice, heart.labels, heart.corner, heart.image.shape) == (4, None, (0, 0), (30, 40))
    (tmp_path / "manifest.tsv").write_text("id\tsubject\timage\tslice\tlabels\na\tp1\ta.nii.gz\t1\tn/a\n")
    (named,) = read_hearts([tmp_path])
    assert (named.slice, named.subject) == (1, "p1")
    with pytest.raises(InputError, match="has no label map"):
        read_hearts([tmp_path], labelled=True)


def test_pictures_and_dicom_are_taken_as_stored(tmp_path):
    counts = np.random.default_rng(1).integers(1, 200, (3, 20, 24)).astype(np.uint16)
    counts[1] += 100
    write_nm(tmp_path / "n.dcm", counts, ("", "", ""), 4.4, name="CANARY")
    write_image(tmp_path / "p.png", counts[0])
    dicom, picture = read_hearts([tmp_path / "n.dcm", tmp_path / "p.png"])
    assert (dicom.slice, dicom.spacing, dicom.image.shape) == (1, (4.4, 4.4), (20, 24))
    assert (picture.slice, picture.spacing) == (0, None)
    low, high = int(counts[0].min()), int(counts[0].max())
    assert np.allclose(picture.image, (counts[0] - float(low)) / (high - low), atol=1e-6)
    assert dicom.voxel(2, 3) == (2, 3, 1)


def test_a_real_nm_image_is_read():
    path = get_testdata_file("JPGExtended.dcm", download=False)
    if path is None:
        pytest.skip("this pydicom ships no test files")
    (scan,) = read_hearts([Path(path)])
    assert (scan.id, scan.image.shape) == ("JPGExtended", (1024, 256))
    assert scan.spacing == pytest.approx((2.26, 2.26), abs=0.01)
    assert (scan.image.min(), scan.image.max()) == (0, 1)


def fault(folder, **changes):
    study(folder, **changes)
    with pytest.raises(InputError) as caught:
        read_hearts([folder], labelled=True)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bad_images_and_label_maps_are_refused_in_one_line(tmp_path):
    volume, labels = heart_volume()
    spoiled = volume.copy()
    spoiled[0, 0, 0] = np.nan
    assert "not finite" in fault(tmp_path / "nan", image=spoiled)
    assert "no foreground pixel" in fault(tmp_path / "zero", image=np.zeros_like(volume))
    assert "no foreground pixel" in fault(tmp_path / "constant", image=np.full_like(volume, 7))
    assert "no heart" in fault(tmp_path / "heart", labels=np.where(labels == 3, labels, 0).astype(np.uint8))
    assert "unknown label 9" in fault(tmp_path / "value", labels=np.where(labels == 3, 9, labels).astype(np.uint8))
    assert "another grid" in fault(tmp_path / "grid", labels=labels[1:])
    assert "another grid" in fault(tmp_path / "slices", labels=labels[:, :, 1:])
    assert "oblique" in fault(tmp_path / "oblique", affine=turned(45))


def turned(degrees):
    angle = np.deg2rad(degrees)
    rotation = np.eye(4)
    rotation[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return rotation @ RAS


def test_bad_tables_and_folders_are_refused_in_one_line(tmp_path):
    def refused(text, pattern):
        (tmp_path / "a" / "manifest.tsv").write_text(text)
        with pytest.raises(InputError, match=pattern):
            read_hearts([tmp_path / "a"])

    found = study(tmp_path / "a", landmarks="name,row,col\nvalve,1,x\n")
    image = found.image.relative_to(tmp_path / "a")
    refused(f"id\tsubject\timage\tlabels\na\ta\t{image}\tnone.nii.gz\n", "column 'labels': no such file")
    refused(f"id\tsubject\timage\tslice\na\ta\t{image}\t-1\n", "is no number of a slice")
    refused(f"id\tsubject\timage\tslice\na\ta\t{image}\t6\n", "no slice 6, it has 6")
    landmarks = found.landmarks.relative_to(tmp_path / "a")
    refused(f"id\tsubject\timage\tlandmarks\na\ta\t{image}\t{landmarks}\n", r"landmark 'valve' is at \(1, x\)")
    found.landmarks.write_text("name,row,col\nvalve,1,2\nvalve,1,3\n")
    refused(f"id\tsubject\timage\tlandmarks\na\ta\t{image}\t{landmarks}\n", "comes twice")
    (tmp_path / "empty").mkdir()
    for given, pattern in (([], "nothing given"), ([tmp_path / "empty"], "no sub-"), ([tmp_path / "no"], "no such")):
        with pytest.raises(InputError, match=pattern):
            read_hearts(given)
    with pytest.raises(InputError, match="a second study"):
        read_hearts([found.image, found.image])


def test_a_truncated_file_is_named(tmp_path):
    found = study(tmp_path)
    found.image.write_bytes(found.image.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"sub-01_spect\.nii\.gz"):
        read_hearts([tmp_path])


def test_other_tissues_are_read_when_they_are_named(tmp_path):
    volume, labels = heart_volume()
    labels[:5, :, 3] = 4
    study(tmp_path, image=volume, labels=labels)
    with pytest.raises(InputError, match="unknown label 4"):
        read_hearts([tmp_path])
    (heart,) = read_hearts([tmp_path], tissues={1: "ventricle", 2: "myocardium", 3: "liver", 4: "lung"}, crop=None)
    assert (heart.labels == 4).sum() == 150
