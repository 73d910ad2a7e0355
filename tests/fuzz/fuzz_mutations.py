"""Seeded damage: what happens to files on failing disks, in broken transfers, and in the hands of the curious."""

from __future__ import annotations

import contextlib
import gzip
import io
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping

Mutator = Callable[[random.Random, bytes], bytes]
Folder = dict[str, bytes]
"""A specimen: the files of a folder by name."""

_EXTREMES = (0, 1, -1, 2**7, 2**15 - 1, 2**15, 2**31 - 1, -(2**31), 2**32 - 1, 2**62, 2**63 - 1, -(2**63))
_NUMBERS = (
    "nan", "inf", "-inf", "1e308", "-1e308", "1e-320", "0", "-0", "-1", "1", "3", "255", "65536", "2147483648",
    "99999999999999999999", "9" * 400, "9" * 5000, "1e999", "0x1F", "1_000", "1,5", "٣", "½", "--1", "+", ".", "",
)  # fmt: skip
_WORDS = (
    "", " ", "n/a", "?", "*", "null", "None", "true", "[]", "{}", "[1]", '"', "'", "\\", "../../x", "/etc/passwd", "#",
    "$$$$", "\x00", "\x1b[31m", "\u2028", "\ufeff", "é", "\U0001f9e0", "A" * 300, "A" * 140_000, "&a *a",
    "!!python/object:x",
)  # fmt: skip
_NUMBER = re.compile(rb"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
_WORD = re.compile(rb"[^\s,:;\[\]{}\"=()]+")
_HEADER_BYTES = 600
_ZIP_ERRORS = (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError)


def flip_bits(rng: random.Random, content: bytes) -> bytes:
    """Flip one to eight bits."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def set_bytes(rng: random.Random, content: bytes) -> bytes:
    """Overwrite one to four bytes."""
    changed = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        changed[rng.randrange(len(changed))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return bytes(changed)


def truncate(rng: random.Random, content: bytes) -> bytes:
    """Cut the file short: anywhere, or by a few bytes only."""
    return content[: rng.choice((rng.randrange(len(content)), max(0, len(content) - rng.randint(1, 8))))]


def extend(rng: random.Random, content: bytes) -> bytes:
    """Append noise, or zeros, or the file once more."""
    return content + rng.choice((rng.randbytes(rng.randint(1, 64)), b"\0" * rng.randint(1, 600), content))


def remove_block(rng: random.Random, content: bytes) -> bytes:
    """Take out a block."""
    start, end = _block(rng, content)
    return content[:start] + content[end:]


def repeat_block(rng: random.Random, content: bytes) -> bytes:
    """Insert a block a second time, or a hundred times."""
    start, end = _block(rng, content)
    return content[:end] + content[start:end] * rng.choice((1, 2, 100)) + content[end:]


def swap_blocks(rng: random.Random, content: bytes) -> bytes:
    """Exchange two neighbouring blocks."""
    a, b, c = sorted(rng.randrange(len(content) + 1) for _ in range(3))
    return content[:a] + content[b:c] + content[a:b] + content[c:]


def zero_block(rng: random.Random, content: bytes) -> bytes:
    """Overwrite a block with zeros, as a hole in a sparse file reads."""
    start, end = _block(rng, content)
    return content[:start] + b"\0" * (end - start) + content[end:]


def absurd_integer(rng: random.Random, content: bytes) -> bytes:
    """Overwrite an aligned integer near the start, where sizes and counts stand, with an extreme one."""
    size, letter = rng.choice(((2, "H"), (4, "I"), (8, "Q")))
    places = range(0, min(len(content), _HEADER_BYTES) - size + 1, size if rng.random() < 0.8 else 1)
    if not len(places):
        return content + b"\xff"
    at, value = rng.choice(places), rng.choice(_EXTREMES) & (2 ** (8 * size) - 1)
    return content[:at] + struct.pack(rng.choice("<>") + letter, value) + content[at + size :]


def absurd_number(rng: random.Random, content: bytes) -> bytes:
    """Replace a number written as text."""
    return _replace(rng, _NUMBER, content, rng.choice(_NUMBERS).encode())


def swap_numbers(rng: random.Random, content: bytes) -> bytes:
    """Exchange two numbers written as text, such as sizes."""
    found = list(_NUMBER.finditer(content))
    if len(found) < 2:
        return content[::-1]
    one, other = sorted(rng.sample(found, 2), key=re.Match.start)
    between = content[one.end() : other.start()]
    return content[: one.start()] + other[0] + between + one[0] + content[other.end() :]


def replace_word(rng: random.Random, content: bytes) -> bytes:
    """Replace a word, name or value."""
    return _replace(rng, _WORD, content, rng.choice(_WORDS).encode())


def edit_lines(rng: random.Random, content: bytes) -> bytes:
    """Remove, repeat, empty or exchange lines."""
    lines = content.split(b"\n")
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    kind = rng.randrange(5)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines[at:at] = [lines[at]] * rng.choice((1, 50))
    elif kind == 2:
        lines[at] = b""
    elif kind == 3:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines[at] = lines[at][: rng.randrange(len(lines[at]) + 1)]
    return b"\n".join(lines)


def edit_delimiters(rng: random.Random, content: bytes) -> bytes:
    """Insert, remove or exchange a delimiter, quote, bracket or line end."""
    marks = [b"\t", b",", b" ", b";", b"\n", b"\r", b'"', b"'", b"[", b"]", b"{", b"}", b":", b"=", b"#", b"\0"]
    mark = rng.choice(marks)
    present = [i for i in range(len(content)) if content[i : i + 1] in marks]
    at = rng.choice(present) if present else 0
    return content[:at] + mark + content[at + rng.randint(0, 1) :]


def recode(rng: random.Random, content: bytes) -> bytes:
    """Write text in another encoding, or with other line ends."""
    text = content.decode("utf-8", "replace")
    kind = rng.randrange(5)
    if kind == 0:
        return text.encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "cp500")), "replace")
    if kind == 1:
        return content.replace(b"\n", rng.choice((b"\r", b"\r\n", b"\n\n", b"\x0b", b" ")))
    if kind == 2:
        return content + "é".encode("latin-1")
    if kind == 3:
        return content.upper()
    return b""


def nest(rng: random.Random, content: bytes) -> bytes:
    """Put brackets inside brackets, thousands deep."""
    depth, pair = rng.choice((50, 2000, 100_000)), rng.choice((b"[]", b"{}", b'{"a":}', b"()", b"- "))
    deep = pair[: len(pair) // 2] * depth + (pair[len(pair) // 2 :] * depth if rng.random() < 0.5 else b"")
    return _replace(rng, _WORD, content, deep)


BINARY: tuple[Mutator, ...] = (
    flip_bits, set_bytes, truncate, extend, remove_block, repeat_block, swap_blocks, zero_block, absurd_integer,
    absurd_integer,
)  # fmt: skip
TEXT: tuple[Mutator, ...] = (
    flip_bits, set_bytes, truncate, extend, remove_block, repeat_block, swap_blocks, absurd_number, absurd_number,
    absurd_number, swap_numbers, replace_word, replace_word, edit_lines, edit_lines, edit_delimiters, recode,
)  # fmt: skip
NESTED: tuple[Mutator, ...] = (*TEXT, nest)
MIXED: tuple[Mutator, ...] = (*BINARY, absurd_number, swap_numbers, replace_word, edit_lines)
"""For a text header before binary data."""


def fields(*layout: tuple[int, str]) -> Mutator:
    """Return a mutator that sets one field of a binary header to an extreme, or exchanges two of the same type.

    Parameters
    ----------
    layout : tuple of (int, str)
        Offset and `struct` format of each field.
    """

    def edit(rng: random.Random, content: bytes) -> bytes:
        at, form = rng.choice(layout)
        twins = [(place, other) for place, other in layout if other == form and place != at]
        changed = bytearray(content)
        if twins and rng.random() < 0.3:
            place, _ = rng.choice(twins)
            size = struct.calcsize(form)
            changed[at : at + size], changed[place : place + size] = (
                content[place : place + size],
                content[at : at + size],
            )
            return bytes(changed)
        struct.pack_into(form, changed, at, *(_extreme(rng, letter) for letter in form.lstrip("<>")))
        return bytes(changed)

    return edit


def inside_gzip(mutators: tuple[Mutator, ...]) -> Mutator:
    """Return a mutator that damages what a gzip file holds, its checksum made to fit."""
    return lambda rng, content: gzip.compress(rng.choice(mutators)(rng, gzip.decompress(content)), 1, mtime=0)


def inside_zip(mutators: tuple[Mutator, ...]) -> Mutator:
    """Return a mutator that damages, removes, renames or repeats a member of a zip file, its checksums made to fit."""

    def edit(rng: random.Random, content: bytes) -> bytes:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = rng.choice(sorted(members))
        kind = rng.randrange(6)
        if kind == 0:
            del members[name]
        elif kind == 1:
            members[rng.choice(("../x.npy", "/x.npy", "a/b.npy", "", ".npy", "x"))] = members.pop(name)
        elif kind == 2:
            members[name] = members[rng.choice(sorted(members))]
        else:
            members[name] = rng.choice(mutators)(rng, members[name])
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
            for member, data in members.items():
                archive.writestr(zipfile.ZipInfo(member), data)
        return buffer.getvalue()

    return edit


def inside_mat(mutators: tuple[Mutator, ...]) -> Mutator:
    """Return a mutator that damages the first, compressed variable of a MATLAB 5 file, its packing made to fit."""

    def edit(rng: random.Random, content: bytes) -> bytes:
        (size,) = struct.unpack_from("<I", content, 132)
        packed = zlib.compress(rng.choice(mutators)(rng, zlib.decompress(content[136 : 136 + size])))
        return content[:132] + struct.pack("<I", len(packed)) + packed + content[136 + size :]

    return edit


def mutate(rng: random.Random, files: Mapping[str, bytes], mutators: Mapping[str, tuple[Mutator, ...]]) -> Folder:
    """Damage one file of a specimen once or twice; now and then remove it or exchange it with another.

    Parameters
    ----------
    rng : random.Random
    files : mapping of str to bytes
    mutators : mapping of str to tuple of Mutator
        By file name; files without any stay as they are.
    """
    changed = dict(files)
    name = rng.choice(sorted(mutators))
    others = [other for other in sorted(mutators) if other != name]
    chance = rng.random()
    if others and chance < 0.02:
        del changed[name]
    elif others and chance < 0.05:
        changed[name] = files[rng.choice(others)]
    else:
        for _ in range(rng.choice((1, 1, 2))):
            # What is empty, or a container that is damaged already, cannot be opened to damage what is inside.
            with contextlib.suppress(IndexError, ValueError, struct.error, zlib.error, OSError, EOFError, *_ZIP_ERRORS):
                changed[name] = rng.choice(mutators[name])(rng, changed[name])
    return changed


def _block(rng: random.Random, content: bytes) -> tuple[int, int]:
    start = rng.randrange(len(content))
    return start, min(len(content), start + rng.choice((1, 2, 4, 8, 64, 1024)))


def _replace(rng: random.Random, pattern: re.Pattern[bytes], content: bytes, new: bytes) -> bytes:
    found = list(pattern.finditer(content))
    if not found:
        return content + new
    chosen = rng.choice(found)
    return content[: chosen.start()] + new + content[chosen.end() :]


def _extreme(rng: random.Random, letter: str) -> float | int:
    if letter in "fd":
        return rng.choice((0.0, -0.0, 1.0, -1.0, 1e-30, 1e30, 2.0**40, float("nan"), float("inf"), float("-inf")))
    bits = 8 * struct.calcsize("<" + letter)
    value = rng.choice(_EXTREMES) & (2**bits - 1)
    return value - 2**bits if letter.islower() and value >= 2 ** (bits - 1) else value
