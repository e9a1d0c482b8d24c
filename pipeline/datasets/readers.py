"""Reading label maps and images, whole or their size alone; every error is a `FileError` about one file."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pipeline.datasets import png
from pipeline.datasets.files import find_files, read_bytes, walk
from pipeline.errors import FileError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["find_files", "image_size", "read_ids", "read_rgb", "walk"]

COLOURED = "{}: is {}, not a map of class ids; colour-coded labels must be converted to ids first"
CHANGING = dict.fromkeys(("JPEG", "MPO", "JPEG2000", "WEBP"), "lossy compression changes class ids")
CHANGING["GIF"] = "writers renumber the palette"


def read_ids(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """(H, W) class ids exactly as stored: gray values, or palette indices.

    PNG by the project's own decoder; BMP, TIFF and others by Pillow, if they have one channel of whole
    numbers in 0..65535.

    Raises
    ------
    FileError
        The file cannot be read, is damaged, is an RGB picture, or is of a format that changes values.
    """
    data = read_bytes(path)
    if png.is_png(data):
        pixels = png.decode(data, path)
        if pixels.ndim == 2:
            return pixels
        names = {
            2: "a gray picture with transparency",
            3: "an RGB picture",
            4: "an RGB picture with transparency",
        }
        raise FileError(COLOURED.format(path, names[pixels.shape[2]]))
    with _pillow(data, path) as image:
        return _one_channel(image, path)


def _one_channel(image: Image, path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    if reason := CHANGING.get(image.format or ""):
        raise FileError(f"{path}: is a {image.format} file, whose {reason}; label maps must be PNG")
    if image.mode in ("1", "L", "P"):
        return np.array(image, np.uint8)
    if image.mode.startswith("I;16"):
        return np.array(image).astype(np.uint16)
    if image.mode == "I":
        values = np.array(image)
        if values.min() >= 0 and values.max() <= 65535:
            return values.astype(np.uint16)
        raise FileError(
            f"{path}: its values lie in {values.min()}..{values.max()}; class ids must lie in 0..65535"
        )
    if image.mode == "F":
        raise FileError(f"{path}: holds fractions, not class ids")
    raise FileError(
        COLOURED.format(path, "an RGB picture" if "RGB" in image.mode else f"a {image.mode} picture")
    )


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) of an image or a label map, from its header alone; pixels as stored, EXIF orientation ignored.

    Raises
    ------
    FileError
        The file cannot be read or is of an unknown format.
    """
    head = read_bytes(path, png.HEADER_BYTES)
    if png.is_png(head):
        return png.parse_header(head, path)[:2]
    with _pillow(None, path) as image:
        return image.height, image.width


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) colours of any picture that Pillow reads.

    The pixels are given as they are stored: label maps are drawn on stored pixels, so an EXIF orientation is
    ignored. Gray becomes RGB, transparency is dropped, of 16-bit samples the high byte is kept.

    Raises
    ------
    FileError
        The file cannot be read, is truncated or damaged, or is of an unknown format.
    """
    with _pillow(read_bytes(path), path) as image:
        if image.mode.startswith("I;16"):
            gray = (np.array(image) >> 8).astype(np.uint8)
            return np.repeat(gray[..., None], 3, axis=2)
        return np.array(image.convert("RGB"))


@contextmanager
def _pillow(data: bytes | None, path: Path) -> Iterator[Image]:
    """The picture opened by Pillow; what goes wrong while it is used becomes a FileError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path if data is None else io.BytesIO(data)) as image:
            yield image
    except FileError:
        raise
    except UnidentifiedImageError as error:
        raise FileError(f"{path}: not a picture in a known format") from error
    except Image.DecompressionBombError as error:
        raise FileError(f"{path}: claims to be far too large for a picture ({error})") from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        reason = f"truncated: {error}" if "truncated" in str(error) else f"damaged: {error}"
        raise FileError(f"{path}: {reason}") from error
