"""Regions, their means, resampling and nuisance regression, each against nilearn or an exact answer."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nilearn.maskers import NiftiLabelsMasker, NiftiSpheresMasker

from medtools.core.errors import InputError
from medtools.io.atlas import load_atlas
from medtools.preprocess.fmri.confounds import motion_table, parse_table, regress, select_columns
from medtools.preprocess.fmri.resample import gather_run, sample_run
from medtools.preprocess.fmri.spheres import labelled, region_means, spheres

SHAPE = (61, 73, 61)
AFFINE = np.array([[3.0, 0, 0, -90], [0, 3.0, 0, -126], [0, 0, 3.0, -72], [0, 0, 0, 1]])


def mni_run(n_volumes=12, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(1000, 10, (*shape, n_volumes)).astype(np.float32)


def volumes_of(data):
    return (data[..., index] for index in range(data.shape[-1]))


def means(data, regions):
    index = regions.all_voxels
    values, inside, _ = gather_run(volumes_of(data), data.shape[-1], index)
    return region_means(values, index, inside, regions)


def test_sphere_means_of_the_atlas_equal_nilearn_s_with_overlap():
    atlas, data = load_atlas(), mni_run(4, (46, 55, 46))
    affine = AFFINE @ np.diag([4 / 3, 4 / 3, 4 / 3, 1])
    ours, coverage = means(data, spheres(atlas.names, atlas.xyz, data.shape, affine, 5.0))
    masker = NiftiSpheresMasker(
        [tuple(row) for row in atlas.xyz], radius=5.0, allow_overlap=True, dtype=np.float64, standardize=None
    )
    theirs = masker.fit_transform(nib.Nifti1Image(data, affine)).T
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)
    assert (coverage == 1).all()


@given(
    st.lists(st.floats(-14, 14), min_size=3, max_size=3),
    st.floats(1.0, 12.0),
    st.sampled_from([2.0, 3.0, 4.2]),
    st.booleans(),
)
@settings(max_examples=8, deadline=None)
def test_any_sphere_on_any_grid_has_nilearn_s_mean(centre, radius, voxel, flipped):
    affine = np.diag([-voxel if flipped else voxel, voxel, voxel * 1.1, 1.0])
    affine[:3, 3] = [17 if flipped else -17, -17, -17]
    data = mni_run(3, (18, 18, 18))
    ours, _ = means(data, spheres(("a",), np.array([centre]), data.shape, affine, radius))
    masker = NiftiSpheresMasker([tuple(centre)], radius=radius, dtype=np.float64, standardize=None)
    theirs = masker.fit_transform(nib.Nifti1Image(data, affine)).T
    np.testing.assert_allclose(ours, np.atleast_2d(theirs), rtol=0, atol=1e-5)


def test_the_two_closest_regions_share_voxels_on_a_3_mm_grid():
    atlas = load_atlas()
    regions = spheres(atlas.names, atlas.xyz, SHAPE, AFFINE, 5.0)
    one, other = (regions.voxels[atlas.names.index(f"post cingulate {number}")] for number in (115, 108))
    assert np.intersect1d(one, other).size > 0


def test_regions_out_of_view_have_no_signal_and_their_coverage_says_so():
    data = mni_run()
    data[:, :, :24] = 0  # nothing below z = 0 mm
    data[:, :, 40:] = np.nan  # nor from z = 48 mm
    names = ("inside", "outside", "half", "above", "off the grid")
    centres = np.array([[0, 0, 30.0], [0, 0, -30], [0, 0, -1.5], [0, 0, 60], [0, 0, 400]])
    series, coverage = means(data, spheres(names, centres, SHAPE, AFFINE, 5.0))
    assert coverage[[0, 1, 3, 4]].tolist() == [1, 0, 0, 0]
    assert 0.3 < coverage[2] < 0.7
    assert (series[[1, 3, 4]] == 0).all()
    assert series[2].mean() == pytest.approx(1000, abs=10)


def test_label_means_equal_nilearn_s():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 5, (20, 24, 20))
    affine = np.diag([3.0, 3, 3, 1])
    data = mni_run(5, labels.shape)
    regions = labelled(labels, affine, {2: "two"}, labels.shape, affine)
    assert regions.names == ("label-1", "two", "label-3", "label-4")
    masker = NiftiLabelsMasker(nib.Nifti1Image(labels.astype(np.int16), affine), dtype=np.float64, standardize=None)
    theirs = masker.fit_transform(nib.Nifti1Image(data, affine)).T
    np.testing.assert_allclose(means(data, regions)[0], theirs, rtol=0, atol=1e-5)


def test_labels_that_the_grid_cannot_hold_are_refused():
    labels = np.zeros((10, 10, 10), dtype=int)
    with pytest.raises(InputError, match="without labels"):
        labelled(labels, np.eye(4), {}, (5, 5, 5), np.eye(4))
    labels[9, 9, 9] = 7
    with pytest.raises(InputError, match="region label-7 has no voxel"):
        labelled(labels, np.eye(4), {}, (5, 5, 5), np.eye(4))


def test_a_voxel_that_is_missing_in_some_volumes_only_is_refused():
    data = mni_run(4, (6, 6, 6))
    data[2, 3, 4, 2] = np.nan
    with pytest.raises(InputError, match=r"voxel \(2, 3, 4\) is finite in some volumes only \(volume 2"):
        gather_run(volumes_of(data), 4, np.arange(10))


def test_sampling_at_the_voxels_without_motion_returns_the_voxels():
    data = mni_run(4, (10, 11, 12))
    affine = np.diag([-3.0, 3, 4, 1])
    points = np.indices(data.shape[:3]).reshape(3, -1).T @ affine[:3, :3].T + affine[:3, 3]
    values, inside = sample_run(data, affine, np.array([np.eye(4)] * 4), points, threads=2)
    np.testing.assert_allclose(values.T.reshape(data.shape), data, rtol=1e-4)
    assert inside.all()


def test_sampling_follows_the_head_and_knows_the_edge_of_the_image():
    data = mni_run(2, (12, 12, 12))
    data[..., 1] = np.roll(data[..., 0], 2, axis=0)  # the head moved by two voxels, 6 mm
    motion = np.array([np.eye(4), np.eye(4)])
    motion[1, 0, 3] = 6.0
    affine = np.diag([3.0, 3, 3, 1])
    points = np.array([[12.0, 15, 15], [27.0, 15, 15], [33.0, 15, 15], [-3.0, 15, 15]])
    values, inside = sample_run(data, affine, motion, points)
    assert values[0, 0] == pytest.approx(values[1, 0], rel=1e-3)
    assert inside.tolist() == [True, True, False, False]


def least_squares_residual(series, regressors):
    time = np.linspace(-1, 1, series.shape[1])
    design = np.column_stack([np.ones_like(time), time, *regressors])
    return series - (design @ np.linalg.lstsq(design, series.T, rcond=None)[0]).T


def test_regression_is_least_squares_on_confounds_constant_and_trend():
    rng = np.random.default_rng(2)
    series, regressors = rng.normal(size=(7, 60)).cumsum(axis=1) + 500, rng.normal(size=(14, 60)).cumsum(axis=1)
    table = {f"c{i}": row for i, row in enumerate(regressors)}
    expected = least_squares_residual(series, regressors)
    cleaned = regress(series, table, 3000, standardize=False)
    np.testing.assert_allclose(cleaned, expected, atol=1e-9)
    scaled = regress(series, table, 3000)
    np.testing.assert_allclose(scaled.std(axis=1, ddof=1), 1.0)
    np.testing.assert_allclose(scaled, expected / expected.std(axis=1, ddof=1, keepdims=True), atol=1e-9)


def test_regression_keeps_constant_series_at_zero_and_ignores_constant_confounds():
    rng = np.random.default_rng(3)
    series = rng.normal(size=(3, 40))
    series[1] = 7.0
    cleaned = regress(series, {"flat": np.zeros(40), "x": rng.normal(size=40)}, 2000)
    assert (cleaned[1] == 0).all()
    assert np.isfinite(cleaned).all()


def test_a_band_pass_removes_what_lies_outside_it_and_nothing_is_filtered_unasked():
    seconds = np.arange(300) * 2.0
    slow, fast = np.sin(2 * np.pi * 0.02 * seconds), np.sin(2 * np.pi * 0.2 * seconds)
    both = (slow + fast)[None]
    passed = regress(both, {}, 2000, standardize=False, low_pass_hz=0.1, high_pass_hz=0.005)[0]
    assert np.corrcoef(passed, slow)[0, 1] > 0.97
    assert abs(np.corrcoef(passed, fast)[0, 1]) < 0.01
    unfiltered = regress(both, {}, 2000, standardize=False)
    np.testing.assert_allclose(unfiltered, least_squares_residual(both, []), atol=1e-9)


def test_too_many_confounds_or_a_filter_beyond_nyquist_are_refused():
    series = np.random.default_rng(4).normal(size=(2, 12))
    with pytest.raises(InputError, match="12 volumes cannot carry 10 confounds"):
        regress(series, {str(i): series[0] for i in range(10)}, 3000)
    with pytest.raises(InputError, match=r"0.2 Hz is not below 0.1667 Hz"):
        regress(series, {}, 3000, low_pass_hz=0.2)


def test_motion_gets_backward_differences_and_fmriprep_names():
    table = motion_table(np.arange(18, dtype=float).reshape(3, 6))
    assert list(table)[:3] == ["trans_x", "trans_y", "trans_z"]
    assert table["rot_z_derivative1"].tolist() == [0, 6, 6]
    assert len(table) == 12


def test_columns_are_chosen_by_name_or_pattern_and_a_typo_names_the_closest():
    columns = ["trans_x", "a_comp_cor_00", "a_comp_cor_01", "note"]
    rows = [dict(zip(columns, cells, strict=True)) for cells in (("n/a", "1", "2", "words"), ("1", "2", "3", "here"))]
    table = parse_table(columns, rows, 2, "c.tsv")
    assert list(select_columns(table, ["a_comp_cor_*", "trans_x"], "c.tsv")) == columns[1:3] + columns[:1]
    assert table["trans_x"].tolist() == [0, 1]
    with pytest.raises(InputError, match="no confound 'trans_X'; did you mean trans_x"):
        select_columns(table, ["trans_X"], "c.tsv")
    with pytest.raises(InputError, match="2 rows, the image has 3 volumes"):
        parse_table(columns, rows, 3, "c.tsv")
