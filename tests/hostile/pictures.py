"""Picture files that are damaged or lie: made by the specification and changed, or whole ones mutated."""

from __future__ import annotations

import io
import random
import struct
import time
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import FileError
from tests.datasets import encode as pngs
from tests.datasets import tiffs

PIECES, PIECE = 10, 10_000
SECONDS = 2.0
"""Of the processor, that one small input may take."""

FORMATS = [(1, 0), (2, 0), (4, 0), (8, 0), (16, 0), (1, 3), (2, 3), (4, 3), (8, 3)]
FORMATS += [(depth, color) for color in (2, 4, 6) for depth in (8, 16)]
NUMBERS = (0, 1, 2, 3, 7, 8, 9, 127, 128, 255, 256, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1)


def rounds(few: int) -> pytest.MarkDecorator:
    """Parametrise `numbers`: seeds of a few inputs, or with `-m fuzz` of 100,000 in pieces of 10,000."""
    pieces = [
        pytest.param(range(i * PIECE, (i + 1) * PIECE), marks=pytest.mark.fuzz, id=f"fuzz{i}")
        for i in range(PIECES)
    ]
    return pytest.mark.parametrize("numbers", [pytest.param(range(few), id="few"), *pieces])


def only_sentences(call: Callable[[], Any], shown: object) -> Any:
    """What `call` returns; None where it raises a FileError. Anything else, or too long a time, fails."""
    start = time.process_time()
    try:
        result = call()
    except FileError:
        result = None
    except Exception as error:
        raise AssertionError(f"{type(error).__name__}: {error} for {shown}") from error
    assert time.process_time() - start < SECONDS, shown
    return result


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Bytes with a few changes: flipped, cut, doubled, moved, or with a number put in."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not changed:
            break
        near = rng.random() < 0.5
        at = rng.randrange(min(len(changed), 80) if near else len(changed))
        end = min(len(changed), at + rng.choice((1, 2, 4, 8, 40)))
        number = rng.choice(NUMBERS)
        match rng.randrange(8):
            case 0:
                changed[at] ^= 1 << rng.randrange(8)
            case 1:
                changed[at] = rng.randrange(256)
            case 2:
                del changed[at:end]
            case 3:
                changed[at:at] = changed[at:end] * rng.choice((1, 1, 3))
            case 4:
                changed[at : at + 4] = struct.pack(rng.choice("<>") + "I", number)
            case 5:
                changed[at : at + 2] = struct.pack(rng.choice("<>") + "H", number & 65535)
            case 6:
                del changed[at:]
            case _:
                changed[at:at] = rng.randbytes(rng.choice((1, 4, 30)))
    return bytes(changed)


def samples(rng: random.Random, depth: int, channels: int) -> NDArray[Any]:
    """Random or plain (H, W) or (H, W, C) samples of a small picture."""
    height, width = rng.choice((1, 2, 3, 5, 9, 17)), rng.choice((1, 2, 3, 7, 8, 9, 33, 70))
    shape = (height, width) if channels == 1 else (height, width, channels)
    made = np.random.default_rng(rng.randrange(2**32))
    most = 2**depth - 1 if rng.random() < 0.7 else min(2**depth - 1, 3)
    return made.integers(0, most + 1, shape).astype(np.uint16 if depth > 8 else np.uint8)


def png(rng: random.Random) -> tuple[bytes, NDArray[Any], bool]:
    """A PNG of any kind, its samples, and whether nothing is wrong with it.

    Extra chunks stand in any order; the image data may end early, go on, be cut into chunks or be
    moved; the header may lie. Checksums are right, so that the decoder gets to see it.
    """
    depth, color = rng.choice(FORMATS)
    interlaced = rng.random() < 0.4
    values = samples(rng, depth, pngs.CHANNELS[color])
    filters = [rng.randrange(5) for _ in range(rng.choice((1, 2, 5)))]
    data = pngs.encode(values, depth, color, filters, rng.choice((1 << 30, 1 << 30, 20, 5, 1)), interlaced)
    if rng.random() < 0.3:
        return data, values, True
    chunks = split(data)
    whole = True
    for _ in range(rng.choice((1, 1, 2, 3))):
        if not chunks:
            break
        match rng.randrange(9):
            case 0:
                kind = rng.choice((b"tEXt", b"sBIT", b"gAMA", b"tRNS", b"zTXt", b"eXIf", b"acTL", b"fdAT"))
                chunks.insert(rng.randrange(len(chunks)), (kind, rng.randbytes(rng.choice((0, 1, 4, 26)))))
                whole = False
            case 1:
                i, j = rng.randrange(len(chunks)), rng.randrange(len(chunks))
                chunks[i], chunks[j] = chunks[j], chunks[i]
                whole = False
            case 2:
                chunks.insert(rng.randrange(len(chunks)), rng.choice(chunks))
                whole = False
            case 3 if len(chunks) > 1:
                del chunks[rng.randrange(len(chunks))]
                whole = False
            case 4:
                place = next((i for i, (kind, _) in enumerate(chunks) if kind == b"IHDR"), None)
                if place is not None and len(chunks[place][1]) == 13:
                    fields = list(struct.unpack(">IIBBBBB", chunks[place][1]))
                    fields[rng.randrange(7)] = rng.choice(NUMBERS[:10])
                    if rng.random() < 0.3:
                        fields[rng.randrange(2)] = rng.choice(NUMBERS)
                    chunks[place] = (b"IHDR", struct.pack(">IIBBBBB", *fields))
                whole = False
            case 5 | 6 | 7:
                chunks = restreamed(rng, chunks)
                whole = False
            case _:
                kind, content = chunks[place := rng.randrange(len(chunks))]
                chunks[place] = (kind, mutated(rng, content) if content else b"")
                whole = False
    data = pngs.SIGNATURE + b"".join(pngs.chunk(kind, content) for kind, content in chunks)
    return data, values, whole


def split(data: bytes) -> list[tuple[bytes, bytes]]:
    """Kind and content of the chunks of a sound PNG."""
    chunks, position = [], 8
    while position < len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        chunks.append((kind, data[position + 8 : position + 8 + length]))
        position += 12 + length
    return chunks


def restreamed(rng: random.Random, chunks: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The same chunks with image data that end early, go on, or are damaged inside a sound stream."""
    try:
        raw = bytearray(zlib.decompress(b"".join(content for kind, content in chunks if kind == b"IDAT")))
    except zlib.error:
        return chunks
    match rng.randrange(5):
        case 0:
            del raw[rng.randrange(len(raw) + 1) :]
        case 1:
            raw += rng.randbytes(rng.choice((1, 5, 100)))
        case 2 if raw:
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        case _:
            pass
    stream = zlib.compress(bytes(raw), rng.choice((0, 1, 9)))
    match rng.randrange(4):
        case 0:
            stream += rng.randbytes(rng.choice((1, 1000)))
        case 1:
            stream = stream[: rng.randrange(len(stream) + 1)]
        case _:
            pass
    others = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
    place = max(len(others) - 1, 0)
    return [*others[:place], (b"IDAT", stream), *others[place:]]


def tiff(rng: random.Random) -> bytes:
    """A TIFF of any kind, with odd tags."""
    bits, kind = rng.choice(
        ((1, "u"), (2, "u"), (4, "u"), (8, "u"), (16, "u"), (32, "u"), (8, "i"), (16, "i"))
    )
    values = samples(rng, min(bits - (kind == "i"), 16), rng.choice((1, 1, 1, 3))).astype(
        f"{kind}{max(1, bits // 8)}"
    )
    more: dict[int, tuple[str, tuple[int, ...]]] = {}
    while rng.random() < 0.5:
        tag = rng.choice(
            (254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 281, 284, 317, 338, 339)
        )
        more[tag] = (
            "H",
            (rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 33, 40, 65535)),) * rng.choice((1, 1, 1, 3)),
        )
    if rng.random() < 0.1:
        more |= {322: ("H", (16,)), 323: ("H", (16,)), 324: ("I", (8,)), 325: ("I", (rng.choice(NUMBERS),))}
    return tiffs.encode(
        values,
        bits,
        rng.choice((0, 1, 1, 2, 3, None)),
        rng.choice("<>"),
        rng.choice((tiffs.NONE, tiffs.DEFLATE, tiffs.PACKBITS)),
        rng.choice((1, 4, 100)),
        rng.random() < 0.1,
        more,
        rng.choice((0, 0, 0, 8, 2**31)),
    )


@cache
def whole_files() -> dict[str, list[bytes]]:
    """Sound small files by format, as Pillow writes them."""
    made = np.random.default_rng(0)
    gray = made.integers(0, 256, (17, 23), dtype=np.uint8)
    color = np.repeat(np.repeat(made.integers(0, 256, (5, 6, 3), dtype=np.uint8), 6, 0), 6, 1)
    kinds: dict[str, list[tuple[NDArray[Any], str, dict[str, Any]]]] = {
        "TIFF": [(gray, "TIFF", {}), (gray > 99, "TIFF", {"compression": "group4"})]
        + [
            (color, "TIFF", {"compression": c})
            for c in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
        ]
        + [(gray, "TIFF", {"compression": c}) for c in ("tiff_lzw", "tiff_adobe_deflate", "packbits")],
        "BMP": [(gray, "BMP", {}), (gray > 99, "BMP", {}), (color, "BMP", {})],
        "PNM": [
            (gray, "PPM", {}),
            (color, "PPM", {}),
            (gray > 99, "PPM", {}),
            (gray.astype(np.int32) * 9, "PPM", {}),
        ],
        "JPEG": [(gray, "JPEG", {}), (color, "JPEG", {}), (color, "JPEG", {"progressive": True})],
        "WEBP": [(color, "WEBP", {}), (color, "WEBP", {"lossless": True})],
        "GIF": [(gray, "GIF", {}), (gray > 99, "GIF", {})],
        "JPEG2000": [(gray, "JPEG2000", {}), (color, "JPEG2000", {"irreversible": True})],
        "AVIF": [(color, "AVIF", {})],
        "TGA": [(gray, "TGA", {}), (color, "TGA", {}), (color, "TGA", {"compression": "tga_rle"})],
        "PCX": [(gray, "PCX", {}), (color, "PCX", {})],
        "SGI": [(gray, "SGI", {}), (color, "SGI", {})],
        "QOI": [(color, "QOI", {})],
        "DDS": [(color, "DDS", {}), (color, "DDS", {"pixel_format": "DXT1"})],
    }
    found: dict[str, list[bytes]] = {}
    for name, pictures in kinds.items():
        for pixels, kind, options in pictures:
            file = io.BytesIO()
            try:
                Image.fromarray(pixels).save(file, kind, **options)
            except (OSError, KeyError):  # this Pillow was built without it
                continue
            found.setdefault(name, []).append(file.getvalue())
    return found
