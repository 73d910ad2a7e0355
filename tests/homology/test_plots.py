"""Figures of the homology pipeline: what they show, and that every word in them can be read."""

import numpy as np
import pytest
from legibility import assert_legible, words
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import to_rgba
from mpl_toolkits.mplot3d import Axes3D
from ripser import ripser

from medtools.core.errors import InputError
from medtools.core.figures import save_figure
from medtools.homology.plots.cloud import overview, point_cloud
from medtools.homology.plots.diagrams import barcode, betti_curves, persistence_diagram
from medtools.homology.plots.matrices import grey_image, pr_heatmap, ps_grid, ps_heatmap
from medtools.homology.plots.significance import degree_chart, p_plot
from medtools.homology.statistics import compare_groups
from medtools.homology.summaries import betti_curve, filtration_grid

ROIS = [f"post cingulate {number}" for number in range(100, 134)]
NO_BARS = np.empty((0, 2))


def ar1_series(seed, phi=0.4, n_samples=64):
    rng = np.random.default_rng(seed)
    series = np.zeros(n_samples + 100)
    for t in range(1, len(series)):
        series[t] = phi * series[t - 1] + rng.standard_normal()
    return (series[100:] - series[100:].mean()) / series[100:].std(ddof=1)


def embed(series):
    return np.stack([series[:-2], series[1:-1], series[2:]], axis=1)


def distances(n, seed=0):
    half = np.triu(np.random.default_rng(seed).random((n, n)), k=1)
    return half + half.T


@pytest.fixture(scope="module")
def diagrams():
    return ripser(embed(ar1_series(0)), maxdim=2)["dgms"]


@pytest.fixture(scope="module")
def tests():
    rng = np.random.default_rng(0)
    hc = np.array([distances(34, seed) for seed in range(12)])
    hubs = {"EMCI": range(6), "LMCI": range(2)}
    result = {}
    for group, rows in hubs.items():
        mci = np.array([distances(34, 100 + seed) for seed in range(12)])
        for row in rows:
            mci[:, row, :] += 1 + 0.01 * rng.random()
            mci[:, :, row] = mci[:, row, :]
            mci[:, row, row] = 0
        result[f"HC vs {group}"] = [compare_groups(hc, mci, groups=("HC", group)) for _ in range(3)]
    return result


def test_the_persistence_diagram_shows_every_bar_of_every_dimension_with_units(diagrams):
    figure = persistence_diagram(diagrams, title="sub-01 · post cingulate 108 (DMN)", unit="z-score")

    axes = figure.axes[0]
    points = [c for c in axes.collections if isinstance(c, PathCollection)]
    assert [len(c.get_offsets()) for c in points] == [len(diagram) for diagram in diagrams]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Birth [z-score]", "Death [z-score]")
    assert len({tuple(c.get_facecolor()[0]) for c in points}) == 3
    shown = words(figure)
    assert {"never dies (∞)", f"H1 ({len(diagrams[1])})"} <= shown.keys()
    assert_legible(figure, shown)


def test_the_bar_that_never_dies_stands_above_all_others(diagrams):
    axes = persistence_diagram(diagrams).axes[0]

    heights = np.sort(np.asarray(axes.collections[0].get_offsets())[:, 1])
    last_death = max(diagram[np.isfinite(diagram)].max(initial=0) for diagram in diagrams)
    assert heights[-1] > last_death >= heights[-2]
    assert axes.get_ylim()[1] > heights[-1]


@pytest.mark.parametrize("draw", [persistence_diagram, barcode])
def test_diagrams_without_any_bar_are_drawn(draw):
    assert_legible(draw([NO_BARS, NO_BARS, NO_BARS], title="constant series"))


def test_the_barcode_has_a_line_from_birth_to_death_for_each_bar(diagrams):
    figure = barcode(diagrams, title="sub-01 · post cingulate 108 (DMN)")

    for axes, diagram in zip(figure.axes, diagrams, strict=True):
        lines = next(c for c in axes.collections if isinstance(c, LineCollection)).get_segments()
        finite = diagram[np.isfinite(diagram[:, 1])]
        drawn = {(round(float(a[0]), 6), round(float(b[0]), 6)) for a, b in lines}
        assert len(lines) == len(diagram)
        assert {(round(float(b), 6), round(float(d), 6)) for b, d in finite} <= drawn
    assert figure.axes[-1].get_xlabel() == "Filtration value ε [z-score]"
    assert_legible(figure)


def test_a_bar_that_dies_before_it_is_born_is_refused():
    with pytest.raises(InputError, match="deaths not before births"):
        barcode([[(1.0, 0.5)]])


def test_more_than_three_dimensions_are_refused():
    with pytest.raises(InputError, match="found 4 dimensions"):
        persistence_diagram([NO_BARS] * 4)


def test_betti_curves_show_mean_and_one_standard_deviation_per_group():
    subjects = {
        group: [ripser(embed(ar1_series(seed + 50 * index, phi)), maxdim=1)["dgms"] for seed in range(4)]
        for index, (group, phi) in enumerate({"HC": 0.2, "EMCI": 0.5, "LMCI": 0.8}.items())
    }
    grid = filtration_grid([diagram for group in subjects.values() for pair in group for diagram in pair], size=50)
    curves = {
        group: [np.array([betti_curve(pair[dim], grid) for pair in pairs]) for dim in (0, 1)]
        for group, pairs in subjects.items()
    }

    figure = betti_curves(grid, curves, title="post cingulate 108 (DMN)")

    axes = figure.axes[1]
    np.testing.assert_allclose(axes.lines[2].get_ydata(), curves["LMCI"][1].mean(axis=0))
    top = axes.collections[2].get_paths()[0].vertices[:, 1].max()
    assert top == pytest.approx((curves["LMCI"][1].mean(axis=0) + curves["LMCI"][1].std(axis=0, ddof=1)).max())
    shown = words(figure)
    assert {"mean ± 1 SD", "HC (n = 4)", "β₁: bars alive", "Filtration value ε [z-score]"} <= shown.keys()
    assert_legible(figure, shown)


def test_a_single_betti_curve_has_no_band():
    figure = betti_curves([0.0, 1.0, 2.0], {"sub-01": [[3, 2, 1]]})

    assert not figure.axes[0].collections


@pytest.mark.parametrize("curves", [{}, {"HC": []}, {"HC": [[1, 2]]}, {"HC": [[1, 2, 3]], "MCI": [[1, 2, 3]] * 2}])
def test_betti_curves_that_do_not_fit_are_refused(curves):
    with pytest.raises(InputError, match="Betti curves"):
        betti_curves([0.0, 1.0, 2.0], curves)


def test_the_point_cloud_names_its_axes_in_seconds_and_colours_points_by_time():
    figure = point_cloud(embed(ar1_series(0)), tr_ms=3000, title="sub-01 · post cingulate 108 (DMN)")

    axes = figure.axes[0]
    assert isinstance(axes, Axes3D)
    labels = [axes.get_xlabel(), axes.get_ylabel(), axes.get_zlabel()]
    assert labels == ["v(t) [z-score]", "v(t + 3 s) [z-score]", "v(t + 6 s) [z-score]"]
    np.testing.assert_allclose(axes.collections[0].get_array(), 3.0 * np.arange(62))
    assert figure.axes[1].get_ylabel() == "Time t [s]"
    assert_legible(figure)


def test_a_lag_of_two_samples_at_720_ms_is_1_44_s():
    axes = point_cloud(embed(ar1_series(0)), tr_ms=720, lag=2, unit="").axes[0]

    assert (axes.get_ylabel(), axes.get_zlabel()) == ("v(t + 1.44 s)", "v(t + 2.88 s)")


def test_a_cloud_of_two_coordinates_is_drawn_flat_and_one_of_five_by_its_first_three():
    points = np.random.default_rng(0).random((20, 5))

    assert not isinstance(point_cloud(points[:, :2], tr_ms=3000).axes[0], Axes3D)
    assert isinstance(point_cloud(points, tr_ms=3000).axes[0], Axes3D)


@pytest.mark.parametrize("shape", [(5, 1), (0, 3), (7,)])
def test_a_cloud_without_points_or_plane_is_refused(shape):
    with pytest.raises(InputError, match="point cloud: expected"):
        point_cloud(np.zeros(shape), tr_ms=3000)


def test_the_overview_has_series_cloud_diagram_and_barcode(diagrams):
    series = ar1_series(0)

    figure = overview(series, embed(series), diagrams, tr_ms=3000, title="sub-01 · post cingulate 108 (DMN)")

    shown = words(figure)
    assert {"Time [s]", "Signal v [z-score]", "Persistence diagram", "Barcode"} <= shown.keys()
    assert {"Time series: 64 samples, TR 3000 ms", "Sliding-window cloud: 62 points"} <= shown.keys()
    assert_legible(figure, shown)


@pytest.mark.parametrize("n", [2, 18, 34, 70])
def test_the_pr_heat_map_names_every_roi_on_both_axes(n):
    names = [f"med cerebellum {number}" for number in range(n)]

    figure = pr_heatmap(distances(n), names, dimension=1, network="CB", subject="sub-01")

    shown = words(figure)
    assert all(len(shown[name]) == 2 for name in names)
    assert any(f"H1 · network CB · {n} ROIs" in " ".join(text.split()) for text in shown)
    assert "Wasserstein distance [z-score]" in shown
    assert_legible(figure, shown)


def test_the_pr_heat_map_shows_the_matrix_from_zero():
    matrix = distances(18) + 1 - np.eye(18)

    image = pr_heatmap(matrix, ROIS[:18], dimension=0).axes[0].images[0]

    np.testing.assert_array_equal(image.get_array(), matrix)
    assert image.get_clim() == (0, matrix.max())


def test_160_rois_are_shown_as_blocks_of_their_networks():
    sizes = {"CB": 18, "CO": 32, "DMN": 34, "FP": 21, "OP": 22, "SM": 33}
    networks = [name for name, size in sizes.items() for _ in range(size)]

    figure = pr_heatmap(distances(160), [f"ROI {i}" for i in range(160)], dimension=0, networks=networks)

    shown = words(figure)
    assert {f"{name} ({size})" for name, size in sizes.items()} <= shown.keys()
    assert "ROI 0" not in shown
    separators = {line.get_xdata()[0] for line in figure.axes[0].lines if len(set(line.get_xdata())) == 1}
    assert separators == {17.5, 49.5, 83.5, 104.5, 126.5}
    assert_legible(figure, shown)


def test_many_rois_without_networks_are_numbered():
    figure = pr_heatmap(distances(160), [f"ROI {i}" for i in range(160)], dimension=0)

    assert "ROI (row of the matrix, from 0)" in words(figure)
    assert_legible(figure)


def test_a_name_with_a_dollar_is_written_as_it_is():
    figure = pr_heatmap(distances(2), ["a$_x", "b$^{"], dimension=0)

    assert {"a$_x", "b$^{"} <= words(figure).keys()


def test_the_ps_heat_map_sorts_shuffled_subjects_by_group():
    order = np.random.default_rng(1).permutation(30)
    groups = np.repeat(["HC", "EMCI", "LMCI"], [12, 10, 8])
    sorted_matrix = distances(30)

    figure = ps_heatmap(
        sorted_matrix[np.ix_(order, order)],
        groups[order].tolist(),
        roi="post cingulate 108",
        network="DMN",
        dimension=0,
        order=["HC", "EMCI", "LMCI"],
    )

    axes = figure.axes[0]
    shown = axes.images[0].get_array()
    inside = np.sort(sorted_matrix[:12, :12], axis=None)
    np.testing.assert_array_equal(np.sort(shown[:12, :12], axis=None), inside)
    np.testing.assert_array_equal(shown, shown.T)
    assert {line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1} == {11.5, 21.5}
    shown = words(figure)
    assert {"HC (12)", "EMCI (10)", "LMCI (8)"} <= shown.keys()
    assert_legible(figure, shown)


def test_subjects_keep_their_order_within_a_group():
    matrix = distances(4)

    figure = ps_heatmap(matrix, ["MCI", "HC", "MCI", "HC"], roi="IPL 96", dimension=0, order=["HC", "MCI"])

    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), matrix[np.ix_([1, 3, 0, 2], [1, 3, 0, 2])])


def test_six_rois_share_one_colour_scale_and_are_lettered_as_in_figure_4():
    rois = ["post cingulate 108", "inf cerebellum 121", "IPL 96", "occipital 106", "post cingulate 80", "pre-SMA 41"]
    matrices = [scale * distances(20, scale) for scale in range(1, 7)]

    figure = ps_grid(
        matrices, ["HC"] * 10 + ["MCI"] * 10, rois=rois, networks=["DMN", "CB", "FP", "OP", "CO", "SM"], dimension=0
    )

    images = [axes.images[0] for axes in figure.axes if axes.images]
    assert {image.get_clim() for image in images} == {(0, max(matrix.max() for matrix in matrices))}
    shown = words(figure)
    assert {"(A) post cingulate 108 (DMN)", "(F) pre-SMA 41 (SM)", "Wasserstein distance [z-score]"} <= shown.keys()
    assert_legible(figure, shown)


def test_a_group_that_the_order_does_not_name_is_refused():
    with pytest.raises(InputError, match="order of groups: expected every group of the subjects, MCI is missing"):
        ps_heatmap(distances(2), ["HC", "MCI"], roi="IPL 96", dimension=0, order=["HC"])


@pytest.mark.parametrize("matrix", [np.zeros((3, 4)), np.full((2, 2), np.nan), np.zeros((0, 0))])
def test_matrices_that_are_not_square_and_finite_are_refused(matrix):
    with pytest.raises(InputError, match="matrix: expected"):
        grey_image(matrix)


def test_names_that_do_not_fit_the_heat_map_are_refused():
    with pytest.raises(InputError, match="ROI names: expected 3, one per row of the matrix, found 2"):
        pr_heatmap(distances(3), ["a", "b"], dimension=0)


@pytest.mark.parametrize("n", [18, 21, 22, 32, 33, 34])
def test_the_grey_image_is_224_pixels_wide_and_scaled_to_minimum_and_maximum(n):
    matrix = distances(n)

    pixels = grey_image(matrix)

    nearest = ((np.arange(224) + 0.5) * n / 224).astype(int)
    levels = np.minimum(256 * matrix / matrix.max(), 255).astype(int)[np.ix_(nearest, nearest)]
    assert pixels.shape == (224, 224)
    assert pixels.dtype == np.uint8
    assert (pixels.min(), pixels.max()) == (0, 255)
    # Single precision inside the renderer moves a value that lies on the edge of a grey level by one.
    assert np.abs(pixels.astype(int) - levels).max() <= 1


def test_the_grey_image_of_equal_values_is_black():
    assert not grey_image(np.full((5, 5), 3.0)).any()


def test_the_p_plot_shows_p_and_mask_of_every_comparison_and_dimension(tests):
    figure = p_plot({name: column[1:] for name, column in tests.items()}, ROIS, network="DMN", dimensions=[1, 2])

    panels = [axes for axes in figure.axes if axes.images]
    assert len(panels) == 8
    early, late = tests["HC vs EMCI"][0], tests["HC vs LMCI"][0]
    np.testing.assert_allclose(panels[1].images[0].get_array(), -np.log10(late.p))
    np.testing.assert_array_equal(panels[2].images[0].get_array(), early.mask)
    shown = words(figure)
    assert f"HC vs LMCI, H2: {late.n_significant} of 561 pairs" in shown
    assert any("network DMN" in text and "5.6 of 561 pairs" in text for text in shown)
    assert all(len(shown[name]) == 8 for name in ROIS)
    assert_legible(figure, shown)


def test_significant_cells_have_the_colour_of_the_mask_and_others_none(tests):
    figure = p_plot({"HC vs LMCI": tests["HC vs LMCI"][:1]}, ROIS, dimensions=[0])

    mask = figure.axes[1].images[0]
    colours = mask.to_rgba(mask.get_array())
    assert tuple(colours[0, 5]) == pytest.approx(to_rgba("#0072B2"), abs=0.01)
    assert tuple(colours[10, 11]) == (1, 1, 1, 1)


def test_a_p_value_of_zero_is_drawn_at_the_end_of_the_scale():
    far = np.arange(1500.0)[:, None, None] * (1 - np.eye(3))

    figure = p_plot({"HC vs MCI": [compare_groups(far, far + 1e6)]}, list("abc"), dimensions=[0])

    assert np.isfinite(figure.axes[0].images[0].get_array()).all()


def test_the_degree_chart_has_a_bar_per_roi_and_says_how_concentrated_they_are(tests):
    figure = degree_chart({name: column[0] for name, column in tests.items()}, ROIS, dimension=0, network="DMN")

    late = tests["HC vs LMCI"][0]
    assert [bar.get_width() for bar in figure.axes[1].patches] == late.degree.tolist()
    shown = words(figure)
    assert all(name in shown for name in ROIS)
    assert any(f"top two ROIs hold {100 * late.concentration:.0f} %" in text for text in shown)
    assert_legible(figure, shown)


def test_without_a_significant_pair_the_degree_chart_says_so():
    same = np.ones((3, 4, 4)) - np.eye(4)

    figure = degree_chart({"HC vs MCI": compare_groups(same, same)}, list("abcd"), dimension=2)

    assert "HC vs MCI\nno significant pair" in words(figure)


def test_comparisons_that_do_not_fit_are_refused(tests):
    with pytest.raises(InputError, match="HC vs EMCI: expected 2 tests"):
        p_plot(tests, ROIS, dimensions=[0, 1])
    with pytest.raises(InputError, match="ROI names: expected 34"):
        p_plot(tests, ROIS[:5])
    with pytest.raises(InputError, match="at least one comparison"):
        p_plot({}, ROIS)
    with pytest.raises(InputError, match="at least one comparison"):
        degree_chart({}, ROIS, dimension=0)


def test_the_same_data_give_the_same_png(tmp_path):
    for name in ("first.png", "second.png"):
        save_figure(point_cloud(embed(ar1_series(0)), tr_ms=3000, title="sub-01"), tmp_path / name)

    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
