"""Quality measures by their definitions, and verdicts with reasons."""

import numpy as np
import pytest

from medtools.preprocess.fmri import qc

LIMITS = qc.Thresholds()
GOOD = {
    "n_volumes": 187, "tr_ms": 3000.0, "mean_fd_mm": 0.1, "max_fd_mm": 0.4, "fd_share": 0.0, "max_displacement_mm": 1.0,
    "mean_dvars_percent": 1.0, "tsnr": 80.0, "brain_overlap": 0.95, "n_rois_absent": 0, "n_rois_partial": 0,
}  # fmt: skip


def test_dvars_is_the_root_mean_square_change_in_percent_of_the_median():
    values = np.array([[100.0, 200, 300], [103, 196, 300], [103, 196, 300]])
    level = np.median(values.mean(axis=0))
    np.testing.assert_allclose(qc.dvars_percent(values), [0, 100 * np.sqrt((9 + 16) / 3) / level, 0])


def test_temporal_snr_ignores_a_linear_trend():
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 10, (400, 500))
    trend = np.linspace(0, 300, 400)[:, None]
    assert qc.temporal_snr((1000 - 150 + trend + noise).astype(np.float32)) == pytest.approx(100, rel=0.02)


def test_dice_of_masks():
    one, other = np.array([1, 1, 1, 0], dtype=bool), np.array([0, 1, 1, 1], dtype=bool)
    assert qc.dice(one, other) == pytest.approx(2 / 3)
    assert qc.dice(one & False, other & False) == 0


def test_spread_is_the_largest_distance_between_two_poses_along_an_axis():
    parameters = np.zeros((4, 6))
    parameters[:, 1] = [-1.0, 0.5, 2.0, 0.0]
    assert qc.spread_mm(parameters) == 3.0


def test_a_good_run_passes_and_each_bad_measure_is_a_reason_with_its_threshold():
    assert qc.reasons_to_warn(GOOD, LIMITS) == []
    bad = {
        "mean_fd_mm": 0.7, "fd_share": 0.5, "max_displacement_mm": 4.0, "tsnr": 12.0, "brain_overlap": 0.4,
        "n_rois_absent": 2, "n_rois_partial": 1,
    }  # fmt: skip
    reasons = qc.reasons_to_warn(GOOD | bad, LIMITS)
    assert [reason.split()[0] for reason in reasons] == list(bad)
    assert "mean_fd_mm 0.7 mm is above 0.5" in reasons
    assert "tsnr 12 is below 20" in reasons


def test_what_cannot_be_measured_is_no_reason_but_a_note_is():
    values = GOOD | {"mean_fd_mm": None, "fd_share": None, "brain_overlap": None}
    assert qc.reasons_to_warn(values, LIMITS) == []
    assert qc.reasons_to_warn(values, LIMITS, ["no motion parameters"]) == ["no motion parameters"]


def test_every_measure_explains_itself_and_says_on_which_side_it_is_suspicious():
    for measure in qc.measures(LIMITS):
        assert measure.meaning
        assert (measure.threshold is None) == (measure.suspicious == "")
        assert measure.suspicious in ("", "above", "below")
