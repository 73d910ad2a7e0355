"""The phantom: planted where it says, the same bits every time, and a cohort on which the removals pay."""

import numpy as np
import pytest
from scipy import ndimage

from medtools.metrics.agreement import quadratic_kappa
from medtools.systems.covid_severity.model import Method, segment
from medtools.systems.covid_severity.phantom import LEVELS, make_phantom
from medtools.systems.covid_severity.severity import severity


def make(seed, size=96, n_slices=24, **options):
    return make_phantom(np.random.default_rng(seed), size, n_slices, **options)


@pytest.fixture(scope="module")
def scan():
    return make(0)


def test_the_same_seed_makes_the_same_scan_and_another_makes_another(scan):
    again, other = make(0), make(1)

    assert np.array_equal(scan.hu, again.hu)
    assert np.array_equal(scan.infection, again.infection)
    assert not np.array_equal(scan.hu, other.hu)


def test_all_five_lobes_are_there_on_their_sides(scan):
    columns = np.arange(scan.lobes.shape[2])
    centre = {lobe: np.average(columns, weights=(scan.lobes == lobe).sum(axis=(0, 1))) for lobe in range(1, 6)}

    assert set(np.unique(scan.lobes)) == set(range(6))
    # The patient's right lies on the image's left.
    assert max(centre[lobe] for lobe in (3, 4, 5)) < 48 < min(centre[lobe] for lobe in (1, 2))


def test_upper_lobes_lie_above_lower_ones(scan):
    slices = np.arange(scan.lobes.shape[0])
    centre = {lobe: np.average(slices, weights=(scan.lobes == lobe).sum(axis=(1, 2))) for lobe in range(1, 6)}

    assert centre[1] < centre[2]
    assert centre[3] < centre[4] < centre[5]


def test_ground_glass_fills_the_asked_share_of_each_lobe():
    wanted = (0.0, 0.02, 0.10, 0.30, 0.60)

    scan = make(3, 128, 24, fractions=wanted)

    share = [(scan.infection & (scan.lobes == lobe)).sum() / (scan.lobes == lobe).sum() for lobe in range(1, 6)]
    assert share == pytest.approx(wanted, abs=0.035)
    assert share[0] == 0


def test_densities_are_the_cards():
    scan = make(4, motion=False, fractions=(0.0, 0.6, 0.0, 0.6, 0.0))
    inner = ndimage.binary_erosion(scan.lobes > 0, iterations=2)

    def commonest(mask):
        counts, edges = np.histogram(scan.hu[mask & inner], bins=np.arange(-1020, 60, 20))
        return edges[counts.argmax()] + 10

    # Partial volume with vessels and chest wall only ever raises a voxel, so the commonest value is the density's.
    assert commonest(scan.infection) == pytest.approx(-480, abs=40)
    assert commonest(~scan.infection) == pytest.approx(-860, abs=40)
    assert scan.spacing == (12.0, 333 / 96, 333 / 96)


def test_the_liver_dome_is_found_in_the_right_base(scan):
    found = segment(scan.hu, scan.lobes, scan.spacing[0])

    assert found.organ_entry is not None
    assert 12 < found.organ_entry < 20


def test_lobes_are_drawn_from_the_levels_of_the_card():
    shares = []
    for seed in range(4):
        scan = make(seed)
        shares += [(scan.infection & (scan.lobes == lobe)).sum() / (scan.lobes == lobe).sum() for lobe in range(1, 6)]

    nearest = np.abs(np.array(shares)[:, None] - np.array(LEVELS)).min(axis=1)
    assert nearest.max() < 0.05


def test_the_removals_beat_the_threshold_on_a_phantom_cohort():
    # The card's prototype at 160 pixels: threshold alone 0.28 to 0.64, pleura and refinement 0.73 to 0.88; its vessel
    # filter is made for finer pixels and costs some of that. At 128 pixels everything is lower, in the same order.
    truth, threshold, whole, unfiltered = [], [], [], []
    for seed in range(8):
        scan = make(seed, 128, 24)

        def total(method, scan=scan):
            found = segment(scan.hu, scan.lobes, scan.spacing[0], method)
            return severity(found.mask("infection"), scan.lobes, 1.0).total

        truth.append(severity(scan.infection, scan.lobes, 1.0).total)
        threshold.append(total(Method().without_removals()))
        whole.append(total(Method()))
        unfiltered.append(total(Method(organs=False, vessels=False, artefacts=False)))
    agreement = [quadratic_kappa(truth, predicted, range(26)) for predicted in (threshold, whole, unfiltered)]

    assert agreement[1] > agreement[0] + 0.1
    assert agreement[2] > agreement[0] + 0.05
    assert np.mean(np.subtract(threshold, truth)) > 4
