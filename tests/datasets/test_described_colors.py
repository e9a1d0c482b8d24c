"""Label maps whose classes are colours, arrays, and gray pictures of three channels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.datasets import readers
from pipeline.datasets.base import VOID, Frame
from pipeline.datasets.custom import Custom
from pipeline.errors import FileError
from tests.datasets.test_custom import SPLITS, complaint, describe, picture

CLASSES = """\
labels_are: colors
classes:
  - {name: road, color: "#804080"}
  - {name: car, color: [0, 0, 142]}
  - {name: sky, color: [70, 130, 180]}
void: ["#000000"]
targets: [car]
"""
COLORS = np.array([[128, 64, 128], [0, 0, 142], [70, 130, 180], [0, 0, 0]], np.uint8)
IDS = np.random.default_rng(2).integers(0, 4, (7, 9)).repeat(3, axis=1)


def read(
    folder: Path, pixels: Image.Image | None = None, end: str = "png", text: str = CLASSES
) -> np.ndarray:
    image = pixels or Image.fromarray(COLORS[IDS])
    picture(folder / "images/a.png", color=True)
    (folder / "labels").mkdir(exist_ok=True)
    image.save(folder / f"labels/a.{end}")
    data = Custom(describe(folder, text + SPLITS))
    (frame,) = data.frames("train")
    assert data.label_size(frame) == (image.height, image.width)
    return data.read_labels(frame)


@pytest.mark.parametrize("end", ["png", "bmp", "tif", "ppm", "gif"])
def test_colours_become_ids(tmp_path: Path, end: str) -> None:
    image = Image.fromarray(COLORS[IDS])
    if end == "gif":
        image = image.quantize(4)
    np.testing.assert_array_equal(read(tmp_path, image, end), IDS)


def test_a_palette_counts_by_its_colours(tmp_path: Path) -> None:
    image = Image.fromarray(COLORS[IDS]).quantize(4)
    np.testing.assert_array_equal(read(tmp_path, image), IDS)


def test_the_table_of_colours(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png")
    data = Custom(describe(tmp_path, CLASSES + SPLITS))
    assert [(c.id, c.name, c.train_id) for c in data.classes.classes] == [
        (0, "road", 0),
        (1, "car", 1),
        (2, "sky", 2),
        (3, "void 3", VOID),
    ]
    assert data.settings() == {
        "labels_are": "colors",
        "colors": {"#804080": 0, "#00008e": 1, "#4682b4": 2, "#000000": 3},
    }


def test_ids_may_be_given_with_the_colours(tmp_path: Path) -> None:
    text = CLASSES.replace("{name: road", "{id: 7, name: road").replace("{name: car", "{id: 300, name: car")
    text = text.replace("{name: sky", "{id: 2, name: sky")
    ids = read(tmp_path, text=text)
    np.testing.assert_array_equal(ids, np.array([7, 300, 2, 0])[IDS])
    assert ids.dtype == np.uint16


def test_unknown_colours_are_named_with_file_and_count(tmp_path: Path) -> None:
    pixels = COLORS[IDS]
    pixels[0, :5] = (1, 2, 3)
    pixels[6, 0] = (255, 0, 0)
    with pytest.raises(FileError) as error:
        read(tmp_path, Image.fromarray(pixels))
    assert str(error.value) == (
        f"{tmp_path}/labels/a.png: #010203 (5 pixels), #ff0000 (1 pixels): no colour of the class table."
    )


def test_gray_pixels_among_colours_are_taken_for_ids_in_the_message(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"#070707 \(16 pixels\): not the colour of any class\. Its pix"):
        read(tmp_path, Image.new("L", (4, 4), 7))


def test_lossy_files_have_other_colours(tmp_path: Path) -> None:
    Image.fromarray(COLORS[IDS]).save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    with pytest.raises(FileError, match=r"a\.png: is a JPEG file, whose lossy compression changes colours"):
        readers.decode_colors(data, Path("a.png"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            CLASSES.replace("[0, 0, 142]", '"#804080"'),
            "line 4: classes[1].color: the color #804080 was given before, in line 3",
        ),
        (
            CLASSES.replace('"#000000"', "[70, 130, 180]"),
            "line 6: void[0]: the color #4682b4 was given before, in line 5",
        ),
        (
            CLASSES.replace(", color: [0, 0, 142]", ""),
            "line 4: classes[1]: missing key 'color': labels_are: colors tells classes by it",
        ),
        (
            CLASSES.replace('["#000000"]', "[0]"),
            'line 6: void[0]: must be [red, green, blue] or "#rrggbb", found 0',
        ),
        (
            CLASSES.replace("{name: car", "{id: 3, name: car"),
            "line 2: classes: id must be given to all",
        ),
        (
            CLASSES + "background: road\n",
            "line 8: background: labels_are: colors leaves no pixel with",
        ),
        (
            CLASSES.replace("colors", "color"),
            "line 1: labels_are: must be one of ids, colors",
        ),
    ],
)
def test_tables_of_colours_that_cannot_be(tmp_path: Path, text: str, problem: str) -> None:
    assert complaint(describe(tmp_path, text + SPLITS)).startswith(problem)


@pytest.mark.parametrize("end", ["png", "bmp", "ppm"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_picture_whose_channels_are_alike_holds_ids(tmp_path: Path, end: str, mode: str) -> None:
    if (end, mode) == ("ppm", "RGBA"):
        pytest.skip("PPM has no transparency")
    path = tmp_path / f"a.{end}"
    Image.fromarray(IDS.astype(np.uint8)).convert(mode).save(path)
    np.testing.assert_array_equal(readers.read_ids(path), IDS)


def test_a_gray_picture_with_clear_pixels_holds_no_ids(tmp_path: Path) -> None:
    Image.new("RGBA", (4, 4), (3, 3, 3, 0)).save(tmp_path / "a.png")
    with pytest.raises(FileError, match="is an RGB picture with transparency, not a map of class ids"):
        readers.read_ids(tmp_path / "a.png")


@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int16, ">u2", np.int64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_hold_ids(tmp_path: Path, dtype: type, order: str) -> None:
    values = np.asarray((IDS % 2).astype(dtype), order=order)  # type: ignore[call-overload]
    np.save(tmp_path / "a.npy", values)
    assert readers.label_size(tmp_path / "a.npy") == IDS.shape
    ids = readers.read_ids(tmp_path / "a.npy")
    assert ids.dtype == np.uint8
    np.testing.assert_array_equal(ids, IDS % 2)
    assert readers.picture_mode(tmp_path / "a.npy") == "array"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((3, 4)), "holds 'float64'; class ids must be whole numbers"),
        (np.array([[None]]), "holds 'object'; class ids must be whole numbers"),
        (np.zeros((3, 4, 1), np.uint8), r"is an array of shape \(3, 4, 1\); a label map has two axes"),
        (np.zeros((0, 4), np.uint8), r"is an array of shape \(0, 4\); a label map has two axes"),
        (np.array([[-1, 70_000]]), r"its values lie in -1\.\.70000; class ids must lie in 0\.\.65535"),
    ],
)
def test_arrays_that_hold_no_ids(tmp_path: Path, values: np.ndarray, said: str) -> None:
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(FileError, match=rf"a\.npy: {said}"):
        readers.read_ids(tmp_path / "a.npy")


def test_arrays_that_end_early_or_claim_too_much(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, IDS.astype(np.uint8))
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(FileError, match="truncated"):
        readers.label_size(path)
    path.write_bytes(whole.replace(b"(7, 27)", b"(10**9,)"))
    with pytest.raises(FileError, match="the header of the array is damaged"):
        readers.read_ids(path)
    path.write_bytes(whole.replace(b"(7, 27), ", b"(700000,2)"))
    with pytest.raises(FileError, match="damaged|truncated"):
        readers.read_ids(path)


def test_arrays_pair_with_images(tmp_path: Path) -> None:
    picture(tmp_path / "images/a.png", color=True)
    (tmp_path / "labels").mkdir()
    np.save(tmp_path / "labels/a.npy", np.full((4, 6), 4))
    data = Custom(describe(tmp_path, "classes: [{id: 4, name: a}]\n" + SPLITS))
    (frame,) = data.frames("train")
    assert data.read_labels(frame).tolist() == [[4] * 6] * 4
    with pytest.raises(FileError, match="is a NumPy array, not a picture"):
        data.read_image(Frame("a", frame.label, frame.label))
