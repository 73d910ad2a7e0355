"""The engine from inside: collapse, cohomology, limits and interruption. Values against peers: test_against_peers."""

import _thread
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtools.core.errors import InputError, RefusedError
from medtools.homology import cohomology, filtration, rips
from medtools.homology.collapse import collapsed
from medtools.homology.embedding import sliding_window
from medtools.homology.jobs import Cancel, CancelledError


def cloud_of(seed: int, n_points: int, n_coordinates: int, ties: bool) -> np.ndarray:
    cloud = np.random.default_rng(seed).standard_normal((n_points, n_coordinates))
    return np.round(1.5 * cloud) if ties else cloud


def random_distances(n_points: int, seed: int = 0) -> np.ndarray:
    """Return distances on which collapse fails and reduction takes seconds from about 100 points on."""
    upper = np.triu(np.random.default_rng(seed).random((n_points, n_points)), 1)
    return upper + upper.T


def same(one: rips.Diagrams, other: rips.Diagrams) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("n_points", [1, 2, 3])
@pytest.mark.parametrize("engine", ["auto", "gudhi", "ripser"])
@pytest.mark.parametrize("max_dim", [0, 1, 2])
def test_the_smallest_clouds_work_in_every_engine(n_points, engine, max_dim):
    found = rips.diagrams(np.arange(n_points)[:, None], max_dim, engine=engine)
    assert [len(diagram) for diagram in found] == [n_points - 1, 0, 0][: max_dim + 1]
    assert np.array_equal(found[0], [[0.0, 1.0]] * (n_points - 1)) or n_points == 1
    assert all(diagram.shape[1] == 2 for diagram in found)


def test_one_place_taken_many_times_has_no_bars():
    assert [len(diagram) for diagram in rips.diagrams(np.full((50, 3), 0.1))] == [0, 0, 0]


def test_rounding_of_a_sampled_sine_adds_no_bars():
    # The card's check 2 as it is computed: np.sin leaves 1e-15 between the ten copies of each point.
    h0, h1, h2 = rips.diagrams(sliding_window(np.sin(np.pi * np.arange(40) / 2)))
    assert np.allclose(h0, [[0, np.sqrt(3)]] * 3, rtol=1e-6)
    assert np.allclose(h1, [[np.sqrt(3), 2]], rtol=1e-6)
    assert len(h2) == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(1, 4), st.booleans())
def test_all_engines_give_the_same_bits(seed, n_points, n_coordinates, ties):
    cloud = cloud_of(seed, n_points, n_coordinates, ties)
    found = rips.diagrams(cloud)
    assert same(found, rips.diagrams(cloud, engine="ripser"))
    assert same(found, rips.diagrams(cloud, engine="gudhi"))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.booleans())
def test_lower_dimensions_do_not_depend_on_the_largest(seed, n_points, ties):
    cloud = cloud_of(seed, n_points, 3, ties)
    found = rips.diagrams(cloud, max_dim=2)
    assert same(found[:2], rips.diagrams(cloud, max_dim=1))
    # Prim's and Kruskal's trees may differ in their edges, not in their lengths.
    assert same(found[:1], rips.diagrams(cloud, max_dim=0))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.booleans())
def test_the_order_of_the_points_changes_no_bit(seed, n_points, ties):
    cloud = cloud_of(seed, n_points, 3, ties)
    shuffled = np.random.default_rng(seed).permutation(cloud)
    assert same(rips.diagrams(cloud), rips.diagrams(shuffled))


@pytest.mark.parametrize("exponent", [-600, -300, 40, 600])
def test_scaling_by_a_power_of_two_scales_every_bit_however_large_or_small(exponent):
    cloud = cloud_of(3, 40, 3, ties=False)
    expected = [np.ldexp(diagram, exponent) for diagram in rips.diagrams(cloud)]
    assert same(rips.diagrams(np.ldexp(cloud, exponent)), expected)


def test_points_and_their_distances_give_the_same_diagrams():
    cloud = cloud_of(5, 60, 3, ties=False)
    assert same(rips.diagrams(cloud), rips.diagrams_from_distances(filtration.euclidean(cloud)))


@pytest.mark.parametrize("max_dim", [1, 2])
@pytest.mark.parametrize("cloud", ["normal", "ties", "sphere"])
def test_collapse_changes_no_bar(cloud, max_dim):
    points = cloud_of(7, 48, 3, ties=cloud == "ties")
    if cloud == "sphere":
        points /= np.linalg.norm(points, axis=1, keepdims=True)
    distances = filtration.euclidean(points)
    with_collapse, n_left = bars_after_collapse(distances, max_dim)
    without, n_all = bars_after_collapse(distances, max_dim, skip=True)
    assert np.array_equal(with_collapse, without)
    assert n_left < n_all == 48 * 47 // 2


def bars_after_collapse(
    distances: np.ndarray,
    max_dim: int = 2,
    number: type[np.signedinteger] = np.int32,
    *,
    skip: bool = False,
    until_contractible: bool = False,
) -> tuple[np.ndarray, int]:
    """Return the visible bars as sorted rows (dim, birth, death), and how many edges were left."""
    u, v, lengths = filtration.sorted_edges(distances, until_contractible)
    n = len(distances)
    bits = (n - 1).bit_length()
    work_space = np.empty((n, -(-n // 16) * 16), dtype=number)
    stop = np.array([skip], dtype=np.uint8)  # a stopped collapse leaves the graph as it is
    graph, entered = collapsed(u, v, work_space, bits, np.iinfo(number).max >> bits << bits, stop)
    status, bars = cohomology.persistence(graph, max_dim, 2**30, np.zeros(1, dtype=np.uint8))
    assert status == cohomology.DONE
    assert (bars[:, 2] > 0).all()
    rows = np.column_stack([bars[:, 0], lengths[entered][bars[:, 1:]]])
    rows = rows[rows[:, 2] > rows[:, 1]]
    return rows[np.lexsort(rows.T[::-1])], len(entered) - 1


def test_collapse_leaves_few_edges_of_an_embedded_series_and_the_same_in_wider_integers():
    series = np.convolve(np.random.default_rng(0).standard_normal(190), np.ones(4), "valid")
    distances = filtration.euclidean(sliding_window(series))
    narrow, n_left = bars_after_collapse(distances)
    wide, n_left_wide = bars_after_collapse(distances, number=np.int64)
    assert np.array_equal(narrow, wide)
    assert n_left == n_left_wide
    # GUDHI's collapse leaves about 700 of 15,000 edges of such clouds after five rounds; ours does one round.
    assert n_left < 1500


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 4), st.booleans())
def test_edges_after_the_complex_is_contractible_change_nothing(seed, n_points, n_coordinates, ties):
    distances = filtration.euclidean(cloud_of(seed, n_points, n_coordinates, ties))
    enclosing_radius = distances.max(axis=1).min()
    assert filtration.contractible_from(distances) <= enclosing_radius * (1 + 1e-6) + 1e-40
    long, short = (bars_after_collapse(distances, until_contractible=until)[0] for until in (False, True))
    assert np.array_equal(long, short)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.booleans())
def test_edges_come_in_order_of_length_each_once(seed, n_points, ties):
    distances = filtration.euclidean(cloud_of(seed, n_points, 3, ties))
    u, v, lengths = filtration.sorted_edges(distances, False)
    assert lengths[0] == 0
    assert np.array_equal(lengths[1:], np.sort(distances[np.triu_indices(n_points, 1)]))
    assert np.array_equal(lengths[1:], distances[u[1:], v[1:]])
    assert (u[1:] < v[1:]).all()
    assert len(set(zip(u[1:], v[1:], strict=True))) == n_points * (n_points - 1) // 2


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.booleans())
def test_prims_tree_is_scipys(seed, n_points, ties):
    from scipy.sparse.csgraph import minimum_spanning_tree

    distances = filtration.euclidean(cloud_of(seed, n_points, 3, ties)) + 1.0
    np.fill_diagonal(distances, 0.0)
    theirs = minimum_spanning_tree(distances).data
    assert np.allclose(np.sort(filtration.spanning_tree_lengths(distances)), np.sort(theirs), rtol=1e-12)


def test_a_batch_reports_progress_and_keeps_the_order_of_its_clouds():
    clouds = [cloud_of(seed, 10 + seed, 2, ties=False) for seed in range(12)]
    seen: list[tuple[int, int]] = []
    found = rips.diagrams_batch(clouds, threads=2, progress=lambda done, total: seen.append((done, total)))
    assert [len(diagrams[0]) for diagrams in found] == [len(cloud) - 1 for cloud in clouds]
    assert seen[-1] == (12, 12)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_an_empty_batch_is_empty():
    assert rips.diagrams_batch([]) == []


def test_a_time_limit_ends_the_work_soon():
    begun = time.monotonic()
    with pytest.raises(RefusedError, match=r"time limit of 0\.3 s"):
        rips.diagrams_from_distances(random_distances(150), timeout=0.3)
    assert time.monotonic() - begun < 5


def test_a_set_flag_ends_the_work_soon():
    cancel = Cancel()
    threading.Timer(0.3, cancel.set).start()
    begun = time.monotonic()
    with pytest.raises(CancelledError):
        rips.diagrams_from_distances(random_distances(150), cancel=cancel)
    assert time.monotonic() - begun < 5


def test_ctrl_c_ends_the_work_soon():
    threading.Timer(0.3, _thread.interrupt_main).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        rips.diagrams_from_distances(random_distances(150))
    assert time.monotonic() - begun < 5


def test_memory_that_was_not_foreseen_is_refused_during_the_work():
    need = rips.estimate(110).memory
    with pytest.raises(RefusedError, match="110 points"):
        rips.diagrams_from_distances(random_distances(110), max_mem=need + 2**16)


@pytest.mark.parametrize("engine", ["auto", "gudhi", "ripser"])
def test_memory_that_is_foreseen_is_refused_before_the_work(engine):
    begun = time.monotonic()
    with pytest.raises(RefusedError, match="3000 points"):
        rips.diagrams(np.zeros((3000, 3)), engine=engine, max_mem=2**20)
    assert time.monotonic() - begun < 2


def test_an_engine_that_cannot_be_stopped_is_refused_when_it_would_outlast_the_limit():
    with pytest.raises(RefusedError, match="engine ripser, 5 s allowed"):
        rips.diagrams(np.zeros((900, 3)), engine="ripser", timeout=5, max_mem=2**40)


def test_the_estimate_grows_with_points_and_names_the_cheapest_engine():
    costs = [rips.estimate(n) for n in (10, 185, 1198)]
    assert sorted(cost.memory for cost in costs) == [cost.memory for cost in costs]
    assert sorted(cost.seconds for cost in costs) == [cost.seconds for cost in costs]
    for engine in ("gudhi", "ripser"):
        assert rips.estimate(1198, engine=engine).memory > costs[-1].memory
        assert rips.estimate(1198, engine=engine).seconds > costs[-1].seconds


@pytest.mark.parametrize(
    ("points", "options", "says"),
    [
        (np.zeros((0, 3)), {}, "n_points"),
        (np.zeros(5), {}, "n_points"),
        ([[0.0, np.inf]], {}, "infinite"),
        (np.zeros((4, 2)), {"engine": "giotto"}, "unknown engine"),
        (np.zeros((4, 2)), {"max_dim": 3}, "0, 1 or 2"),
    ],
)
def test_what_is_no_cloud_or_no_option_is_refused(points, options, says):
    with pytest.raises(InputError, match=says):
        rips.diagrams(points, **options)


def test_the_cloud_at_fault_is_named_by_its_place():
    with pytest.raises(InputError, match="point cloud 2"):
        rips.diagrams_batch([np.zeros((3, 2)), np.ones((3, 2)), np.full((3, 2), np.nan)])


def test_a_correlation_matrix_is_named_as_such():
    with pytest.raises(InputError, match="correlation matrix"):
        rips.diagrams_from_distances(np.corrcoef(np.random.default_rng(0).standard_normal((6, 40))))
