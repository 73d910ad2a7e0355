"""Runs of BIDS folders and fMRIPrep derivatives, found by name; side-cars by inheritance."""

import json
import time
from pathlib import Path

import pytest

from medtools.core.errors import InputError
from medtools.io import bids
from medtools.io.bids import find_bold_runs, single_run


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def ids(root: Path, **options) -> list[str]:
    return [run.id for run in find_bold_runs(root, **options)]


def test_runs_with_uneven_entities_are_found_and_other_files_are_not(tmp_path):
    touch(
        tmp_path,
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        "sub-01/func/sub-01_task-rest_sbref.nii.gz",
        "sub-01/func/sub-01_task-rest_bold.json",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-02/ses-a/func/sub-02_ses-a_task-rest_acq-fast_run-1_bold.nii",
        "sub-02/ses-a/func/sub-02_ses-a_task-rest_acq-fast_run-2_bold.nii",
        "sub-02/ses-b/func/sub-02_ses-b_task-nback_echo-1_bold.nii.gz",
        "sourcedata/sub-03/func/sub-03_task-rest_bold.nii.gz",
        "derivatives/x/sub-01/func/sub-01_task-rest_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz",
        ".git/sub-09_task-rest_bold.nii.gz",
        "code/notes_bold.nii.gz",
    )
    assert ids(tmp_path) == [
        "sub-01_task-rest",
        "sub-02_ses-a_task-rest_acq-fast_run-1",
        "sub-02_ses-a_task-rest_acq-fast_run-2",
        "sub-02_ses-b_task-nback_echo-1",
    ]
    assert ids(tmp_path, subjects=["sub-02"], sessions=["b"]) == ["sub-02_ses-b_task-nback_echo-1"]
    assert ids(tmp_path, tasks=["task-rest"], subjects=["01"]) == ["sub-01_task-rest"]
    assert ids(tmp_path / "sub-02" / "ses-b") == ["sub-02_ses-b_task-nback_echo-1"]


def test_of_fmriprep_derivatives_the_preprocessed_mni_image_is_taken(tmp_path):
    stem = "sub-01/func/sub-01_task-rest_run-1"
    mni = "space-MNI152NLin2009cAsym_res-2"
    touch(
        tmp_path,
        f"{stem}_{mni}_desc-preproc_bold.nii.gz",
        f"{stem}_{mni}_desc-brain_mask.nii.gz",
        f"{stem}_{mni}_boldref.nii.gz",
        f"{stem}_desc-preproc_bold.nii.gz",
        f"{stem}_space-T1w_desc-preproc_bold.nii.gz",
        f"{stem}_desc-confounds_timeseries.tsv",
    )
    (run,) = find_bold_runs(tmp_path)
    assert run.id == "sub-01_task-rest_run-1"
    assert run.is_mni
    assert run.path.name.endswith(f"{mni}_desc-preproc_bold.nii.gz")
    assert run.confounds_path == tmp_path / f"{stem}_desc-confounds_timeseries.tsv"
    assert run.mask_path == tmp_path / f"{stem}_{mni}_desc-brain_mask.nii.gz"
    (native,) = find_bold_runs(tmp_path, space="T1w")
    assert not native.is_mni


def test_two_mni_spaces_must_be_chosen_between(tmp_path):
    for space in ("MNI152NLin6Asym", "MNI152NLin2009cAsym"):
        touch(tmp_path, f"sub-01/func/sub-01_task-rest_space-{space}_desc-preproc_bold.nii.gz")
    with pytest.raises(InputError, match="choose with --space"):
        find_bold_runs(tmp_path)
    (run,) = find_bold_runs(tmp_path, space="MNI152NLin6Asym")
    assert run.entities["space"] == "MNI152NLin6Asym"


def test_sidecars_are_inherited_and_the_nearest_wins(tmp_path):
    touch(tmp_path, "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-1_bold.nii.gz")
    write_json(tmp_path / "bold.json", {"RepetitionTime": 1.0, "Manufacturer": "none"})
    write_json(tmp_path / "task-rest_bold.json", {"RepetitionTime": 2.0, "SliceTiming": [0, 1]})
    write_json(tmp_path / "task-nback_bold.json", {"RepetitionTime": 9.0})
    write_json(tmp_path / "sub-01/sub-01_task-rest_bold.json", {"RepetitionTime": 2.5})
    write_json(tmp_path / "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-1_bold.json", {"RepetitionTime": 3.0})
    write_json(tmp_path / "sub-01/ses-1/func/sub-01_ses-1_task-rest_run-2_bold.json", {"RepetitionTime": 8.0})
    (run,) = find_bold_runs(tmp_path)
    assert run.sidecar == {"RepetitionTime": 3.0, "Manufacturer": "none", "SliceTiming": [0, 1]}
    assert len(run.sidecar_paths) == 4


def test_a_single_file_inherits_from_the_data_set_around_it(tmp_path):
    touch(tmp_path, "sub-01/func/sub-01_task-rest_bold.nii.gz")
    write_json(tmp_path / "task-rest_bold.json", {"RepetitionTime": 2.0})
    run = single_run(tmp_path / "sub-01/func/sub-01_task-rest_bold.nii.gz")
    assert (run.id, run.subject) == ("sub-01_task-rest", "sub-01")
    assert run.sidecar == {"RepetitionTime": 2.0}


def test_a_file_outside_bids_is_named_by_its_stem_and_reads_the_json_beside_it(tmp_path):
    touch(tmp_path, "my scan_3.nii.gz")
    write_json(tmp_path / "my scan_3.json", {"RepetitionTime": 2.0})
    run = single_run(tmp_path / "my scan_3.nii.gz")
    assert (run.id, run.sidecar) == ("sub-myscan3", {"RepetitionTime": 2.0})
    assert run.mask_path is None


@pytest.mark.parametrize(("content", "cause"), [("{", "not valid JSON"), ("[1]", "expected a JSON object, found list")])
def test_a_broken_sidecar_is_named(tmp_path, content, cause):
    touch(tmp_path, "sub-01_task-rest_bold.nii.gz")
    (tmp_path / "task-rest_bold.json").write_text(content)
    (run,) = find_bold_runs(tmp_path)
    with pytest.raises(InputError, match=cause) as caught:
        _ = run.sidecar
    assert "task-rest_bold.json" in str(caught.value)


def test_folders_without_runs_are_refused_by_name(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        find_bold_runs(tmp_path / "missing")
    with pytest.raises(InputError, match=r"no \*_bold.nii"):
        find_bold_runs(tmp_path)
    touch(tmp_path, "sub-01_task-rest_bold.nii.gz")
    with pytest.raises(InputError, match=r"none of its 1 BOLD images has task in \['nback'\]"):
        find_bold_runs(tmp_path, tasks=["nback"])


def test_a_symbolic_link_to_a_folder_above_is_not_followed_for_ever(tmp_path):
    touch(tmp_path, "sub-01/func/sub-01_task-rest_bold.nii.gz")
    (tmp_path / "sub-01" / "loop").symlink_to(tmp_path, target_is_directory=True)
    assert ids(tmp_path) == ["sub-01_task-rest"]


def test_ten_thousand_files_are_indexed_within_two_seconds_of_cpu_without_opening_one(tmp_path, monkeypatch):
    for subject in range(500):
        folder = tmp_path / f"sub-{subject:04d}" / "func"
        folder.mkdir(parents=True)
        for run in range(10):
            for suffix in ("nii.gz", "json"):
                (folder / f"sub-{subject:04d}_task-rest_run-{run}_bold.{suffix}").touch()
    monkeypatch.setattr(bids, "read_object", pytest.fail)
    before = time.process_time()
    runs = find_bold_runs(tmp_path)
    assert len(runs) == 5000
    assert time.process_time() - before < 2.0
