"""`medtools preprocess fmri` from files on disk: what it writes, and what it says of bad input."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fmri_samples import SMALL, planted_series, simulated
from support import call, contents

from medtools.core.tables import read_tsv, write_tsv
from medtools.io.atlas import load_atlas
from medtools.io.nifti import open_volume, write_volume
from medtools.io.timeseries import read_series
from medtools.preprocess.fmri.demo import write_dataset, write_run
from medtools.preprocess.fmri.runs import atlas_name
from medtools.preprocess.fmri.spheres import spheres

FAST = ("--voxel", "5")
CANARY = b"CANARY^DOE"
N_VOLUMES = 24
MNI_AFFINE = np.array([[-4.0, 0, 0, 90], [0, 4, 0, -126], [0, 0, 4, -72], [0, 0, 0, 1]])
MNI_SHAPE = (46, 55, 46)
STEM = "sub-01_task-rest"


@pytest.fixture(scope="module")
def bids(tmp_path_factory) -> Path:
    """Two subjects; the second without slice times, and with a patient's name in its header."""
    root = tmp_path_factory.mktemp("cohort") / "bids"
    names = load_atlas().names
    write_dataset(root, {"sub-01": "HC", "sub-02": "EMCI"})
    for seed, subject in enumerate(("sub-01", "sub-02")):
        scanner = SMALL if seed else type(SMALL)(SMALL.shape, SMALL.voxel_mm, interleaved=True)
        write_run(root, subject, simulated(N_VOLUMES, seed, scanner), names)
    image = next((root / "sub-02").rglob("*.nii.gz"))
    content = bytearray(gzip.decompress(image.read_bytes()))
    content[148:158] = CANARY  # descrip
    image.write_bytes(gzip.compress(bytes(content)))
    return root


@pytest.fixture(scope="module")
def processed(bids) -> Path:
    """The two subjects after `medtools preprocess fmri` with one thread."""
    with contextlib.chdir(bids.parent):
        outcome = call("preprocess", "fmri", "bids", "--tr", "3000", *FAST, "--threads", "1", "--out", "out")
    assert outcome.code == 0
    return bids.parent / "out"


@pytest.fixture
def one(bids, tmp_path) -> Path:
    """One subject in a folder that a test may damage."""
    shutil.copytree(bids / "sub-01", tmp_path / "bids" / "sub-01")
    return tmp_path / "bids"


def fmri(medtools, *words):
    return medtools("preprocess", "fmri", *words, "--out", "out")


def failure(medtools, *words) -> str:
    outcome = fmri(medtools, *words)
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert len(outcome.lines) <= 5
    assert not list(Path("out").rglob("*_timeseries.tsv"))
    return outcome.err


@pytest.fixture(scope="module")
def fmriprep(tmp_path_factory) -> Path:
    """A run as fMRIPrep leaves it: MNI space, a mask, confounds with `n/a`, planted series in the spheres."""
    root = tmp_path_factory.mktemp("fmriprep")
    folder = root / "sub-01" / "func"
    rng = np.random.default_rng(0)
    atlas, planted = load_atlas(), planted_series(60, 0)
    data = rng.normal(1000, 2, (*MNI_SHAPE, 60)).astype(np.float32)
    flat = data.reshape(-1, 60)
    for voxels, course in zip(spheres(atlas.names, atlas.xyz, MNI_SHAPE, MNI_AFFINE, 5.0).voxels, planted, strict=True):
        flat[voxels] += 20 * course.astype(np.float32)
    data[:, :, :4] = np.nan  # below the field of view
    space = "space-MNI152NLin2009cAsym"
    write_volume(folder / f"{STEM}_{space}_desc-preproc_bold.nii.gz", data, MNI_AFFINE, tr_ms=2000, template_space=True)
    columns = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
    table = {name: rng.normal(0, 0.01, 60) for name in columns}
    table |= {f"{name}_derivative1": np.r_[np.nan, np.diff(values)] for name, values in table.items()}
    table |= {name: rng.normal(800, 5, 60) for name in ("white_matter", "csf", "global_signal", "a_comp_cor_00")}
    table["non_steady_state_outlier00"] = np.eye(60)[0]
    rows = [dict(zip(table, map(float, values), strict=True)) for values in zip(*table.values(), strict=True)]
    write_tsv(folder / f"{STEM}_desc-confounds_timeseries.tsv", list(table), rows)
    np.save(root / "planted.npy", planted)
    return root


def test_a_bids_folder_becomes_a_manifest_of_series(processed):
    _, rows = read_tsv(processed / "manifest.tsv")
    assert [(row["id"], row["subject"], row["group"]) for row in rows] == [
        ("sub-01_task-rest", "sub-01", "HC"),
        ("sub-02_task-rest", "sub-02", "EMCI"),
    ]
    series = read_series(processed / rows[0]["series"])
    assert series.values.shape == (160, N_VOLUMES)
    assert series.roi_names == load_atlas().names
    assert series.tr_ms == 3000
    np.testing.assert_allclose(series.values.std(axis=1, ddof=1), 1)


def test_each_run_has_a_dozen_files_at_most(processed):
    assert {path.name for path in (processed / STEM).iterdir()} == {
        f"{STEM}_atlas-dosenbach160_timeseries.tsv", f"{STEM}_atlas-dosenbach160_timeseries.json",
        f"{STEM}_atlas-dosenbach160_coverage.tsv", f"{STEM}_desc-confounds_timeseries.tsv",
        f"{STEM}_desc-confounds_timeseries.json", f"{STEM}_space-MNI152_desc-mean_bold.nii.gz", f"{STEM}_qc.json",
        f"{STEM}_motion.png", f"{STEM}_carpet.png", f"{STEM}_registration.png", f"{STEM}_coverage.png",
        "preprocess.json",
    }  # fmt: skip
    confounds, _ = read_tsv(processed / STEM / f"{STEM}_desc-confounds_timeseries.tsv")
    assert {"trans_x", "rot_z_derivative1", "white_matter", "csf", "framewise_displacement"} <= set(confounds)
    mean = open_volume(processed / STEM / f"{STEM}_space-MNI152_desc-mean_bold.nii.gz", ndim=3)
    assert np.abs(np.diag(mean.affine)[:3]).tolist() == [5, 5, 5]


def test_quality_is_judged_with_reasons_and_every_column_is_explained(processed):
    _, quality = read_tsv(processed / "qc.tsv")
    assert quality[1]["status"] == "WARN"
    assert "no SliceTiming in the side-car" in quality[1]["reasons"]
    assert float(quality[0]["brain_overlap"]) > 0.9
    assert set(json.loads((processed / "qc.json").read_text())) == set(quality[0]) - {"id", "status", "reasons"}


def test_no_patient_field_and_no_absolute_path_reaches_an_output(processed):
    for path in processed.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            assert CANARY not in (gzip.decompress(raw) if path.suffix == ".gz" else raw)
            assert str(processed.parent).encode() not in raw


def test_equal_input_gives_equal_bytes_whatever_the_threads_and_a_second_run_is_skipped(
    medtools, tmp_path, one, processed
):
    assert fmri(medtools, "bids", "--tr", "3000", *FAST, "--threads", "3").code == 0
    first, second = contents(processed / STEM), contents(tmp_path / "out" / STEM)
    assert first.keys() == second.keys()
    assert {name for name in first if first[name] != second[name]} <= {"preprocess.json"}
    assert "up to date" in fmri(medtools, "bids", "--tr", "3000", *FAST, "-v").err


def test_fmriprep_derivatives_are_taken_as_they_are_and_give_back_what_was_planted(medtools, tmp_path, fmriprep):
    outcome = fmri(medtools, fmriprep, "--tr", "2000", "--drop", "1", "--no-figures")
    assert outcome.code == 0
    path = tmp_path / "out" / STEM / f"{STEM}_atlas-dosenbach160_timeseries.tsv"
    found, planted = read_series(path).values, np.load(fmriprep / "planted.npy")[:, 1:]
    about = json.loads((tmp_path / "out" / STEM / f"{STEM}_desc-confounds_timeseries.json").read_text())
    assert len(about["Regressed"]) == 14
    assert "a_comp_cor_00" not in about["Regressed"]
    assert found.shape == planted.shape
    r = [np.corrcoef(a, b)[0, 1] for a, b in zip(found, planted, strict=True)]
    assert np.median(r) > 0.8  # 16 of 59 degrees of freedom are regressed out
    _, quality = read_tsv(tmp_path / "out" / "qc.tsv")
    assert float(quality[0]["mean_fd_mm"]) > 0


def test_confounds_are_selectable_and_a_missing_one_names_the_closest(medtools, tmp_path, fmriprep):
    words = (fmriprep, "--no-figures", "--confounds", "csf,a_comp_cor_*")
    outcome = fmri(medtools, *words)
    assert outcome.code == 0
    assert "--drop 1 removes them" in outcome.err
    about = json.loads((tmp_path / "out" / STEM / f"{STEM}_desc-confounds_timeseries.json").read_text())
    assert about["Regressed"] == ["csf", "a_comp_cor_00"]
    shutil.rmtree(tmp_path / "out")
    assert "did you mean white_matter?" in failure(medtools, fmriprep, "--confounds", "white_mater")


def test_an_image_said_to_be_in_mni_space_that_is_not_is_flagged(medtools, tmp_path, one):
    image = next(one.rglob("*.nii.gz"))
    volume = open_volume(image, ndim=4)
    affine = volume.affine.copy()
    affine[1, 3] += 40  # as many scanners place their origin
    write_volume(image, volume.data, affine, tr_ms=3000)
    outcome = fmri(medtools, one, "--space-is-mni", "--no-figures")
    assert outcome.code == 0
    _, quality = read_tsv(tmp_path / "out" / "qc.tsv")
    assert quality[0]["status"] == "WARN"
    assert "brain_overlap" in quality[0]["reasons"]
    assert "no motion parameters" in quality[0]["reasons"]


def test_a_users_own_coordinates_and_label_image_are_atlases_too(medtools, tmp_path, fmriprep):
    own = tmp_path / "my-atlas.tsv"
    own.write_text("name\tnetwork\tx\ty\tz\nleft\tA\t-30\t0\t20\nright\tA\t30\t0\t20\n")
    assert fmri(medtools, fmriprep, "--no-figures", "--atlas", own).code == 0
    path = tmp_path / "out" / STEM / f"{STEM}_atlas-{atlas_name(str(own))}_timeseries.tsv"
    assert read_series(path).roi_names == ("left", "right")
    labels = np.zeros(MNI_SHAPE, dtype=np.int16)
    labels[20:23, 20:23, 20:23], labels[30:33, 20:23, 20:23] = 1, 5
    write_volume(tmp_path / "parcels.nii.gz", labels, MNI_AFFINE, template_space=True)
    (tmp_path / "parcels.tsv").write_text("index\tname\n5\tfive\n")
    shutil.rmtree(tmp_path / "out")
    assert fmri(medtools, fmriprep, "--no-figures", "--atlas", tmp_path / "parcels.nii.gz").code == 0
    path = tmp_path / "out" / STEM / f"{STEM}_atlas-parcels_timeseries.tsv"
    assert read_series(path).roi_names == ("label-1", "five")


def test_a_manifest_names_runs_and_a_bad_one_does_not_stop_the_rest(medtools, tmp_path, bids, one):
    shutil.copytree(bids / "sub-02", one / "sub-02")
    image = next((one / "sub-02").rglob("*.nii.gz"))
    image.write_bytes(image.read_bytes()[:-20])
    runs = {"a": f"sub-01/func/{STEM}_bold.nii.gz", "b": f"sub-02/func/{image.name}"}
    rows = [{"id": name, "subject": f"s-{name}", "bold": path, "group": "HC"} for name, path in runs.items()]
    write_tsv(one / "manifest.tsv", ["id", "subject", "bold", "group"], rows)
    assert fmri(medtools, one / "manifest.tsv", *FAST, "--no-figures", "--no-slice-timing").code == 3
    _, failures = read_tsv(tmp_path / "out" / "failures.tsv")
    assert failures[0]["id"] == "b"
    assert "damaged" in failures[0]["cause"]
    _, kept = read_tsv(tmp_path / "out" / "manifest.tsv")
    assert [(row["id"], row["subject"], row["group"]) for row in kept] == [("a", "s-a", "HC")]
    assert not list((tmp_path / "out" / "b").glob("*.tsv")) if (tmp_path / "out" / "b").exists() else True


def edit_sidecar(root: Path, **fields) -> None:
    path = next(root.rglob("*_bold.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_a_repetition_time_in_seconds_or_at_odds_with_the_data_is_refused(medtools, one):
    assert "milliseconds" in failure(medtools, one, "--tr", "3")
    message = failure(medtools, one, "--tr", "2000")
    assert "2000 ms" in message
    assert "3000 ms" in message
    edit_sidecar(one, RepetitionTime=0.8)
    assert "800 ms" in failure(medtools, one, "--tr", "3000")


def test_slice_times_of_another_image_are_refused(medtools, one):
    edit_sidecar(one, SliceTiming=[0.0, 1.0])
    assert "SliceTiming has 2 times, the image has 20 slices" in failure(medtools, one)


@pytest.mark.parametrize(
    ("shape", "fill", "cause"),
    [
        ((8, 8, 6), 1.0, "3-D image (8, 8, 6), expected a 4-D series"),
        ((8, 8, 6, 5), 1.0, "5 volumes left, expected at least 8"),
        ((8, 8, 6, 10), np.nan, "voxels are not finite"),
        ((8, 8, 6, 10), 1.0, "no structure to align"),
    ],
)
def test_images_that_are_no_run_are_refused(medtools, tmp_path, shape, fill, cause):
    write_volume(tmp_path / "bad.nii.gz", np.full(shape, fill, dtype=np.float32), np.diag([8.0, 8, 8, 1]))
    assert cause in failure(medtools, "bad.nii.gz", "--tr", "3000")


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ((), "no input given"),
        (("missing",), "missing: no such file or folder"),
        (("empty",), "no *_bold.nii"),
        (("notes.txt",), "unknown kind of file '.txt'"),
        (("run.nii.gz", "--backend", "fsl"), "not found on PATH"),
        (("run.nii.gz", "--atlas", "nowhere"), "unknown atlas"),
        (("run.nii.gz", "--high-pass", "0.2", "--low-pass", "0.1"), "must lie below"),
    ],
)
def test_a_wrong_call_ends_with_one_clear_line(medtools, tmp_path, monkeypatch, one, words, cause):
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").touch()
    shutil.copy(next(one.rglob("*.nii.gz")), tmp_path / "run.nii.gz")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert cause in failure(medtools, *words)


def test_the_estimate_comes_before_work_and_a_bound_below_it_refuses(medtools, tmp_path, one):
    outcome = fmri(medtools, one, "--estimate")
    assert outcome.code == 0
    assert "peak memory" in outcome.out
    assert fmri(medtools, one, "--max-mem", "100M").code == 4
    assert not list((tmp_path / "out").rglob("*.tsv")) if (tmp_path / "out").exists() else True
