"""What a TIFF says of its pixels, checked before Pillow decodes them, and what Pillow then changes undone.

Pillow inverts values for which 0 is white, spreads 2 and 4 bits over 0..255, reads signed bytes as unsigned,
turns the picture by its orientation tag, and leaves zeros where strips are missing.
"""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import pictures
from pipeline.datasets.limits import short
from pipeline.errors import FileError

if TYPE_CHECKING:
    from PIL.Image import Image

Read = Callable[[int, int], bytes]
"""Bytes of the file: (first, count) -> up to so many."""

SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
STRIP_OFFSETS, ORIENTATION, SAMPLES, STRIP_ROWS, STRIP_COUNTS, MAX_VALUE = 273, 274, 277, 278, 279, 281
PLANES, TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, FORMAT = 284, 322, 323, 324, 325, 339
PREDICTOR, XMP = 317, 700
UNUSED = 65_001
"""What the tag of an XMP packet becomes, for Pillow finds an orientation in it too."""

PAGES = -1
"""Not a tag: how many pictures the file holds without thumbnails and masks, 2 if several."""

WANTED = {SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, STRIP_OFFSETS, ORIENTATION, SAMPLES}
WANTED |= {STRIP_ROWS, STRIP_COUNTS, MAX_VALUE, PLANES, PREDICTOR}
WANTED |= {TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_COUNTS, FORMAT}
SINGLE = WANTED - {BITS, STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS, FORMAT, MAX_VALUE}
HEADER_BYTES = 8
KINDS = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}
MOST_ENTRIES = 4096
MOST_PAGES = 16
REDUCED, MASK = 1, 4
WHITE_IS_ZERO = 0

UNCOMPRESSED = 1
PREDICTED = (5, 8, 32946, 34925, 50000)
FAX = (2, 3, 4, 32771)
EXPANSION = {1: 1, 5: 2048, 8: 1040, 32946: 1040, 32773: 128, 34925: 8192, 50000: 65536}
"""Bytes that one byte makes at most: none, LZW, deflate (two numbers), PackBits, LZMA, Zstandard."""

FAX_EXPANSION = 1 << 16
"""A row of fax can be a single bit, whatever its width; more than this is taken for damage."""

LOSSY = {6: "JPEG", 7: "JPEG", 33003: "JPEG 2000", 33004: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000"}
LOSSY |= {50001: "WebP", 50002: "JPEG XL", 52546: "JPEG XL", 34887: "LERC"}


@dataclass(frozen=True)
class Tags:
    """The first picture of a file."""

    values: dict[int, tuple[int, ...]]
    turning: tuple[int, ...]  # where the entries of orientation and XMP lie
    little_endian: bool
    big: bool

    def one(self, tag: int, default: int) -> int:
        return self.values.get(tag, (default,))[0]

    @property
    def height(self) -> int:
        return self.one(HEIGHT, 0)

    @property
    def width(self) -> int:
        return self.one(WIDTH, 0)

    @property
    def bits(self) -> int:
        """Bits of the first sample."""
        return self.one(BITS, 1)

    @property
    def samples(self) -> int:
        return self.one(SAMPLES, 1)

    @property
    def compression(self) -> int:
        return self.one(COMPRESSION, UNCOMPRESSED)

    @property
    def orientation(self) -> int:
        return self.one(ORIENTATION, 1)

    @property
    def white_is_zero(self) -> bool:
        return self.one(PHOTOMETRIC, WHITE_IS_ZERO) == WHITE_IS_ZERO

    @property
    def pixel_bits(self) -> int:
        bits = self.values.get(BITS, (1,))
        return sum(bits) if len(bits) == self.samples else bits[0] * self.samples


def read_tags(read: Read, file_bytes: int, path: Path) -> Tags:
    """The tags of the first picture, if its pixels can lie in a file of so many bytes.

    Raises
    ------
    FileError
        The file is damaged or truncated, or its first picture is a thumbnail.
    """
    head = read(0, 16)
    order = "<" if head[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", head, 2)[0] == 43
    try:
        first = struct.unpack_from(order + ("Q" if big else "I"), head, 8 if big else 4)[0]
        tags, following = _directory(read, first, order, big, file_bytes)
        tags.values[SUBFILE] = (tags.one(SUBFILE, 0),)
        if tags.one(SUBFILE, 0) & REDUCED:
            raise FileError(f"{path}: its first picture is a thumbnail of another one: save it alone")
        pages = 1
        while following and pages < MOST_PAGES:
            more, following = _directory(read, following, order, big, file_bytes)
            pages += not more.one(SUBFILE, 0) & (REDUCED | MASK)
            if pages > 1:
                break
        _check_pixels(tags, file_bytes)
    except (struct.error, ValueError, IndexError) as error:
        raise FileError(f"{path}: truncated or damaged: {error}") from error
    return Tags({**tags.values, PAGES: (pages,)}, tags.turning, order == "<", big)


def _directory(read: Read, offset: int, order: str, big: bool, file_bytes: int) -> tuple[Tags, int]:
    """The tags at an offset, and where the next directory lies (0: nowhere)."""
    lead, entry, field = (8, 20, 12) if big else (2, 12, 8)
    count = struct.unpack_from(order + ("Q" if big else "H"), read(offset, lead))[0]
    if not 0 < count <= MOST_ENTRIES:
        raise ValueError(f"its directory has {count} entries")
    raw = read(offset + lead, count * entry + (8 if big else 4))
    values: dict[int, tuple[int, ...]] = {}
    turning = []
    for start in range(0, count * entry, entry):
        tag, kind = struct.unpack_from(order + "HH", raw, start)
        if tag in (ORIENTATION, XMP):
            turning.append(offset + lead + start)
        if tag not in WANTED:
            continue
        if tag in values:
            raise ValueError(f"tag {tag} stands there twice")
        number = struct.unpack_from(order + ("Q" if big else "I"), raw, start + 4)[0]
        values[tag] = _values(read, raw, start + field, kind, number, order, big, file_bytes)
    after = raw[count * entry :]
    whole = len(after) == (8 if big else 4)
    following = struct.unpack(order + ("Q" if big else "I"), after)[0] if whole else 0
    return Tags(values, tuple(turning), order == "<", big), int(following)


def _values(
    read: Read, raw: bytes, field: int, kind: int, number: int, order: str, big: bool, file_bytes: int
) -> tuple[int, ...]:
    if kind not in KINDS:
        raise ValueError(f"a number has the type {kind}")
    dtype = np.dtype(order + KINDS[kind])
    size = dtype.itemsize * number
    if not 0 < size <= file_bytes:
        raise ValueError(f"a tag has {number} numbers")
    room = 8 if big else 4
    if size <= room:
        content = raw[field : field + size]
    else:
        offset = struct.unpack_from(order + ("Q" if big else "I"), raw, field)[0]
        content = read(offset, size)
    return tuple(np.frombuffer(content, dtype, number).tolist())


def _check_pixels(tags: Tags, file_bytes: int) -> None:
    """Raise ValueError unless all pixels can be there."""
    height, width, bits = tags.height, tags.width, tags.pixel_bits
    if not 0 < height < 2**31 or not 0 < width < 2**31 or not 0 < tags.samples < 64 or not 0 < bits < 1024:
        raise ValueError(f"the header makes no sense: {width} x {height} pixels of {bits} bits")
    _check_contradictions(tags)
    planes = tags.samples if tags.one(PLANES, 1) == 2 else 1
    part = bits // planes
    if TILE_OFFSETS in tags.values:
        offsets, counts = tags.values[TILE_OFFSETS], tags.values.get(TILE_COUNTS, ())
        across, down = tags.one(TILE_WIDTH, 0), tags.one(TILE_HEIGHT, 0)
        if not across or not down:
            raise ValueError("its tiles have no size")
        wanted = -(-width // across) * -(-height // down) * planes
        needed = [down * ((across * part + 7) // 8)] * min(wanted, len(offsets))
    else:
        offsets, counts = tags.values.get(STRIP_OFFSETS, ()), tags.values.get(STRIP_COUNTS, ())
        rows = min(tags.one(STRIP_ROWS, height) or height, height)
        wanted = -(-height // rows) * planes
        row_bytes = (width * part + 7) // 8
        tops = range(0, height, rows) if wanted == len(offsets) else range(0)
        needed = [min(rows, height - top) * row_bytes for top in tops] * planes
    if not len(offsets) == len(counts) == wanted:
        raise ValueError(
            f"truncated: {width} x {height} pixels need {wanted} pieces; stated are {len(offsets)} places "
            f"and {len(counts)} sizes"
        )
    _check_bytes(tags, needed, offsets, counts, file_bytes)


def _check_contradictions(tags: Tags) -> None:
    """Raise ValueError where readers would have to choose what to believe."""
    if twice := [tag for tag in SINGLE if len(tags.values.get(tag, (0,))) != 1]:
        raise ValueError(f"tag {twice[0]} has several numbers")
    if (TILE_OFFSETS in tags.values or TILE_WIDTH in tags.values) and STRIP_OFFSETS in tags.values:
        raise ValueError("it has both strips and tiles")
    if tags.one(PREDICTOR, 1) != 1 and tags.compression not in PREDICTED:
        raise ValueError("it has a predictor, and a compression that has none")


def _check_bytes(
    tags: Tags, needed: list[int], offsets: tuple[int, ...], counts: tuple[int, ...], file_bytes: int
) -> None:
    """Raise ValueError unless every piece lies in the file and is long enough."""
    for need, offset, count in zip(needed, offsets, counts, strict=False):
        if offset < HEADER_BYTES or offset + count > file_bytes:
            raise ValueError(
                f"truncated: a piece of its pixels lies in bytes {offset} to {offset + count} of {file_bytes}"
            )
        if tags.compression == UNCOMPRESSED and count < need:
            raise ValueError(f"{count} of {need} bytes of a piece of its pixels are there")
    there = min(sum(counts[: len(needed)]), file_bytes)
    if tags.compression in FAX:
        most = there * FAX_EXPANSION
    elif tags.compression in LOSSY:
        most = max(pictures.USUAL_PIXELS, there * pictures.PIXELS_PER_BYTE) * (tags.pixel_bits // 8 + 1)
    else:
        most = there * EXPANSION.get(tags.compression, 1)
    if sum(needed) > most:
        raise ValueError(f"{there} bytes of pixels cannot hold {tags.width} x {tags.height} of them")


def untagged(data: bytes, tags: Tags) -> bytes:
    """The file without what makes Pillow turn the picture."""
    if not tags.turning:
        return data
    order = "<" if tags.little_endian else ">"
    changed = bytearray(data)
    for at in tags.turning:
        (tag,) = struct.unpack_from(order + "H", data, at)
        if tag == XMP:
            struct.pack_into(order + "H", changed, at, UNUSED)
        elif tags.big:
            struct.pack_into(order + "HHQQ", changed, at, ORIENTATION, 4, 1, 0)
            struct.pack_into(order + "I", changed, at + 12, 1)
        else:
            struct.pack_into(order + "HHII", changed, at, ORIENTATION, 4, 1, 1)
    return bytes(changed)


def tags_of(data: bytes, path: Path) -> Tags:
    """`read_tags` of a file already in memory."""
    return read_tags(lambda first, count: data[first : first + count], len(data), path)


def decode_ids(data: bytes, path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W) numbers as stored. Raises FileError where they are no class ids."""
    tags = tags_of(data, path)
    check_ids(tags, path)
    with pictures.opened(untagged(data, tags), "TIFF", path) as image:
        _check_size(image.size, tags, path)
        swapped = _swapped(image)
        mode, values = image.mode, np.array(image)
    if mode == "F":
        raise FileError(f"{path}: holds fractions, not class ids")
    if mode == "I":
        if swapped:
            values = (values.astype(np.int16) if tags.bits == 16 else values).byteswap()
        if values.min() >= 0 and values.max() <= 65535:
            return values.astype(np.uint16)
        raise FileError(
            f"{path}: its values lie in {values.min()}..{values.max()}; class ids must lie in 0..65535"
        )
    if mode.startswith("I;16"):
        return values.astype(np.uint16)
    if mode not in ("1", "L", "P"):
        raise FileError(f"{path}: is a {mode} picture, not a map of class ids")
    return _as_stored(values.astype(np.uint8), mode, tags, path)


def _swapped(image: Image) -> bool:
    """Whether Pillow takes numbers for big-endian that libtiff has turned into the machine's order."""
    tile: tuple[Any, ...] = getattr(image, "tile")[0]  # noqa: B009  # of the file's own class
    swaps = ("I;16BS", "I;32BS", "I;32B") if sys.byteorder == "little" else ("I;16S", "I;32S", "I;32")
    return tile[0] == "libtiff" and tile[3][0] in swaps


def _as_stored(values: NDArray[np.uint8], mode: str, tags: Tags, path: Path) -> NDArray[np.uint8]:
    """Undo what Pillow does to values of up to 8 bits."""
    if mode == "P":
        return values
    if mode == "L" and tags.bits in (2, 4):
        values = values // np.uint8(255 // (2**tags.bits - 1))
    if tags.white_is_zero:
        values = np.uint8(2**tags.bits - 1) - values
    if tags.one(FORMAT, 1) == 2 and values.max() > 127:
        raise FileError(
            f"{path}: its values lie in {values.view(np.int8).min()}..127; class ids must lie in 0..65535"
        )
    return values


def check_ids(tags: Tags, path: Path) -> None:
    """Raise FileError if the tags alone say that these are no class ids."""
    if name := LOSSY.get(tags.compression):
        raise FileError(
            f"{path}: is a TIFF file compressed as {name}, which may change class ids; label maps must be PNG"
        )
    if tags.samples > 1:
        names = {5: "a CMYK picture", 2: "an RGB picture", 6: "a YCbCr picture", 8: "a LAB picture"}
        color = tags.one(PHOTOMETRIC, 0)
        raise FileError(pictures.COLOURED.format(path, names.get(color, "a gray picture with transparency")))
    if tags.one(PAGES, 1) > 1:
        raise FileError(f"{path}: holds more than one picture; a label map is one: save them apart")
    if tags.compression in FAX and tags.white_is_zero:
        raise FileError(
            f"{path}: is a fax, in which 0 is white: programs disagree on whether its numbers or its colours "
            f"are meant. Save it as PNG."
        )


def _check_size(size: tuple[int, int], tags: Tags, path: Path) -> None:
    if size != (tags.width, tags.height):
        raise FileError(f"{path}: damaged: its tags state two sizes")


def decode_rgb(data: bytes, path: Path, scale: pictures.Scale | None = None) -> NDArray[np.uint8]:
    """(H, W, 3) colours of the stored pixels. Raises FileError."""
    tags = tags_of(data, path)
    if scale is not None and tags.bits == 16 and tags.samples >= 3:
        return _wide_colors(data, tags, path, scale)
    if scale is None and tags.one(FORMAT, 1) != 1 and tags.bits <= 16:
        raise FileError(f"{path}: holds signed numbers or fractions: save it as 8-bit RGB")
    with pictures.opened(untagged(data, tags), "TIFF", path) as image:
        _check_size(image.size, tags, path)
        if not image.mode.startswith("I;16"):
            colors = pictures.rgb_of(image, path, scale)
            if tags.bits == 16 and image.mode in ("RGB", "RGBA") and colors.max() < pictures.DARK >> 8:
                raise pictures.too_dark(path, f"end below {pictures.DARK}")
            return colors
        values = np.array(image).astype(np.uint16)
    most = 2**tags.bits - 1
    stated = tags.one(MAX_VALUE, most)
    if tags.white_is_zero:
        values = np.uint16(most) - values
    gray = pictures.to_8_bits(values, most, path, stated if stated != most else None, scale)
    return pictures.gray_to_rgb(gray)


def _wide_colors(data: bytes, tags: Tags, path: Path, scale: pictures.Scale) -> NDArray[np.uint8]:
    """Colours of 16 bits, of which Pillow keeps but eight: tifffile, which scikit-image brings, has all."""
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page = file.pages.first
            values = np.moveaxis(page.asarray(), 0, -1) if page.planarconfig == 2 else page.asarray()
    except Exception as error:  # tifffile raises whatever its decoders do
        problem = "its 16-bit colours cannot be read; save it uncompressed, or as PNG"
        raise FileError(f"{path}: {problem} ({short(str(error))})") from error
    if values.shape[:2] != (tags.height, tags.width) or values.ndim != 3 or values.dtype != np.uint16:
        raise FileError(f"{path}: damaged: its tags state two sizes")
    return pictures.scaled(values[..., :3], scale)
