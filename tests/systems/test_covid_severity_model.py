"""The removals, from the pleura to the last refinement: subsets, edges, order, and the same bits on any threads."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from medtools.core.errors import InputError
from medtools.systems.covid_severity.model import (
    INFECTION,
    Method,
    artefact_zone,
    drop_isolated_slices,
    infection_candidates,
    refine,
    remove_artefacts,
    segment,
    slice_positions,
)
from medtools.systems.covid_severity.organs import find_entry, remove_downward, remove_other_lung, remove_upward
from medtools.systems.covid_severity.phantom import make_phantom
from medtools.systems.covid_severity.severity import severity

PAPER, CODE = Method.of("paper"), Method.of("code")
# Stage 2, then also 3, then also 4, then also the artefacts: each adds to the one before; holes stay as they are.
CUMULATIVE = [
    replace(PAPER.without_removals(), **dict.fromkeys(names, True))
    for names in ((), ("pleura",), ("pleura", "organs"), ("pleura", "organs", "vessels"))
]
CUMULATIVE.append(replace(CUMULATIVE[-1], artefacts=True))


@pytest.fixture(scope="module")
def phantom():
    """A scan of 128 by 128 pixels and 24 slices, with ground glass in every lobe."""
    return make_phantom(np.random.default_rng(5), 128, 24, fractions=(0.1, 0.3, 0.02, 0.6, 0.1))


def lung_block(n_slices=3, size=64):
    """A lung label and HU of normal parenchyma without noise."""
    labels = np.zeros((n_slices, size, size), dtype=np.uint8)
    labels[:, 8:56, 8:30] = 3
    labels[:, 8:56, 34:56] = 1
    return labels, np.where(labels > 0, -860, 40).astype(np.int16)


@pytest.mark.parametrize(("hu", "inside"), [(-596, False), (-595, True), (-1, True), (0, False)])
def test_the_window_includes_both_its_bounds(hu, inside):
    # The card's check 7.
    found = infection_candidates(np.full((2, 2), hu), np.ones((2, 2), dtype=bool), PAPER)

    assert found.all() == inside


def test_zero_hu_counts_where_the_window_holds_it_unless_the_script_is_followed():
    lung, water = np.ones((2, 2), dtype=bool), np.zeros((2, 2))

    assert infection_candidates(water, lung, replace(CODE, zero_is_background=False)).all()
    assert not infection_candidates(water, lung, CODE).any()


def test_each_stage_leaves_a_subset_and_never_raises_the_score(phantom):
    # The card's check 10.
    found = [segment(phantom.hu, phantom.lobes, phantom.spacing[0], method).mask("infection") for method in CUMULATIVE]
    totals = [severity(mask, phantom.lobes, 1.0).total for mask in found]

    assert all((later <= earlier).all() for earlier, later in pairwise(found))
    assert totals == sorted(totals, reverse=True)
    assert totals[0] > totals[-1]


@pytest.mark.parametrize("method", [PAPER, CODE], ids=["paper", "code"])
def test_the_masks_say_where_every_voxel_went(phantom, method):
    found = segment(phantom.hu, phantom.lobes, phantom.spacing[0], method)
    lung = phantom.lobes > 0
    pleura, organ, vessel, candidate = (found.mask(name) for name in ("pleura", "organ", "vessel", "candidate"))

    assert not (pleura & organ).any()
    assert not (candidate & (pleura | organ | vessel)).any()
    assert (pleura | organ | candidate <= lung).all()
    window = (phantom.hu >= method.hu_low) & (phantom.hu <= method.hu_high)
    window &= (phantom.hu != 0) | (not method.zero_is_background)
    assert np.array_equal(candidate, lung & window & ~pleura & ~organ & ~vessel)


def test_one_thread_and_three_give_the_same_bits(phantom):
    one, three = (segment(phantom.hu, phantom.lobes, 12.0, PAPER, threads=n).regions for n in (1, 3))

    assert np.array_equal(one, three)


def test_nothing_that_was_given_is_changed(phantom):
    hu, lobes = phantom.hu.copy(), phantom.lobes.copy()

    segment(hu, lobes, 12.0)

    assert np.array_equal(hu, phantom.hu)
    assert np.array_equal(lobes, phantom.lobes)


def test_positions_run_from_the_first_to_the_last_slice_with_lung():
    lobes = np.zeros((9, 4, 4), dtype=np.uint8)
    lobes[2:7] = 1

    assert slice_positions(lobes).tolist() == [-50, -25, 0, 25, 50, 75, 100, 125, 150]
    assert slice_positions(lobes, script=True).tolist() == [-40, -20, 0, 20, 40, 60, 80, 100, 120]


def test_areas_scale_with_the_matrix_and_only_when_asked():
    assert PAPER.area_scale((9, 512, 512)) == 1
    assert PAPER.area_scale((9, 256, 256)) == 0.25
    assert replace(PAPER, scale_areas=False).area_scale((9, 256, 256)) == 1


def test_an_organ_is_found_where_lung_encloses_it():
    labels, _ = lung_block(5)
    labels[3:, 20:30, 14:24] = 0
    positions = np.array([0.0, 50.0, 60.0, 70.0, 80.0])

    entry, organ = find_entry(labels, positions)

    assert entry == 3
    assert organ.sum() == 100
    assert organ[20:30, 14:24].all()
    assert find_entry(labels, positions - 40)[1] is None


def test_two_enclosed_parts_are_no_organ():
    labels, _ = lung_block(2)
    labels[:, 20:30, 14:24] = 0
    labels[:, 40:45, 14:24] = 0

    assert find_entry(labels, np.array([60.0, 70.0]))[1] is None


def test_the_upward_pass_clears_the_organ_over_four_millimetres_and_shrinks_it():
    labels, _ = lung_block(10)
    organ = np.zeros((64, 64), dtype=bool)
    organ[30:50, 10:28] = True

    remove_upward(labels, organ, 8, 1.0, script=False)

    cleared = [int((labels[index][organ] == 0).sum()) for index in range(8)]
    assert cleared[7] == organ.sum()
    assert cleared[7] > cleared[6] > cleared[5] > cleared[4] > 0
    assert cleared[:4] == [0, 0, 0, 0]


def test_the_scripts_upward_pass_stops_short_and_keeps_the_organs_size():
    labels, _ = lung_block(10)
    organ = np.zeros((64, 64), dtype=bool)
    organ[30:50, 10:28] = True

    remove_upward(labels, organ, 8, 1.0, script=True)

    assert [int((labels[index][organ] == 0).sum()) for index in range(3, 8)] == [0, 0, 360, 360, 360]


def test_the_downward_pass_ends_at_87_percent_and_returns_where_it_stopped():
    labels, _ = lung_block(8)
    organ = np.zeros((64, 64), dtype=bool)
    organ[30:34, 18:22] = True
    positions = np.array([0.0, 60.0, 65.0, 70.0, 80.0, 86.9, 87.0, 100.0])

    stopped = remove_downward(labels, organ, 2, 5.0, positions)

    assert stopped == 6
    cleared = [int((labels[index] == 0).sum()) for index in range(8)]
    # 12 mm are the entry and two more slices; the organ grows from one to the next.
    assert cleared[2] < cleared[3] < cleared[4]
    assert cleared[5] == cleared[0]


@pytest.mark.parametrize("left", [False, True])
def test_the_other_lung_is_the_one_without_the_organ(left):
    labels = np.zeros((12, 64, 96), dtype=np.uint8)
    labels[:, 8:56, 8:36] = 3
    labels[:, 8:56, 60:88] = 1
    before = labels.copy()
    organ = np.zeros(labels.shape[1:], dtype=bool)
    organ[30:34, 70:74] = left
    organ[30:34, 14:18] = not left

    remove_other_lung(labels, organ, 6, 5.0, 50.0)

    changed = (labels != before).any(axis=(1, 2))
    assert np.flatnonzero(changed).tolist() == ([3, 4, 5, 6] if left else [6, 7, 8, 9])
    assert set(np.unique(before[labels != before])) == ({3} if left else {1})


def test_small_components_in_the_front_band_are_artefacts():
    mask = np.zeros((40, 40), dtype=bool)
    mask[5:9, 5:9] = True
    mask[25:35, 5:35] = True
    zone = np.zeros_like(mask)
    zone[:12] = True

    kept = remove_artefacts(mask, zone)

    assert not kept[5:9, 5:9].any()
    assert kept[25:35, 5:35].all()


def test_a_component_of_more_than_half_the_zone_is_no_artefact():
    mask = np.zeros((40, 40), dtype=bool)
    mask[5:10, 5:30] = True  # 125 pixels, centred in the zone
    zone = np.zeros_like(mask)
    zone[5:11, :40] = True  # half of 240 is 120

    assert remove_artefacts(mask, zone).any()
    zone[5:12] = True  # half of 280 is 140
    assert not remove_artefacts(mask, zone).any()


def test_the_whole_edge_counts_near_the_apex_and_the_front_elsewhere():
    labels, _ = lung_block()

    apex, upper, middle = (artefact_zone(labels[0], position) for position in (3, 10, 50))

    assert apex[52:].any()
    assert not upper[48:].any()
    assert middle.sum() > upper.sum()


def test_holes_are_filled_after_artefacts_are_gone():
    mask = np.ones((40, 40), dtype=bool)
    mask[10:15, 10:16] = False  # 30 pixels

    filled = refine(mask, np.zeros_like(mask), PAPER)

    assert filled.all()
    assert not refine(mask, np.zeros_like(mask), replace(PAPER, refine=False)).all()


def test_a_slice_alone_is_dropped_from_the_head_on():
    regions = np.zeros((6, 3, 3), dtype=np.uint8)
    regions[[1, 3, 4]] = INFECTION

    drop_isolated_slices(regions)

    assert (regions.any(axis=(1, 2))).tolist() == [False, False, False, True, True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lobes": np.ones((3, 64, 63), np.uint8)}, "shape"),
        ({"lobes": np.full((3, 64, 64), 6, np.uint8)}, "label 6"),
        ({"lobes": np.zeros((3, 64, 64), np.uint8)}, "no lung"),
        ({"thickness": 0.0}, "0.0 mm"),
        ({"thickness": float("nan")}, "nan mm"),
        ({"hu": np.zeros((1, 64, 64)), "lobes": np.ones((1, 64, 64), np.uint8)}, "at least two slices"),
    ],
)
def test_what_cannot_be_a_scan_is_refused(change, message):
    # The card's check 12, as far as arrays can be at fault.
    lobes, hu = lung_block()
    arguments = {"hu": hu, "lobes": lobes, "thickness": 5.0} | change

    with pytest.raises(InputError, match=message):
        segment(**arguments)


@pytest.mark.slow
def test_the_script_variant_is_the_published_procedure_bit_for_bit(monkeypatch):
    pytest.importorskip("itk", reason="the published procedure needs itk")
    pytest.importorskip("cv2", reason="the published procedure needs OpenCV")
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    from published_ct import published_procedure

    scan = make_phantom(np.random.default_rng(3), 128, 96)

    found = segment(scan.hu, scan.lobes, scan.spacing[0], replace(CODE, scale_areas=False)).mask("infection")

    assert np.array_equal(found, published_procedure(scan.hu, scan.lobes, scan.spacing[0]))
