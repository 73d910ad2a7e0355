"""LabelMe files: outlines filled by pixel centres, and damage named in one line."""

import json

import numpy as np
import pytest
from skimage.draw import polygon2mask

from medtools.core.errors import InputError
from medtools.io.labelme import MAX_POINTS, Outline, mask_for, mask_of, read_labelme, write_labelme


def write(path, shapes, **others):
    path.write_text(json.dumps({"shapes": shapes, "imageHeight": 8, "imageWidth": 6, **others}), encoding="utf-8")
    return path


def shape(points, kind="polygon", label="M"):
    return {"label": label, "points": points, "shape_type": kind}


def test_a_rectangle_covers_the_pixels_whose_centres_it_holds(tmp_path):
    drawn = [shape([[1, 2], [4, 2], [4, 5], [1, 5]])]
    mask = mask_for(write(tmp_path / "a.json", drawn), (8, 6))
    expected = np.zeros((8, 6), dtype=bool)
    expected[2:5, 1:4] = True
    assert np.array_equal(mask, expected)
    corners = mask_for(write(tmp_path / "b.json", [shape([[4, 5], [1, 2]], "rectangle")]), (8, 6))
    assert np.array_equal(corners, expected)
    half = mask_for(write(tmp_path / "c.json", [shape([[1.4, 2.6], [3.6, 2.6], [3.6, 4.4], [1.4, 4.4]])]), (8, 6))
    assert np.argwhere(half).tolist() == [[3, 1], [3, 2], [3, 3]]  # centres at 2.5 and 4.5 lie outside


def test_neighbouring_outlines_share_no_pixel_and_leave_none_out():
    left, right = np.array([[0, 0], [3.5, 0], [2.5, 8], [0, 8]]), np.array([[3.5, 0], [6, 0], [6, 8], [2.5, 8]])
    masks = mask_of([left], (8, 6)).astype(int) + mask_of([right], (8, 6))
    assert (masks == 1).all()


@pytest.mark.parametrize("seed", range(20))
def test_random_polygons_are_filled_as_by_scikit_image(seed):
    rng = np.random.default_rng(seed)
    points = rng.uniform(-4, 40, (int(rng.integers(3, 9)), 2))  # crosses itself and the border
    peer = polygon2mask((40, 36), points[:, ::-1] - 0.5)  # theirs has row, column of pixel centres
    assert np.array_equal(mask_of([points], (40, 36)), peer)


def test_a_circle_has_its_area():
    angles = np.array([[20.0, 20.0], [20.0, 32.0]])
    mask = mask_of([read_circle(angles)], (40, 40))
    assert mask.sum() == pytest.approx(np.pi * 12**2, rel=0.02)
    assert np.array_equal(mask, mask[::-1])


def read_circle(points):
    from medtools.io.labelme import _corners

    return _corners("x", 1, "circle", points)


def test_outlines_of_an_enlarged_picture_are_scaled(tmp_path):
    drawn = [shape([[2, 4], [8, 4], [8, 10], [2, 10]])]
    path = write(tmp_path / "a.json", drawn, imageHeight=16, imageWidth=12)
    assert np.argwhere(mask_for(path, (8, 6))).min(axis=0).tolist() == [2, 1]
    assert mask_for(path, (8, 6)).sum() == 9
    with pytest.raises(InputError, match="drawn on 16×12 pixels, the image has 6×8"):
        mask_for(path, (6, 8))


def test_outlines_come_back_as_written_and_lines_are_left_out(tmp_path):
    points = np.array([[0.25, 1.5], [3.0, 1.5], [2.0, 4.75]])
    write_labelme(tmp_path / "a.json", "a.png", (8, 6), [Outline("A", points)])
    annotation = read_labelme(tmp_path / "a.json")
    assert (annotation.size, annotation.outlines[0].label) == ((8, 6), "A")
    assert np.array_equal(annotation.outlines[0].points, points)
    drawn = [shape([[1, 1]], "point"), shape([[1, 1], [2, 2]], "line"), shape([[1, 1], [2, 2], [3, 1]], None)]
    kept = read_labelme(write(tmp_path / "b.json", drawn, imageHeight=None, imageWidth=None))
    assert (kept.size, len(kept.outlines)) == (None, 1)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ("", "the file is empty"),
        ('{"shapes": [', "not valid JSON"),
        ("[]", "expected a JSON object"),
        ('{"RepetitionTime": 2}', "no list `shapes`"),
        ('{"shapes": [7]}', "shape 1 has no points"),
        ('{"shapes": [{"points": [[1, 2], [3, 4]]}]}', "2 points enclose no area"),
        ('{"shapes": [{"points": [[1, 2], [3, NaN], [3, 5]]}]}', "not finite"),
        ('{"shapes": [{"points": [[1, 2], [3, 1e400], [3, 5]]}]}', "not finite"),
        ('{"shapes": [{"points": [[1, 2], [3, "4"], [3, 5]]}]}', "no pair of numbers"),
        ('{"shapes": [{"points": [[1, 2], [3], [3, 5]]}]}', "no pair of numbers"),
        ('{"shapes": [{"points": [[1, 2], [3, 4]], "shape_type": "mask"}]}', "no polygon, rectangle or circle"),
        ('{"shapes": [{"points": [[1, 2]], "shape_type": "circle"}]}', "a circle of 1 points"),
        ('{"shapes": [], "imageHeight": -3, "imageWidth": 2}', "no usable size"),
        ('{"shapes": [], "imageHeight": true, "imageWidth": 2}', "no usable size"),
    ],
)
def test_damage_is_named_in_one_line(tmp_path, content, cause):
    (tmp_path / "x.json").write_text(content, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        mask_for(tmp_path / "x.json", (8, 6))
    assert cause in str(caught.value)
    assert "\n" not in str(caught.value)


def test_too_many_points_are_refused(tmp_path):
    path = write(tmp_path / "a.json", [shape([[0, 0]] * (MAX_POINTS + 1))])
    with pytest.raises(InputError, match="more than 100000 points"):
        read_labelme(path)


def test_labels_stay_out_of_messages(tmp_path):
    path = write(tmp_path / "a.json", [shape([[0, 0]], label="CANARY")], imagePath="CANARY.dcm")
    with pytest.raises(InputError) as caught:
        read_labelme(path)
    assert "CANARY" not in str(caught.value)
