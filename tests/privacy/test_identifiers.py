"""What a header says of a person reaches no output, log or record: planted, then searched for, stage by stage."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from canaries import CANARY, mark_dicom, mark_nifti, mark_sidecar, traces
from support import Outcome, call

from medtools.io.nifti import write_volume

VERBOSE = ("--verbose", "--log-json")


@pytest.fixture(scope="module")
def covid(tmp_path_factory) -> Path:
    """One phantom whose DICOM files and lobe mask name a person, with what every later stage makes of it."""
    folder = tmp_path_factory.mktemp("covid")
    good(call("demo", "covid-severity", "--scans", "1", "--size", "96", "--slices", "24", "--out", folder / "data"))
    for path in (folder / "data" / "scans").rglob("*.dcm"):
        mark_dicom(path)
    for path in (folder / "data").rglob("*.nii.gz"):
        mark_nifti(path)
    return folder


def good(outcome: Outcome) -> Outcome:
    """Expect success, and no trace of the person in what was said."""
    assert outcome.code == 0, outcome.err
    assert CANARY.lower() not in (outcome.out + outcome.err).lower()
    return outcome


def test_the_word_is_where_it_was_planted(covid):
    # Otherwise the tests below would pass for the wrong reason.
    planted = traces(covid / "data")
    assert len([name for name in planted if name.endswith(".dcm")]) == 24
    assert len([name for name in planted if name.endswith(".nii.gz")]) == 2


def test_ct_stages_pass_nothing_on(covid):
    scans, lobes = covid / "data" / "scans", covid / "data" / "lobes"
    good(call("preprocess", "ct", scans, "--lobes", lobes, "--out", covid / "ct", *VERBOSE))
    good(call("infer", "covid-severity", scans, "--lobes", lobes, "--out", covid / "severity", "--ablation", *VERBOSE))
    good(call("score", "covid-severity", covid / "severity", "--out", covid / "scores", *VERBOSE))
    shown = good(call("provenance", covid / "severity"))

    assert CANARY not in shown.out
    for name in ("ct", "severity", "scores"):
        assert len(list((covid / name).rglob("*"))) > 3
        assert traces(covid / name) == []


def test_a_refused_scan_is_named_by_its_file_not_by_its_patient(covid, tmp_path):
    scans = tmp_path / "scans" / "study"
    shutil.copytree(next((covid / "data" / "scans").iterdir()), scans)
    lobes = next((covid / "data" / "lobes").glob("*.nii.gz"))
    for path in sorted(scans.glob("*.dcm"))[:4]:
        path.write_bytes(path.read_bytes()[:-200])
    words = ("infer", "covid-severity", tmp_path / "scans", "--lobes", lobes, "--out", tmp_path / "out", "--debug")

    refused = call(*words, *VERBOSE)

    assert refused.code == 2
    assert CANARY not in refused.err + refused.out
    assert traces(tmp_path / "out") == []


@pytest.fixture(scope="module")
def bids(tmp_path_factory) -> Path:
    """One run already in MNI space, with a mask and confounds as fMRIPrep leaves them, all naming a person."""
    root = tmp_path_factory.mktemp("fmri") / "bids"
    folder, stem = root / "sub-01" / "func", "sub-01_task-rest"
    space = f"{stem}_space-MNI152NLin2009cAsym"
    rng = np.random.default_rng(0)
    affine = np.diag([-8.0, 8.0, 8.0, 1.0])
    affine[:3, 3] = 90, -126, -72
    image = folder / f"{space}_desc-preproc_bold.nii.gz"
    write_volume(
        image, rng.normal(1000, 20, (23, 28, 23, 40)).astype(np.float32), affine, tr_ms=2000, template_space=True
    )
    sidecar = folder / f"{space}_desc-preproc_bold.json"
    sidecar.write_text('{"RepetitionTime": 2.0}')
    rows = ["trans_x\tcsf\tnote", *(f"{x:.3f}\t{y:.3f}\t{CANARY}" for x, y in rng.normal(size=(40, 2)))]
    (folder / f"{stem}_desc-confounds_timeseries.tsv").write_text("\n".join(rows) + "\n")
    people = f"participant_id\tgroup\tage\tsex\tname\tbirth_date\nsub-01\tHC\t70\tF\t{CANARY}\t{CANARY}\n"
    (root / "participants.tsv").write_text(people)
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    mark_nifti(image)
    for path in (sidecar, root / "dataset_description.json"):
        mark_sidecar(path)
    return root


def test_fmri_stages_pass_nothing_on(bids):
    out, topology = bids.parent / "out", bids.parent / "topology"
    assert len(traces(bids)) == 5

    good(call("preprocess", "fmri", bids, "--tr", "2000", "--confounds", "trans_x,csf", "--out", out, *VERBOSE))
    good(call("homology", out, "--max-dim", "0", "--networks", "CB", "--out", topology, *VERBOSE))

    assert traces(out) == []
    assert traces(topology) == []


def test_a_series_side_car_passes_nothing_on(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("sub-1", "sub-2"):
        rows = ["a\tb\tc", *("\t".join(map(str, row)) for row in rng.normal(size=(20, 3)))]
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / f"{name}_timeseries.tsv").write_text("\n".join(rows) + "\n")
        sidecar = tmp_path / "data" / f"{name}_timeseries.json"
        sidecar.write_text('{"RepetitionTime": 2.0}')
        mark_sidecar(sidecar)

    good(call("homology", tmp_path / "data", "--max-dim", "0", "--out", tmp_path / "out", *VERBOSE))

    assert traces(tmp_path / "out") == []
