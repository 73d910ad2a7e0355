"""Connectivity and nodal local efficiency (card 04, checks 1, 2 and 5)."""

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtools.core.errors import InputError
from medtools.systems.asd_transformer.connectivity import (
    efficiency_of,
    from_triangles,
    local_efficiency,
    pearson,
    strongest_edges,
    upper_triangles,
)
from medtools.systems.asd_transformer.features import Features


def adjacency(graph):
    return networkx.to_numpy_array(graph, dtype=bool)


def connectivity(n=200, seed=0):
    rng = np.random.default_rng(seed)
    return pearson(rng.standard_normal((n, 60)) + 0.4 * rng.standard_normal(60))[0]


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        (networkx.complete_graph(5), [1] * 5),
        (networkx.star_graph(4), [0] * 5),
        (networkx.cycle_graph(5), [0] * 5),
        (networkx.wheel_graph(6), [0.75, *[5 / 6] * 5]),  # rim: paths 1, 1, 2 between three neighbours
        (networkx.empty_graph(3), [0] * 3),
        (networkx.path_graph(2), [0, 0]),
    ],
)
def test_known_graphs_have_the_efficiency_of_the_card(graph, expected):
    assert local_efficiency(adjacency(graph)) == pytest.approx(expected, abs=1e-12)


def test_a_200_node_graph_agrees_with_networkx_node_by_node():
    edges = strongest_edges(connectivity())
    graph, ours = networkx.from_numpy_array(edges), local_efficiency(edges)
    for node in range(0, 200, 25):
        theirs = networkx.global_efficiency(graph.subgraph(graph[node]))
        assert ours[node] == pytest.approx(theirs, abs=1e-12)


def test_a_200_node_graph_agrees_with_the_brain_connectivity_toolbox():
    peer = pytest.importorskip("bct")
    edges = strongest_edges(connectivity(seed=1))
    assert np.abs(local_efficiency(edges) - peer.efficiency_bin(edges.astype(float), local=True)).max() < 1e-12


def test_sparse_graphs_with_long_and_missing_paths_agree_with_networkx():
    for seed in range(5):
        graph = networkx.gnp_random_graph(40, 0.12, seed=seed)
        expected = [networkx.global_efficiency(graph.subgraph(graph[node])) for node in graph]
        assert local_efficiency(adjacency(graph)) == pytest.approx(expected, abs=1e-12)


def test_weighted_paths_have_length_one_over_r():
    matrix = connectivity(24, seed=2)
    edges = strongest_edges(matrix, 0.3)
    graph = networkx.from_numpy_array(np.where(edges, 1 / matrix, 0))
    ours = efficiency_of(matrix, 0.3, weighted=True)
    for node in graph:
        near = graph.subgraph(graph[node])
        paths = dict(networkx.all_pairs_dijkstra_path_length(near))
        total = sum(1 / d for source, ends in paths.items() for end, d in ends.items() if source != end)
        k = len(near)
        assert ours[node] == pytest.approx(total / (k * (k - 1)) if k > 1 else 0)


def test_a_density_of_20_percent_of_200_nodes_is_3980_edges():
    assert np.count_nonzero(strongest_edges(connectivity())) == 2 * 3980


def test_negative_edges_are_never_kept_and_ties_go_by_index():
    equal = np.full((5, 5), 0.5)
    assert strongest_edges(equal, 0.2)[0].tolist() == [False, True, True, False, False]
    assert not strongest_edges(-equal, 1.0).any()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 10))
def test_a_positive_factor_leaves_efficiency_unchanged(seed, factor):
    matrix = connectivity(30, seed)
    assert np.array_equal(efficiency_of(matrix), efficiency_of(factor * matrix))


def test_pearson_is_numpys_with_zeros_for_a_constant_roi():
    series = np.random.default_rng(0).standard_normal((6, 40))
    assert np.allclose(pearson(series)[0], np.corrcoef(series), atol=1e-14)
    series[2] = 7.0
    matrix, constant = pearson(series)
    assert constant == [2]
    assert matrix[2].tolist() == [0, 0, 1, 0, 0, 0]
    assert np.array_equal(matrix, matrix.T)


def test_two_samples_are_too_few_for_a_correlation():
    with pytest.raises(InputError, match="2 samples per ROI"):
        pearson(np.zeros((4, 2)))


def test_triangles_go_both_ways():
    matrices = np.stack([connectivity(9, seed) for seed in range(3)])
    assert upper_triangles(matrices).shape == (3, 36)
    assert np.array_equal(from_triangles(upper_triangles(matrices), 9), matrices)


def test_weighting_multiplies_rows_and_not_columns():
    matrix = connectivity(8).astype(np.float32)[None]
    ones = Features(matrix, np.ones((1, 8)), None)
    assert np.array_equal(ones.weighted, matrix)
    scaled = Features(matrix, np.array([[1.0, 0.5, *[1.0] * 6]]), None).weighted
    assert np.array_equal(scaled[0, 1], matrix[0, 1] / 2)
    assert np.array_equal(scaled[0, 2:], matrix[0, 2:])
    assert not np.array_equal(scaled[0], scaled[0].T)
