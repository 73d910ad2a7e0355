"""Rank-sum statistics over stacks of PR matrices: the card's check 9, scipy as peer, planted groups."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.cluster.hierarchy import linkage
from scipy.stats import ranksums

from medtools.core.errors import InputError
from medtools.homology.statistics import compare_groups, degree_table, rank_sum, significant_pairs


def symmetric(rng, n_subjects, n_rois):
    half = np.triu(rng.random((n_subjects, n_rois, n_rois)), k=1)
    return half + half.transpose(0, 2, 1)


def ar1(phi, rng, n_samples=187, burn_in=100):
    noise = rng.standard_normal((len(phi), n_samples + burn_in))
    series = np.zeros_like(noise)
    for t in range(1, noise.shape[1]):
        series[:, t] = phi * series[:, t - 1] + noise[:, t]
    return z_score(series[:, burn_in:])


def z_score(series):
    return (series - series.mean(axis=1, keepdims=True)) / series.std(axis=1, ddof=1, keepdims=True)


def demo_subject(shift, rng):
    """Draw one subject of the card's generator; `shift` is added to the ROIs' autocorrelation."""
    base = rng.normal(0.4, 0.05)
    phi = np.clip(base + rng.normal(0, 0.03, len(shift)) + shift, 0, 0.97)
    return z_score(np.sqrt(0.2) * ar1(np.array([base]), rng) + np.sqrt(0.8) * ar1(phi, rng))


def h0_distances(series):
    """Return PR for H0 by matching sorted deaths: exact as long as no bar is better sent to the diagonal."""
    clouds = [np.stack([row[:-2], row[1:-1], row[2:]], axis=1) for row in series]
    deaths = np.array([np.sort(linkage(cloud, "single")[:, 2]) for cloud in clouds])
    return np.abs(deaths[:, None] - deaths[None]).sum(axis=-1)


def test_two_separate_tens_give_the_z_and_p_of_the_card():
    z, p = rank_sum(np.arange(10), np.arange(10, 20))

    assert z == pytest.approx(-3.7796, abs=5e-5)
    assert p == pytest.approx(1.57e-4, abs=5e-7)


def test_equal_columns_such_as_the_zero_diagonal_give_p_of_one():
    z, p = rank_sum(np.zeros((5, 3)), np.zeros((7, 3)))

    np.testing.assert_array_equal(z, 0)
    np.testing.assert_array_equal(p, 1)


@given(
    first=arrays(float, st.tuples(st.integers(1, 12), st.just(6)), elements=st.integers(-3, 3).map(float)),
    second=arrays(float, st.tuples(st.integers(1, 12), st.just(6)), elements=st.integers(-3, 3).map(float)),
)
@settings(max_examples=60, deadline=None)
def test_every_column_equals_scipy_also_with_ties(first, second):
    z, p = rank_sum(first, second)

    for column in range(6):
        peer = ranksums(first[:, column], second[:, column])
        assert z[column] == pytest.approx(peer.statistic, rel=1e-12, abs=1e-12)
        assert p[column] == pytest.approx(peer.pvalue, rel=1e-12)


def test_more_columns_than_one_block_equal_scipy_to_the_last_bit():
    rng = np.random.default_rng(0)
    first, second = rng.random((9, 4500)), rng.random((8, 4500))

    z, p = rank_sum(first, second)

    peer = ranksums(first, second)
    np.testing.assert_array_equal(z, peer.statistic)
    np.testing.assert_array_equal(p, peer.pvalue)


def test_swapping_the_groups_flips_z_and_keeps_p():
    rng = np.random.default_rng(1)
    hc, mci = symmetric(rng, 12, 7), symmetric(rng, 9, 7) + 0.2

    there, back = compare_groups(hc, mci), compare_groups(mci, hc)

    np.testing.assert_allclose(there.z, -back.z, atol=1e-12)
    np.testing.assert_allclose(there.p, back.p, rtol=1e-12)


def test_a_monotone_change_of_the_distances_changes_nothing():
    rng = np.random.default_rng(2)
    hc, mci = symmetric(rng, 12, 7), symmetric(rng, 9, 7)

    np.testing.assert_array_equal(compare_groups(hc, mci).p, compare_groups(hc**3, mci**3).p)


def test_permuting_the_rois_permutes_the_p_matrix():
    rng = np.random.default_rng(3)
    hc, mci, order = symmetric(rng, 12, 7), symmetric(rng, 9, 7), rng.permutation(7)
    swap = np.ix_(np.arange(12), order, order), np.ix_(np.arange(9), order, order)

    permuted = compare_groups(hc[swap[0]], mci[swap[1]])

    np.testing.assert_array_equal(permuted.p, compare_groups(hc, mci).p[np.ix_(order, order)])


def test_matrices_of_the_result_are_symmetric_with_p_of_one_on_the_diagonal():
    rng = np.random.default_rng(4)

    test = compare_groups(symmetric(rng, 6, 5), symmetric(rng, 6, 5) + 0.3, fdr="bh")

    for matrix in (test.p, test.p_adjusted, test.z, test.mask, test.median_first, test.median_second):
        np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(test.p), 1)
    assert not np.diag(test.mask).any()


def test_the_default_mode_network_has_561_pairs_and_5_61_expected_false_positives():
    rng = np.random.default_rng(5)

    test = compare_groups(symmetric(rng, 4, 34), symmetric(rng, 4, 34))

    assert test.n_pairs == 561
    assert test.expected_false_positives == pytest.approx(5.61)


def test_under_the_null_about_5_6_of_561_pairs_are_significant():
    rng = np.random.default_rng(6)
    n_runs = 100

    _, p = rank_sum(rng.random((50, 561 * n_runs)), rng.random((50, 561 * n_runs)))

    # Independent pairs: the mean over the runs has a standard error of sqrt(5.55 / 100) = 0.24.
    assert (p < 0.01).sum() / n_runs == pytest.approx(5.61, abs=0.8)


def test_benjamini_hochberg_follows_its_step_up_definition_over_the_pairs():
    rng = np.random.default_rng(7)
    hc, mci = symmetric(rng, 15, 9), symmetric(rng, 15, 9)
    mci[:, 0, 1:] += 0.35
    mci[:, 1:, 0] += 0.35

    test = compare_groups(hc, mci, alpha=0.05, fdr="bh")

    p = np.sort(test.p[np.triu_indices(9, k=1)])
    passing = np.flatnonzero(p <= 0.05 * np.arange(1, 37) / 36)
    assert test.n_significant == passing.max() + 1
    assert 0 < test.n_significant < compare_groups(hc, mci, alpha=0.05).n_significant
    np.testing.assert_array_equal(test.p, compare_groups(hc, mci).p)


def test_degree_counts_partners_and_concentration_is_the_share_of_the_top_two():
    rng = np.random.default_rng(8)
    hc, mci = symmetric(rng, 20, 6), symmetric(rng, 20, 6)
    for i, j in ((0, 1), (0, 2), (0, 3), (4, 5)):
        mci[:, i, j] += 5
        mci[:, j, i] += 5

    test = compare_groups(hc, mci, alpha=1e-6)

    np.testing.assert_array_equal(test.degree, [3, 1, 1, 1, 1, 1])
    assert test.concentration == pytest.approx((3 + 1) / 8)


def test_without_a_significant_pair_the_concentration_is_not_a_number_and_the_table_is_empty():
    hc = np.ones((3, 4, 4)) - np.eye(4)

    test = compare_groups(hc, hc)

    assert np.isnan(test.concentration)
    assert significant_pairs(test, list("abcd")).empty


def test_the_table_names_each_pair_once_with_the_direction_of_the_difference():
    rng = np.random.default_rng(9)
    hc, mci = symmetric(rng, 20, 4), symmetric(rng, 20, 4)
    mci[:, 1, 3] += 5
    mci[:, 3, 1] += 5

    test = compare_groups(hc, mci, groups=("HC", "MCI"), alpha=1e-6)
    table = significant_pairs(test, ["ACC 14", "vmPFC 1", "aPFC 5", "post cingulate 108"])

    assert table[["roi_1", "roi_2"]].to_numpy().tolist() == [["vmPFC 1", "post cingulate 108"]]
    assert table.loc[0, "z"] < 0
    assert table.loc[0, "median_HC"] == np.median(hc[:, 1, 3]) < table.loc[0, "median_MCI"]
    assert degree_table(test, list("abcd")).loc[0, ["roi", "degree"]].tolist() == ["b", 1]


def test_significant_rows_are_the_planted_hubs_of_the_demo_cohort():
    # Card: 18 ROIs, 40 subjects per class; rows with more than n/2 significant pairs are 0-5 (EMCI) and 0-1 (LMCI).
    rng = np.random.default_rng(6)
    shifts = {"HC": np.zeros(18), "EMCI": np.repeat([0.3, 0], [6, 12]), "LMCI": np.repeat([0.5, 0], [2, 16])}
    matrices = {
        group: np.array([h0_distances(demo_subject(shift, rng)) for _ in range(40)]) for group, shift in shifts.items()
    }

    early = compare_groups(matrices["HC"], matrices["EMCI"])
    late = compare_groups(matrices["HC"], matrices["LMCI"])

    assert np.flatnonzero(early.degree > 9).tolist() == [0, 1, 2, 3, 4, 5]
    assert np.flatnonzero(late.degree > 9).tolist() == [0, 1]
    assert late.concentration > 2 * early.concentration


def good(n_subjects=3, n_rois=4):
    return symmetric(np.random.default_rng(0), n_subjects, n_rois)


def broken(change):
    matrices = good()
    change(matrices)
    return matrices


@pytest.mark.parametrize(
    ("mci", "message"),
    [
        (good(1), "PR matrices of MCI: expected at least 2 subjects, found 1"),
        (good(3, 5), "PR matrices of MCI: expected 4 ROIs as in HC, found 5"),
        (np.zeros((3, 4, 5)), "PR matrices of MCI: expected shape"),
        (np.zeros((4, 4)), "PR matrices of MCI: expected shape"),
        (broken(lambda m: m.__setitem__((1, 2, 3), np.nan)), "PR matrices of MCI: NaN or infinity in matrix 2 of 3"),
        (broken(lambda m: m.__setitem__((2, 0, 1), 9.0)), "PR matrices of MCI: expected symmetric matrices, matrix 3"),
    ],
)
def test_matrices_that_cannot_be_compared_are_refused_by_group_and_number(mci, message):
    with pytest.raises(InputError, match="^" + message.replace("(", r"\(")):
        compare_groups(good(), mci, groups=("HC", "MCI"))


@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"alpha": 1.0}, {"fdr": "bonferroni"}])
def test_levels_and_corrections_out_of_range_are_refused(options):
    with pytest.raises(InputError, match="expected"):
        compare_groups(good(), good(), **options)


@pytest.mark.parametrize(
    ("first", "second"),
    [(np.zeros((2, 3)), np.zeros((2, 4))), (np.zeros((0, 3)), np.zeros((2, 3))), ([1.0, np.inf], [1.0]), (1.0, 2.0)],
)
def test_samples_that_cannot_be_ranked_are_refused(first, second):
    with pytest.raises(InputError, match="rank-sum test: expected"):
        rank_sum(first, second)


def test_names_that_do_not_fit_the_matrices_are_refused():
    with pytest.raises(InputError, match="ROI names: expected 4"):
        significant_pairs(compare_groups(good(), good()), ["one", "two"])
