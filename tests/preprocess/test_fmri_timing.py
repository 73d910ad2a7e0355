"""Repetition time and slice times: agreement of the sources, and the shift itself."""

import numpy as np
import pytest

from medtools.core.errors import InputError
from medtools.core.params import check
from medtools.preprocess.fmri.params import FmriParams
from medtools.preprocess.fmri.slice_timing import correct_slice_timing
from medtools.preprocess.fmri.timing import repetition_time, slice_times


@pytest.mark.parametrize(
    ("asked", "header", "sidecar", "expected"),
    [
        (3000, 3000, {"RepetitionTime": 3.0}, 3000),
        (3000, 3000.0001, {}, 3000),
        (3000, 2980, {"RepetitionTime": 3000}, 3000),  # within 1 %; a side-car in ms
        (None, None, {"RepetitionTime": 0.8}, 800),
        (None, 2500, {}, 2500),
        (3200, None, {}, 3200),
    ],
)
def test_sources_that_agree_settle_the_repetition_time(asked, header, sidecar, expected):
    assert repetition_time(asked, header, sidecar, "run") == expected


@pytest.mark.parametrize(
    ("asked", "header", "sidecar", "named"),
    [
        (3000, 2000, {}, ("--tr says TR 3000 ms", "the header says 2000 ms")),
        (3000, 3000, {"RepetitionTime": 0.8}, ("--tr says TR 3000 ms", "the side-car says 800 ms")),
        (None, 1000, {"RepetitionTime": 3.0}, ("the side-car says TR 3000 ms", "the header says 1000 ms")),
        (3000, 2960, {}, ("3000", "2960")),  # 1.3 %
        (None, None, {}, ("neither header nor side-car", "--tr in milliseconds")),
        (None, 2000, {"RepetitionTime": "2"}, ("RepetitionTime '2'", "seconds")),
        (None, 2000, {"RepetitionTime": -2}, ("RepetitionTime -2", "seconds")),
    ],
)
def test_sources_that_disagree_are_both_named(asked, header, sidecar, named):
    with pytest.raises(InputError) as caught:
        repetition_time(asked, header, sidecar, "sub-01_bold.nii.gz")
    assert all(part in str(caught.value) for part in ("sub-01_bold.nii.gz", *named))


def test_force_believes_the_user_and_needs_a_value():
    assert repetition_time(3000, 2000, {}, "run", force=True) == 3000
    with pytest.raises(InputError, match="needs --tr"):
        repetition_time(None, 2000, {}, "run", force=True)


@pytest.mark.parametrize("value", [3, 99, 30_000])
def test_a_repetition_time_in_seconds_is_refused_with_a_hint(value):
    with pytest.raises(InputError, match="milliseconds"):
        check(FmriParams, {"tr": value})


def test_slice_times_follow_the_order_of_the_array():
    times = [0.0, 0.5, 1.0]
    assert slice_times({"SliceTiming": times}, (8, 8, 3, 9), 2000, "run")[0].tolist() == times
    backwards, axis = slice_times({"SliceTiming": times, "SliceEncodingDirection": "i-"}, (3, 8, 8, 9), 2000, "run")
    assert (backwards.tolist(), axis) == (times[::-1], 0)
    in_ms, _ = slice_times({"SliceTiming": [0, 500, 1000]}, (8, 8, 3, 9), 2000, "run")
    assert in_ms.tolist() == times
    assert slice_times({}, (8, 8, 3, 9), 2000, "run")[0] is None


@pytest.mark.parametrize(
    ("sidecar", "cause"),
    [
        ({"SliceTiming": [0, 1]}, "SliceTiming has 2 times, the image has 3 slices; slices are missing"),
        ({"SliceTiming": [0, 1, 3.5]}, "beyond the repetition time of 2 s"),
        ({"SliceTiming": [0, -1, 1]}, "negative or not finite"),
        ({"SliceTiming": ["a", 1, 1]}, "no list of numbers"),
        ({"SliceTiming": [0, 1, 1], "SliceEncodingDirection": "z"}, "expected i, j or k"),
    ],
)
def test_slice_times_that_cannot_be_right_are_refused(sidecar, cause):
    with pytest.raises(InputError) as caught:
        slice_times(sidecar, (8, 8, 3, 9), 2000, "run")
    assert cause in str(caught.value)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_slices_are_brought_to_the_middle_of_the_repetition_time(axis):
    # A sinusoid of 0.05 Hz sampled at t TR + time of the slice becomes the same at (t + 1/2) TR.
    tr, n_volumes = 2.0, 120
    shape = [3, 3, 3]
    shape[axis] = 8
    times = np.linspace(0, tr * 7 / 8, 8)
    seconds = np.arange(n_volumes) * tr

    def course(moment):
        return np.sin(2 * np.pi * 0.05 * moment)

    data = np.zeros((*shape, n_volumes), dtype=np.float32)
    np.moveaxis(data, axis, 0)[:] = course(seconds + times[:, None])[:, None, None, :]
    expected = np.broadcast_to(course(seconds + tr / 2), data.shape)
    before = np.abs(data - expected)[..., 5:-5].max()
    correct_slice_timing(data, times, tr, axis)
    assert before > 0.2
    assert np.abs(data - expected)[..., 5:-5].max() < 0.005


def test_slices_already_in_the_middle_keep_their_bits_whatever_the_threads():
    data = np.random.default_rng(0).normal(size=(4, 4, 6, 20)).astype(np.float32)
    still, one, three = data.copy(), data.copy(), data.copy()
    correct_slice_timing(still, np.full(6, 1.0), 2.0)
    assert still.tobytes() == data.tobytes()
    correct_slice_timing(one, np.linspace(0, 1.9, 6), 2.0, threads=1)
    correct_slice_timing(three, np.linspace(0, 1.9, 6), 2.0, threads=3)
    assert one.tobytes() == three.tobytes()


def test_too_few_volumes_for_a_spline_are_refused():
    with pytest.raises(InputError, match="3 volumes, expected at least 4"):
        correct_slice_timing(np.zeros((2, 2, 2, 3), dtype=np.float32), np.zeros(2), 2.0)


@pytest.mark.parametrize("value", [10**400, float("nan"), float("inf"), -1, 0, True, "2", [2.0]])
def test_a_repetition_time_that_is_none_is_refused(value):
    with pytest.raises(InputError, match="expected seconds"):
        repetition_time(None, None, {"RepetitionTime": value}, "x.json")


def test_slice_times_beyond_what_a_float_holds_are_refused():
    with pytest.raises(InputError, match="no list of numbers"):
        slice_times({"SliceTiming": [0, 10**400]}, (4, 4, 2), 2000.0, "x.json")
