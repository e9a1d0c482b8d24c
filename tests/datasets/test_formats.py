"""What becomes of every format, mode and depth: ids as stored, colours by a stated scale, or a refusal."""

from __future__ import annotations

import functools
import io
import itertools
import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets import readers
from pipeline.datasets.readers import decode_ids, decode_rgb
from pipeline.errors import FileError
from tests.datasets import tiffs
from tests.datasets.encode import assemble, chunk, encode, header

HERE = Path("x")
RNG = np.random.default_rng(3)
SHAPE = (9, 13)
FULL = RNG.integers(0, 256, SHAPE, dtype=np.uint8)
FULL[0, 0], FULL[0, 1] = 0, 255
DEEP = (FULL.astype(np.uint16) << 8) | RNG.integers(0, 256, SHAPE, dtype=np.uint16)
READ_AS_IDS = {"PNG", "TIFF", "BMP", "PPM"}
READ_AS_IMAGES = READ_AS_IDS | {
    "JPEG",
    "JPEG2000",
    "WEBP",
    "GIF",
    "AVIF",
    "MPO",
    "TGA",
    "PCX",
    "SGI",
    "QOI",
    "DDS",
}
LOSSY = {"JPEG", "WEBP", "AVIF", "GIF", "MPO"}

Image.init()
FORMATS = sorted(set(Image.SAVE) - {"PDF", "PALM"})
MODES = (
    "1",
    "L",
    "P",
    "LA",
    "PA",
    "RGB",
    "RGBA",
    "RGBX",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I;16",
    "I;16B",
    "I",
    "F",
)


@functools.cache
def picture(mode: str) -> Image.Image:
    """A picture of a mode, made of random samples."""
    if mode == "1":
        return Image.fromarray(FULL > 127)
    if mode == "P":
        image = Image.fromarray(FULL).convert("P")
        image.putpalette(RNG.permutation(np.repeat(np.arange(256, dtype=np.uint8), 3)).tobytes())
        return image
    if mode.startswith("I;16"):
        image = Image.new(mode, SHAPE[::-1])
        image.frombytes(DEEP.astype(">u2" if mode.endswith("B") else "<u2").tobytes())
        return image
    if mode == "I":
        return Image.fromarray(DEEP.astype(np.int32))
    if mode == "F":
        return Image.fromarray(FULL.astype(np.float32) / 255)
    colors = Image.fromarray(RNG.integers(0, 256, (*SHAPE, 3), dtype=np.uint8))
    if mode == "LAB":
        return Image.frombytes("LAB", SHAPE[::-1], colors.tobytes())
    return (picture("P") if mode == "PA" else colors).convert(mode)


def ids_of(image: Image.Image) -> NDArray[np.generic] | None:
    """What a map of ids in this picture means; None where it is none."""
    return np.asarray(image) if image.mode in ("1", "L", "P", "I") or image.mode.startswith("I;16") else None


def written() -> list[tuple[str, str, bytes]]:
    """Format, mode and bytes of whatever Pillow writes."""
    found = []
    for kind, mode in itertools.product(FORMATS, MODES):
        file = io.BytesIO()
        try:
            picture(mode).save(file, kind)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError, struct.error):
            continue
        found.append((kind, mode, file.getvalue()))
    return found


WRITTEN = written()


def test_pillow_writes_many_kinds() -> None:
    assert len(WRITTEN) > 60
    assert {kind for kind, _, _ in WRITTEN} >= READ_AS_IDS


@pytest.mark.parametrize(("kind", "mode", "data"), WRITTEN, ids=[f"{k}-{m}" for k, m, _ in WRITTEN])
def test_label_maps_as_pillow_writes_them(kind: str, mode: str, data: bytes) -> None:
    wanted = ids_of(picture(mode))
    try:
        ids = decode_ids(data, HERE)
    except FileError:
        assert kind not in READ_AS_IDS or wanted is None or (kind, mode) == ("PPM", "1")
        return
    assert kind in READ_AS_IDS
    assert wanted is not None
    assert ids.dtype in (np.uint8, np.uint16)
    np.testing.assert_array_equal(ids, wanted)


@pytest.mark.parametrize(("kind", "mode", "data"), WRITTEN, ids=[f"{k}-{m}" for k, m, _ in WRITTEN])
def test_images_as_pillow_writes_them(kind: str, mode: str, data: bytes) -> None:
    image = picture(mode)
    try:
        colors = decode_rgb(data, HERE)
    except FileError:
        without_scale = mode in ("F", "LAB") or (mode == "I" and kind == "TIFF")
        assert kind not in READ_AS_IMAGES or without_scale
        return
    assert kind in READ_AS_IMAGES
    assert (colors.dtype, colors.shape) == (np.uint8, (*SHAPE, 3))
    if (kind, mode) == ("JPEG2000", "I;16B"):
        pytest.skip("Pillow writes the bytes of its samples in the wrong order")
    if mode.startswith("I") and kind not in LOSSY:
        np.testing.assert_array_equal(colors, np.repeat((DEEP >> 8).astype(np.uint8)[..., None], 3, 2))
    elif kind in LOSSY:
        with Image.open(io.BytesIO(data)) as opened:
            np.testing.assert_array_equal(colors, np.asarray(opened.convert("RGB")))
    else:
        np.testing.assert_array_equal(colors, np.asarray(image.convert("RGB")))


def _with_tifffile(data: bytes) -> NDArray[np.generic]:
    return np.asarray(tifffile.imread(io.BytesIO(data)))


TIFF_KINDS = [
    (bits, format_, photometric)
    for bits, format_ in [*((b, "u") for b in (1, 2, 4, 8, 12, 16, 32)), (8, "i"), (16, "i"), (32, "i")]
    for photometric in (0, 1, 3, None)
]


def samples(bits: int, kind: str) -> NDArray[np.generic]:
    """Ids of so many bits that are not negative."""
    dtype = np.dtype(f"{kind}{max(1, -(-bits // 8)) if bits != 12 else 2}")
    most = min(65535, 2 ** (bits - (kind == "i")) - 1)
    values = RNG.integers(0, most + 1, SHAPE).astype(dtype)
    values[0, 0], values[0, 1] = 0, most
    return values


@pytest.mark.parametrize(("bits", "kind", "photometric"), TIFF_KINDS)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("compression", [tiffs.NONE, tiffs.DEFLATE, tiffs.PACKBITS])
def test_ids_in_a_tiff_are_as_stored_or_refused(
    bits: int, kind: str, photometric: int | None, order: str, compression: int
) -> None:
    values = samples(bits, kind)
    more: dict[int, tuple[str, tuple[int, ...]]] = {}
    if photometric == 3:
        more[320] = ("H", tuple(RNG.integers(0, 65536, 3 * 2 ** min(bits, 8)).tolist()))
    data = tiffs.encode(values, bits, photometric, order, compression, more=more)
    if bits in (8, 16, 32) and photometric != 3:
        np.testing.assert_array_equal(_with_tifffile(data), values)
    known = (bits <= 8 and kind == "u") or (
        photometric == 1 and not (order == ">" and (bits, kind) in ((12, "u"), (32, "u")))
    )
    known |= (bits, kind, order) == (16, "u", "<") and photometric in (0, None)
    if not known:
        with pytest.raises(FileError, match="a kind of TIFF file that cannot be read"):
            decode_ids(data, HERE)
        return
    ids = decode_ids(data, HERE)
    np.testing.assert_array_equal(ids, values)


@pytest.mark.parametrize("kind", ["bool", "uint8", "uint16"])
@pytest.mark.parametrize("photometric", ["miniswhite", "minisblack"])
def test_ids_in_a_tiff_of_tifffile_are_as_it_reads_them(kind: str, photometric: str) -> None:
    values = (FULL > 200) if kind == "bool" else samples(np.dtype(kind).itemsize * 8, "u")
    file = io.BytesIO()
    tifffile.imwrite(file, values, photometric=photometric)
    np.testing.assert_array_equal(decode_ids(file.getvalue(), HERE), _with_tifffile(file.getvalue()))


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
def test_big_tiffs_in_both_byte_orders(order: str, big: bool) -> None:
    data = tiffs.encode(DEEP, order=order, big=big)
    np.testing.assert_array_equal(_with_tifffile(data), DEEP)
    if big and order == ">":
        with pytest.raises(FileError, match="a kind of TIFF file that cannot be read"):
            decode_ids(data, HERE)
    else:
        np.testing.assert_array_equal(decode_ids(data, HERE), DEEP)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
def test_an_orientation_tag_turns_neither_ids_nor_images(
    tmp_path: Path, orientation: int, order: str, big: bool
) -> None:
    data = tiffs.encode(FULL, big=big, order=order, more={274: ("H", (orientation,))})
    np.testing.assert_array_equal(decode_ids(data, HERE), FULL)
    np.testing.assert_array_equal(decode_rgb(data, HERE)[..., 0], FULL)
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    assert readers.image_size(path) == readers.label_size(path) == SHAPE
    assert readers.orientation(path) == orientation


def test_an_orientation_in_xmp_turns_neither_ids_nor_images() -> None:
    packet = b'<x tiff:Orientation="6"/>   '
    data = tiffs.encode(FULL, more={700: ("I", tuple(np.frombuffer(packet, "<u4").tolist()))})
    at = data.rindex(struct.pack("<HHI", 700, 4, len(packet) // 4))
    data = data[:at] + struct.pack("<HHI", 700, 1, len(packet)) + data[at + 8 :]
    np.testing.assert_array_equal(decode_ids(data, HERE), FULL)
    np.testing.assert_array_equal(decode_rgb(data, HERE)[..., 0], FULL)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
@pytest.mark.parametrize("photometric", [0, 1])
def test_gray_tiff_images_show_what_viewers_show(bits: int, photometric: int) -> None:
    values = samples(bits, "u")
    most = 2**bits - 1
    shown = values if photometric else most - values
    wanted = shown * (255 // most) if bits <= 8 else shown >> (bits - 8)
    try:
        colors = decode_rgb(tiffs.encode(values, bits, photometric), HERE)
    except FileError:
        assert (bits, photometric) == (12, 0)  # Pillow knows no such file
        return
    np.testing.assert_array_equal(colors, np.repeat(wanted[..., None], 3, 2))


def test_16_bit_images_of_12_bits_are_scaled_where_a_tag_says_so_and_refused_elsewhere() -> None:
    values = DEEP >> 4
    wanted = np.repeat((values >> 4).astype(np.uint8)[..., None], 3, 2)
    stated = {
        "TIFF": tiffs.encode(values, more={281: ("H", (4095,))}),
        "PNG": _with_sbit(values, 12),
        "PGM": b"P5\n13 9\n4095\n" + values.astype(">u2").tobytes(),
    }
    for data in stated.values():
        np.testing.assert_array_equal(decode_rgb(data, HERE), wanted)
    for data in (
        tiffs.encode(values),
        encode(values),
        tiffs.encode(np.repeat(values[..., None], 3, 2), photometric=2),
    ):
        with pytest.raises(FileError, match="fewer bits seem to be meant"):
            decode_rgb(data, HERE)


def test_a_significant_bits_chunk_of_values_spread_as_the_specification_says_changes_nothing() -> None:
    np.testing.assert_array_equal(decode_rgb(_with_sbit(DEEP, 12), HERE)[..., 0], DEEP >> 8)


def test_black_16_bit_images_are_black() -> None:
    assert not decode_rgb(encode(np.zeros(SHAPE, np.uint16)), HERE).any()


def _with_sbit(values: NDArray[np.uint16], bits: int) -> bytes:
    data = encode(values)
    return data[:33] + chunk(b"sBIT", bytes((bits,))) + data[33:]


@pytest.mark.parametrize("most", [1, 11, 15, 100, 255, 300, 4095, 65535])
def test_ids_in_a_pgm_are_not_scaled(most: int) -> None:
    values = RNG.integers(0, most + 1, SHAPE).astype(np.uint16)
    head = f"P5 # ids\n13 # columns\n9\n{most}\n".encode()
    data = head + values.astype(">u2" if most > 255 else "u1").tobytes()
    np.testing.assert_array_equal(decode_ids(data, HERE), values)
    text = f"P2 13 9 {most}\n" + " ".join(map(str, values.ravel().tolist())) + " # end"
    np.testing.assert_array_equal(decode_ids(text.encode(), HERE), values)


def test_colours_of_a_text_ppm_and_a_bitmap() -> None:
    colors = RNG.integers(0, 16, (2, 2, 3))
    text = "P3 2 2 15 " + " ".join(map(str, colors.ravel().tolist()))
    np.testing.assert_array_equal(decode_rgb(text.encode(), HERE), colors * 17)
    assert decode_rgb(b"P1 2 2 01 10", HERE)[..., 0].tolist() == [[255, 0], [0, 255]]
    assert decode_rgb(b"P4 2 2 \x40\x80", HERE)[..., 0].tolist() == [[255, 0], [0, 255]]


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("gray", [True, False])
@pytest.mark.parametrize("colors", [2, 16, 256])
@pytest.mark.parametrize("top_down", [True, False])
def test_ids_and_colours_in_a_bmp_with_any_palette(
    bits: int, gray: bool, colors: int, top_down: bool
) -> None:
    if colors > 2**bits:
        pytest.skip("more colours than there are indices")
    values = RNG.integers(0, colors, SHAPE, dtype=np.uint8)
    shades = np.linspace(0, 255, colors).astype(np.uint8) if colors != 16 else np.arange(16, dtype=np.uint8)
    palette = np.repeat(shades[:, None], 4, 1) if gray else RNG.integers(0, 256, (colors, 4), dtype=np.uint8)
    stride = (13 * bits + 31) // 32 * 4
    rows = [tiffs.packed(row[None], bits, "<").ljust(stride, b"\0") for row in values]
    start = 54 + 4 * colors
    data = struct.pack("<2sIHHI", b"BM", start + stride * 9, 0, 0, start)
    data += struct.pack("<IiiHHIIiiII", 40, 13, -9 if top_down else 9, 1, bits, 0, 0, 0, 0, colors, 0)
    data += palette.tobytes() + b"".join(rows if top_down else rows[::-1])
    np.testing.assert_array_equal(decode_ids(data, HERE), values)
    np.testing.assert_array_equal(decode_rgb(data, HERE), palette[values][..., 2::-1])


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "lzma", "zstd"])
def test_ids_in_compressed_tiffs(compression: str) -> None:
    file = io.BytesIO()
    try:
        Image.fromarray(FULL).save(file, "TIFF", compression=compression)
    except OSError:
        pytest.skip(f"this Pillow writes no {compression}")
    np.testing.assert_array_equal(decode_ids(file.getvalue(), HERE), FULL)


@pytest.mark.parametrize(
    ("compression", "reason"), [("jpeg", "compressed as JPEG"), ("webp", "compressed as WebP")]
)
def test_lossy_tiffs_are_no_label_maps(compression: str, reason: str) -> None:
    file = io.BytesIO()
    try:
        Image.fromarray(FULL).convert("RGB" if compression == "webp" else "L").save(
            file, "TIFF", compression=compression
        )
    except OSError:
        pytest.skip(f"this Pillow writes no {compression}")
    with pytest.raises(FileError, match=reason):
        decode_ids(file.getvalue(), HERE)


def test_a_fax_in_which_0_is_white_is_refused() -> None:
    file = io.BytesIO()
    Image.fromarray(FULL > 127).save(file, "TIFF", compression="group4", tiffinfo={262: 0})
    with pytest.raises(FileError, match="is a fax, in which 0 is white"):
        decode_ids(file.getvalue(), HERE)
    file = io.BytesIO()
    Image.fromarray(FULL > 127).save(file, "TIFF", compression="group4")
    np.testing.assert_array_equal(decode_ids(file.getvalue(), HERE), FULL > 127)


def test_several_pages_and_thumbnails_are_no_label_map() -> None:
    file = io.BytesIO()
    page = Image.fromarray(FULL)
    page.save(file, "TIFF", save_all=True, append_images=[page])
    with pytest.raises(FileError, match="holds more than one picture"):
        decode_ids(file.getvalue(), HERE)
    small = tiffs.encode(FULL, more={254: ("I", (1,))})
    for decoder in (decode_ids, decode_rgb):
        with pytest.raises(FileError, match="is a thumbnail of another"):
            decoder(small, HERE)


def test_negative_ids_are_refused_by_name() -> None:
    for kind in (np.int8, np.int16, np.int32):
        values = np.array([[3, -2]], kind)
        with pytest.raises(FileError, match=r"its values lie in -2\.\.\d+; class ids must lie in 0\.\.65535"):
            decode_ids(tiffs.encode(values), HERE)


@pytest.mark.parametrize("kind", ["int8", "int16", "int32", "uint32", "float32"])
def test_images_without_a_scale_are_refused(kind: str) -> None:
    values = np.arange(20).reshape(4, 5).astype(kind)
    with pytest.raises(FileError, match="save it as 8-bit RGB"):
        decode_rgb(tiffs.encode(values), HERE)


def test_a_palette_image_without_the_colours_it_uses_is_refused() -> None:
    ihdr, idat = header(2, 1, 8, 3), encode(np.array([[0, 5]], np.uint8))[33:-12]
    for palette in (b"", chunk(b"PLTE", bytes(9))):
        data = assemble(ihdr, palette, idat)
        assert decode_ids(data, HERE).tolist() == [[0, 5]]
        with pytest.raises(FileError, match="palette"):
            decode_rgb(data, HERE)
