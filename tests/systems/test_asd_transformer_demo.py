"""The synthetic multi-site cohort: the effect and the site effects are where the card puts them."""

import subprocess
import sys

import numpy as np
import pytest

from medtools.preprocess.harmonise import apply_combat, fit_combat
from medtools.systems.asd_transformer import cohort
from medtools.systems.asd_transformer.connectivity import efficiency_of, upper_triangles
from medtools.systems.asd_transformer.demo import AFFECTED, community_numbers, synthesise
from medtools.systems.asd_transformer.explanation import compare_nodes, site_predictability


@pytest.fixture(scope="module")
def made():
    return synthesise(60, 5, rois=80, seed=1)


def test_the_plan_is_known_without_numpy():
    code = (
        "import sys; from medtools.systems.asd_transformer.cohort import sample_ids; "
        "print(sample_ids({'subjects': 3})[-1], 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["sub-0003", "False"]


def test_folds_are_named_before_any_data_are_read():
    assert cohort.fold_names({}) == ["r1f1", "r2f1", "r3f1", "r4f1", "r5f1"]
    assert cohort.fold_names({"protocol": "cv", "repeats": 1, "folds": 3}) == ["r1f1", "r1f2", "r1f3"]
    assert cohort.fold_names({"protocol": "site"}, ["a", "b", "a"]) == ["r1f1", "r1f2"]


def test_200_rois_have_the_communities_of_the_card_and_fewer_keep_their_proportions():
    assert np.bincount(community_numbers(200)).tolist() == [41, 29, 21, 19, 20, 7, 21, 42]
    for rois in (16, 33, 80, 400):
        sizes = np.bincount(community_numbers(rois))
        assert sizes.sum() == rois
        assert sizes.min() >= 2
        assert len(sizes) == 8


def test_autism_lowers_local_efficiency_where_the_card_says_by_how_much():
    """The card's prototype, before site effects: 0.88 -> 0.80 in communities 2 and 7, 0.85 -> 0.835 elsewhere."""
    made = synthesise(24, 1, seed=0)
    inside = np.isin(made.communities, AFFECTED)
    autism = np.array(made.groups) == "ASD"
    efficiency = np.stack([efficiency_of(matrix) for matrix in made.clean])
    assert efficiency[~autism][:, inside].mean() == pytest.approx(0.88, abs=0.02)
    assert efficiency[autism][:, inside].mean() == pytest.approx(0.80, abs=0.02)
    assert efficiency[~autism][:, ~inside].mean() == pytest.approx(0.85, abs=0.02)
    assert efficiency[autism][:, ~inside].mean() == pytest.approx(0.835, abs=0.02)
    found = compare_nodes(efficiency, autism)
    # Twelve a side see only part of the nodes; elsewhere about one in twenty is expected by chance.
    assert (found.p[inside] < 0.05).mean() > 3 * (found.p[~inside] < 0.05).mean()
    assert (found.t[inside] < 0).mean() > 0.9


def test_raw_connectivity_names_the_site_and_harmonised_hardly(made):
    sites, values = np.array(made.sites), upper_triangles(made.connectivity)
    train, test = np.arange(40), np.arange(40, 60)
    combat = fit_combat(values[train], sites[train])
    assert site_predictability(values, sites, train, test) == 1.0
    assert site_predictability(apply_combat(combat, values, sites), sites, train, test) <= 0.5


def test_matrices_are_correlations_and_series_have_no_site_effect(made):
    assert np.array_equal(made.connectivity, np.swapaxes(made.connectivity, 1, 2))
    assert np.abs(made.connectivity).max() == 1.0
    assert np.allclose(np.corrcoef(made.series[3]), made.clean[3], atol=1e-6)
    assert np.abs(made.clean - made.connectivity).max() > 0.2


def test_confounded_sites_have_a_quarter_to_three_quarters_of_autism():
    made = synthesise(80, 5, rois=16, samples=10, confounded=True)
    autism, sites = np.array(made.groups) == "ASD", np.array(made.sites)
    shares = [autism[sites == name].mean() for name in sorted(set(made.sites))]
    assert shares == pytest.approx([0.25, 0.375, 0.5, 0.625, 0.75], abs=1 / 16)
    even = synthesise(80, 5, rois=16, samples=10)
    assert [(np.array(even.groups) == "ASD")[sites == n].mean() for n in sorted(set(sites))] == [0.5] * 5


def test_without_the_effect_controls_keep_their_series_and_classes_do_not_differ():
    real, null = (synthesise(30, 2, rois=40, seed=4, effect=effect) for effect in (True, False))
    controls = np.array(real.groups) == "NC"
    assert np.array_equal(real.series[controls], null.series[controls])
    found = compare_nodes(np.stack([efficiency_of(matrix) for matrix in null.clean]), ~controls)
    assert (found.p < 0.05).mean() < 0.2
