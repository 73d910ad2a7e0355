"""Points and classes: the card's table of limits, and masks that lack a lobe."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medtools.systems.covid_severity.severity import class_indices, lobe_score, severity, severity_class


@pytest.mark.parametrize(
    ("percent", "score"),
    # The card's check 1.
    [(0, 0), (0.01, 1), (4.99, 1), (5, 2), (25, 2), (25.5, 3), (49.9, 3), (50, 4), (75, 4), (75.01, 5), (100, 5)],
)
def test_involvement_becomes_the_published_points(percent, score):
    assert lobe_score(percent) == score


@given(st.floats(0, 100), st.floats(0, 100))
def test_more_involvement_never_scores_less(one, other):
    low, high = sorted((one, other))

    assert lobe_score(low) <= lobe_score(high)


@pytest.mark.parametrize(("total", "name"), [(7, "mild"), (8, "moderate"), (15, "moderate"), (16, "severe")])
def test_totals_become_classes(total, name):
    # The card's check 2.
    assert severity_class(total) == name


def test_the_fourth_class_is_only_for_zero():
    assert [severity_class(total, 4) for total in (0, 1, 25)] == ["no edema", "mild", "severe"]
    assert class_indices([0, 1, 9, 25]).tolist() == [0, 0, 1, 2]
    assert class_indices([0, 1, 9, 25], 4).tolist() == [0, 1, 2, 3]


def five_lobes():
    """Five lobes of 100 voxels each in 5 slices."""
    return np.repeat(np.arange(1, 6, dtype=np.uint8), 100).reshape(5, 10, 10)


def test_five_lobes_full_score_25_and_healthy_ones_0():
    lobes = five_lobes()

    assert severity(lobes > 0, lobes, 0.001).total == 25
    assert severity(lobes > 9, lobes, 0.001).total == 0


def test_involvement_counts_against_the_whole_lobe():
    lobes = five_lobes()
    infection = np.zeros(lobes.shape, dtype=bool)
    infection[3, 0, :5] = True  # 5 of the 100 voxels of lobe 4

    found = severity(infection, lobes, 0.5)

    assert found.involvement == (0.0, 0.0, 0.0, 5.0, 0.0)
    assert found.lobe_scores == (0, 0, 0, 2, 0)
    assert found.volumes_ml == (50.0,) * 5


def test_an_empty_lobe_has_no_score_and_neither_has_the_scan():
    # The card's check 12: NA, not 0.
    lobes = five_lobes()
    lobes[lobes == 4] = 3

    found = severity(lobes > 0, lobes, 1.0)

    assert found.involvement[3] is None
    assert found.lobe_scores == (5, 5, 5, None, 5)
    assert found.total is None


def test_one_voxel_scores_unless_a_least_share_is_asked_for():
    lobes = five_lobes()
    infection = np.zeros(lobes.shape, dtype=bool)
    infection[0, 0, 0] = True

    assert severity(infection, lobes, 1.0).total == 1
    assert severity(infection, lobes, 1.0, zero_below=1.5).total == 0


def test_infection_outside_the_lobes_counts_nowhere():
    lobes = five_lobes()
    lobes[:, :, 5:] = 0

    assert severity(lobes == 0, lobes, 1.0).total == 0
