"""Images that viewers turn, and images of more than 8 bits: read as they fit, by a stated range."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from PIL import Image, ImageOps

import cli
from pipeline.datasets import pictures, readers
from pipeline.datasets.base import Frame
from pipeline.datasets.custom import Custom
from pipeline.errors import FileError
from pipeline.stages import frame as stage
from tests.datasets.encode import encode
from tests.datasets.test_custom import CLASSES, SPLITS, complaint, describe

H, W = 24, 40
PIXELS = np.random.default_rng(0).integers(0, 255, (H, W, 3), dtype=np.uint8)


def photo(path: Path, tag: int, size: tuple[int, int] = (H, W)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(PIXELS[: size[0], : size[1]])
    exif = picture.getexif()
    exif[0x0112] = tag
    picture.save(path, exif=exif, quality=95)
    return path


def dataset(folder: Path, labels: tuple[int, int], text: str = "") -> tuple[Custom, Frame]:
    (folder / "labels").mkdir(exist_ok=True)
    Image.fromarray(np.zeros(labels, np.uint8)).save(folder / "labels/a.png")
    data = Custom(describe(folder, text + CLASSES + "targets: [car]\n" + SPLITS))
    (frame,) = data.frames("train")
    return data, frame


@pytest.mark.parametrize("tag", range(1, 9))
def test_images_are_turned_as_pillow_turns_them(tmp_path: Path, tag: int) -> None:
    path = photo(tmp_path / "a.jpg", tag)
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(readers.read_rgb(path, shown=True), expected)
    assert readers.shown_size(path) == expected.shape[:2]
    assert readers.orientation(path) == tag


@pytest.mark.parametrize("tag", [5, 6, 7, 8])
@pytest.mark.parametrize("turned", [False, True])
def test_whichever_fits_the_labels_is_read(tmp_path: Path, tag: int, turned: bool) -> None:
    path = photo(tmp_path / "images/a.jpg", tag)
    size = (W, H) if turned else (H, W)
    data, frame = dataset(tmp_path, size)
    assert data.image_size(frame) == size
    np.testing.assert_array_equal(data.read_image(frame), readers.read_rgb(path, shown=turned))
    assert stage.process_frame(data, frame, (2, 2), 1).size == size
    assert data.settings() == {}


@pytest.mark.parametrize(("said", "shown"), [("stored", False), ("shown", True), ("auto", False)])
def test_where_the_size_does_not_tell_the_setting_does(tmp_path: Path, said: str, shown: bool) -> None:
    path = photo(tmp_path / "images/a.jpg", 3)
    data, frame = dataset(tmp_path, (H, W), f"images_are: {said}\n")
    assert data.is_shown(frame) == shown
    np.testing.assert_array_equal(data.read_image(frame), readers.read_rgb(path, shown=shown))
    assert data.settings() == ({} if said == "auto" else {"images_are": said})


def test_labels_that_do_not_fit_as_they_must_are_refused(tmp_path: Path) -> None:
    photo(tmp_path / "images/a.jpg", 6)
    data, frame = dataset(tmp_path, (W, H), "images_are: stored\n")
    with pytest.raises(FileError, match=r"the label map is 24 x 40, its image a\.jpg 40 x 24"):
        stage.process_frame(data, frame, (2, 2), 1)


@pytest.mark.parametrize(("said", "size"), [("auto", (W, H)), ("shown", (W, H)), ("stored", (H, W))])
def test_shapes_in_fractions_of_an_image_lie_as_it_is_read(
    tmp_path: Path, said: str, size: tuple[int, int]
) -> None:
    photo(tmp_path / "images/a.jpg", 6)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("4 0 0 1 0 1 0.5 0 0.5")
    data = Custom(describe(tmp_path, f"images_are: {said}\nlabels_are: yolo\n" + CLASSES + SPLITS))
    (frame,) = data.frames("train")
    assert data.label_size(frame) == data.image_size(frame) == data.read_image(frame).shape[:2] == size


def test_a_square_image_of_a_format_that_turns_images_is_turned(tmp_path: Path) -> None:
    path = photo(tmp_path / "images/a.jpg", 6, (H, H))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("4 0 0 1 0 1 0.5 0 0.5")
    data = Custom(describe(tmp_path, "labels_are: yolo\n" + CLASSES + SPLITS))
    (frame,) = data.frames("train")
    np.testing.assert_array_equal(data.read_image(frame), readers.read_rgb(path, shown=True))


WIDE = (PIXELS[..., 0].astype(np.uint16) * 16 + 15).astype(np.uint16)
WIDE_RGB = PIXELS.astype(np.uint16) * 16 + 15


def files(folder: Path) -> dict[str, Path]:
    """The same values below 4096, one file of each kind that holds more than 8 bits."""
    (folder / "images").mkdir()
    made = {end: folder / f"images/{end}" for end in ("gray.png", "rgb.png", "gray.tif", "rgb.tif", "a.pgm")}
    made["gray.png"].write_bytes(encode(WIDE))
    made["rgb.png"].write_bytes(encode(WIDE_RGB))
    tifffile.imwrite(made["gray.tif"], WIDE)
    tifffile.imwrite(made["rgb.tif"], WIDE_RGB, photometric="rgb")
    made["a.pgm"].write_bytes(b"P5 40 24 65535\n" + WIDE.astype(">u2").tobytes())
    made["float.tif"] = folder / "images/float.tif"
    tifffile.imwrite(made["float.tif"], WIDE.astype(np.float32))
    return made


@pytest.mark.parametrize("kind", ["gray.png", "rgb.png", "gray.tif", "rgb.tif", "a.pgm", "float.tif"])
def test_a_stated_range_becomes_0_to_255(tmp_path: Path, kind: str) -> None:
    path = files(tmp_path)[kind]
    with pytest.raises(FileError, match="image_range|fractions"):
        readers.read_rgb(path)
    found = readers.read_rgb(path, scale=(0, 4095))
    values = WIDE_RGB if "rgb" in kind else np.repeat(WIDE[..., None], 3, axis=2)
    np.testing.assert_array_equal(found, np.rint(values / 4095 * 255).astype(np.uint8))
    assert found.max() > 240
    narrow = readers.read_rgb(path, scale=(1000, 2000))
    np.testing.assert_array_equal(narrow, np.rint(np.clip((values - 1000.0) / 1000, 0, 1) * 255))


def test_a_range_is_a_setting_of_the_data_set(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/a.png").write_bytes(encode(WIDE))
    data, frame = dataset(tmp_path, (H, W), "image_range: [0, 4095]\n")
    assert data.read_image(frame).max() > 240
    assert data.settings() == {"image_range": [0.0, 4095.0]}
    photo(tmp_path / "images/a.jpg", 1)
    assert readers.read_rgb(tmp_path / "images/a.jpg", scale=(0, 4095)).max() > 200


def test_numbers_that_are_none_count_as_the_lower_end() -> None:
    values = np.array([[np.nan, -np.inf, np.inf, 0.5]])
    assert pictures.scaled(values, (0.0, 1.0)).tolist() == [[0, 0, 255, 128]]


@pytest.mark.parametrize(
    "said", ["[0]", "[5, 5]", "[1, 0]", "[0, .inf]", "[a, b]", "4095", "[0, [1]]", "[0, true]"]
)
def test_ranges_that_cannot_be(tmp_path: Path, said: str) -> None:
    problem = complaint(describe(tmp_path, f"image_range: {said}\n" + CLASSES + SPLITS))
    assert problem.startswith("line 1: image_range: must be ")


@pytest.mark.parametrize(
    ("name", "bits"), [("gray.png", 16), ("rgb.png", 16), ("gray.tif", 16), ("a.pgm", 16), ("float.tif", 32)]
)
def test_the_depth_of_a_file(tmp_path: Path, name: str, bits: int) -> None:
    assert readers.depth(files(tmp_path)[name]) == bits
    assert readers.depth(photo(tmp_path / "a.jpg", 1)) == 8


def test_a_tag_that_says_nothing_is_none(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg", 9)
    assert readers.orientation(tmp_path / "a.jpg") == 1


def test_values_are_scaled_alike_whatever_their_type() -> None:
    values: Any = np.arange(0, 4096, 7)
    for dtype in (np.uint16, np.int32, np.float32):
        np.testing.assert_array_equal(
            pictures.scaled(values.astype(dtype), (0, 4095)), np.rint(values / 4095 * 255)
        )


@pytest.mark.parametrize(
    ("end", "kind"),
    [("tga", "TGA"), ("PCX", "PCX"), ("sgi", "SGI"), ("qoi", "QOI"), ("dds", "DDS"), ("jfif", "JPEG")],
)
def test_other_formats_of_pillow_are_read_as_images_and_not_as_labels(
    tmp_path: Path, end: str, kind: str
) -> None:
    path = tmp_path / f"images/a.{end}"
    path.parent.mkdir()
    Image.fromarray(PIXELS).save(path, kind)
    data, frame = dataset(tmp_path, (H, W))
    with Image.open(path) as image:
        np.testing.assert_array_equal(data.read_image(frame), np.asarray(image.convert("RGB")))
    assert data.image_size(frame) == (H, W)
    with pytest.raises(FileError, match=f"is a {kind} file"):
        readers.read_ids(path)


@pytest.mark.parametrize("kind", [1, 2, 3, 9, 10, 11])
def test_a_header_of_targa_alone_is_no_picture(tmp_path: Path, kind: int) -> None:
    (tmp_path / "a.tga").write_bytes(bytes((0, 0, kind)) + bytes(9) + b"\xff\xff\xff\xff\x08\0")
    with pytest.raises(FileError):
        readers.read_rgb(tmp_path / "a.tga")


@pytest.mark.parametrize("text", ["labels_are: yolo\n", "labels_are: yolo\nimages_are: stored\n"])
def test_images_of_converted_labels_are_read_as_they_were(tmp_path: Path, text: str) -> None:
    photo(tmp_path / "images/a.jpg", 6, (H, H))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("4 0 0 1 0 1 0.5 0 0.5")
    more = "image_range: [0, 4095]\nbackground: ground\ntargets: [car]\n"
    yaml = describe(tmp_path, text + more + CLASSES + SPLITS)
    result = CliRunner().invoke(cli.main, ["convert", "--dataset", str(yaml), "-o", str(tmp_path / "made")])
    assert result.exit_code == 0, result.output
    before, after = Custom(yaml), Custom(tmp_path / "made/mine.yaml")
    (one,), (other,) = before.frames("train"), after.frames("train")
    np.testing.assert_array_equal(before.read_image(one), after.read_image(other))
    np.testing.assert_array_equal(before.read_labels(one), after.read_labels(other))
    assert after.image_range == (0, 4095)
