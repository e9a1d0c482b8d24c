"""Reading label maps and images, whole or their size alone; every error is a `FileError` about one file.

Two contracts. `decode_ids` gives numbers exactly as the file stores them, or refuses the file by name.
`decode_rgb` gives colours of 8 bits per channel, made by a stated scale, or refuses the file by name. What
becomes of which format, mode and depth stands in docs/datasets.md.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import bmp, npy, pictures, png, pnm, tiff
from pipeline.datasets.files import find_files, length, open_file, read_bytes, walk
from pipeline.errors import FileError

__all__ = [
    "decode_ids",
    "decode_rgb",
    "find_files",
    "id_strips",
    "image_size",
    "label_size",
    "orientation",
    "picture_mode",
    "read_ids",
    "read_rgb",
    "walk",
]

Ids = NDArray[np.uint8] | NDArray[np.uint16]

CHANGING = dict.fromkeys(("JPEG", "JPEG2000", "WEBP", "AVIF"), "lossy compression changes class ids")
CHANGING["GIF"] = "writers renumber the palette"
KEEPING = ("PNG", "TIFF", "BMP", "PNM", "NPY")
"""Formats of label maps."""

CHANNELS = {2: "a gray picture with transparency", 3: "an RGB picture", 4: "an RGB picture with transparency"}
BITMAP = (
    "{}: is a PBM file, in which 1 is black: programs disagree on whether it means 1 or 0; save it as PNG"
)


def read_ids(path: Path) -> Ids:
    """`decode_ids` of a file. Raises FileError."""
    return decode_ids(read_bytes(path), path)


def decode_ids(data: bytes, path: Path) -> Ids:
    """(H, W) class ids exactly as stored: gray values, or palette indices; `path` is for the errors.

    PNG, BMP and PGM by the project's own decoders, arrays by NumPy; TIFF by Pillow, whose changes are
    undone. One channel of whole numbers in 0..65535, as stored: not scaled, not inverted, not turned by an
    orientation tag. Three channels that are alike in every pixel count as one.

    Raises
    ------
    FileError
        The file is truncated or damaged, is an RGB picture, or is of a format that changes values.
    """
    kind = _kind(data, path)
    _check_keeps_ids(kind, path)
    try:
        if kind == "PNG":
            pixels = png.decode(data, path)
        elif kind == "PNM":
            pixels, header = pnm.decode(data, path)
            if header.bitmap:
                raise FileError(BITMAP.format(path))
        elif kind == "BMP":
            found = bmp.parse_header(data[: bmp.HEAD_BYTES], len(data), path)
            if found.indexed:
                return bmp.decode_indices(data, found)
            pixels = decode_rgb(data, path)
        elif kind == "NPY":
            return npy.decode(data, path)
        else:
            return tiff.decode_ids(data, path)
    except MemoryError as error:
        raise pictures.no_memory(path) from error
    if pixels.ndim == 2:
        return pixels
    if (gray := _gray(pixels)) is not None:
        return gray
    raise FileError(pictures.COLOURED.format(path, CHANNELS[pixels.shape[2]]))


def id_strips(data: bytes, path: Path) -> Iterator[Ids]:
    """`decode_ids` a strip of rows after another, (N, W) each, where the format allows, else all at once.

    A strip is gone once the next one is asked for. Raises FileError as `decode_ids`, at the strip that is
    damaged.
    """
    if _kind(data, path) == "PNG" and png.parse_header(data, path).channels == 1:
        yield from png.strips(data, path)
    else:
        yield decode_ids(data, path)


def _gray(pixels: NDArray[Any]) -> Ids | None:
    """The one channel (H, W) of pixels (H, W, C) whose colours are all gray and opaque."""
    if pixels.shape[2] < 3:
        return None
    if pixels.shape[2] == 4 and not (pixels[..., 3] == np.iinfo(pixels.dtype).max).all():
        return None
    red = pixels[..., 0]
    alike = (red == pixels[..., 1]).all() and (red == pixels[..., 2]).all()
    return np.ascontiguousarray(red) if alike else None


def decode_colors(data: bytes, path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) colours of a picture whose colours are classes; `path` is for the errors.

    Raises
    ------
    FileError
        The file is damaged, or of a format that changes colours.
    """
    kind = _kind(data, path)
    if kind in CHANGING and kind != "GIF":
        raise FileError(f"{path}: is a {kind} file, whose lossy compression changes colours; save it as PNG")
    return decode_rgb(data, path)


def label_size(path: Path) -> tuple[int, int]:
    """(H, W) of a label map, from its header; only if a file of its length can hold so many pixels.

    Raises
    ------
    FileError
        The file cannot be read, its header is damaged, or says already that it is no label map.
    """
    with open_file(path) as file:
        kind, head = _begin(file, path)
        _check_keeps_ids(kind, path)
        if kind == "TIFF":
            tags = _tiff_tags(file, path)
            tiff.check_ids(tags, path)
            return tags.height, tags.width
        return _header_size(kind, head, file, path)


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) of an image, from its header alone; pixels as stored, EXIF orientation ignored.

    Raises
    ------
    FileError
        The file cannot be read, is of an unknown format, or cannot hold so many pixels.
    """
    with open_file(path) as file:
        kind, head = _begin(file, path)
        if kind == "TIFF":
            tags = _tiff_tags(file, path)
            return tags.height, tags.width
        return _header_size(kind, head, file, path)


def shown_size(path: Path) -> tuple[int, int]:
    """`image_size` as viewers show it: turned as its orientation tag says. Raises FileError."""
    size, tag = size_and_orientation(path)
    return size[::-1] if tag > 4 else size


def size_and_orientation(path: Path) -> tuple[tuple[int, int], int]:
    """`image_size` and `orientation` of a file that is opened once. Raises FileError."""
    with open_file(path) as file:
        kind, head = _begin(file, path)
        if kind == "TIFF":
            tags = _tiff_tags(file, path)
            return (tags.height, tags.width), tags.orientation
        return _header_size(kind, head, file, path), _orientation(kind, file, path)


def _header_size(kind: str, head: bytes, file: BinaryIO, path: Path) -> tuple[int, int]:
    file_bytes = length(file)
    if kind == "PNG":
        header = png.parse_header(head, path)
        png.check_plausible(header, file_bytes, path)
        return header.height, header.width
    if kind == "PNM":
        text = pnm.parse_header(head + _read(file, pnm.HEAD_BYTES, path), file_bytes, path)
        return text.height, text.width
    if kind == "NPY":
        return npy.parse_header(head + _read(file, npy.HEAD_BYTES - len(head), path), file_bytes, path).shape
    if kind == "BMP":
        bitmap = bmp.parse_header(head, file_bytes, path)
        return bitmap.height, bitmap.width
    file.seek(0)
    with pictures.opened(file, kind, path) as image:
        pictures.check_pixels(image.height * image.width, file_bytes, path)
        return image.height, image.width


def read_rgb(path: Path, shown: bool = False, scale: pictures.Scale | None = None) -> NDArray[np.uint8]:
    """`decode_rgb` of a file; `shown`: turned as its orientation tag says. Raises FileError."""
    data = read_bytes(path)
    pixels = decode_rgb(data, path, scale)
    return pictures.upright(pixels, orientation_of(data, path)) if shown else pixels


def decode_rgb(data: bytes, path: Path, scale: pictures.Scale | None = None) -> NDArray[np.uint8]:
    """(H, W, 3) colours of 8 bits.

    The pixels are given as they are stored, whatever an orientation tag says. Gray becomes RGB, transparency
    is dropped. Samples of fewer than 8 bits are spread over 0..255; of more, the highest 8 bits are kept: of
    16, or of as many as the file states (`sBIT` in a PNG, `MaxSampleValue` in a TIFF, the largest value of a
    PGM).

    Parameters
    ----------
    data
        The file.
    path
        For the errors.
    scale
        Of samples of more than 8 bits, the values that become 0 and 255, in place of the above.

    Raises
    ------
    FileError
        The file is truncated or damaged, is of an unknown format, holds fractions or 32-bit values, or 16-bit
        values of which fewer bits seem to be meant.
    """
    kind = _kind(data, path)
    if kind == "NPY":
        raise FileError(f"{path}: is a NumPy array, not a picture; save it as PNG")
    try:
        if kind == "PNG":
            return _png_rgb(data, path, scale)
        if kind == "PNM":
            return pnm.decode_rgb(data, path, scale)
        if kind == "TIFF":
            return tiff.decode_rgb(data, path, scale)
        if kind == "BMP":
            header = bmp.parse_header(data[: bmp.HEAD_BYTES], len(data), path)
            if header.indexed:
                return bmp.decode_indexed_rgb(data, header, path)
        with pictures.opened(data, kind, path) as image:
            return pictures.rgb_of(image, path, scale)
    except MemoryError as error:
        raise pictures.no_memory(path) from error


def _png_rgb(data: bytes, path: Path, scale: pictures.Scale | None) -> NDArray[np.uint8]:
    pixels, header, chunks = png.decode_all(data, path)
    if header.color_type == png.PALETTE:
        palette = np.frombuffer(chunks.get(b"PLTE", b""), np.uint8)
        if not palette.size or palette.size % 3:
            raise FileError(f"{path}: its palette is absent or damaged")
        return pictures.look_up(pixels.astype(np.uint8, copy=False), palette.reshape(-1, 3), path)
    if header.channels in (2, 4):
        pixels = pixels[..., 0] if header.channels == 2 else pixels[..., :3]
    used = chunks.get(b"sBIT", b"")[:1]
    stated = 2 ** used[0] - 1 if used and 8 <= used[0] < 16 else None
    colors = pictures.to_8_bits(pixels, 2**header.bit_depth - 1, path, stated, scale)
    return colors if colors.ndim == 3 else pictures.gray_to_rgb(colors)


def picture_mode(path: Path) -> str:
    """What a file holds, in Pillow's words (`L`, `P`, `RGB`, `I;16`), from its header. Raises FileError."""
    with open_file(path) as file:
        kind, head = _begin(file, path)
        if kind == "PNG":
            header = png.parse_header(head, path)
            gray = {1: "1", 16: "I;16"}.get(header.bit_depth, "L")
            return {png.GRAY: gray, png.PALETTE: "P", png.GRAY_ALPHA: "LA", png.RGBA: "RGBA"}.get(
                header.color_type, "RGB"
            )
        if kind == "BMP":
            return "P" if bmp.parse_header(head, length(file), path).indexed else "RGB"
        if kind == "TIFF":
            _tiff_tags(file, path)
        if kind == "NPY":
            return "array"
        file.seek(0)
        with pictures.opened(file, kind, path) as image:
            return image.mode


def depth(path: Path) -> int:
    """Bits per sample of a picture, from its header; 8 where the format has no others. Raises FileError."""
    with open_file(path) as file:
        kind, head = _begin(file, path)
        if kind == "PNG":
            return png.parse_header(head, path).bit_depth
        if kind == "TIFF":
            return _tiff_tags(file, path).bits
        if kind == "PNM":
            file_bytes = length(file)
            most = pnm.parse_header(head + _read(file, pnm.HEAD_BYTES, path), file_bytes, path).most
            return most.bit_length()
    return 16 if picture_mode(path).startswith("I") else 8


def orientation(path: Path) -> int:
    """How viewers turn a picture (1 to 8), by its TIFF tag or EXIF data; 1 (not at all) where unknown."""
    try:
        with open_file(path) as file:
            return _orientation(_begin(file, path)[0], file, path)
    except FileError:
        return 1


def orientation_of(data: bytes, path: Path) -> int:
    """`orientation` of a file that is in memory; `path` is for the errors."""
    try:
        return _orientation(_kind(data, path), io.BytesIO(data), path)
    except FileError:
        return 1


def _orientation(kind: str, file: BinaryIO, path: Path) -> int:
    try:
        if kind == "TIFF":
            return _tiff_tags(file, path).orientation
        if kind not in ("JPEG", "WEBP", "AVIF"):
            return 1
        file.seek(0)
        with pictures.opened(file, kind, path) as image:
            tag = int(image.getexif().get(0x0112, 1))
            return tag if 1 <= tag <= 8 else 1
    except (FileError, TypeError, ValueError):
        return 1


def _kind(data: bytes, path: Path) -> str:
    if kind := pictures.sniff(data[: pictures.HEAD_BYTES]):
        return kind
    raise pictures.unknown(path)


def _begin(file: BinaryIO, path: Path) -> tuple[str, bytes]:
    """Format and first bytes of a file."""
    head = _read(file, max(png.HEADER_BYTES, bmp.HEAD_BYTES), path)
    if not head:
        raise FileError(f"{path}: empty file (0 bytes)")
    return _kind(head, path), head


def _read(file: BinaryIO, count: int, path: Path) -> bytes:
    try:
        return file.read(count)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}") from error


def _check_keeps_ids(kind: str, path: Path) -> None:
    if reason := CHANGING.get(kind):
        raise FileError(f"{path}: is a {kind} file, whose {reason}; label maps must be PNG")
    if kind not in KEEPING:
        raise FileError(f"{path}: is a {kind} file; label maps must be PNG, TIFF, BMP, PGM or NPY")


def _tiff_tags(file: BinaryIO, path: Path) -> tiff.Tags:
    file_bytes = length(file)

    def read(first: int, count: int) -> bytes:
        if first >= file_bytes:
            return b""
        file.seek(first)
        return _read(file, count, path)

    return tiff.read_tags(read, file_bytes, path)
