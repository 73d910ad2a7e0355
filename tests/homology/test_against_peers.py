"""Diagrams and distances against ripser, GUDHI, persim and POT on random and awkward inputs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medtools.core.errors import InputError, RefusedError
from medtools.homology import rips, wasserstein
from medtools.homology.embedding import sliding_window

RELATIVE_NOISE = 1e-6


def visible(diagram: np.ndarray) -> np.ndarray:
    """Bars longer than single-precision noise, sorted."""
    bars = diagram[np.isfinite(diagram).all(axis=1)]
    bars = bars[np.diff(bars, axis=1)[:, 0] > RELATIVE_NOISE * max(1e-300, np.abs(bars).max(initial=0.0))]
    return bars[np.lexsort(bars.T[::-1])]


def assert_same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for dim, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        a, b = visible(a), visible(b)
        assert a.shape == b.shape, f"H{dim}: {len(a)} bars, the peer has {len(b)}"
        # Sorting may exchange bars of equal birth, so compare the births and deaths each on their own.
        for column in range(2):
            assert np.allclose(np.sort(a[:, column]), np.sort(b[:, column]), rtol=1e-6, atol=1e-7)


def peer_ripser(cloud: np.ndarray) -> list[np.ndarray]:
    from ripser import ripser

    return [d[np.isfinite(d).all(axis=1)] for d in ripser(cloud, maxdim=2)["dgms"]]


def clouds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    angles = np.arange(40) * 2 * np.pi / 40
    sphere = rng.standard_normal((60, 3))
    walk = np.cumsum(rng.integers(-1, 2, 70)).astype(float)
    return {
        "normal": rng.standard_normal((50, 3)),
        "fmri-like": sliding_window(np.convolve(rng.standard_normal(90), np.ones(4), "valid")),
        "sphere": sphere / np.linalg.norm(sphere, axis=1, keepdims=True),
        "even circle (many ties)": np.c_[np.cos(angles), np.sin(angles)],
        "integer walk (ties and duplicates)": sliding_window(walk),
        "each point four times": np.repeat(rng.random((12, 3)), 4, axis=0),
        "grid": np.stack(np.meshgrid(*[np.arange(3.0)] * 3), -1).reshape(-1, 3),
        "six dimensions": rng.standard_normal((32, 6)),
        "two points": np.array([[0.0], [1.0]]),
        "three points": np.array([[0.0, 0], [1, 0], [0, 2]]),
    }


@pytest.mark.parametrize("name", list(clouds()))
def test_diagrams_equal_ripsers(name):
    cloud = clouds()[name]
    assert_same(rips.diagrams(cloud), peer_ripser(cloud))


@pytest.mark.parametrize("engine", ["gudhi", "ripser"])
@pytest.mark.parametrize("name", ["normal", "fmri-like", "integer walk (ties and duplicates)"])
def test_engines_agree(name, engine):
    cloud = clouds()[name]
    assert_same(rips.diagrams(cloud), rips.diagrams(cloud, engine=engine))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 34), st.integers(1, 4), st.booleans())
def test_random_clouds_give_ripsers_diagrams(seed, n_points, n_coordinates, ties):
    rng = np.random.default_rng(seed)
    cloud = rng.standard_normal((n_points, n_coordinates))
    cloud = np.round(2 * cloud) if ties else cloud
    assert_same(rips.diagrams(cloud), peer_ripser(cloud))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(3, 24))
def test_random_distances_without_triangle_inequality_give_ripsers_diagrams(seed, n_points):
    from ripser import ripser

    upper = np.triu(np.random.default_rng(seed).integers(1, 12, (n_points, n_points)).astype(float), 1)
    distances = upper + upper.T
    theirs = ripser(distances, maxdim=2, distance_matrix=True)["dgms"]
    assert_same(rips.diagrams_from_distances(distances), [d[np.isfinite(d).all(axis=1)] for d in theirs])


def test_threads_do_not_change_a_bit():
    batch = list(clouds().values()) * 2
    one, two = rips.diagrams_batch(batch, threads=1), rips.diagrams_batch(batch, threads=2)
    assert all(np.array_equal(a, b) for x, y in zip(one, two, strict=True) for a, b in zip(x, y, strict=True))
    for dim in range(3):
        column = [found[dim] for found in one]
        assert np.array_equal(wasserstein.matrix(column, threads=1), wasserstein.matrix(column, threads=2))


def random_diagram(rng: np.random.Generator, size: int, kind: str) -> np.ndarray:
    if kind == "h0":
        return np.c_[np.zeros(size), np.sort(rng.exponential(1.0, size))]
    births = rng.random(size)
    bars = np.c_[births, births + rng.exponential(0.3, size)]
    return np.round(bars, 1) + np.array([0, 0.1]) if kind == "ties" else bars


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.integers(0, 30), st.sampled_from(["h0", "h1", "ties"]))
def test_w1_equals_persims(seed, n, m, kind):
    import persim

    rng = np.random.default_rng(seed)
    a, b = random_diagram(rng, n, kind), random_diagram(rng, m, kind)
    # persim takes distances by scikit-learn's expansion of squares, which leaves 1e-8 between equal points.
    assert wasserstein.distance(a, b) == pytest.approx(persim.wasserstein(a, b), rel=1e-7, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(0, 16), st.integers(0, 16), st.sampled_from(["h0", "h1", "ties"]),
    st.sampled_from(["l2", "linf"]), st.sampled_from([1.0, 2.0, 3.5]),
)  # fmt: skip
def test_wq_equals_pot_for_every_order_and_ground_metric(seed, n, m, kind, ground, order):
    from gudhi.wasserstein import wasserstein_distance

    rng = np.random.default_rng(seed)
    a, b = random_diagram(rng, n, kind), random_diagram(rng, m, kind)
    norm = 2.0 if ground == "l2" else np.inf
    expected = wasserstein_distance(a, b, order=order, internal_p=norm)
    assert wasserstein.distance(a, b, order=order, ground=ground) == pytest.approx(expected, rel=1e-7, abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20), st.integers(1, 20), st.sampled_from(["h0", "h1", "ties"]))
def test_bottleneck_equals_gudhis(seed, n, m, kind):
    import gudhi

    rng = np.random.default_rng(seed)
    a, b = random_diagram(rng, n, kind), random_diagram(rng, m, kind)
    expected = gudhi.bottleneck_distance(a, b)
    assert wasserstein.distance(a, b, kind="bottleneck") == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (np.ones((3, 4)), "square"),
        (np.array([[0.0, 1], [2, 0]]), "symmetric"),
        (np.array([[1.0, 0.2], [0.2, 1]]), "diagonal"),
        (np.array([[0.0, np.nan], [np.nan, 0]]), "finite"),
        (np.array([[0.0, -1], [-1, 0]]), "negative"),
    ],
)
def test_what_is_no_distance_matrix_is_refused(matrix, says):
    with pytest.raises(InputError, match=says):
        rips.diagrams_from_distances(matrix)


def test_a_cloud_with_nan_is_refused_before_any_engine_sees_it():
    cloud = np.zeros((5, 3))
    cloud[2, 1] = np.nan
    for engine in ("auto", "gudhi", "ripser"):
        with pytest.raises(InputError):
            rips.diagrams(cloud, engine=engine)


def test_what_would_need_too_much_memory_is_refused_before_work_begins():
    with pytest.raises(RefusedError):
        rips.diagrams(np.random.default_rng(0).standard_normal((400, 3)), engine="ripser", max_mem=2**20)
