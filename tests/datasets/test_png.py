"""The project's own PNG decoder, against an encoder written from the specification and against Pillow."""

from __future__ import annotations

import io
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets import inflate, png
from pipeline.datasets.png import decode, png_header, read_png
from pipeline.errors import FileError
from tests.conftest import shared
from tests.datasets.encode import ADAM7, CHANNELS, assemble, chunk, encode, header, rows

HERE = Path("x.png")
FORMATS = [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (1, 3), (2, 3), (4, 3), (8, 3)]
FORMATS += [(depth, color) for color in (2, 4, 6) for depth in (8, 16)]
IDS = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.fixture(autouse=True, scope="module", params=["zlib_ng.zlib_ng", "zlib"])
def library(request: pytest.FixtureRequest) -> Iterator[None]:
    """With the fast library, and with the one that is always there."""
    module = pytest.importorskip(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inflate, "library", module)
        patch.setattr(inflate, "error", module.error)
        yield


def test_the_fast_library_is_used_where_it_is_installed() -> None:
    pytest.importorskip("zlib_ng")
    assert inflate._found().__name__ == "zlib_ng.zlib_ng"


def test_without_the_fast_library_python_s_own_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "zlib_ng.zlib_ng", None)
    assert inflate._found() is zlib


@st.composite
def pictures(draw: st.DrawFn) -> tuple[NDArray[np.generic], int, int]:
    """Samples, bit depth, colour type; half of them with the large plain areas of label maps."""
    depth, color = draw(st.sampled_from(FORMATS))
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 70))
    shape = (height, width) if CHANNELS[color] == 1 else (height, width, CHANNELS[color])
    kind = np.uint16 if depth == 16 else np.uint8
    values = st.integers(0, 2**depth - 1)
    if draw(st.booleans()):
        return draw(hnp.arrays(kind, shape, elements=values)), depth, color
    plain = np.full(shape, draw(values), kind)
    for _ in range(draw(st.integers(0, 3))):
        top, left = draw(st.integers(0, height)), draw(st.integers(0, width))
        plain[top:, left : left + draw(st.integers(0, width))] = draw(values)
    return plain, depth, color


filter_choices = st.lists(st.integers(0, 4), min_size=1, max_size=5)


@settings(max_examples=250)
@given(pictures(), filter_choices, st.integers(1, 40), st.integers(1, 400), st.integers(1, 50))
def test_samples_come_back_as_stored(
    picture: tuple[NDArray[np.generic], int, int], filters: list[int], idat: int, strip: int, feed: int
) -> None:
    pixels, depth, color = picture
    data = encode(pixels, depth, color, filters, idat)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(png, "STRIP_BYTES", strip)
        patch.setattr(png, "FEED_BYTES", feed)
        decoded = decode(data, HERE)
    assert decoded.dtype == pixels.dtype
    np.testing.assert_array_equal(decoded, pixels)


@settings(max_examples=150)
@given(pictures(), filter_choices, st.integers(1, 400), st.booleans())
def test_strips_are_the_picture_and_lie_in_the_same_memory(
    picture: tuple[NDArray[np.generic], int, int], filters: list[int], strip: int, interlaced: bool
) -> None:
    pixels, depth, color = picture
    data = encode(pixels, depth, color, filters, interlaced=interlaced)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(png, "STRIP_BYTES", strip)
        parts, memory = [], []
        for part in png.strips(data, HERE):
            parts.append(part.copy())
            memory.append(part)
    assert {part.dtype for part in parts} == {pixels.dtype}
    np.testing.assert_array_equal(np.concatenate(parts), pixels)
    if depth >= 8:
        assert all(np.shares_memory(memory[0], part) for part in memory)


@pytest.mark.parametrize(("depth", "color"), FORMATS)
@pytest.mark.parametrize("share", [0.002, 0.05, 0.5])
def test_long_rows_of_every_format_and_filter(depth: int, color: int, share: float) -> None:
    """Where 64 filtered bytes are all zeros, few of them are none, and many are none."""
    rng = np.random.default_rng(7)
    shape = (16, 331, CHANNELS[color]) if CHANNELS[color] > 1 else (16, 331)
    kind = np.uint16 if depth == 16 else np.uint8
    pixels = np.repeat(rng.integers(0, 2**depth, (4, *shape[1:]), dtype=kind), 4, axis=0)
    pixels[:, 20:250] = pixels[:, 20:21]
    places = rng.random(shape) < share
    pixels[places] = rng.integers(0, 2**depth, int(places.sum()))
    for filters in ((0,), (1,), (2,), (3,), (4,), (4, 1, 3, 2, 0)):
        np.testing.assert_array_equal(decode(encode(pixels, depth, color, filters), HERE), pixels)


@settings(max_examples=150)
@given(pictures().filter(lambda p: p[1] == 8 or p[1:] in ((16, 0), (1, 0), (4, 3))), filter_choices)
def test_agrees_with_pillow_where_pillow_reads_right(
    picture: tuple[NDArray[np.generic], int, int], filters: list[int]
) -> None:
    data = encode(*picture, filters)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(decode(data, HERE), np.asarray(image))


@settings(max_examples=60)
@given(pictures().filter(lambda p: p[1] == 8 and p[2] != 3), st.integers(0, 9))
def test_reads_what_pillow_writes(picture: tuple[NDArray[np.generic], int, int], level: int) -> None:
    file = io.BytesIO()
    Image.fromarray(picture[0]).save(file, "PNG", compress_level=level)
    np.testing.assert_array_equal(decode(file.getvalue(), HERE), picture[0])


def test_large_label_map_with_every_filter() -> None:
    """Rows far longer than the block that the filters look at together."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.repeat(rng.integers(0, 256, (20, 50), dtype=np.uint8), 4, 0), 31, 1)
    labels[rng.random(labels.shape) < 0.01] = 7
    np.testing.assert_array_equal(decode(encode(labels, filters=(4, 1, 3, 2, 0, 4, 4)), HERE), labels)


def test_palette_indices_are_not_looked_up() -> None:
    image = Image.fromarray(IDS).convert("P")
    image.putpalette([200, 10, 30] * 12)
    file = io.BytesIO()
    image.save(file, "PNG")
    np.testing.assert_array_equal(decode(file.getvalue(), HERE), np.asarray(image))


def test_16_bit_rgb_that_pillow_turns_into_zeros() -> None:
    pixels = np.zeros((3, 5, 3), np.uint16)
    pixels[..., 0], pixels[..., 1] = 8, 205
    data = encode(pixels)
    with Image.open(io.BytesIO(data)) as image:
        assert not np.asarray(image).any()
    np.testing.assert_array_equal(decode(data, HERE), pixels)


@pytest.mark.parametrize(("depth", "color"), FORMATS)
@pytest.mark.parametrize("size", [(1, 1), (5, 3), (8, 8), (17, 30), (1, 9), (2, 1)])
def test_interlaced_files_of_every_format(size: tuple[int, int], depth: int, color: int) -> None:
    shape = size if CHANNELS[color] == 1 else (*size, CHANNELS[color])
    kind = np.uint16 if depth == 16 else np.uint8
    pixels = np.random.default_rng(1).integers(0, 2**depth, shape, dtype=kind)
    data = encode(pixels, depth, color, filters=(4, 1, 3, 2, 0), interlaced=True)
    decoded = decode(data, HERE)
    assert decoded.dtype == kind
    np.testing.assert_array_equal(decoded, pixels)


@pytest.mark.parametrize("passes", range(7))
def test_interlaced_data_that_end_after_a_pass_are_truncated(passes: int) -> None:
    pixels = np.full((8, 9), 7, np.uint8)
    parts = [pixels[top::down, left::right] for top, left, down, right in ADAM7]
    raw = b"".join(rows(part.astype(np.uint16), 8, 1, (0,)) for part in parts[:passes])
    data = assemble(header(9, 8, 8, 3, True), chunk(b"IDAT", zlib.compress(raw)))
    with pytest.raises(FileError, match=r"^x\.png: truncated: "):
        decode(data, HERE)


def test_a_stream_that_ends_early_before_a_long_tail_takes_no_longer_than_reading_it() -> None:
    """zlib keeps what follows the end of a stream, and copies it at every call."""
    tail = zlib.compress(bytes(12)) + b"\x55" * (48 << 20)
    data = assemble(header(2, 5, 8, 0), chunk(b"IDAT", tail))
    began = time.process_time()
    with pytest.raises(FileError, match=r"^x\.png: truncated: its image data end early$"):
        decode(data, HERE)
    assert time.process_time() - began < 1


def test_header_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(np.zeros((3, 5, 4), np.uint16))[:33])
    assert png_header(path) == (3, 5, 16, 6)


@settings(max_examples=60)
@given(st.data())
def test_every_truncated_file_is_refused(data: st.DataObject) -> None:
    whole = encode(IDS, filters=(4, 1), idat=7)
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(FileError, match=r"x\.png: truncated: it ends after"):
        decode(whole[:cut], HERE)


@settings(max_examples=150)
@given(st.data())
def test_a_changed_byte_is_noticed_or_changes_nothing(data: st.DataObject) -> None:
    whole = bytearray(encode(IDS, filters=(2, 4), idat=9))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] ^= data.draw(st.integers(1, 255))
    try:
        decoded = decode(bytes(whole), HERE)
    except FileError:
        return
    np.testing.assert_array_equal(decoded, IDS)


@settings(max_examples=300)
@given(st.binary(max_size=80))
@example(b"GIF89a")
@example(b"\x89PNG\r\n\x1a\n" + b"\0" * 60)
def test_bytes_that_are_no_png_are_refused(data: bytes) -> None:
    with pytest.raises(FileError, match=r"x\.png: "):
        decode(data, HERE)


def stream(height: int, row: bytes) -> bytes:
    return zlib.compress(row * height)


def broken() -> dict[str, tuple[bytes, str]]:
    """Files whose checksums are right and whose content is not, and what is said about them."""
    good = chunk(b"IDAT", stream(2, b"\0ab"))
    ihdr = header(2, 2, 8, 0)
    flipped = bytearray(assemble(ihdr, good))
    flipped[45] ^= 1
    half = zlib.compress(b"\0ab" * 2)
    return {
        "not PNG": (b"BM6123456789", "not a PNG file"),
        "flipped bit": (bytes(flipped), "checksum of a data chunk is wrong: the file is damaged"),
        "header checksum": (
            assemble(ihdr[:-1] + b"\0", good),
            "checksum of the header is wrong: the file is damaged",
        ),
        "no data": (assemble(ihdr), "it has no data chunk: the file is damaged"),
        "data apart": (
            assemble(ihdr, good, chunk(b"tIME", b"1234567"), good),
            "its data chunks do not follow each other: the file is damaged",
        ),
        "depth 3": (
            assemble(header(2, 2, 3, 0), good),
            "the header makes no sense: 2 x 2 pixels of 3 bits, colour type 0, compression 0, filter 0, "
            "interlace 0",
        ),
        "no rows": (
            assemble(header(2, 0, 8, 0), good),
            "the header makes no sense: 2 x 0 pixels of 8 bits, colour type 0, compression 0, filter 0, "
            "interlace 0",
        ),
        "short data": (
            assemble(ihdr, chunk(b"IDAT", stream(1, b"\0ab"))),
            "truncated: its image data end early",
        ),
        "short stream": (
            assemble(ihdr, chunk(b"IDAT", half[:-6])),
            "truncated: its image data end early",
        ),
        "not zlib": (
            assemble(ihdr, chunk(b"IDAT", b"no zlib at all")),
            "its image data are no zlib stream: the file is damaged",
        ),
        "bad deflate": (
            assemble(ihdr, chunk(b"IDAT", half[:2] + b"\xff" * 8)),
            "its image data are damaged (Error -3 while decompressing data: invalid block type)",
        ),
        "filter 9": (
            assemble(ihdr, chunk(b"IDAT", stream(2, b"\x09ab"))),
            "row 0 has an unknown filter: the file is damaged",
        ),
        "vast claim": (
            assemble(header(2**31 - 1, 2**31 - 1, 8, 0), good),
            f"truncated: {len(good) - 12} bytes of image data cannot hold 2147483647 x 2147483647 pixels",
        ),
    }


@pytest.mark.parametrize("case", broken())
def test_broken_files_say_what_is_wrong(case: str) -> None:
    data, message = broken()[case]
    with pytest.raises(FileError) as error:
        decode(data, HERE)
    assert str(error.value) == f"x.png: {message}"


def test_more_data_than_pixels_are_ignored() -> None:
    data = assemble(header(2, 2, 8, 0), chunk(b"IDAT", stream(3, b"\0ab")))
    np.testing.assert_array_equal(decode(data + b"trailing", HERE), [[97, 98], [97, 98]])


def test_a_damaged_comment_does_no_harm() -> None:
    comment = chunk(b"tEXt", b"Comment\0by hand")[:-1] + b"!"
    data = assemble(header(2, 2, 8, 0), comment, chunk(b"IDAT", stream(2, b"\0ab")))
    np.testing.assert_array_equal(decode(data, HERE), [[97, 98], [97, 98]])


def test_cityscapes_maps_as_pillow_reads_them() -> None:
    paths = sorted(shared("cityscapes").glob("gtFine/*/*/*Ids.png"))
    assert len(paths) == 16
    for path in paths:
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_png(path), np.asarray(image))


def test_camvid_maps_as_pillow_reads_them() -> None:
    for path in sorted(shared("camvid").glob("labels/val/*.png"))[::5]:
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_png(path), np.asarray(image))


def test_full_size_16_bit_masks_as_pillow_reads_them() -> None:
    for path in sorted(shared("apolloscape-masks").glob("*.png")):
        with Image.open(path) as image:
            np.testing.assert_array_equal(read_png(path), np.asarray(image))


def test_synthia_classes_and_instances() -> None:
    (path,) = shared("synthia-seqs").glob("*/GT/LABELS/*/*/*.png")
    pixels = read_png(path)
    assert pixels.shape == (760, 1280, 3)
    assert pixels.dtype == np.uint16
    ids, objects, rest = np.moveaxis(pixels, 2, 0)
    assert set(np.unique(ids)) == {0, 1, 2, 3, 5, 6, 7, 8, 9, 12}
    assert set(np.unique(ids[objects > 0])) == {8}
    assert not rest.any()
