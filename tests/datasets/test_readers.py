"""Label maps and images from files of every kind that users come with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.datasets.pictures import KNOWN
from pipeline.datasets.readers import image_size, read_ids, read_rgb
from pipeline.errors import FileError
from tests.datasets.encode import encode

RNG = np.random.default_rng(5)
IDS = RNG.integers(0, 255, (9, 14), dtype=np.uint8)
RGB = RNG.integers(0, 255, (9, 14, 3), dtype=np.uint8)


def save(path: Path, pixels: NDArray[np.generic], **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("end", ["png", "bmp", "tif", "pgm"])
def test_gray_ids_of_8_bits(tmp_path: Path, end: str) -> None:
    ids = read_ids(save(tmp_path / f"a.{end}", IDS))
    assert ids.dtype == np.uint8
    np.testing.assert_array_equal(ids, IDS)


@pytest.mark.parametrize("end", ["png", "tif"])
def test_ids_of_16_bits(tmp_path: Path, end: str) -> None:
    wide = IDS.astype(np.uint16) * 257
    ids = read_ids(save(tmp_path / f"a.{end}", wide))
    assert ids.dtype == np.uint16
    np.testing.assert_array_equal(ids, wide)


def test_palette_indices_are_the_ids(tmp_path: Path) -> None:
    image = Image.fromarray(IDS % 20).convert("P")
    image.putpalette(RNG.integers(0, 255, 768).tolist())
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_ids(tmp_path / "a.png"), np.asarray(image))


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_gray_of_few_bits_is_not_scaled(tmp_path: Path, depth: int) -> None:
    (tmp_path / "a.png").write_bytes(encode(IDS % 2**depth, depth))
    np.testing.assert_array_equal(read_ids(tmp_path / "a.png"), IDS % 2**depth)


def test_tiff_of_32_bits_if_the_values_fit(tmp_path: Path) -> None:
    ids = read_ids(save(tmp_path / "a.tif", IDS.astype(np.int32) + 1000))
    assert ids.dtype == np.uint16
    np.testing.assert_array_equal(ids, IDS.astype(int) + 1000)
    path = save(tmp_path / "b.tif", np.array([[-1, 70000]], np.int32))
    with pytest.raises(FileError) as error:
        read_ids(path)
    assert str(error.value) == f"{path}: its values lie in -1..70000; class ids must lie in 0..65535"


@pytest.mark.parametrize(
    ("mode", "end", "called"),
    [
        ("RGB", "png", "an RGB picture"),
        ("RGBA", "png", "an RGB picture with transparency"),
        ("LA", "png", "a gray picture with transparency"),
        ("RGB", "bmp", "an RGB picture"),
        ("RGBA", "tif", "an RGB picture"),
        ("CMYK", "tif", "a CMYK picture"),
    ],
)
def test_pictures_are_no_label_maps(tmp_path: Path, mode: str, end: str, called: str) -> None:
    path = tmp_path / f"a.{end}"
    Image.fromarray(RGB).convert(mode).save(path)
    with pytest.raises(FileError) as error:
        read_ids(path)
    assert str(error.value) == (
        f"{path}: is {called}, not a map of class ids; if its colours are classes, describe the data in a "
        f"YAML file with labels_are: colors"
    )


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("JPEG", "lossy compression changes class ids"), ("GIF", "writers renumber the palette")],
)
def test_formats_that_change_ids_are_no_label_maps_whatever_they_are_called(
    tmp_path: Path, kind: str, reason: str
) -> None:
    path = save(tmp_path / "a.png", IDS, format=kind)
    with pytest.raises(FileError) as error:
        read_ids(path)
    assert str(error.value) == f"{path}: is a {kind} file, whose {reason}; label maps must be PNG"


def test_fractions_are_no_ids(tmp_path: Path) -> None:
    path = save(tmp_path / "a.tif", IDS.astype(np.float32))
    with pytest.raises(FileError, match="holds fractions, not class ids"):
        read_ids(path)


def test_truncated_label_map(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    whole = encode(IDS)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match=r"a\.png: truncated: it ends after \d+ bytes, within a chunk"):
        read_ids(path)
    assert image_size(path) == IDS.shape


@pytest.mark.parametrize("read", [read_ids, read_rgb, image_size])
def test_files_that_are_no_pictures(tmp_path: Path, read: Callable[[Path], object]) -> None:
    path = tmp_path / "a.png"
    for content, reason in (
        (b"", "empty file (0 bytes)"),
        (b"<html>404 Not Found</html>", f"not a picture in a known format ({KNOWN})"),
    ):
        path.write_bytes(content)
        with pytest.raises(FileError) as error:
            read(path)
        assert str(error.value) == f"{path}: {reason}"
    path.unlink()
    with pytest.raises(FileError, match=r"a\.png: no such file$"):
        read(path)
    path.mkdir()
    with pytest.raises(FileError, match=r"a\.png: is a folder, not a file$"):
        read(path)


@pytest.mark.parametrize("end", ["png", "jpg", "bmp", "tif", "webp"])
def test_size_from_the_header(tmp_path: Path, end: str) -> None:
    assert image_size(save(tmp_path / f"a.{end}", RGB)) == (9, 14)


def test_size_needs_no_more_than_the_header_of_a_png(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(RGB)[:33])
    assert image_size(path) == (9, 14)


@pytest.mark.parametrize("end", ["png", "bmp", "tif"])
def test_colours_of_an_image(tmp_path: Path, end: str) -> None:
    np.testing.assert_array_equal(read_rgb(save(tmp_path / f"a.{end}", RGB)), RGB)


def test_gray_palette_transparent_and_16_bit_images_become_rgb(tmp_path: Path) -> None:
    gray = np.repeat(IDS[..., None], 3, 2)
    np.testing.assert_array_equal(read_rgb(save(tmp_path / "gray.png", IDS)), gray)
    Image.fromarray(gray).convert("RGBA").save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "alpha.png"), gray)
    deep = save(tmp_path / "deep.png", IDS.astype(np.uint16) * 256 + 7)
    np.testing.assert_array_equal(read_rgb(deep), gray)
    Image.fromarray(IDS).convert("P").save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "palette.png"), gray)


def test_exif_orientation_is_ignored_by_pixels_and_size_alike(tmp_path: Path) -> None:
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[0x0112] = 6  # turn by 90 degrees when shown
    image.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    assert image_size(tmp_path / "a.jpg") == (9, 14)
    pixels = read_rgb(tmp_path / "a.jpg")
    assert pixels.shape == (9, 14, 3)
    assert np.abs(pixels.astype(int) - RGB).mean() < 10


@pytest.mark.parametrize("end", ["jpg", "png"])
def test_truncated_image(tmp_path: Path, end: str) -> None:
    path = save(tmp_path / f"a.{end}", RNG.integers(0, 255, (60, 80, 3), dtype=np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(FileError, match=rf"a\.{end}: truncated: "):
        read_rgb(path)


def test_damaged_image(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    whole = bytearray(encode(RGB))
    whole[60] ^= 1
    path.write_bytes(whole)
    with pytest.raises(FileError, match=r"a\.png: .*damaged"):
        read_rgb(path)
