"""What a drawn figure says, and whether a person can read all of it."""

from unittest import mock

import numpy as np
from matplotlib.text import Text


def words(figure):
    """Draw a figure and return what was written, as {text: [(left, bottom, right, top, size, angle)]}."""
    found = {}
    draw = Text.draw

    def record(artist, renderer, *args, **options):
        if artist.get_visible() and artist.get_text().strip():
            box = (*artist.get_window_extent(renderer).extents, artist.get_fontsize(), artist.get_rotation())
            found.setdefault(artist.get_text(), []).append(box)
        draw(artist, renderer, *args, **options)

    with mock.patch.object(Text, "draw", record):
        figure.canvas.draw()
    return found


def assert_legible(figure, shown=None):
    """Every word lies inside the figure, is at least 5 points tall, and covers no other word."""
    boxes = [(text, box) for text, places in (shown or words(figure)).items() for box in places]
    corners = np.array([box for _, box in boxes])
    outside = (corners[:, :2] < -1).any(axis=1) | (corners[:, 2:4] > figure.bbox.max + 1).any(axis=1)
    assert not outside.any(), f"cut off: {[boxes[index][0] for index in np.flatnonzero(outside)]}"
    assert corners[:, 4].min() >= 5
    # A slanted word does not fill its box: only upright ones can be compared by their boxes.
    upright = corners[:, 5] % 90 == 0
    corners, boxes = corners[upright], [box for box, keep in zip(boxes, upright, strict=True) if keep]
    overlap = np.minimum(corners[:, None, 2:4], corners[None, :, 2:4]) - np.maximum(
        corners[:, None, :2], corners[:, :2]
    )
    clashes = np.argwhere(np.triu((overlap > 1).all(axis=-1), k=1))
    assert not len(clashes), f"written over each other: {[(boxes[i][0], boxes[j][0]) for i, j in clashes[:5]]}"
