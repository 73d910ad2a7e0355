"""Patches, pairs, the landmark search, template matching, the way back into a file's grid, and intervals."""

import math
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.feature import match_template

from medtools.core.errors import InputError
from medtools.io.nifti import write_volume
from medtools.preprocess.spect.heart import HeartSlice, read_hearts
from medtools.systems.spect_prnet.learning import choose, patch_side, reach_of, unit_of
from medtools.systems.spect_prnet.location import locate
from medtools.systems.spect_prnet.matching import best_match
from medtools.systems.spect_prnet.model import predicted_offset
from medtools.systems.spect_prnet.pairs import PairBatches, draw_pairs
from medtools.systems.spect_prnet.patches import PatchSource, mask_boxes, tiles
from medtools.systems.spect_prnet.reconstruction import quality, rebuild, write_back
from medtools.systems.spect_prnet.scoring import mean_score


def heart(image, name="one", *, spacing=(1.0, 1.0), landmarks=None):
    return HeartSlice(name, name, image.astype(np.float32), None, spacing, 0, (0, 0), landmarks or {}, ())


def noise(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


# Patches and pairs (checks 10 and 11).


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 40), st.integers(3, 40), st.sampled_from([4, 8, 32]), st.integers(0, 99))
def test_a_patch_is_what_a_loop_cuts_out_with_zeros_outside(height, width, side, seed):
    image = noise(height, width, seed=seed)
    rng = np.random.default_rng(seed)
    centre = rng.integers((height, width))

    found = PatchSource(image, side).around(centre[None])[0]

    for row in range(side):
        for column in range(side):
            y, x = centre[0] - side // 2 + row, centre[1] - side // 2 + column
            inside = 0 <= y < height and 0 <= x < width
            assert found[row, column] == (image[y, x] if inside else 0)


def test_an_empty_slice_is_refused_and_not_searched_for_ever():
    source = PatchSource(np.zeros((64, 64), dtype=np.float32), 32, "sub-01")

    with pytest.raises(InputError, match="sub-01: no foreground pixel"):
        source.draw(np.random.default_rng(0), 1)


def test_points_are_drawn_among_foreground_pixels_only():
    image = np.zeros((20, 20), dtype=np.float32)
    image[3, 4], image[10, 2], image[0, 0] = 1, 2e-4, 0.5e-4

    drawn = PatchSource(image, 4).draw(np.random.default_rng(0), 200)

    assert {tuple(point) for point in drawn.tolist()} == {(3, 4), (10, 2)}


def test_a_row_is_two_millimetres_and_a_column_one():
    # Check 11: spacing (2, 1).
    image = np.zeros((8, 8), dtype=np.float32)
    image[2, 3] = image[3, 3] = image[3, 4] = 1
    rng = np.random.default_rng(0)

    _, _, offset = draw_pairs([PatchSource(image, 4)], np.array([[2.0, 1.0]]), np.array([16.0, 8.0]), rng, 300)

    assert {tuple(d) for d in offset.tolist()} == {
        (0, 0), (2, 0), (-2, 0), (0, 1), (0, -1), (2, 1), (-2, -1),
    }  # fmt: skip


def test_offsets_lead_from_the_second_point_to_the_first():
    image = (np.arange(1, 401, dtype=np.float32) / 400).reshape(20, 20)
    source = PatchSource(image, 4)

    first, second, offset = draw_pairs([source], np.ones((1, 2)), np.full(2, 20.0), np.random.default_rng(0), 50)

    places = [np.rint(part[:, 2, 2] * 400).astype(int) - 1 for part in (first, second)]
    rows, columns = (place // 20 for place in places), (place % 20 for place in places)
    assert np.array_equal(offset[:, 0], np.subtract(*rows))
    assert np.array_equal(offset[:, 1], np.subtract(*columns))


def test_pairs_of_a_fine_network_lie_within_its_reach_and_reach_its_edge():
    image = noise(40, 40) + 0.1

    _, _, offset = draw_pairs(
        [PatchSource(image, 4)], np.array([[2.0, 1.0]]), np.array([10.0, 5.0]), np.random.default_rng(0), 3000
    )

    assert (np.abs(offset) < (10, 5)).all()
    assert np.abs(offset).max(axis=0).tolist() == [8, 4]


def test_batches_depend_on_their_place_only_and_on_nothing_drawn_before():
    def made(seed=3, **changes):
        sources = [PatchSource(noise(40, 40, seed=number), 32) for number in (0, 1)]
        return PairBatches(sources, np.ones((2, 2)), np.full(2, 40.0), pairs=4, steps=5, seed=seed, **changes)

    late = made().batch(2, 1)
    data = made()
    data.batch(0, 0)
    again = data.batch(2, 1)

    assert all(torch.equal(a, b) for a, b in zip(late[0], again[0], strict=True))
    assert torch.equal(late[2], again[2])
    assert not torch.equal(late[2], made().batch(1, 2)[2])
    assert late[0][0].shape == (4, 1, 32, 32)
    assert made().fingerprint() != made(seed=4).fingerprint() != made(mask_rounds=1).fingerprint()


def test_masked_boxes_are_a_quarter_patch_and_targets_stay_whole():
    patches = np.ones((40, 32, 32), dtype=np.float32)

    one = mask_boxes(patches, np.random.default_rng(0), 1)
    several = mask_boxes(patches, np.random.default_rng(0), 15)
    data = PairBatches(
        [PatchSource(noise(40, 40) + 0.1, 32)], np.ones((1, 2)), np.full(2, 40.0), pairs=2, steps=1, seed=0,
        mask_rounds=15,
    )  # fmt: skip
    seen, whole, _ = data.batch(0, 0)

    assert ((one == 0).sum(axis=(1, 2)) == 64).all()
    assert patches.all()
    zeros = (several == 0).sum(axis=(1, 2))
    assert zeros.min() >= 64
    assert 64 < zeros.mean() < 15 * 64
    assert torch.equal(torch.where(seen[0] == 0, whole[0], seen[0]), whole[0])
    assert (seen[0] == 0).sum() > (whole[0] == 0).sum()


@settings(max_examples=50, deadline=None)
@given(st.integers(16, 130), st.integers(16, 130), st.sampled_from([32, 64]), st.sampled_from([16, 32, 64]))
def test_tiles_cover_every_pixel_and_pieces_put_together_are_the_slice(height, width, side, stride):
    image = noise(height, width)
    copying = SimpleNamespace(source=lambda h: PatchSource(h.image, side), rebuild=lambda patches: patches)

    found = rebuild(copying, heart(image), min(stride, side))

    assert np.allclose(found, image, atol=1e-6)
    centres = tiles((height, width), side, side)
    assert (centres >= 0).all()
    assert (centres < (height, width)).all()


# What is trained on, and in which unit.


def test_reach_is_the_largest_extent_along_each_axis():
    hearts = [heart(noise(40, 64)), heart(noise(50, 32))]
    spacing = np.array([[2.0, 1.0], [1.0, 4.0]])

    assert reach_of(None, hearts, spacing).tolist() == [80, 128]
    assert reach_of(24.0, hearts, spacing).tolist() == [24, 24]
    with pytest.raises(InputError, match="no more than a pixel"):
        reach_of(4.0, hearts, spacing)


def test_offsets_are_in_millimetres_only_where_every_spacing_is_known():
    known, unknown = heart(noise(32, 32)), heart(noise(32, 32), spacing=None)

    assert unit_of("auto", [known]) == "mm"
    assert unit_of("auto", [known, unknown]) == unit_of("px", [known]) == "px"
    with pytest.raises(InputError, match="no pixel spacing"):
        unit_of("mm", [unknown])


def test_patches_are_of_32_pixels_or_64_in_large_slices():
    assert patch_side(None, [heart(noise(96, 64))]) == 32
    assert patch_side(None, [heart(noise(128, 160))]) == 64
    assert patch_side(48, [heart(noise(128, 160))]) == 48
    with pytest.raises(InputError):
        patch_side(40, [heart(noise(128, 160))])


def test_images_are_asked_for_by_number_or_by_name():
    studies = [SimpleNamespace(id=name) for name in ("a", "b", "7")]

    assert choose(studies, ("2",)) == studies[:2]
    assert choose(studies, ("7",)) == [studies[2]]
    assert choose(studies, ("b", "a")) == [studies[1], studies[0]]
    assert choose(studies, ("all",)) == studies
    for wrong in (("4",), ("0",), ("a", "c"), ()):
        with pytest.raises(InputError, match="--images"):
            choose(studies, wrong)


# Location: by an oracle that knows where each patch lies, so that every step of the arithmetic shows.


class Oracle:
    """Coordinates are the anatomical place that the middle pixel's value names, so far from r that tanh is a line."""

    reach = np.full(2, 1e6, dtype=np.float32)

    def __init__(self, unit="px"):
        self.unit, self.seen = unit, 0

    def source(self, found):
        return PatchSource(found.image, 32)

    def pixel(self, found):
        return np.array(found.spacing)

    def coordinates(self, patches):
        self.seen += len(patches)
        number = np.rint(patches[:, 16, 16].astype(np.float64) * 4096) - 1
        return (np.stack([number // 64, number % 64], axis=1) / 1e6).astype(np.float32)

    def offsets(self, first, second):
        return predicted_offset(*map(torch.from_numpy, (first, second, self.reach))).numpy()


def anatomy(shift=(0, 0)):
    """Every pixel has a value of its own; moved by `shift`, without wrapping round."""
    plane = (np.arange(1, 4097) / 4096).reshape(64, 64).astype(np.float32)
    moved = np.roll(plane, shift, (0, 1))
    rows, columns = np.indices((64, 64)) - np.array(shift)[:, None, None]
    return np.where((rows >= 0) & (rows < 64) & (columns >= 0) & (columns < 64), moved, 0)


@pytest.mark.parametrize("refine", [0, 1, 3])
def test_a_landmark_moves_with_the_anatomy(refine):
    support = heart(anatomy(), "s", landmarks={"apex": (30.25, 20.5), "base": (40.0, 41.0)})
    query = heart(anatomy((3, -5)), "q")

    found, spread = locate(Oracle(), support, [query], draws=10, refine=refine, fine=None, seed=0)

    assert found[0]["apex"] == pytest.approx((33.25, 15.5), abs=0.1)
    assert found[0]["base"] == pytest.approx((43.0, 36.0), abs=0.1)
    assert spread[0]["apex"] < 0.1


def test_offsets_in_millimetres_become_pixels_of_the_query():
    # The same anatomy with rows of 2 mm: the offset in mm is the same, half as many rows.
    support = heart(anatomy(), "s", spacing=(1.0, 1.0), landmarks={"apex": (30.5, 20.0), "base": (40.0, 50.0)})
    query = heart(anatomy()[::2], "q", spacing=(2.0, 1.0))

    found, _ = locate(Oracle("mm"), support, [query], draws=10, refine=1, fine=None, seed=0)

    assert found[0]["apex"] == pytest.approx((15.25, 20.0), abs=0.1)
    assert found[0]["base"] == pytest.approx((20.0, 50.0), abs=0.1)


def test_what_lies_outside_is_clamped_to_the_slice():
    support = heart(anatomy(), "s", landmarks={"edge": (60.0, 2.0)})
    query = heart(anatomy((10, -10)), "q")

    found, _ = locate(Oracle(), support, [query], draws=5, refine=2, fine=None, seed=0)

    assert found[0]["edge"] == (63, 0)


def test_draws_are_shared_by_landmarks_and_steps_cost_one_patch_each():
    support = heart(anatomy(), "s", landmarks={"a": (30.0, 20.0), "b": (31.0, 21.0), "c": (5.0, 60.0)})
    queries = [heart(anatomy((2, 2)), "q"), heart(anatomy((-2, 2)), "p")]
    oracle, fine = Oracle(), Oracle()

    locate(oracle, support, queries, draws=10, refine=2, fine=fine, seed=0)

    assert oracle.seen <= 3 + 2 * 10
    assert fine.seen <= 2 * (3 + 2 * 3)


def test_what_is_found_in_a_slice_does_not_depend_on_what_is_searched_beside_it():
    support = heart(anatomy(), "s", landmarks={"a": (30.0, 20.0), "b": (5.5, 60.0)})
    queries = [heart(anatomy((2, 2)), "q"), heart(anatomy((-2, 2)), "p")]
    options = {"draws": 4, "refine": 1, "fine": None, "seed": 0}

    together, _ = locate(Oracle(), support, queries, **options)
    alone = [locate(Oracle(), support, [query], **options)[0][0] for query in queries]

    assert together == alone


# Template matching.


def test_matching_finds_a_patch_where_it_was_cut_out_and_where_it_moved():
    image = noise(64, 64)
    for centre in ((20, 30), (3, 60), (63, 0), (0, 0)):
        template = PatchSource(image, 32).around(np.array([centre]))[0]
        assert best_match(image, template) == centre
    moved = np.roll(image, (4, -6), (0, 1))
    assert best_match(moved, PatchSource(image, 32).around(np.array([(30, 30)]))[0]) == (34, 24)


def test_matching_agrees_with_skimage_on_places_where_the_template_fits():
    image, template = noise(64, 64), noise(64, 64, seed=1)[:16, :16]
    image[20:36, 30:46] += template

    inner = match_template(image, template)
    row, column = np.unravel_index(inner.argmax(), inner.shape)

    assert best_match(image, template) == (row + 8, column + 8) == (28, 38)


# Back into the file's grid.


@pytest.mark.parametrize("axes", ["LPS", "RAS", "SLP"])
@pytest.mark.parametrize("crop", [None, 24, 80])
def test_a_slice_goes_back_to_its_place_whatever_the_order_of_axes(tmp_path, axes, crop):
    rng = np.random.default_rng(0)
    data, labels = rng.random((40, 32, 5)).astype(np.float32), np.zeros((40, 32, 5), dtype=np.uint8)
    labels[25:35, 4:12, 3] = 2
    turn = nib.orientations.axcodes2ornt(tuple(axes))
    folder = tmp_path / "sub-1" / "spect"
    for name, values in (("spect", data), ("dseg", labels)):
        image = nib.Nifti1Image(values, np.diag([-2.0, -3.0, 4.0, 1.0]))
        turned = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), turn))
        write_volume(folder / f"sub-1_{name}.nii.gz", np.asarray(turned.dataobj), turned.affine)
    heart = read_hearts([tmp_path], crop=crop)[0]

    found = nib.load(write_back(heart, heart.image, tmp_path))
    given = nib.load(folder / "sub-1_spect.nii.gz")

    assert np.array_equal(found.affine, given.affine)
    values, original = np.asarray(found.dataobj), given.get_fdata()
    low, high = data[:, :, 3].min(), data[:, :, 3].max()
    inside = values != 0
    assert np.allclose(values[inside], ((original - low) / (high - low))[inside], atol=1e-6)
    # Of the heart's centre, (29.5, 7.5), twelve pixels to each side are cut out, as far as there are any.
    assert inside.sum() == pytest.approx(22 * 20 if crop == 24 else 40 * 32, abs=1)
    assert inside[np.asarray(nib.load(folder / "sub-1_dseg.nii.gz").dataobj) > 0].all()


def test_quality_of_an_exact_reconstruction_is_perfect():
    image = np.random.default_rng(0).random((32, 32)).astype(np.float32)

    assert quality(image, image) == {"mse": 0.0, "psnr_db": math.inf, "ssim": 1.0}
    assert quality(image, np.clip(image + 0.1, 0, 2))["psnr_db"] == pytest.approx(20, abs=1e-3)


# Intervals.


def test_intervals_are_over_subjects_and_one_subject_has_none():
    numbers = np.array([1.0, 1.0, 3.0, 3.0])

    two = mean_score("x", numbers, ["a", "a", "b", "b"], seed=0, resamples=500)
    one = mean_score("x", numbers, ["a"] * 4, seed=0, resamples=500)

    assert (two.value, two.ci_low, two.ci_high) == (2, 1, 3)
    assert (one.ci_low, one.ci_high) == (None, None)
