"""The synthetic cohort: planted where it says, the same bits every time, and blind to correlation."""

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform
from scipy.stats import ranksums

from medtools.core.errors import InputError
from medtools.core.manifest import read_manifest
from medtools.io.atlas import load_atlas, networks
from medtools.io.discovery import find_series
from medtools.io.timeseries import check_series, read_series
from medtools.systems.mci_homology.cohort import groups, ids, series_name
from medtools.systems.mci_homology.demo import cohort, write_cohort


def lag_one(values):
    """First autocorrelation of z-scored series."""
    return (values[..., 1:] * values[..., :-1]).mean(axis=-1)


def mean_h0_bar(values):
    """Mean length of the H0 bars of the 3-dimensional embedding: its minimum spanning tree's mean edge."""
    points = np.lib.stride_tricks.sliding_window_view(values, 3)
    return minimum_spanning_tree(squareform(pdist(points))).data.mean()


@pytest.fixture(scope="module")
def small():
    """18 ROIs, 12 subjects per group."""
    return cohort(18, 12, seed=1)


def by_group(subjects):
    return {
        name: np.stack([subject.series.values for subject in subjects if subject.group == name])
        for name in ("HC", "EMCI", "LMCI")
    }


def test_the_subjects_are_known_without_importing_numpy():
    code = "import sys; from medtools.systems.mci_homology.cohort import ids; print(ids(2)[-1], 'numpy' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["sub-0006", "False"]


def test_the_cohort_is_the_one_announced(small):
    assert [subject.id for subject in small] == ids(12)
    assert [subject.group for subject in small] == groups(12)
    assert groups(1) == ["HC", "EMCI", "LMCI"]


@pytest.mark.parametrize(("n_rois", "network"), [(18, "CB"), (34, "DMN"), (160, None)])
def test_rois_are_named_by_the_network_of_that_size(n_rois, network):
    atlas = load_atlas()
    expected = atlas.names if network is None else [atlas.names[row] for row in networks(atlas)[network]]

    series = cohort(n_rois, 1, n_samples=20)[0].series

    assert list(series.roi_names) == list(expected)
    assert series.values.shape == (n_rois, 20)
    assert series.tr_ms == 3000


def test_series_are_z_scored_187_samples_and_pass_the_exclusion_rule(small):
    for subject in small:
        assert subject.series.values.shape == (18, 187)
        assert subject.series.values.mean(axis=1) == pytest.approx(0, abs=1e-12)
        assert subject.series.values.std(axis=1) == pytest.approx(1)
        assert check_series(subject.series) == []


def test_memory_rises_in_rows_0_to_5_of_emci_and_0_to_1_of_lmci_and_nowhere_else(small):
    memory = {name: lag_one(values) for name, values in by_group(small).items()}
    rise = {name: memory[name].mean(axis=0) - memory["HC"].mean(axis=0) for name in ("EMCI", "LMCI")}

    # The own part, 80 % of the variance, has the shifted coefficient. The autocorrelation of 187 samples spreads by
    # 0.07, coefficients between subjects by 0.06: a difference of two means of 12 subjects by 0.037, here times 4.
    tolerance = 0.15
    assert rise["EMCI"][:6] == pytest.approx(0.8 * 0.30, abs=tolerance)
    assert rise["LMCI"][:2] == pytest.approx(0.8 * 0.50, abs=tolerance)
    assert rise["EMCI"][6:] == pytest.approx(0, abs=tolerance)
    assert rise["LMCI"][2:] == pytest.approx(0, abs=tolerance)


def test_all_160_rois_have_their_hubs_in_the_first_rows_of_each_network():
    late = [subject for subject in cohort(160, 6, seed=3) if subject.group == "LMCI"]
    memory = np.mean([lag_one(subject.series.values) for subject in late], axis=0)

    hubs = sorted(row for rows in networks(load_atlas()).values() for row in rows[:2])

    assert sorted(np.argsort(memory)[-12:].tolist()) == hubs


def test_the_shape_of_hub_trajectories_tells_groups_apart(small):
    rows = [0, 1, 5, 8]
    bars = {
        name: np.array([[mean_h0_bar(subject[row]) for row in rows] for subject in values])
        for name, values in by_group(small).items()
    }
    p = {name: ranksums(bars["HC"], bars[name]).pvalue for name in ("EMCI", "LMCI")}

    assert (p["EMCI"][:3] < 0.005).all()
    assert (p["LMCI"][:2] < 0.001).all()
    assert p["EMCI"][3] > 0.01
    assert (p["LMCI"][2:] > 0.01).all()


def test_functional_connectivity_does_not_tell_groups_apart(small):
    upper = np.triu_indices(18, 1)
    connectivity = {
        name: np.array([np.corrcoef(subject)[upper] for subject in values]) for name, values in by_group(small).items()
    }

    for name in ("EMCI", "LMCI"):
        significant = int((ranksums(connectivity["HC"], connectivity[name]).pvalue < 0.01).sum())
        # Of 153 pairs 1.5 are expected by chance, more than 6 in one cohort out of 3,000 (Poisson).
        assert significant <= 6
        assert connectivity[name].mean() == pytest.approx(0.2, abs=0.02)


def test_without_the_effect_all_groups_are_alike_and_healthy_subjects_keep_their_bits():
    null, real = cohort(18, 4, seed=1, effect=False), cohort(18, 4, seed=1)

    memory = [lag_one(subject.series.values).mean() for subject in null]
    same = [np.array_equal(a.series.values, b.series.values) for a, b in zip(null, real, strict=True)]

    assert np.ptp([np.mean(memory[i : i + 4]) for i in (0, 4, 8)]) < 0.06
    assert same == [True] * 4 + [False] * 8


def test_a_subject_does_not_depend_on_the_size_of_the_cohort_but_on_the_seed():
    def late(per_group, seed):
        return cohort(18, per_group, seed=seed)[2 * per_group].series.values

    assert np.array_equal(late(1, 0), late(3, 0))
    assert not np.array_equal(late(1, 0), late(1, 1))


def test_the_written_cohort_is_a_manifest_of_bids_series_with_the_same_bits(tmp_path):
    manifest = read_manifest(write_cohort(tmp_path, 18, 2, seed=4), ["series"])

    assert manifest.columns == ("id", "subject", "series", "group")
    assert [row.id for row in manifest.rows] == ids(2)
    assert manifest.labels("group") == groups(2)
    for row, subject in zip(manifest.rows, cohort(18, 2, seed=4), strict=True):
        series = read_series(row.paths["series"])
        assert row.paths["series"].name == series_name(row.id)
        assert np.array_equal(series.values, subject.series.values)
        assert series.roi_names == subject.series.roi_names
        assert series.tr_ms == 3000
    sidecar = json.loads((tmp_path / "sub-0001_atlas-dosenbach160_timeseries.json").read_text())
    assert sidecar["RepetitionTime"] == 3.0
    assert (tmp_path / "participants.tsv").read_text().splitlines()[:2] == ["participant_id\tgroup", "sub-0001\tHC"]
    assert [identifier for identifier, _ in find_series([tmp_path])] == ids(2)


def test_writing_twice_gives_the_same_bytes(tmp_path):
    for folder in ("a", "b"):
        write_cohort(tmp_path / folder, 18, 1, seed=9)

    first, second = sorted((tmp_path / "a").iterdir()), sorted((tmp_path / "b").iterdir())
    assert [path.name for path in first] == [path.name for path in second]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"n_rois": 20}, "no network of 20 ROIs; networks have 18, 32, 34, 21, 22, 33 ROIs, all together 160"),
        ({"per_group": 0}, "at least one subject"),
        ({"n_samples": 1}, "two samples"),
        ({"seed": -1}, "no negative seed"),
    ],
)
def test_impossible_cohorts_are_refused(options, cause):
    with pytest.raises(InputError, match=cause):
        cohort(**options)
