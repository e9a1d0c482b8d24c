"""Picture files by their content, Pillow for those formats alone, and pixels of any kind as 8-bit colours."""

from __future__ import annotations

import io
import logging
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import FileError

if TYPE_CHECKING:
    from PIL.Image import Image

# Pillow warns of metadata that we do not read, and logs what it raises as well.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").addHandler(logging.NullHandler())

PLUGINS = {
    "PNG": "Png",
    "JPEG": "Jpeg",
    "TIFF": "Tiff",
    "BMP": "Bmp",
    "WEBP": "WebP",
    "PNM": "Ppm",
    "GIF": "Gif",
    "JPEG2000": "Jpeg2K",
    "AVIF": "Avif",
    "TGA": "Tga",
    "PCX": "Pcx",
    "SGI": "Sgi",
    "SUN": "Sun",
    "QOI": "Qoi",
    "DDS": "Dds",
    "PSD": "Psd",
}
"""Formats that are read, and the module of Pillow for each. No other is ever opened: some of Pillow's run
programs (PostScript), or read other files."""

KNOWN = ", ".join(PLUGINS)

COLOURED = (
    "{}: is {}, not a map of class ids; "
    "if its colours are classes, describe the data in a YAML file with labels_are: colors"
)
"""Of a file, and what it is."""

HEAD_BYTES = 32
"""Enough to tell the formats from each other."""

CHECKED = ("TIFF", "BMP")
"""Formats whose headers have been compared with the length of the file before Pillow sees them."""

USUAL_PIXELS = 1 << 26
"""Pictures up to this size are decoded whatever the number of their bytes."""

PIXELS_PER_BYTE = 1 << 12
"""Of lossy pictures beyond the usual size: more than any encoder makes of a photograph."""

DARK = 1 << 14
"""16-bit values that all lie below this use a quarter of their range or less: fewer bits are meant."""


def sniff(head: bytes) -> str | None:
    """The format of a file that begins so (a key of `PLUGINS`), or None."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"[: max(1, len(head))]):
        return "PNG"
    if len(head) > 2 and head[:1] == b"P" and head[1] in b"123456" and head[2] in b" \t\r\n\v\f#":
        return "PNM"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis", b"mif1", b"msf1"):
        return "AVIF"
    beginnings = {
        "JPEG": (b"\xff\xd8\xff",),
        "TIFF": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
        "BMP": (b"BM",),
        "NPY": (b"\x93NUMPY",),
        "PCX": tuple(bytes((10, version, 1)) for version in (0, 2, 3, 4, 5)),
        "SGI": (b"\x01\xda",),
        "SUN": (b"\x59\xa6\x6a\x95",),
        "QOI": (b"qoif",),
        "DDS": (b"DDS ",),
        "PSD": (b"8BPS",),
        "GIF": (b"GIF87a", b"GIF89a"),
        "JPEG2000": (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n"),
    }
    found = next((name for name, begin in beginnings.items() if head.startswith(begin)), None)
    return found or ("TGA" if _is_targa(head) else None)


def _is_targa(head: bytes) -> bool:
    """Whether the fields of a header fit together: this format has no mark of its own."""
    if len(head) < 18:
        return False
    kind, depth, (width, height) = head[2], head[16], struct.unpack_from("<HH", head, 12)
    depths = {1: (8,), 2: (16, 24, 32), 3: (1, 8, 16), 9: (8,), 10: (16, 24, 32), 11: (8, 16)}
    palette = head[1] == (kind in (1, 9))
    return palette and depth in depths.get(kind, ()) and width > 0 < height and not head[17] & 0xC0


def upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn stored pixels (H, W, ...) as viewers show them.

    Parameters
    ----------
    orientation
        Of the EXIF data or the TIFF tag, 1 to 8; others turn nothing.

    Returns
    -------
    NDArray of uint8
        (H, W, ...), or (W, H, ...) for 5 to 8.
    """
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def unknown(path: Path) -> FileError:
    """The error for a file that `sniff` does not know."""
    return FileError(f"{path}: not a picture in a known format ({KNOWN})")


@contextmanager
def opened(source: bytes | IO[bytes], kind: str, path: Path) -> Iterator[Image]:
    """The picture opened by Pillow as the format `kind`; what goes wrong meanwhile becomes a FileError."""
    from PIL import Image, UnidentifiedImageError

    plugin = PLUGINS[kind]
    name = {"PNM": "PPM"}.get(kind, kind)
    try:
        import_module(f"PIL.{plugin}ImagePlugin")
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with _any_size(), Image.open(file, formats=(name,)) as image:
            if isinstance(source, bytes) and kind not in CHECKED:
                check_pixels(image.height * image.width, len(source), path)
            yield image
    except FileError:
        raise
    except (UnidentifiedImageError, ImportError) as error:
        raise FileError(f"{path}: damaged, or a kind of {kind} file that cannot be read") from error
    except MemoryError as error:
        raise no_memory(path) from error
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        reason = f"truncated: {error}" if "truncated" in str(error) else f"damaged: {error}"
        raise FileError(f"{path}: {reason}") from error


def no_memory(path: Path) -> FileError:
    return FileError(f"{path}: decoded it is larger than the memory of this machine")


def check_pixels(pixels: int, file_bytes: int, path: Path) -> None:
    """Raise FileError if a file of so many bytes cannot be a photograph of so many pixels."""
    if pixels > max(USUAL_PIXELS, PIXELS_PER_BYTE * file_bytes):
        raise FileError(f"{path}: claims {pixels:,} pixels, which its {file_bytes:,} bytes cannot hold")


class _AnySize:
    """While anyone is inside, Pillow takes pictures of any size: what a file can hold is checked here."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limit: int | None = None

    @contextmanager
    def __call__(self) -> Iterator[None]:
        from PIL import Image

        with self._lock:
            if not self._inside:
                self._limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if not self._inside:
                    Image.MAX_IMAGE_PIXELS = self._limit


_any_size = _AnySize()


def unpack(packed: NDArray[np.uint8], depth: int, width: int) -> NDArray[np.uint8]:
    """(H, W) samples of 1, 2, 4 or 8 bits out of rows of bytes, the first sample in the high bits."""
    if depth == 8:
        return packed[:, :width]
    shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
    samples = (packed[..., None] >> shifts) & np.uint8(2**depth - 1)
    return np.ascontiguousarray(samples.reshape(len(packed), -1)[:, :width])


Scale = tuple[float, float]
"""Values that become 0 and 255; what lies outside becomes the nearer of them."""


def scaled(values: NDArray[Any], scale: Scale) -> NDArray[np.uint8]:
    """Numbers of any kind as 0..255; what is no number counts as the lower end."""
    low, high = scale
    spread = (np.nan_to_num(values.astype(np.float64), nan=low) - low) * (255 / (high - low))
    return np.rint(np.clip(spread, 0, 255)).astype(np.uint8)


def to_8_bits(
    values: NDArray[Any], most: int, path: Path, stated: int | None = None, scale: Scale | None = None
) -> NDArray[np.uint8]:
    """Unsigned samples whose largest possible value is `most`, as 0..255.

    Up to 8 bits, `most` becomes 255. Of more, those of the scale if one is given; else the highest eight bits
    are kept: of those that `stated` says are used (its largest possible value) if all values lie within, or
    of all.

    Raises
    ------
    FileError
        16-bit values use a quarter of their range or less, and nothing states that fewer bits are meant.
    """
    if most == 255:
        return values.astype(np.uint8)
    if most < 255:
        table = (np.arange(most + 1) * 255 + most // 2) // most
        return np.asarray(table.astype(np.uint8)[values])
    if scale is not None:
        return scaled(values, scale)
    largest = int(values.max())
    if stated is not None and 255 <= stated < most and largest <= stated:
        most = stated
    elif most == 65535 and stated is None and 0 < largest < DARK:
        raise too_dark(path, f"end at {largest}")
    if most == 65535:
        return (values >> 8).astype(np.uint8)
    return (values.astype(np.uint32) * 256 // (most + 1)).astype(np.uint8)


def too_dark(path: Path, found: str) -> FileError:
    return FileError(
        f"{path}: its 16-bit values {found}: fewer bits seem to be meant, and the picture would come out "
        f"black. Save it with 8 bits, or state the bits used (sBIT in a PNG, MaxSampleValue in a TIFF), or "
        f"in the description of a data set of your own the range (image_range: [0, 4095])"
    )


def gray_to_rgb(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(H, W) as (H, W, 3)."""
    return np.repeat(gray[..., None], 3, axis=2)


def look_up(indices: NDArray[np.uint8], palette: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
    """Colours (H, W, 3) of indices into a palette (N, 3). Raises FileError where it has no such colour."""
    if (largest := int(indices.max())) >= len(palette):
        raise FileError(f"{path}: uses colour {largest} of a palette of {len(palette)}: the file is damaged")
    return palette[indices]


CONVERTED = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr")
"""Modes of 8 bits that Pillow converts to RGB as they are shown."""


def rgb_of(image: Image, path: Path, scale: Scale | None = None) -> NDArray[np.uint8]:
    """(H, W, 3) of a picture that Pillow has opened. Raises FileError."""
    if image.mode.startswith("I;16"):
        values = np.array(image).astype(np.uint16)
        return gray_to_rgb(to_8_bits(values, 65535, path, scale=scale))
    if image.mode in ("I", "F") and scale is not None:
        return gray_to_rgb(scaled(np.array(image), scale))
    if image.mode in CONVERTED:
        if image.mode in ("La", "RGBa"):
            image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
        return np.array(image.convert("RGB"))
    kind = {"F": "fractions", "I": "values of 32 bits, or signed ones"}.get(image.mode)
    what = f"holds {kind}" if kind else f"is a picture in the colours {image.mode}"
    raise FileError(
        f"{path}: {what}, of which 8-bit colours cannot be made without a scale: save it as 8-bit RGB, or "
        f"state image_range in the description of a data set of your own"
    )
