"""PNG and JPEG: what is read is what was stored, and what must not be decoded is not."""

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medtools.core.errors import InputError
from medtools.io.images import grey_levels, image_size, read_image, resized, write_image

RAMP = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5


def saved(path, image, **options):
    image.save(path, **options)
    return path


def test_grey_stays_grey_and_colour_stays_colour(tmp_path):
    colour = np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=2)
    assert np.array_equal(read_image(saved(tmp_path / "g.png", Image.fromarray(RAMP))), RAMP)
    assert np.array_equal(read_image(saved(tmp_path / "c.png", Image.fromarray(colour))), colour)


def test_16_bit_values_are_kept_and_their_levels_span_0_to_255(tmp_path):
    deep = (np.arange(48, dtype=np.uint16).reshape(6, 8) * 80) + 1000  # 12-bit data in 16 bits
    pixels = read_image(saved(tmp_path / "deep.png", Image.fromarray(deep)))
    assert pixels.dtype == np.uint16
    assert np.array_equal(pixels, deep)
    levels = grey_levels(pixels)
    assert (levels.min(), levels.max()) == (0, 255)


def test_a_palette_image_gives_its_colours(tmp_path):
    colour = np.stack([RAMP, RAMP // 2, RAMP // 3], axis=2)
    image = Image.fromarray(colour).quantize(200)
    found = read_image(saved(tmp_path / "p.png", image))
    assert np.array_equal(found, np.asarray(image.convert("RGB")))


def test_exif_orientation_is_applied_and_nothing_else_of_it_gets_out(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "CANARY NAME"
    found = read_image(saved(tmp_path / "e.png", Image.fromarray(RAMP), exif=exif.tobytes()))
    assert np.array_equal(found, np.rot90(RAMP, -1))
    write_image(tmp_path / "out.png", found)
    assert b"CANARY" not in (tmp_path / "out.png").read_bytes()
    assert not Image.open(tmp_path / "out.png").info


@pytest.mark.parametrize("shape", [(5, 4), (5, 4, 3)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_written_images_come_back_with_equal_bytes_for_equal_pixels(tmp_path, shape, kind):
    if kind is np.uint16 and len(shape) == 3:
        pytest.skip("16-bit images are grey")
    pixels = np.random.default_rng(0).integers(0, np.iinfo(kind).max, shape).astype(kind)
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, pixels)
    assert np.array_equal(read_image(tmp_path / "a.png"), pixels)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def bomb(width, height):
    """A PNG header that declares a huge image, with no pixels behind it."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [10_000, 100_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path, side):
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(side, side))
    with pytest.raises(InputError, match="pixels"):
        read_image(path)


def png_bytes():
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40)).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, len(png_bytes()) - 30))
def test_a_truncated_image_is_never_returned(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("cut") / "cut.png"
    path.write_bytes(png_bytes()[:length])
    with pytest.raises(InputError):
        read_image(path)


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda p: p.write_bytes(b""), "empty"),
        (lambda p: p.write_text("not an image"), "no PNG or JPEG"),
        (lambda p: Image.fromarray(RAMP).save(p, "BMP"), "expected PNG or JPEG"),
        (lambda p: Image.new("CMYK", (4, 4)).save(p, "JPEG"), "CMYK"),
        (lambda p: Image.new("RGBA", (4, 4), (1, 2, 3, 9)).save(p, "PNG"), "transparent"),
        (
            lambda p: Image.new("L", (4, 4)).save(p, "PNG", save_all=True, append_images=[Image.new("L", (4, 4), 9)]),
            "animation",
        ),
    ],
)
def test_what_is_no_plain_picture_is_named(tmp_path, make, cause):
    path = tmp_path / "x.png"
    make(path)
    with pytest.raises(InputError, match=cause) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_opaque_alpha_is_dropped_and_repeated_grey_is_grey(tmp_path):
    image = Image.fromarray(RAMP).convert("RGBA")
    assert np.array_equal(read_image(saved(tmp_path / "a.png", image)), RAMP)


def test_levels_of_a_constant_image_are_zero_and_8_bit_stays():
    assert (grey_levels(np.full((3, 3), 7.5)) == 0).all()
    assert grey_levels(RAMP) is RAMP
    assert grey_levels(np.array([[-30, 245]], dtype=np.int16)).tolist() == [[0, 255]]


def test_resizing_averages_where_it_shrinks_and_size_comes_from_the_header(tmp_path):
    board = np.indices((64, 64)).sum(axis=0) % 2 * 255
    small = resized(board.astype(np.uint8), (8, 8))
    assert np.abs(small.astype(int) - 127).max() < 25
    write_image(tmp_path / "b.png", RAMP)
    assert image_size(tmp_path / "b.png") == (6, 8)
