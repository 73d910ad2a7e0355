"""Figures keep their bytes and their style whatever the machine's settings, and files appear whole or not at all."""

import errno
import os
import subprocess
import sys
import textwrap

import matplotlib
import numpy as np
import pytest
from PIL import Image

from medtools.core.errors import InputError
from medtools.core.figures import PALETTE, head, new_figure, save_figure, save_image, settle, style


@style()
def line_figure(title="price in $ of x_1$"):
    figure = new_figure(3, 2)
    figure.add_subplot().plot([0, 1, 2], [2, 0, 1])
    head(figure, title)
    return settle(figure)


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_saving_twice_gives_the_same_bytes_whatever_the_users_settings(tmp_path, suffix):
    save_figure(line_figure(), tmp_path / f"first{suffix}")
    with matplotlib.rc_context(
        {"font.size": 30, "savefig.facecolor": "red", "axes.grid": True, "savefig.bbox": "tight"}
    ):
        save_figure(line_figure(), tmp_path / f"second{suffix}")

    assert (tmp_path / f"first{suffix}").read_bytes() == (tmp_path / f"second{suffix}").read_bytes()


def test_drawing_a_figure_again_changes_nothing(tmp_path):
    figure = line_figure()

    save_figure(figure, tmp_path / "first.png")
    figure.canvas.draw()
    save_figure(figure, tmp_path / "second.png")

    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_files_tell_neither_when_nor_with_what_they_were_made(tmp_path, suffix):
    save_figure(line_figure(), tmp_path / f"figure{suffix}")

    content = (tmp_path / f"figure{suffix}").read_bytes()
    assert b"tEXt" not in content
    assert b"atplotlib v" not in content
    assert b"dc:date" not in content


def test_the_users_settings_come_back_afterwards():
    with matplotlib.rc_context({"font.size": 30}):
        line_figure()

        assert matplotlib.rcParams["font.size"] == 30


def test_drawing_imports_no_pyplot_and_opens_no_window(tmp_path):
    code = """
        import sys
        from medtools.core.figures import new_figure, save_figure
        from medtools.homology.plots import cloud, matrices, significance
        figure = new_figure(2, 2)
        figure.add_subplot(projection="3d")
        save_figure(figure, sys.argv[1])
        assert "matplotlib.pyplot" not in sys.modules
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "figure.png")]

    assert subprocess.run(command, env={**os.environ, "MPLBACKEND": "tkagg"}).returncode == 0


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "figure.png"
    target.write_bytes(b"old")
    figure = line_figure()
    figure.savefig = lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, "disk full"))

    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, target)

    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_long_title_is_broken_into_lines_inside_the_figure():
    figure = line_figure("sub-" + "0123456789" * 6 + " post cingulate 108 of the default mode network")

    figure.canvas.draw()

    box = figure.texts[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_a_grey_image_keeps_its_pixels_in_one_channel(tmp_path):
    pixels = np.arange(224 * 224, dtype=np.uint32).reshape(224, 224).astype(np.uint8)

    save_image(pixels, tmp_path / "grey.png")

    with Image.open(tmp_path / "grey.png") as image:
        assert image.mode == "L"
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_other_file_types_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"figure\.jpg: figures are written as \.png or \.svg"):
        save_figure(line_figure(), tmp_path / "figure.jpg")
    with pytest.raises(InputError, match=r"grey\.tif: grey images are written as \.png"):
        save_image(np.zeros((2, 2), np.uint8), tmp_path / "grey.tif")


def test_the_palette_keeps_its_colours_apart_for_colour_blind_readers():
    # Machado et al. (2009), severity 1: protanopia, deuteranopia, tritanopia, on linear RGB.
    simulations = [
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ]
    linear = np.array([matplotlib.colors.to_rgb(colour) for colour in PALETTE]) ** 2.2

    for matrix in [np.eye(3), *map(np.array, simulations)]:
        seen = np.clip(linear @ matrix.T, 0, 1) ** (1 / 2.2)
        gaps = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[np.triu_indices(len(seen), k=1)]
        assert gaps.min() > 0.1
